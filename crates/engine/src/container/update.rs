//! `update`: new limits and another restart policy for an existing container.

use wharf_api::container::{Resources, UpdateRequest};
use wharf_runtime::Cgroup;

use super::{
    spec::resources,
    validate::{Host, validate},
};
use crate::{Engine, Error, Result};

impl Engine {
    /// Changes what `request` sets and leaves the rest; a running container gets its new limits at once.
    ///
    /// # Errors
    /// No such container, limits that are refused, or a restart policy that contradicts `--rm`.
    pub fn update_limits(&self, name: &str, request: UpdateRequest) -> Result<()> {
        let entry = self.containers.find(name)?;
        let _guard = entry.lock();
        let container = entry.get();
        let mut host = container.host_config.clone();
        merge(&mut host.resources, request.resources);
        if !request.restart_policy.name.is_empty() {
            if host.auto_remove && request.restart_policy.name != "no" {
                return Err(Error::conflict(
                    "Restart policy cannot be updated because AutoRemove is enabled for the container",
                ));
            }
            host.restart_policy = request.restart_policy;
        }
        validate(&container.config, &host, Host { cpus: self.cpus })?;
        if container.state.status.has_process() {
            let failed = |error: wharf_runtime::Error| {
                Error::system(format!("Cannot update container {}: {error}", container.id)).caused_by(error)
            };
            let mut limits = resources(&host, &[]).map_err(|error| Error::system(error.to_string()))?;
            limits.set_devices(None);
            Cgroup::open(&self.cgroup_path(&container))
                .and_then(|group| group.apply(&limits))
                .map_err(failed)?;
        }
        let container = self.update_container(&entry, |container| container.host_config = host)?;
        self.events.publish("container", "update", &container.id, container.event_attributes());
        Ok(())
    }
}

/// Takes over the fields that are set: zero and empty mean unchanged.
fn merge(own: &mut Resources, new: Resources) {
    let numbers = [
        (&mut own.cpu_shares, new.cpu_shares),
        (&mut own.memory, new.memory),
        (&mut own.nano_cpus, new.nano_cpus),
        (&mut own.cpu_period, new.cpu_period),
        (&mut own.cpu_quota, new.cpu_quota),
        (&mut own.cpu_realtime_period, new.cpu_realtime_period),
        (&mut own.cpu_realtime_runtime, new.cpu_realtime_runtime),
        (&mut own.memory_reservation, new.memory_reservation),
        (&mut own.memory_swap, new.memory_swap),
    ];
    for (own, new) in numbers {
        if new != 0 {
            *own = new;
        }
    }
    if new.blkio_weight != 0 {
        own.blkio_weight = new.blkio_weight;
    }
    for (own, new) in [(&mut own.cpuset_cpus, new.cpuset_cpus), (&mut own.cpuset_mems, new.cpuset_mems)] {
        if !new.is_empty() {
            *own = new;
        }
    }
    if new.pids_limit.is_some_and(|limit| limit != 0) {
        own.pids_limit = new.pids_limit;
    }
}
