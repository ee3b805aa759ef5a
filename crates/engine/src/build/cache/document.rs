//! The documents of a cache, in BuildKit's form, version 0: which layers there are, and which step ended in which of them.
//!
//! Keys are this builder's own, so another builder reads such a cache without finding its steps in it. For this one each
//! record also has the identity of its file system: enough to go on past a step whose layers nobody needs.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wharf_oci::{
    Digest, chain_ids,
    image::{Descriptor, media_type},
};

/// Media type of a [`CacheConfig`].
pub(super) const CONFIG: &str = "application/vnd.buildkit.cacheconfig.v0";
/// Key under which an image's configuration has its own records, base64 of a JSON list of [`Record`].
pub(super) const INLINE: &str = "moby.buildkit.cache.v0";
/// Annotation of a layer: its digest before compression.
pub(super) const UNCOMPRESSED: &str = "containerd.io/uncompressed";

/// Layers below each other, at most: as many as overlayfs can mount.
const DEEPEST: usize = 500;

/// The whole cache.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct CacheConfig {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) layers: Vec<CacheLayer>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) records: Vec<Record>,
}

/// A layer on top of another one of the list.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct CacheLayer {
    pub(super) blob: Digest,
    /// Place of the layer below; -1 for none.
    #[serde(default, skip_serializing_if = "is_zero")]
    parent: i64,
    #[serde(default)]
    annotations: Option<Annotations>,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Annotations {
    media_type: String,
    #[serde(rename = "diffID", skip_serializing_if = "Option::is_none")]
    diff_id: Option<Digest>,
    size: u64,
}

/// A step.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    /// What it ended in: the layer on top.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    layers: Vec<CacheResult>,
    /// Its key.
    digest: Digest,
    /// Places of the records it stands on, by input.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    inputs: Vec<Vec<Input>>,
    /// Ours: the chain id of its file system.
    #[serde(rename = "chainID", default, skip_serializing_if = "Option::is_none")]
    chain: Option<Digest>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CacheResult {
    layer: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created_at: Option<Timestamp>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Input {
    link: usize,
}

/// A step that is written down.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) key: Digest,
    /// Bottom first; of a step whose layers are not here at least the last.
    pub(super) chains: Vec<Digest>,
    pub(super) created: Option<Timestamp>,
    /// Keys of the steps it stands on.
    pub(super) inputs: Vec<Digest>,
}

/// A layer as it lies in a cache.
#[derive(Debug, Clone)]
pub(super) struct Blob {
    pub(super) descriptor: Descriptor,
    pub(super) diff_id: Digest,
}

/// What a cache knows: steps by key, and the layers they ended in.
#[derive(Debug, Default)]
pub(super) struct Knowledge {
    pub(super) steps: HashMap<Digest, Known>,
    /// By place in the document; what cannot be had is none.
    layers: Vec<Option<KnownLayer>>,
}

/// What a cache knows of a step.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Known {
    /// Identity of its file system.
    pub(super) chain: Digest,
    /// Place of its topmost layer; none if the cache does not have its layers.
    top: Option<usize>,
    pub(super) created: Option<Timestamp>,
    /// Key of the step below.
    pub(super) parent: Option<Digest>,
}

/// A layer that a cache has.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct KnownLayer {
    pub(super) blob: Descriptor,
    pub(super) diff_id: Digest,
    /// Identity of it together with those below.
    pub(super) chain: Digest,
    /// Place of the one below, and how many there are below.
    parent: Option<usize>,
    depth: usize,
}

impl Knowledge {
    /// The layers of a step, bottom first; none if the cache does not have them.
    pub(super) fn layers(&self, step: &Known) -> Vec<&KnownLayer> {
        let mut layers = Vec::new();
        let mut place = step.top;
        while let Some(layer) = place.and_then(|place| self.layers.get(place)?.as_ref()) {
            layers.push(layer);
            place = layer.parent;
        }
        layers.reverse();
        layers
    }

    /// Records that contradict themselves are left out.
    fn of(records: &[Record], layers: Vec<Option<KnownLayer>>) -> Self {
        let parent =
            |record: &Record| Some(records.get(record.inputs.first()?.first()?.link)?.digest.clone());
        let step = |record: &Record| {
            let result = record.layers.first();
            let top =
                result.map(|result| result.layer).filter(|&top| matches!(layers.get(top), Some(Some(_))));
            let found = top.and_then(|top| layers[top].as_ref()).map(|layer| layer.chain.clone());
            let chain = match (&record.chain, found) {
                (Some(said), Some(found)) if *said != found => return None,
                (said, found) => found.or_else(|| said.clone())?,
            };
            let created = result.and_then(|result| result.created_at);
            Some((record.digest.clone(), Known { chain, top, created, parent: parent(record) }))
        };
        let steps = records.iter().filter_map(step).collect();
        Self { steps, layers }
    }
}

