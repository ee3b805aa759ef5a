//! Scheduling policy and I/O priority of a process.

use oci_spec::runtime::{
    IOPriorityClass, LinuxSchedulerFlag, LinuxSchedulerPolicy, Process as ProcessSpec, Scheduler,
};
use wharf_sys::sched::{self, SchedAttr};

use crate::error::{Context, Error, Result};

/// What `scheduler` and `ioPriority` of a process ask for.
#[derive(Debug, Default)]
pub(crate) struct Tuning {
    scheduler: Option<SchedAttr>,
    /// Class and level.
    io_priority: Option<(u32, u32)>,
}

impl Tuning {
    pub(crate) fn new(spec: &ProcessSpec) -> Result<Self> {
        let scheduler = spec.scheduler().as_ref().map(attributes).transpose()?;
        let io_priority = match spec.io_priority() {
            None => None,
            Some(priority) => {
                let class = match priority.class() {
                    IOPriorityClass::IoprioClassRt => 1,
                    IOPriorityClass::IoprioClassBe => 2,
                    IOPriorityClass::IoprioClassIdle => 3,
                };
                let level = u32::try_from(priority.priority()).ok().filter(|level| *level < 8);
                Some((
                    class,
                    level.ok_or_else(|| Error::config("ioPriority.priority must be between 0 and 7"))?,
                ))
            }
        };
        Ok(Self { scheduler, io_priority })
    }

    /// Applies both to the calling process.
    pub(crate) fn apply(&self) -> Result<()> {
        if let Some(attributes) = self.scheduler {
            sched::set_scheduler(attributes).init(|| "error setting scheduler".into())?;
        }
        if let Some((class, level)) = self.io_priority {
            sched::set_io_priority(class, level).init(|| "failed to set io priority".into())?;
        }
        Ok(())
    }
}

fn attributes(spec: &Scheduler) -> Result<SchedAttr> {
    let policy = match spec.policy() {
        LinuxSchedulerPolicy::SchedOther => 0,
        LinuxSchedulerPolicy::SchedFifo => 1,
        LinuxSchedulerPolicy::SchedRr => 2,
        LinuxSchedulerPolicy::SchedBatch => 3,
        LinuxSchedulerPolicy::SchedIso => 4,
        LinuxSchedulerPolicy::SchedIdle => 5,
        LinuxSchedulerPolicy::SchedDeadline => 6,
    };
    let flag = |flag: &LinuxSchedulerFlag| match flag {
        LinuxSchedulerFlag::SchedResetOnFork => 0x01,
        LinuxSchedulerFlag::SchedFlagReclaim => 0x02,
        LinuxSchedulerFlag::SchedFlagDLOverrun => 0x04,
        LinuxSchedulerFlag::SchedFlagKeepPolicy => 0x08,
        LinuxSchedulerFlag::SchedFlagKeepParams => 0x10,
        LinuxSchedulerFlag::SchedFlagUtilClampMin => 0x20,
        LinuxSchedulerFlag::SchedFlagUtilClampMax => 0x40,
    };
    let priority = spec.priority().unwrap_or(0);
    Ok(SchedAttr {
        size: 0,
        policy,
        flags: spec.flags().iter().flatten().fold(0, |bits, next| bits | flag(next)),
        nice: spec.nice().unwrap_or(0),
        priority: u32::try_from(priority)
            .map_err(|_| Error::config("scheduler.priority must not be negative"))?,
        runtime: spec.runtime().unwrap_or(0),
        deadline: spec.deadline().unwrap_or(0),
        period: spec.period().unwrap_or(0),
    })
}

/// The argument of `personality(2)`.
pub(crate) fn persona(spec: &oci_spec::runtime::LinuxPersonality) -> Result<u64> {
    use oci_spec::runtime::LinuxPersonalityDomain as Domain;
    if spec.flags().as_ref().is_some_and(|flags| !flags.is_empty()) {
        return Err(Error::config("personality flags are not supported"));
    }
    Ok(match spec.domain() {
        Domain::PerLinux => 0,
        Domain::PerLinux32 => 8,
    })
}
