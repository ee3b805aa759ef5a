//! The file system of the step that failed last, kept so that it can be looked into.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use wharf_build::graph::RunStep;
use wharf_oci::{
    Digest, Platform,
    image::{History, ImageConfig, RootFs, RunConfig},
};
use wharf_store::NewImage;

use crate::{Engine, Error, Result};

/// Nothing is kept when fewer bytes are free.
const ROOM: u64 = 1 << 30;

/// How long it is kept.
const KEPT: Duration = Duration::from_secs(60 * 60);

/// A step that failed.
#[derive(Debug)]
pub(super) struct FailedStep {
    /// Id of its snapshot.
    id: String,
    /// Its variables, folder and user.
    step: RunStep,
}

impl Engine {
    /// Keeps a step's snapshot in the place of the one kept before, for an hour at most. Returns whether it is kept:
    /// on a disk that is nearly full it may be why the step failed.
    pub(super) fn keep_failed(self: &Arc<Self>, id: &str, step: &RunStep) -> bool {
        let room = rustix::fs::statvfs(&self.paths.data_root);
        if room.is_ok_and(|room| room.f_bavail * room.f_frsize < ROOM) {
            return false;
        }
        let failed = FailedStep { id: id.to_owned(), step: step.clone() };
        let before = self.failed().replace(failed);
        if let Some(before) = before {
            self.forget_snapshot(&before.id);
        }
        let (engine, id) = (self.clone(), id.to_owned());
        self.runtime.spawn(async move {
            tokio::time::sleep(KEPT).await;
            let expired = engine.failed().take_if(|failed| failed.id == id);
            if expired.is_some() {
                let _ = tokio::task::spawn_blocking(move || engine.forget_snapshot(&id)).await;
            }
        });
        true
    }

    /// Makes an image of what the step that failed last left, and returns its id. It is kept no longer then.
    ///
    /// # Errors
    /// 404 if no step failed lately.
    pub fn open_failed_step(&self) -> Result<Digest> {
        let Some(failed) = self.failed().take() else {
            return Err(Error::not_found("no failed build step is kept"));
        };
        let made = self.image_of_failed(&failed);
        self.forget_snapshot(&failed.id);
        made
    }

    fn image_of_failed(&self, failed: &FailedStep) -> Result<Digest> {
        let lease = self.store.lease();
        let snapshot = self.db.read(|view| self.store.snapshots().get(view, &failed.id))?;
        let layer = self.store.seal(&snapshot, &lease, None)?;
        let chains = snapshot.chains.iter().chain([&layer.chain_id]);
        let diff_ids = self.db.read(|view| {
            chains.map(|chain| Ok(self.store.layer(view, chain)?.diff_id)).collect::<Result<Vec<_>>>()
        })?;
        let platform = Platform::host();
        let config = ImageConfig {
            architecture: platform.architecture,
            os: platform.os,
            variant: platform.variant,
            config: RunConfig {
                env: Some(failed.step.env.clone()),
                working_dir: failed.step.cwd.clone(),
                user: failed.step.user.clone(),
                cmd: Some(vec!["/bin/sh".to_owned()]),
                ..RunConfig::default()
            },
            rootfs: RootFs::layers(diff_ids),
            history: vec![History {
                created_by: failed.step.args.join(" "),
                comment: "failed build step".to_owned(),
                ..History::default()
            }],
            ..ImageConfig::default()
        };
        let config = serde_json::to_vec(&config).map_err(|error| Error::system(error.to_string()))?;
        let new = NewImage { config: &config, manifest: None, parent: None };
        Ok(self.db.write(|tx| self.store.images().put(tx, new))?.id)
    }

    fn forget_snapshot(&self, id: &str) {
        if let Err(error) = self.db.write(|tx| self.store.snapshots().remove(tx, id)) {
            tracing::warn!(step = %id, %error, "a failed step's folder stays until the next start");
        }
        self.housekeeper.soon();
    }

    fn failed(&self) -> std::sync::MutexGuard<'_, Option<FailedStep>> {
        self.builder.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
