use wharf_db::View;
use wharf_oci::{AnyReference, Digest, Reference};

use super::Images;
use super::record::{IMAGES, ImageRecord, NAMES, name_of};
use crate::{Error, Result};

impl Images<'_> {
    /// The image a user means by `name`: a full id, a name with tag or digest, or the beginning of an id, tried in this
    /// order as Docker does.
    ///
    /// Errors: [`Error::NoImage`] with the name as Docker repeats it, [`Error::Ambiguous`].
    pub fn resolve(&self, view: &View<'_>, name: &str) -> Result<ImageRecord> {
        let missing = |name: String| Error::NoImage { name };
        let reference = match AnyReference::parse(name) {
            Ok(AnyReference::Digest(id)) => {
                return IMAGES.get(view, id.as_str())?.ok_or_else(|| missing(id.to_string()));
            }
            Ok(AnyReference::Named(reference)) => Some(reference),
            Err(_) => None,
        };
        if let Some(reference) = &reference
            && let Some(record) = self.by_reference(view, reference)?
        {
            return Ok(record);
        }
        match self.by_prefix(view, name)? {
            Some(record) => Ok(record),
            None => Err(missing(match reference {
                Some(reference) if reference.digest().is_some() => reference.familiar(),
                Some(reference) => reference.with_default_tag().familiar(),
                None => name.to_owned(),
            })),
        }
    }

    /// The image with exactly this name; without tag and digest, the default tag is meant.
    pub fn by_reference(&self, view: &View<'_>, reference: &Reference) -> Result<Option<ImageRecord>> {
        match NAMES.get(view, &name_of(reference).to_string())? {
            Some(name) => self.get(view, &name.image),
            None => Ok(None),
        }
    }

    fn by_prefix(&self, view: &View<'_>, name: &str) -> Result<Option<ImageRecord>> {
        let hex = name.strip_prefix("sha256:").unwrap_or(name);
        if hex.is_empty() || hex.len() > 64 || !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Ok(None);
        }
        let keys = IMAGES.keys_with_prefix(view, &format!("sha256:{hex}"), 2)?;
        match keys.as_slice() {
            [] => Ok(None),
            [key] => Ok(IMAGES.get(view, key)?),
            _ => Err(Error::Ambiguous { prefix: hex.to_owned() }),
        }
    }

    /// The ids that start with `prefix` (hexadecimal digits, with or without `sha256:`), at most `limit`.
    pub fn ids_with_prefix(&self, view: &View<'_>, prefix: &str, limit: usize) -> Result<Vec<Digest>> {
        let hex = prefix.strip_prefix("sha256:").unwrap_or(prefix);
        let keys = IMAGES.keys_with_prefix(view, &format!("sha256:{hex}"), limit)?;
        Ok(keys.iter().filter_map(|key| Digest::parse(key).ok()).collect())
    }
}