impl CacheConfig {
    /// The cache of steps, with the layers among `blobs` (by chain id). A step of which a layer is missing there is
    /// written down without any.
    pub(super) fn of(steps: &[Step], blobs: &HashMap<Digest, Blob>) -> Self {
        let mut config = Self::default();
        let mut places: HashMap<Digest, usize> = HashMap::new();
        config.records = records(steps, |step| {
            let layers = step.chains.iter().map(|chain| Some((chain, blobs.get(chain)?)));
            let layers = layers.collect::<Option<Vec<_>>>()?;
            let mut parent = -1;
            for (chain, blob) in layers {
                let place = *places.entry(chain.clone()).or_insert_with(|| {
                    config.layers.push(CacheLayer {
                        blob: blob.descriptor.digest.clone(),
                        parent,
                        annotations: Some(Annotations {
                            media_type: blob.descriptor.media_type.clone(),
                            diff_id: Some(blob.diff_id.clone()),
                            size: blob.descriptor.size,
                        }),
                    });
                    config.layers.len() - 1
                });
                parent = i64::try_from(place).ok()?;
            }
            usize::try_from(parent).ok()
        });
        config
    }

    /// What the cache knows. Only layers that its manifest lists can be had from it.
    pub(super) fn knowledge(&self, listed: &[Descriptor]) -> Knowledge {
        let listed: HashMap<&Digest, &Descriptor> = listed.iter().map(|blob| (&blob.digest, blob)).collect();
        let mut layers = vec![None; self.layers.len()];
        for place in 0..self.layers.len() {
            self.find(place, &listed, &mut layers);
        }
        Knowledge::of(&self.records, layers)
    }

    /// Finds a layer and those below it that are not found yet. Nothing comes of it if one is missing, or if they lie in
    /// a circle.
    fn find(&self, top: usize, listed: &HashMap<&Digest, &Descriptor>, found: &mut [Option<KnownLayer>]) {
        let mut above = Vec::new();
        let mut place = Some(top);
        while let Some(at) = place.filter(|&at| found.get(at).is_none_or(Option::is_none)) {
            let Some(layer) = self.layers.get(at).filter(|_| above.len() < DEEPEST) else { return };
            above.push(at);
            place = usize::try_from(layer.parent).ok();
        }
        for at in above.into_iter().rev() {
            let layer = &self.layers[at];
            let parent = usize::try_from(layer.parent).ok();
            let below = parent.and_then(|parent| found[parent].as_ref());
            let depth = below.map_or(0, |below| below.depth + 1);
            let Some(blob) = listed.get(&layer.blob).filter(|_| depth < DEEPEST) else { return };
            let Some(diff_id) = layer.annotations.as_ref().and_then(|said| said.diff_id.clone()) else {
                return;
            };
            let chain = chain(below.map(|below| &below.chain), &diff_id);
            found[at] = Some(KnownLayer { blob: (*blob).clone(), diff_id, chain, parent, depth });
        }
    }
}

fn chain(below: Option<&Digest>, diff_id: &Digest) -> Digest {
    match below {
        Some(below) => Digest::sha256(format!("{below} {diff_id}").as_bytes()),
        None => diff_id.clone(),
    }
}

/// The records of an image's own cache: results are places of its layers, of which `chains` has the chain ids.
pub(super) fn inline(steps: &[Step], chains: &[Digest]) -> Vec<Record> {
    records(steps, |step| chains.iter().position(|chain| Some(chain) == step.chains.last()))
}

/// What an image's own records know. The layers are the image's, as its manifest and its configuration have them.
pub(super) fn inline_knowledge(records: &[Record], blobs: &[Descriptor], diff_ids: &[Digest]) -> Knowledge {
    let layers = blobs.iter().zip(diff_ids).zip(chain_ids(diff_ids)).enumerate();
    let layer = |(at, ((blob, diff_id), chain)): (usize, ((&Descriptor, &Digest), Digest))| {
        let (blob, diff_id) = (blob.clone(), diff_id.clone());
        Some(KnownLayer { blob, diff_id, chain, parent: at.checked_sub(1), depth: at })
    };
    Knowledge::of(records, layers.map(layer).collect())
}

