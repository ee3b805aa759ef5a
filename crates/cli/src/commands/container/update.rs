//! `container update`.

use crate::{
    command::{Args, Command},
    flag::Flag,
};

static FLAGS: &[Flag] = &[
    Flag::uint16("blkio-weight", "Block IO (relative weight), between 10 and 1000, or 0 to disable")
        .shown_default("0"),
    Flag::int("cpu-period", "Limit CPU CFS (Completely Fair Scheduler) period"),
    Flag::int("cpu-quota", "Limit CPU CFS (Completely Fair Scheduler) quota"),
    Flag::int("cpu-rt-period", "Limit the CPU real-time period in microseconds"),
    Flag::int("cpu-rt-runtime", "Limit the CPU real-time runtime in microseconds"),
    Flag::int("cpu-shares", "CPU shares (relative weight)").short('c'),
    Flag::string("cpus", "Number of CPUs").label("decimal"),
    Flag::string("cpuset-cpus", "CPUs in which to allow execution (0-3, 0,1)"),
    Flag::string("cpuset-mems", "MEMs in which to allow execution (0-3, 0,1)"),
    Flag::bytes("memory", "Memory limit").short('m'),
    Flag::bytes("memory-reservation", "Memory soft limit"),
    Flag::bytes("memory-swap", "Swap limit equal to memory plus swap: -1 to enable unlimited swap"),
    Flag::int("pids-limit", "Tune container pids limit (set -1 for unlimited)"),
    Flag::string("restart", "Restart policy to apply when a container exits"),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new(
    "update",
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Update configuration of one or more containers",
)
.aliases(&["container update", "update"])
.args(Args::Min(1))
.flags(FLAGS);
