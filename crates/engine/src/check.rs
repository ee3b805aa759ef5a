//! `system check`: whether the database and the disk agree.

use std::{fs, path::Path, time::Duration};

use jiff::Timestamp;
use wharf_store::{Problem, Report};

use crate::{Engine, Error, Result, tables, volume::Volume};

/// A younger folder may belong to a container that is just being made.
const SETTLED: Duration = Duration::from_secs(60);

impl Engine {
    /// Compares the database with what is on disk, reading all layers; takes as long as that takes. With `repair`, mends
    /// what can be mended without losing data.
    ///
    /// # Errors
    /// Database or disk cannot be read, or a repair fails.
    pub fn check(&self, repair: bool) -> Result<Vec<Problem>> {
        let is_container =
            |id: &str| self.db.read(|view| tables::CONTAINERS.contains(view, id)).unwrap_or(true);
        let mut report = Report::new(self.store.check(&is_container, repair)?, repair);
        self.check_containers(&mut report)?;
        self.check_container_folders(&mut report)?;
        self.check_volumes(&mut report)?;
        if repair {
            self.housekeeper.soon();
        }
        Ok(report.problems())
    }

    fn check_containers(&self, report: &mut Report<Error>) -> Result<()> {
        let (rows, names) = self
            .db
            .read(|view| Ok::<_, Error>((tables::CONTAINERS.list(view)?, tables::NAMES.list(view)?)))?;
        for (id, container) in &rows {
            let subject = format!("container {id}");
            let folder = self.paths.container(id);
            if !folder.is_dir() && self.containers.find(id).is_ok() {
                report.add(&subject, "its folder is missing", || Ok(fs::create_dir_all(&folder).is_ok()))?;
            }
            if !names.iter().any(|(name, owner)| *name == container.name && owner == id) {
                let what = format!("its name {} is not registered", container.name);
                report.add(&subject, &what, || {
                    self.db.write(|tx| match tables::NAMES.contains(tx, &container.name)? {
                        true => Ok(false),
                        false => Ok(tables::NAMES.put(tx, &container.name, id).map(|()| true)?),
                    })
                })?;
            }
        }
        for (name, owner) in &names {
            if !rows.iter().any(|(id, _)| id == owner) {
                report.add(format!("container name {name}"), "its container does not exist", || {
                    self.db.write(|tx| {
                        Ok(!tables::CONTAINERS.contains(tx, owner)? && tables::NAMES.delete(tx, name)?)
                    })
                })?;
            }
        }
        Ok(())
    }

    fn check_container_folders(&self, report: &mut Report<Error>) -> Result<()> {
        for path in entries(&self.paths.data_root.join("containers"))? {
            let id = file_name(&path);
            let settled = fs::metadata(&path)
                .and_then(|metadata| metadata.modified())
                .is_ok_and(|at| at.elapsed().is_ok_and(|age| age > SETTLED));
            // A build step's process has such a folder as long as it runs.
            let running = self.paths.monitor(&id).exists();
            if settled && !running && !self.db.read(|view| tables::CONTAINERS.contains(view, &id))? {
                report.add(path.display(), "no container has this folder", || {
                    self.discard(&path).map(|()| true)
                })?;
            }
        }
        Ok(())
    }

    fn check_volumes(&self, report: &mut Report<Error>) -> Result<()> {
        // Volumes come and go under this lock.
        let _guard = self.volumes_lock();
        let volumes = self.volumes()?;
        for volume in &volumes {
            let data = self.paths.volume_data(&volume.name);
            if !data.is_dir() {
                let make = || Ok(fs::create_dir_all(&data).is_ok());
                report.add(format!("volume {}", volume.name), "its folder is missing", make)?;
            }
        }
        for path in entries(&self.paths.data_root.join("volumes"))? {
            let name = file_name(&path);
            if !volumes.iter().any(|volume| volume.name == name) {
                // What is in it may be somebody's data: it becomes a volume again.
                report.add(path.display(), "no volume has this folder", || self.adopt_volume(&name))?;
            }
        }
        for entry in self.containers.all() {
            let container = entry.get();
            let mounts = container.mounts.iter().filter(|mount| mount.kind == "volume");
            for mount in mounts {
                if !self.db.read(|view| tables::VOLUMES.contains(view, &mount.name))? {
                    let what = format!("its volume {} does not exist", mount.name);
                    report.add(format!("container {}", container.id), &what, || Ok(false))?;
                }
            }
        }
        Ok(())
    }

    fn adopt_volume(&self, name: &str) -> Result<bool> {
        if crate::volume::validate_name(name).is_err() || !self.paths.volume_data(name).is_dir() {
            return Ok(false);
        }
        let volume = Volume {
            name: name.to_owned(),
            driver: "local".to_owned(),
            created: Timestamp::now(),
            ..Volume::default()
        };
        self.db.write(|tx| tables::VOLUMES.put(tx, name, &volume))?;
        Ok(true)
    }
}

fn entries(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let failed = |error| Error::io("open", folder, error);
    let entries = fs::read_dir(folder).map_err(failed)?;
    let mut paths =
        entries.map(|entry| entry.map(|entry| entry.path()).map_err(failed)).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