fn records(steps: &[Step], mut top: impl FnMut(&Step) -> Option<usize>) -> Vec<Record> {
    let places: HashMap<&Digest, usize> =
        steps.iter().enumerate().map(|(at, step)| (&step.key, at)).collect();
    let record = |step: &Step| Record {
        layers: top(step).map(|layer| CacheResult { layer, created_at: step.created }).into_iter().collect(),
        digest: step.key.clone(),
        inputs: step.inputs.iter().filter_map(|key| Some(vec![Input { link: *places.get(key)? }])).collect(),
        chain: step.chains.last().cloned(),
    };
    steps.iter().map(record).collect()
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// What a manifest calls a layer that is compressed like this.
pub(super) fn layer_type(oci: bool) -> &'static str {
    if oci { media_type::OCI_LAYER_GZIP } else { media_type::DOCKER_LAYER_GZIP }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn digest(text: &str) -> Digest {
        Digest::sha256(text.as_bytes())
    }

    fn step(key: &str, chains: &[Digest], inputs: &[&str]) -> Step {
        Step {
            key: digest(key),
            chains: chains.to_vec(),
            created: Timestamp::from_second(1).ok(),
            inputs: inputs.iter().map(|input| digest(input)).collect(),
        }
    }

    fn blobs(diff_ids: &[Digest]) -> (Vec<Digest>, HashMap<Digest, Blob>) {
        let chains = chain_ids(diff_ids);
        let blob = |diff_id: &Digest| Blob {
            descriptor: Descriptor::new(media_type::OCI_LAYER_GZIP, digest(diff_id.as_str()), 1),
            diff_id: diff_id.clone(),
        };
        let blobs = chains.iter().cloned().zip(diff_ids.iter().map(blob)).collect();
        (chains, blobs)
    }

    #[test]
    fn what_is_written_is_known_again() {
        let (chains, blobs) = blobs(&[digest("base"), digest("one"), digest("two")]);
        let other = digest("elsewhere");
        let steps = [
            step("a", &chains[..2], &[]),
            step("b", &chains, &["a", "c"]),
            step("c", std::slice::from_ref(&other), &[]),
        ];
        let config = CacheConfig::of(&steps, &blobs);
        let text = serde_json::to_string(&config).unwrap();
        let config: CacheConfig = serde_json::from_str(&text).unwrap();
        let places: Vec<i64> = config.layers.iter().map(|layer| layer.parent).collect();
        assert_eq!(places, [-1, 0, 1], "{text}");
        let listed: Vec<Descriptor> = blobs.values().map(|blob| blob.descriptor.clone()).collect();
        let found = config.knowledge(&listed);
        let of = |key: &str| (&found.steps[&digest(key)], found.layers(&found.steps[&digest(key)]).len());
        assert_eq!(of("a").1, 2);
        assert_eq!((&of("b").0.chain, &of("b").0.parent, of("b").1), (&chains[2], &Some(digest("a")), 3));
        assert_eq!((&of("c").0.chain, of("c").1), (&other, 0));
        let nothing = config.knowledge(&[]);
        assert_eq!(nothing.layers(&nothing.steps[&digest("a")]).len(), 0, "the manifest does not list them");
    }

    #[test]
    fn an_image_has_its_own_records() {
        let (chains, blobs) = blobs(&[digest("base"), digest("one")]);
        let steps = [step("a", &chains, &[]), step("b", &[digest("elsewhere")], &[])];
        let text = serde_json::to_string(&inline(&steps, &chains)).unwrap();
        let records: Vec<Record> = serde_json::from_str(&text).unwrap();
        let layers: Vec<Descriptor> = chains.iter().map(|chain| blobs[chain].descriptor.clone()).collect();
        let found = inline_knowledge(&records, &layers, &[digest("base"), digest("one")]);
        assert_eq!(found.layers(&found.steps[&digest("a")]).last().unwrap().chain, chains[1]);
        assert_eq!(found.layers(&found.steps[&digest("b")]).len(), 0);
    }

    #[test]
    fn contradictions_and_loops_are_no_records() {
        let (chains, blobs) = blobs(&[digest("base"), digest("one")]);
        let mut config = CacheConfig::of(&[step("a", &chains, &[])], &blobs);
        let listed: Vec<Descriptor> = blobs.values().map(|blob| blob.descriptor.clone()).collect();
        for wrong in [0, 1, 7] {
            config.layers[0].parent = wrong;
            let found = config.knowledge(&listed);
            assert_eq!(found.layers(&found.steps[&digest("a")]).len(), 0, "{wrong}");
        }
        config.layers[0].parent = -1;
        config.records[0].chain = Some(digest("other"));
        assert!(config.knowledge(&listed).steps.is_empty());
    }

    #[test]
    fn what_buildkit_writes_is_read() {
        let text = r#"[{"digest":"sha256:a6b7987d816b81d79db98fc3b565dffdfc7513f4a89b3346ce26701f6cc6bb4c","inputs":[[{"selector":"sha256:6a50dc8584134c7de537c0052ff6d236bf874355e050c90523e0c5ff2a543a28","link":1}]]},{"digest":"sha256:a86e04a987a616037da3413ae8cc74fa127e465b81c0e44cedcde3c41f18e2b1"},{"layers":[{"layer":0,"createdAt":"2026-11-27T00:31:07.122247602Z"}],"digest":"sha256:b3e25b70784a3be26f2b63beb8614d96a9a0468e4cb40cee3526c8491fe84324","inputs":[[{"link":0}],[{"link":1}]]}]"#;
        let records: Vec<Record> = serde_json::from_str(text).unwrap();
        let found = inline_knowledge(&records, &[Descriptor::new("x", digest("blob"), 1)], &[digest("diff")]);
        assert_eq!(found.steps.len(), 1);
    }
}
