//! Annotations of images that are pushed or archived.

use std::collections::BTreeMap;

use wharf_api::build::{Annotated, Annotation};
use wharf_oci::Platform;

/// Annotations of one kind of document.
pub(super) type Named = BTreeMap<String, String>;

/// All that a build was asked for.
#[derive(Debug, Default)]
pub(crate) struct Annotations(Vec<(Annotation, Option<Platform>)>);

impl Annotations {
    /// Reads the platforms.
    ///
    /// # Errors
    /// One is malformed.
    pub(crate) fn new(given: &[Annotation]) -> crate::Result<Self> {
        let parse = |annotation: &Annotation| {
            let platform = match annotation.platform.as_str() {
                "" => None,
                text => {
                    Some(Platform::parse(text).map_err(|error| crate::Error::invalid(error.to_string()))?)
                }
            };
            Ok((annotation.clone(), platform))
        };
        given.iter().map(parse).collect::<crate::Result<_>>().map(Self)
    }

    /// Those of the manifest for a platform.
    pub(super) fn manifest(&self, platform: &Platform) -> Named {
        self.on(Annotated::Manifest, Some(platform))
    }

    /// Those of the entry that names the manifest for a platform.
    pub(super) fn manifest_descriptor(&self, platform: &Platform) -> Named {
        self.on(Annotated::ManifestDescriptor, Some(platform))
    }

    /// Those of the index.
    pub(super) fn index(&self) -> Named {
        self.on(Annotated::Index, None)
    }

    /// Those of the entry that names the index.
    pub(super) fn index_descriptor(&self) -> Named {
        self.on(Annotated::IndexDescriptor, None)
    }

    fn on(&self, on: Annotated, platform: Option<&Platform>) -> Named {
        let fits =
            |wanted: &Option<Platform>| wanted.is_none() || platform.is_none() || wanted.as_ref() == platform;
        let found = self.0.iter().filter(|(annotation, wanted)| annotation.on == on && fits(wanted));
        found.map(|(annotation, _)| (annotation.key.clone(), annotation.value.clone())).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_in_its_place() {
        let annotation = |on, platform: &str, value: &str| Annotation {
            on,
            platform: platform.to_owned(),
            key: "k".to_owned(),
            value: value.to_owned(),
        };
        let annotations = Annotations::new(&[
            annotation(Annotated::Manifest, "", "all"),
            annotation(Annotated::Manifest, "linux/arm64", "arm"),
            annotation(Annotated::Index, "", "index"),
        ])
        .unwrap();
        let of = |platform: &str| annotations.manifest(&Platform::parse(platform).unwrap())["k"].clone();
        assert_eq!((of("linux/amd64"), of("linux/arm64")), ("all".to_owned(), "arm".to_owned()));
        assert_eq!(annotations.index()["k"], "index");
        assert!(annotations.index_descriptor().is_empty());
        assert!(Annotations::new(&[annotation(Annotated::Index, "a/b/c/d/e", "")]).is_err());
    }
}
