//! The image that a build ends in.

use jiff::Timestamp;
use wharf_api::time;
use wharf_build::graph::Output;
use wharf_oci::{
    Digest, Reference,
    image::{History, ImageConfig, RootFs},
};
use wharf_store::NewImage;

use super::worker::Layers;
use crate::{Engine, Error, Result, image::BuiltImage};

impl Engine {
    /// Stores an image that was made from another; whether it was there already comes second.
    pub(super) fn put_step(&self, config: &[u8], parent: Option<&Digest>) -> Result<(Digest, bool)> {
        self.db.write(|tx| {
            let images = self.store.images();
            let known = images.get(tx, &Digest::sha256(config))?.is_some();
            Ok((images.put(tx, NewImage { config, manifest: None, parent })?.id, known))
        })
    }

    /// Stores an image and names it; returns its id.
    pub(super) fn put_built(&self, config: &[u8], names: &[Reference]) -> Result<Digest> {
        let record = self.db.write(|tx| {
            let new = NewImage { config, manifest: None, parent: None };
            Ok::<_, Error>(self.store.images().put(tx, new)?)
        })?;
        for name in names {
            self.images.tag(record.id.as_str(), name)?;
        }
        Ok(record.id)
    }

    /// The image of an output whose nodes have these file systems. Its configuration gets `extra` too.
    pub(super) fn built_image(
        &self,
        output: &Output,
        root: &Layers,
        made: &dyn Fn(wharf_build::graph::NodeId) -> Option<Timestamp>,
        epoch: Option<i64>,
        extra: Option<(String, serde_json::Value)>,
    ) -> Result<BuiltImage> {
        let mut config = self.built_config(output, root, made, epoch)?;
        config.extra.extend(extra);
        let config = serde_json::to_string(&config).map_err(|error| Error::system(error.to_string()))?;
        let record = self.db.read(|view| self.store.images().describe(view, config.as_bytes()))?;
        Ok((record, config))
    }

    fn built_config(
        &self,
        output: &Output,
        root: &Layers,
        made: &dyn Fn(wharf_build::graph::NodeId) -> Option<Timestamp>,
        epoch: Option<i64>,
    ) -> Result<ImageConfig> {
        let (diff_ids, base) = self.db.read(|view| {
            let diff_ids = root.chains.iter().map(|chain| Ok(self.store.layer(view, chain)?.diff_id));
            let diff_ids = diff_ids.collect::<Result<Vec<_>>>()?;
            let base = output.base.as_ref().map(|base| self.store.images().config(view, &base.id));
            Ok::<_, Error>((diff_ids, base.transpose()?))
        })?;
        let epoch = epoch.and_then(|epoch| Timestamp::from_second(epoch).ok());
        let mut history = base.as_ref().map(|base| base.history.clone()).unwrap_or_default();
        for (entry, node) in &output.history {
            let created = epoch.or(node.and_then(made));
            history.push(History { created: created.map(time::rfc3339_nano), ..entry.clone() });
        }
        fill_times(&mut history);
        let created =
            epoch.map(time::rfc3339_nano).or_else(|| history.last().and_then(|entry| entry.created.clone()));
        let platform = &output.platform;
        Ok(ImageConfig {
            architecture: platform.architecture.clone(),
            variant: platform.variant.clone(),
            os: platform.os.clone(),
            os_version: platform.os_version.clone(),
            os_features: platform.os_features.clone(),
            created: created.or_else(|| Some(time::rfc3339_nano(Timestamp::now()))),
            author: output.author.clone(),
            config: output.config.clone(),
            rootfs: RootFs::layers(diff_ids),
            history,
            ..ImageConfig::default()
        })
    }
}

/// Entries without a layer of their own get the time of the one before, or of the first that follows: so the same build
/// from the cache gives the same image.
fn fill_times(history: &mut [History]) {
    let first = history.iter().find_map(|entry| entry.created.clone());
    let mut last = None;
    for (at, entry) in history.iter_mut().enumerate() {
        match &entry.created {
            Some(created) => last = Some(created.clone()),
            None => entry.created = if at == 0 { first.clone() } else { last.clone().or(first.clone()) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_from_layers() {
        let entry =
            |created: Option<&str>| History { created: created.map(str::to_owned), ..History::default() };
        let mut history = [entry(None), entry(Some("1")), entry(None), entry(Some("2")), entry(None)];
        fill_times(&mut history);
        let times: Vec<_> =
            history.iter().map(|entry| entry.created.as_deref().unwrap_or_default()).collect();
        assert_eq!(times, ["1", "1", "1", "2", "2"]);
    }
}
