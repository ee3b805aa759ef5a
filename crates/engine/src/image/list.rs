//! `images`: the list.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use wharf_api::filter::Filters;
use wharf_api::image::Summary;
use wharf_db::View;
use wharf_oci::{Digest, Reference};
use wharf_store::Image;

use super::{ImageUser, Images, filter, views};
use crate::Result;

const FILTERS: &[&str] = &["dangling", "label", "before", "since", "reference", "until"];

/// What to list.
#[derive(Debug, Clone, Default)]
pub struct ListOptions {
    /// Also images without a name that others were built on.
    pub all: bool,
    /// Tell how many bytes are in layers that other images have too.
    pub shared_size: bool,
    /// Which images.
    pub filters: Filters,
}

/// What the filters say, in a form that can be compared.
struct Wanted<'a> {
    filters: &'a Filters,
    all: bool,
    dangling: Option<bool>,
    /// Only images made before this.
    before: Option<Timestamp>,
    /// Only images made after this.
    since: Option<Timestamp>,
}

impl Images {
    /// The images, newest first; `users` are all containers.
    ///
    /// # Errors
    /// 400 for a filter that means nothing, 404 for an image in a filter that is not there.
    pub fn list(&self, options: &ListOptions, users: &[ImageUser]) -> Result<Vec<Summary>> {
        options.filters.validate(FILTERS)?;
        self.db.read(|view| {
            let sizes = options.shared_size.then(|| self.store.layer_sizes(view)).transpose()?;
            self.rows(view, options, users, sizes.as_ref())
        })
    }

    /// The images and the bytes that all layers take together, for `system df`; `users` are all containers.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn usage(&self, users: &[ImageUser]) -> Result<(Vec<Summary>, u64)> {
        self.db.read(|view| {
            let sizes = self.store.layer_sizes(view)?;
            let rows = self.rows(view, &ListOptions::default(), users, Some(&sizes))?;
            Ok((rows, sizes.values().sum()))
        })
    }

    /// The images of a list, with what they share if the sizes of layers are given.
    fn rows(
        &self,
        view: &View<'_>,
        options: &ListOptions,
        users: &[ImageUser],
        sizes: Option<&HashMap<String, u64>>,
    ) -> Result<Vec<Summary>> {
        let wanted = self.wanted(view, options)?;
        let images = self.store.images().list(view)?;
        let parents: HashSet<&Digest> =
            images.iter().filter_map(|image| image.record.parent.as_ref()).collect();
        let mut containers: HashMap<&str, i64> = HashMap::new();
        for user in users {
            *containers.entry(user.image.as_str()).or_default() += 1;
        }
        let shared = sizes.map(|sizes| shared_layers(&images, sizes));
        let mut rows = Vec::new();
        for image in &images {
            if let Some(names) = wanted.names(image, parents.contains(&image.record.id))? {
                let containers = containers.get(image.record.id.as_str()).copied().unwrap_or(0);
                rows.push(summary(image, &names, containers, shared.as_ref()));
            }
        }
        rows.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
        Ok(rows)
    }

    fn wanted<'a>(&self, view: &View<'_>, options: &'a ListOptions) -> Result<Wanted<'a>> {
        let filters = &options.filters;
        let dangling = match filters.contains("dangling") {
            true => Some(filters.boolean("dangling", false)?),
            false => None,
        };
        let time_of = |key: &str| {
            let times = filters.get(key).map(|name| Ok(views::created(&self.resolve(view, name)?)));
            times.collect::<Result<Vec<Option<Timestamp>>>>()
        };
        let until = filter::instants(filters, "until", Timestamp::now())?;
        let before = time_of("before")?.into_iter().flatten().chain(until).min();
        let since = time_of("since")?.into_iter().flatten().max();
        Ok(Wanted { filters, all: options.all, dangling, before, since })
    }
}

/// Sizes of the layers that more than one image has, by chain id.
fn shared_layers(images: &[Image], sizes: &HashMap<String, u64>) -> HashMap<Digest, u64> {
    let mut count: HashMap<&Digest, usize> = HashMap::new();
    for chain in images.iter().flat_map(|image| &image.record.chains) {
        *count.entry(chain).or_default() += 1;
    }
    let shared = count.into_iter().filter(|(_, images)| *images > 1);
    shared.filter_map(|(chain, _)| Some((chain.clone(), *sizes.get(chain.as_str())?))).collect()
}

impl Wanted<'_> {
    fn in_time(&self, image: &Image) -> bool {
        if self.before.is_none() && self.since.is_none() {
            return true;
        }
        views::created(&image.record).is_some_and(|created| {
            self.before.is_none_or(|before| created < before)
                && self.since.is_none_or(|since| created > since)
        })
    }

    /// The names under which an image is to be shown (none for one that has none); `None` if it is not to be shown.
    fn names(&self, image: &Image, has_children: bool) -> Result<Option<Vec<Reference>>> {
        if !self.in_time(image) || !filter::labels(self.filters, Some(&image.record.labels)) {
            return Ok(None);
        }
        if self.dangling == Some(true) && has_children {
            return Ok(None);
        }
        let mut names = Vec::new();
        for name in image.tags.iter().chain(&image.digests) {
            if filter::reference(self.filters, name)? {
                names.push(name.clone());
            }
        }
        let shown = if names.is_empty() {
            let named = !image.tags.is_empty() || !image.digests.is_empty();
            (self.all || !has_children)
                && self.dangling != Some(false)
                && !self.filters.contains("reference")
                && !named
        } else {
            let tagged = names.iter().any(|name| name.digest().is_none());
            !(self.dangling == Some(true) && tagged)
        };
        Ok(shown.then_some(names))
    }
}

fn summary(
    image: &Image,
    names: &[Reference],
    containers: i64,
    shared: Option<&HashMap<Digest, u64>>,
) -> Summary {
    let record = &image.record;
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let shared_size =
        shared.map_or(-1, |shared| signed(record.chains.iter().filter_map(|chain| shared.get(chain)).sum()));
    Summary {
        containers,
        created: views::created(record).map_or(0, Timestamp::as_second),
        id: record.id.to_string(),
        labels: (!record.labels.is_empty()).then(|| record.labels.clone()),
        parent_id: record.parent.as_ref().map(ToString::to_string).unwrap_or_default(),
        repo_digests: Some(views::repo_digests(names)),
        repo_tags: Some(views::repo_tags(names)),
        shared_size,
        size: signed(record.size),
        virtual_size: None,
    }
}
