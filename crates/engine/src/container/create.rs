//! `create`: from a request and an image to a container that can be started.

use std::{fs, path::Path, sync::Arc};

use jiff::Timestamp;
use wharf_api::container::{CreateRequest, CreateResponse, HostConfig, MountPoint};
use wharf_db::Tx;
use wharf_oci::Platform;
use wharf_store::ImageRecord;

use super::{
    Container, Entry, State,
    merge::{default_host_config, default_log, merge_image},
    mounts::{WantedMount, parse_volumes_from, wanted_mounts},
    validate::{Host, validate, validate_name},
};
use crate::{
    Engine, Error, Result, ids, network::wanted_endpoints, tables, undo::Undo, volume::VolumeOptions,
};

/// Where and how to create.
#[derive(Clone, Debug, Default)]
pub struct CreateOptions {
    /// Name; a generated one if empty.
    pub name: String,
    /// Platform the image must be for.
    pub platform: Option<Platform>,
}

impl Engine {
    /// Creates a container.
    ///
    /// # Errors
    /// No such image (404), a name in use (409), or a configuration that is refused.
    pub fn create_container(
        self: &Arc<Self>,
        request: CreateRequest,
        options: CreateOptions,
    ) -> Result<CreateResponse> {
        let CreateRequest { config, host_config, networking_config } = request;
        let mut host = host_config.unwrap_or_default();
        default_log(&mut host.log_config, self.live().default_log());
        let host = default_host_config(host, self.unified_cgroups());
        if !options.name.is_empty() {
            validate_name(&options.name)?;
        }
        if config.image.is_empty() {
            return Err(Error::invalid("no command specified"));
        }
        let image = self.images.find(&config.image, options.platform.as_ref())?;
        let mut config = merge_image(config, image.run_config())?;
        validate(&config, &host, Host { cpus: self.cpus })?;
        self.validate_references(&host)?;
        let mut inherited = self.inherited_mounts(&host)?;
        let wanted = wanted_mounts(&config, &host, &inherited)?;
        inherited.retain(|point| !wanted.iter().any(|mount| mount.destination == point.destination));
        let networks = wanted_endpoints(&host, networking_config.unwrap_or_default());
        self.check_endpoints(&networks)?;
        let id = ids::new_id();
        if config.hostname.is_empty() && host.uts_mode != "host" {
            config.hostname = self.default_hostname(&host, &id);
        }
        let mut command = config.entrypoint.iter().chain(&config.cmd).flat_map(|part| part.iter().cloned());
        let container = Container {
            path: command.next().unwrap_or_default(),
            args: command.collect(),
            id,
            name: options.name.trim_start_matches('/').to_owned(),
            created: Timestamp::now(),
            image: image.id().to_string(),
            mounts: inherited,
            networks,
            state: State::default(),
            config,
            host_config: host,
        };
        let container = self.make(container, image.record(), &wanted)?;
        let entry = Entry::new(container);
        self.containers.insert(entry.clone());
        let container = entry.get();
        self.events.publish("container", "create", &container.id, container.event_attributes());
        Ok(CreateResponse { id: container.id.clone(), warnings: Vec::new() })
    }

    /// Makes folders, volumes and rows; undoes what it made if a step fails.
    fn make(
        &self,
        mut container: Container,
        image: &ImageRecord,
        wanted: &[WantedMount],
    ) -> Result<Container> {
        let mut undo = Undo::default();
        let folder = self.paths.container(&container.id);
        fs::create_dir_all(&folder).map_err(|error| Error::io("mkdir", &folder, error))?;
        undo.add(move || {
            let _ = fs::remove_dir_all(&folder);
        });
        let id = container.id.clone();
        self.db.write(|tx| {
            container.name = self.claim_or_generate(tx, &container)?;
            tables::CONTAINERS.put(tx, &container.id, &container)?;
            self.store.snapshots().prepare(tx, &container.id, Some(image))?;
            Ok::<_, Error>(())
        })?;
        let name = container.name.clone();
        undo.add(move || {
            let undone = self.db.write(|tx| {
                tables::CONTAINERS.delete(tx, &id)?;
                tables::NAMES.delete(tx, &name)?;
                self.store.snapshots().remove(tx, &id)?;
                Ok::<_, Error>(())
            });
            if let Err(error) = undone {
                tracing::warn!(container = %id, %error, "an unfinished container is left for the next boot");
            }
        });
        if !wanted.is_empty() {
            let made = self.make_mounts(&container, wanted)?;
            container.mounts.extend(made);
            self.db.write(|tx| tables::CONTAINERS.put(tx, &container.id, &container))?;
        }
        undo.disarm();
        Ok(container)
    }

    /// The requested name, or a free generated one, registered for the container.
    fn claim_or_generate(&self, tx: &mut Tx<'_>, container: &Container) -> Result<String> {
        if !container.name.is_empty() {
            self.claim_name(tx, &container.name, &container.id)?;
            return Ok(container.name.clone());
        }
        for attempt in 0.. {
            let name = ids::generated_name(attempt);
            if tables::NAMES.get(tx, &name)?.is_none() {
                tables::NAMES.put(tx, &name, &container.id)?;
                return Ok(name);
            }
        }
        unreachable!("the loop only ends by returning")
    }

