//! `container update`.

use wharf_api::{
    container::{UpdateRequest, UpdateResponse},
    host_config::Resources,
};

use crate::{
    Cli, Error, Matches, Result,
    command::{Args, Command},
    commands::container::options::restart_policy,
    flag::Flag,
    print, value,
};

static FLAGS: &[Flag] = &[
    Flag::uint16("blkio-weight", "Block IO (relative weight), between 10 and 1000, or 0 to disable")
        .shown_default("0"),
    Flag::int("cpu-period", "Limit CPU CFS (Completely Fair Scheduler) period"),
    Flag::int("cpu-quota", "Limit CPU CFS (Completely Fair Scheduler) quota"),
    Flag::int("cpu-rt-period", "Limit the CPU real-time period in microseconds"),
    Flag::int("cpu-rt-runtime", "Limit the CPU real-time runtime in microseconds"),
    Flag::int("cpu-shares", "CPU shares (relative weight)").short('c'),
    Flag::string("cpus", "Number of CPUs").label("decimal").check(value::check_cpus),
    Flag::string("cpuset-cpus", "CPUs in which to allow execution (0-3, 0,1)"),
    Flag::string("cpuset-mems", "MEMs in which to allow execution (0-3, 0,1)"),
    Flag::bytes("memory", "Memory limit").short('m'),
    Flag::bytes("memory-reservation", "Memory soft limit"),
    Flag::bytes("memory-swap", "Swap limit equal to memory plus swap: -1 to enable unlimited swap")
        .check(value::check_swap),
    Flag::int("pids-limit", "Tune container pids limit (set -1 for unlimited)"),
    // compat: taken, and without effect on any kernel of today.
    Flag::bytes("kernel-memory", "Kernel memory limit (deprecated)").hidden(),
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
.flags(FLAGS)
.run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    if !m.any_changed() {
        return Err(Error::message("you must provide one or more flags when using this command"));
    }
    let request = request(m)?;
    let client = cli.client()?;
    cli.block_on(async {
        let (mut warnings, mut errors) = (Vec::new(), Vec::new());
        for name in m.args() {
            match client.container_update::<_, UpdateResponse>(name, &request).await {
                Ok(answer) => {
                    print::line(name);
                    warnings.extend(answer.warnings.unwrap_or_default());
                }
                Err(error) => errors.push(Error::from(error)),
            }
        }
        if !warnings.is_empty() {
            print::line(&warnings.join("\n"));
        }
        Error::join(errors)
    })
}

fn request(m: &Matches) -> Result<UpdateRequest> {
    let resources = Resources {
        blkio_weight: u16::try_from(m.int("blkio-weight")).unwrap_or_default(),
        cpuset_cpus: m.str("cpuset-cpus").to_owned(),
        cpuset_mems: m.str("cpuset-mems").to_owned(),
        cpu_shares: m.int("cpu-shares"),
        memory: m.bytes("memory"),
        memory_reservation: m.bytes("memory-reservation"),
        memory_swap: value::parse_swap(m.str("memory-swap")).unwrap_or(0),
        kernel_memory: m.bytes("kernel-memory"),
        cpu_period: m.int("cpu-period"),
        cpu_quota: m.int("cpu-quota"),
        cpu_realtime_period: m.int("cpu-rt-period"),
        cpu_realtime_runtime: m.int("cpu-rt-runtime"),
        nano_cpus: value::parse_cpus(m.str("cpus")).unwrap_or(0),
        pids_limit: m.opt_int("pids-limit"),
        ..Resources::default()
    };
    let restart_policy = restart_policy(m.str("restart")).map_err(Error::message)?;
    Ok(UpdateRequest { resources, restart_policy })
}
