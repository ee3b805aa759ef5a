//! Running code inside another network namespace.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Runs `work` on a throw-away thread that has entered `netns`; no thread of a pool ever changes its
/// namespace.
///
/// # Errors
/// When the thread cannot be started or the namespace not be entered, and what `work` returns.
pub(crate) fn inside<T: Send>(
    netns: BorrowedFd<'_>,
    work: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("netns".into()).stack_size(256 << 10);
        let thread = thread.spawn_scoped(scope, move || {
            move_into_link_name_space(netns, Some(LinkNameSpaceType::Network))?;
            work()
        })?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the namespace thread panicked")))
    })
}
