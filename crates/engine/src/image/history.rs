//! `history`: the steps an image was made in.

use wharf_api::image::HistoryItem;
use wharf_oci::Platform;

use super::{Images, views};
use crate::Result;

impl Images {
    /// The steps, newest first. Earlier images are named as far as a builder kept them.
    ///
    /// # Errors
    /// As [`Images::find`].
    pub fn history(&self, name: &str, platform: Option<&Platform>) -> Result<Vec<HistoryItem>> {
        let found = self.find(name, platform)?;
        self.db.read(|view| {
            let images = self.store.images();
            let mut items = views::history(&self.record(view, found.record.clone())?)?;
            let mut row = Some(found.record);
            for item in &mut items {
                let Some(current) = row else { break };
                let tags = views::repo_tags(&images.names(view, &current.id)?);
                item.id = current.id.to_string();
                item.tags = (!tags.is_empty()).then_some(tags);
                row = match &current.parent {
                    Some(parent) => images.get(view, parent)?,
                    None => None,
                };
            }
            Ok(items)
        })
    }
}
