//! Ending a build before its end.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use rustix::process::{Pid, Signal, kill_process_group};
use wharf_monitor::Client;

use crate::image::{self, Wanted};

/// `SIGKILL`.
const KILL: i32 = 9;

/// Whether a build is to end, and what runs for it. Cloning gives another handle to the same one.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    cancelled: AtomicBool,
    running: Mutex<Vec<Arc<Client>>>,
    /// Programs of this host; each leads a process group.
    programs: Mutex<Vec<Pid>>,
    /// Transfers, each wanted as long as it is here.
    transfers: Mutex<Vec<Wanted>>,
}

impl Cancel {
    /// Ends the build: what runs is killed and nothing more is begun.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::SeqCst);
        for monitor in self.running().iter() {
            if let Err(error) = monitor.kill(KILL, true) {
                tracing::debug!(%error, "a step of a cancelled build has ended by itself");
            }
        }
        self.transfers().clear();
        for &program in self.programs().iter() {
            kill_group(program);
        }
    }

    /// Whether the build is to end.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::SeqCst)
    }

    /// Runs `work` while the process behind `monitor` is killed when the build is cancelled.
    pub(super) fn watching<T>(&self, monitor: &Arc<Client>, work: impl FnOnce() -> T) -> T {
        self.running().push(monitor.clone());
        if self.is_cancelled() {
            let _ = monitor.kill(KILL, true);
        }
        let done = work();
        self.running().retain(|other| !Arc::ptr_eq(other, monitor));
        done
    }

    /// Waits by `work` for the end of a program of this host, which leads a process group that is killed when the build
    /// is cancelled. The program must not be reaped by then, so that its number is nobody else's.
    pub(super) fn watching_program<T>(&self, program: Pid, work: impl FnOnce() -> T) -> T {
        self.programs().push(program);
        if self.is_cancelled() {
            kill_group(program);
        }
        let done = work();
        self.programs().retain(|other| *other != program);
        done
    }

    /// Ends a transfer when the build is cancelled.
    pub(super) fn transfer(&self) -> image::Cancel {
        let (wanted, cancel) = image::Cancel::pair();
        self.transfers().push(wanted);
        if self.is_cancelled() {
            self.transfers().clear();
        }
        cancel
    }

    fn transfers(&self) -> MutexGuard<'_, Vec<Wanted>> {
        self.0.transfers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn programs(&self) -> MutexGuard<'_, Vec<Pid>> {
        self.0.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> MutexGuard<'_, Vec<Arc<Client>>> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn kill_group(leader: Pid) {
    if let Err(error) = kill_process_group(leader, Signal::KILL) {
        tracing::debug!(%error, "a program of a cancelled build has ended by itself");
    }
}
