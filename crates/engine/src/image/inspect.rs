//! `image inspect`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use wharf_api::container::DriverData;
use wharf_api::image::Inspect;
use wharf_db::View;
use wharf_oci::Platform;
use wharf_store::ImageRecord;

use super::Images;
use super::views::{self, Record};
use crate::Result;

impl Images {
    /// Everything about an image.
    ///
    /// # Errors
    /// As [`Images::find`].
    pub fn inspect(&self, name: &str, platform: Option<&Platform>) -> Result<Inspect> {
        let found = self.find(name, platform)?;
        let driver = self.driver_data(&found.record);
        let record = self.db.read(|view| self.record(view, found.record))?;
        Ok(views::inspect(&record, driver))
    }

    /// An image with its configuration, names and layers.
    pub(super) fn record(&self, view: &View<'_>, row: ImageRecord) -> Result<Record> {
        let layers = row.chains.iter().map(|chain| Ok(self.store.layer(view, chain)?.size));
        Ok(Record {
            config: self.store.images().config(view, &row.id)?,
            references: self.store.images().names(view, &row.id)?,
            layer_sizes: layers.collect::<Result<_>>()?,
            row,
        })
    }

    /// The folders of an image's layers, as Docker's driver `overlay2` tells them.
    fn driver_data(&self, row: &ImageRecord) -> DriverData {
        let mut folders: Vec<PathBuf> =
            row.chains.iter().rev().map(|chain| self.store.layer_diff(chain)).collect();
        let mut data = BTreeMap::new();
        if !folders.is_empty() {
            let upper = folders.remove(0);
            let beside = |name: &str| text(&upper.with_file_name(name));
            data.insert("MergedDir".to_owned(), beside("merged"));
            data.insert("WorkDir".to_owned(), beside("work"));
            if !folders.is_empty() {
                let lower: Vec<String> = folders.iter().map(|folder| text(folder)).collect();
                data.insert("LowerDir".to_owned(), lower.join(":"));
            }
            data.insert("UpperDir".to_owned(), text(&upper));
        }
        DriverData { name: "overlay2".to_owned(), data: (!data.is_empty()).then_some(data) }
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