    /// Registers `name` for the container `id`.
    ///
    /// # Errors
    /// The name belongs to another container (409).
    pub(super) fn claim_name(&self, tx: &mut Tx<'_>, name: &str, id: &str) -> Result<()> {
        if let Some(holder) = tables::NAMES.get(tx, name)? {
            return Err(Error::conflict(format!(
                "Conflict. The container name \"/{name}\" is already in use by container \"{holder}\". You have to \
                 remove (or rename) that container to be able to reuse that name."
            )));
        }
        Ok(tables::NAMES.put(tx, name, &id.to_owned())?)
    }

    /// The host name of a container that was given none: its short id, or the host's own with the host's network.
    fn default_hostname(&self, host: &HostConfig, id: &str) -> String {
        if host.network_mode == "host" {
            return rustix::system::uname().nodename().to_string_lossy().into_owned();
        }
        if let Some(other) = host.network_mode.strip_prefix("container:") {
            return self
                .containers
                .find(other)
                .map(|entry| entry.get().config.hostname.clone())
                .unwrap_or_default();
        }
        ids::short_id(id).to_owned()
    }

    /// Checks the containers that modes refer to.
    fn validate_references(&self, host: &HostConfig) -> Result<()> {
        for mode in [&host.ipc_mode, &host.pid_mode] {
            if let Some(name) = mode.strip_prefix("container:") {
                self.containers
                    .find(name)
                    .map_err(|error| error.with_kind(wharf_api::ErrorKind::InvalidParameter))?;
            }
        }
        for link in host.links.iter().flatten() {
            let name = link.split(':').next().unwrap_or_default();
            self.containers.find(name).map_err(|error| {
                error
                    .context(format!("could not get container for {name}: "))
                    .with_kind(wharf_api::ErrorKind::InvalidParameter)
            })?;
        }
        Ok(())
    }

    /// The mounts of the containers that `--volumes-from` names; of two at one place the last counts.
    fn inherited_mounts(&self, host: &HostConfig) -> Result<Vec<MountPoint>> {
        let mut points: Vec<MountPoint> = Vec::new();
        for text in host.volumes_from.iter().flatten() {
            let (name, writable) = parse_volumes_from(text)?;
            // Not a 404: clients would go and pull the image.
            let other = self.containers.find(name);
            let other = other.map_err(|error| error.with_kind(wharf_api::ErrorKind::InvalidParameter))?.get();
            for point in &other.mounts {
                points.retain(|known| known.destination != point.destination);
                points.push(MountPoint { rw: point.rw && writable, mode: String::new(), ..point.clone() });
            }
        }
        Ok(points)
    }

    /// Makes volumes and missing bind sources; volumes that are new get the image's content.
    fn make_mounts(&self, container: &Container, wanted: &[WantedMount]) -> Result<Vec<MountPoint>> {
        let mut points = Vec::new();
        for mount in wanted {
            points.push(match mount.kind.as_str() {
                "volume" => self.make_volume(container, mount)?,
                "bind" => {
                    if mount.create_source && fs::symlink_metadata(&mount.source).is_err() {
                        fs::create_dir_all(&mount.source).map_err(|error| {
                            Error::system(format!(
                                "error while creating mount source path '{}': mkdir {}: {}",
                                mount.source,
                                mount.source,
                                crate::error::io_words(&error)
                            ))
                        })?;
                    }
                    mount.point("", &mount.source)
                }
                _ => mount.point("", ""),
            });
        }
        Ok(points)
    }

    fn make_volume(&self, container: &Container, mount: &WantedMount) -> Result<MountPoint> {
        let options = container
            .host_config
            .mounts
            .iter()
            .find(|document| document.target == mount.destination)
            .and_then(|document| document.volume_options.clone())
            .unwrap_or_default();
        let volume = self.create_volume(VolumeOptions {
            name: mount.source.clone(),
            driver: options.driver_config.as_ref().map(|driver| driver.name.clone()).unwrap_or_default(),
            labels: options.labels,
            options: options.driver_config.map(|driver| driver.options).filter(|options| !options.is_empty()),
        })?;
        let data = self.paths.volume_data(&volume.name);
        let source = if mount.subpath.is_empty() { data.clone() } else { data.join(&mount.subpath) };
        if !mount.subpath.is_empty() && !source.is_dir() {
            return Err(Error::invalid(format!(
                "cannot access path {}: no such file or directory",
                source.display()
            )));
        }
        if !mount.no_copy && mount.subpath.is_empty() {
            let snapshot = self.snapshot(container)?;
            // Two containers that fill one volume at once would mix.
            let _guard = self.volumes_lock();
            snapshot.copy_up(Path::new(&mount.destination), &data)?;
        }
        Ok(mount.point(&volume.name, &source.to_string_lossy()))
    }
}
