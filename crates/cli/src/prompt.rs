//! Questions to the user.

use std::io::BufRead;

use crate::{Result, print};

/// Asks whether to go on; anything but `y` is no.
///
/// # Errors
/// Standard input cannot be read.
pub(crate) fn confirm(warning: &str) -> Result<bool> {
    print::out(&format!("{warning}\nAre you sure you want to continue? [y/N] "));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim().eq_ignore_ascii_case("y"))
}
