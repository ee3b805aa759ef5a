//! `tag`: another name for an image.

use wharf_oci::Reference;

use super::Images;
use crate::{Error, Result};

impl Images {
    /// Gives the image `source` the name `target`.
    ///
    /// # Errors
    /// 404 if there is no such image, 400 for a name that is refused.
    pub fn tag(&self, source: &str, target: &Reference) -> Result<()> {
        if target.familiar_name() == "sha256" {
            return Err(Error::invalid("refusing to create an ambiguous tag using digest algorithm as name"));
        }
        let record = self.db.write(|tx| {
            let record = self.resolve(tx, source)?;
            self.store.images().tag(tx, target, &record.id)?;
            Ok::<_, Error>(record)
        })?;
        self.publish(
            "tag",
            record.id.as_str(),
            &target.clone().with_default_tag().familiar(),
            Some(&record.labels),
        );
        Ok(())
    }
}
