//! `image prune`: images nobody needs.

use jiff::Timestamp;
use wharf_api::filter::Filters;
use wharf_api::image::{DeleteItem, PruneResponse};
use wharf_store::Image;

use super::{ImageUser, Images, RemoveOptions, filter, views};
use crate::{Error, Result};

const FILTERS: &[&str] = &["dangling", "label", "label!", "until"];

impl Images {
    /// Removes images without a name, or with `dangling=false` all that no container uses; `users` are all containers.
    /// compat: an image in use loses all its names but one.
    /// Without another filter also what pulls left behind that were not finished.
    ///
    /// # Errors
    /// 400 for a filter that means nothing.
    pub fn prune(&self, filters: &Filters, users: &[ImageUser]) -> Result<PruneResponse> {
        filters.validate(FILTERS)?;
        let dangling_only = filters.boolean("dangling", true)?;
        let until = filter::until(filters, "until", Timestamp::now())?;
        let (images, sizes) = self.db.read(|view| {
            let sizes: std::collections::HashMap<String, u64> = self
                .store
                .layers(view)?
                .into_iter()
                .map(|layer| (layer.chain_id.to_string(), layer.size))
                .collect();
            Ok::<_, Error>((self.store.images().list(view)?, sizes))
        })?;
        let is_parent =
            |image: &Image| images.iter().any(|other| other.record.parent.as_ref() == Some(&image.record.id));
        let mut deleted: Vec<DeleteItem> = Vec::new();
        for image in &images {
            let wanted = if image.is_dangling() { !is_parent(image) } else { !dangling_only }
                && until.is_none_or(|until| {
                    views::created(&image.record).is_some_and(|created| created <= until)
                })
                && filter::labels(filters, Some(&image.record.labels));
            if wanted {
                deleted.extend(self.prune_one(image, users));
            }
        }
        let mut space = deleted.iter().filter_map(|item| sizes.get(&item.deleted)).sum();
        if !["label", "label!", "until"].iter().any(|key| filters.contains(key)) {
            space += self.store.drop_unfinished()?;
        }
        let attributes = [("reclaimed".to_owned(), format!("{space}"))].into();
        self.events.publish("image", "prune", "", attributes);
        Ok(PruneResponse { images_deleted: (!deleted.is_empty()).then_some(deleted), space_reclaimed: space })
    }

    /// Removes one image with all its names. What has come to be needed meanwhile stays.
    fn prune_one(&self, image: &Image, users: &[ImageUser]) -> Vec<DeleteItem> {
        let names: Vec<String> = image.tags.iter().chain(&image.digests).map(ToString::to_string).collect();
        let targets = if names.is_empty() { vec![image.record.id.to_string()] } else { names };
        let mut deleted = Vec::new();
        for target in targets {
            match self.remove(&target, RemoveOptions::default(), users) {
                Ok(items) => deleted.extend(items),
                // The last tag of a repository takes its digest along, so that is gone already.
                Err(error) => tracing::debug!(target, %error, "image not pruned"),
            }
        }
        deleted
    }
}
