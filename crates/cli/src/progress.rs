//! Shows the messages of pull, push, load and import as they come.

use wharf_api::progress::Progress;
use wharf_client::JsonLines;

use crate::{Result, print, render::Display};

/// Shows the messages on standard output.
///
/// # Errors
/// The operation failed.
pub(crate) async fn show(mut messages: JsonLines<Progress>) -> Result<()> {
    let mut display = Display::stdout();
    while let Some(message) = messages.next().await? {
        print::out(&display.render(&message)?);
    }
    Ok(())
}

/// Shows the messages on standard error.
///
/// # Errors
/// The operation failed.
pub(crate) async fn show_on_stderr(mut messages: JsonLines<Progress>) -> Result<()> {
    let mut display = Display::stderr();
    while let Some(message) = messages.next().await? {
        print::err(&display.render(&message)?);
    }
    Ok(())
}

/// Waits for the end without showing anything.
///
/// # Errors
/// The operation failed.
pub(crate) async fn drain(mut messages: JsonLines<Progress>) -> Result<()> {
    let mut display = Display::plain();
    while let Some(message) = messages.next().await? {
        display.render(&message)?;
    }
    Ok(())
}
