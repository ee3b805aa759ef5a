//! The images that a build begins with: those that are here, or in a registry. Of the latter only the documents are
//! fetched at first, and the layers when something needs them: a stage whose steps are known from a cache needs none.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use wharf_build::{
    graph::NodeId,
    plan::{self, ResolvedImage},
};
use wharf_oci::{Digest, Platform, Reference, platform::Matcher};

use super::{
    BuildClient, BuildRequest, Report,
    vertex::Vertices,
    worker::{Build, Layers},
};
use crate::{
    Engine, Result,
    image::{Announced, PullRequest},
};

/// Images whose layers may still have to be fetched, by id.
#[derive(Default)]
pub(super) struct Bases(HashMap<Digest, Mutex<Option<Announced>>>);

/// An image whose layers are not here yet.
#[derive(Debug, Clone)]
pub(super) struct Base {
    id: Digest,
    node: NodeId,
}

/// Finds the images of a plan.
pub(super) struct Resolver<'a> {
    engine: &'a Engine,
    request: &'a BuildRequest,
    vertices: Vertices<'a>,
    /// What was found already, by name and platform.
    found: Mutex<HashMap<(String, String), ResolvedImage>>,
    announced: Mutex<HashMap<Digest, Announced>>,
}

impl plan::Images for Resolver<'_> {
    fn resolve(&self, name: &str, platform: &Platform) -> Result<ResolvedImage, String> {
        let key = (name.to_owned(), platform.to_string());
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(image) = found.get(&key) {
            return Ok(image.clone());
        }
        let reference = Reference::parse(name).ok().map(Reference::with_default_tag);
        let shown = reference.as_ref().map_or_else(|| name.to_owned(), ToString::to_string);
        let image = self
            .vertices
            .show(&format!("[internal] load metadata for {shown}"), |_| self.find(name, platform, reference))
            .map_err(|error| error.to_string())?;
        found.insert(key, image.clone());
        Ok(image)
    }
}

impl<'a> Resolver<'a> {
    pub(super) fn new(engine: &'a Engine, request: &'a BuildRequest, client: &'a dyn BuildClient) -> Self {
        let vertices = Vertices::of_plan(client);
        Self { engine, request, vertices, found: Mutex::default(), announced: Mutex::default() }
    }

    /// The images that are not here yet.
    pub(super) fn bases(self) -> Bases {
        let announced = self.announced.into_inner().unwrap_or_else(PoisonError::into_inner);
        Bases(announced.into_iter().map(|(id, announced)| (id, Mutex::new(Some(announced)))).collect())
    }

    fn find(&self, name: &str, platform: &Platform, reference: Option<Reference>) -> Result<ResolvedImage> {
        let images = &self.engine.images;
        let mut found = images.find(name, Some(platform));
        let missing = found.as_ref().is_err_and(|error| error.kind() == wharf_api::ErrorKind::NotFound);
        if missing || self.request.pull {
            let mut request = PullRequest::new(name, "")?;
            if request.reference.is_name_only() {
                request.reference = request.reference.with_default_tag();
            }
            request.platform = Some(platform.clone());
            request.credentials = self.request.credentials.get(request.reference.domain()).cloned();
            let named =
                |error: crate::Error| if missing { error.context(format!("{name}: ")) } else { error };
            let announced = if missing { images.announce(&request).map_err(named)? } else { None };
            let fitting = announced.filter(|announced| {
                let of = announced.config().platform();
                Matcher::new(platform).matches(&of)
            });
            if let (Some(announced), Some(reference)) = (fitting, &reference) {
                let image = ResolvedImage {
                    reference: reference.to_string(),
                    id: announced.id().clone(),
                    config: announced.config().clone(),
                };
                let mut all = self.announced.lock().unwrap_or_else(PoisonError::into_inner);
                all.insert(image.id.clone(), announced);
                return Ok(image);
            }
            images.pull(&request, &mut |_| {}).map_err(named)?;
            found = images.find(name, Some(platform));
        }
        let found = found?;
        let reference = reference.map_or_else(|| found.id().to_string(), |reference| reference.to_string());
        Ok(ResolvedImage { reference, id: found.id().clone(), config: found.config().clone() })
    }
}

impl Build<'_> {
    /// The layers of an image. Those that are in a registry are fetched at once, unless there are caches that may spare
    /// that.
    pub(super) fn base(&self, node: NodeId, id: &Digest) -> Result<Layers> {
        let Some(chains) = self.bases.pending(id) else { return self.image(id) };
        if self.imports.is_empty() {
            self.fetch_base(&Base { id: id.clone(), node })?;
            return self.image(id);
        }
        let base = Some(Base { id: id.clone(), node });
        Ok(Layers { chains, base, ..Layers::default() })
    }

    /// The layers of an image that were not fetched at first.
    pub(super) fn base_at_hand(&self, base: &Base) -> Result<Layers> {
        if self.bases.pending(&base.id).is_some() {
            let step = base.node.0;
            let name = &self.graph.nodes[step].name;
            self.client.report(Report::Started { step, name });
            self.fetch_base(base)
                .inspect_err(|error| self.client.report(Report::Failed { step, error: error.to_string() }))?;
            self.client.report(Report::Done { step });
        }
        self.image(&base.id)
    }

    /// Sees to it that the image a result is based on is stored.
    pub(super) fn keep_base(&self, id: &Digest) -> Result<()> {
        let Some(place) = self.bases.0.get(id) else { return Ok(()) };
        let mut announced = place.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(image) = announced.as_ref() else { return Ok(()) };
        let _runtime = self.engine.runtime.enter();
        self.engine.images.pull_announced(image, &self.cancel.transfer(), &mut |_| {})?;
        *announced = None;
        Ok(())
    }

    fn fetch_base(&self, base: &Base) -> Result<()> {
        let Some(place) = self.bases.0.get(&base.id) else { return Ok(()) };
        let mut announced = place.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(image) = announced.as_ref() else { return Ok(()) };
        let tell = |text: &str| self.client.report(Report::Status { step: base.node.0, text });
        tell(&format!("resolve {} done", image.name()));
        let _runtime = self.engine.runtime.enter();
        self.engine.images.pull_announced(image, &self.cancel.transfer(), &mut |line| {
            if let Some(text) = image.told(&line) {
                tell(&text);
            }
        })?;
        *announced = None;
        Ok(())
    }
}

impl Bases {
    /// The platform of an image that is not here yet.
    pub(super) fn platform(&self, id: &Digest) -> Option<Platform> {
        let announced = self.0.get(id)?.lock().unwrap_or_else(PoisonError::into_inner);
        Some(announced.as_ref()?.config().platform())
    }

    /// The chain ids of an image whose layers are still to be fetched.
    fn pending(&self, id: &Digest) -> Option<Vec<Digest>> {
        let announced = self.0.get(id)?.lock().unwrap_or_else(PoisonError::into_inner);
        Some(wharf_oci::chain_ids(&announced.as_ref()?.config().rootfs.diff_ids))
    }
}
