//! `rmi`: names go, and with the last name the image and the layers only it had.

use std::collections::HashSet;

use wharf_api::image::DeleteItem;
use wharf_db::{Tx, View};
use wharf_oci::{AnyReference, Digest, Reference};
use wharf_store::ImageRecord;

use super::Images;
use super::plan::{self, Graph, ImageUser, Node, RemoveOptions, Step, Target};
use crate::{Error, Result};

/// What is told to subscribers once the removal is committed.
struct Told {
    action: &'static str,
    record: ImageRecord,
}

impl Images {
    /// Removes a name or an image; `users` are all containers. Returns what went, in order.
    ///
    /// # Errors
    /// 404 if there is no such image, 409 with Docker's words for what keeps it.
    pub fn remove(&self, name: &str, options: RemoveOptions, users: &[ImageUser]) -> Result<Vec<DeleteItem>> {
        let (items, told) = self.db.write(|tx| {
            let record = self.resolve(tx, name)?;
            let target = target(name, &record.id)?;
            let steps = plan::plan(self.graph(tx, &record)?, users, &record.id, target, options)
                .map_err(Error::conflict)?;
            self.carry_out(tx, &record, steps)
        })?;
        self.housekeeper.soon();
        for Told { action, record } in told {
            match action {
                "delete" => self.publish(action, record.id.as_str(), record.id.as_str(), None),
                _ => self.publish_id(action, &record),
            }
        }
        Ok(items)
    }

    /// What the removal of an image may touch or be kept from by: the image, those it was built from, and their children.
    fn graph(&self, view: &View<'_>, image: &ImageRecord) -> Result<Graph> {
        let images = self.store.images();
        let mut graph = Graph::new();
        let mut lineage = HashSet::new();
        let mut next = Some(image.clone());
        while let Some(row) = next.filter(|row| lineage.insert(row.id.clone())) {
            for child in images.children(view, &row.id)? {
                graph
                    .entry(child)
                    .or_insert_with(|| Node { parent: Some(row.id.clone()), ..Node::default() });
            }
            // In the order of their texts, so that a repository's tags come before its digest.
            let references = images.names(view, &row.id)?;
            graph.insert(row.id.clone(), Node { references, parent: row.parent.clone() });
            next = row.parent.as_ref().map(|parent| images.get(view, parent)).transpose()?.flatten();
        }
        Ok(graph)
    }

    fn carry_out(
        &self,
        tx: &mut Tx<'_>,
        target: &ImageRecord,
        steps: Vec<Step>,
    ) -> Result<(Vec<DeleteItem>, Vec<Told>)> {
        let images = self.store.images();
        let (mut items, mut told) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Untag(reference) => {
                    let image = images.untag(tx, &reference)?;
                    let record = image.map(|id| images.get(tx, &id)).transpose()?.flatten();
                    items.push(untagged(&reference));
                    told.push(Told { action: "untag", record: record.unwrap_or_else(|| target.clone()) });
                }
                Step::UntagOrphan(reference) => {
                    images.untag(tx, &reference)?;
                    items.push(untagged(&reference));
                }
                Step::Delete(id) => {
                    let Some(record) = images.get(tx, &id)? else { continue };
                    let removed = images.remove(tx, &id)?;
                    let deleted =
                        |digest: &Digest| DeleteItem { deleted: digest.to_string(), ..DeleteItem::default() };
                    items.push(deleted(&id));
                    items.extend(removed.layers.iter().map(deleted));
                    told.push(Told { action: "delete", record });
                }
            }
        }
        Ok((items, told))
    }
}

fn untagged(reference: &Reference) -> DeleteItem {
    DeleteItem { untagged: reference.familiar(), ..DeleteItem::default() }
}

/// Whether the user wrote an id, or the beginning of one, or a name.
fn target<'a>(name: &'a str, id: &Digest) -> Result<Target<'a>> {
    if id.as_str().starts_with(name) || id.hex().starts_with(name) {
        return Ok(Target::Id);
    }
    match AnyReference::parse(name)? {
        AnyReference::Digest(_) => Ok(Target::Id),
        AnyReference::Named(reference) => {
            let reference = match reference.digest() {
                Some(digest) => reference.clone().without_tag().with_digest(digest.clone()),
                None => reference.with_default_tag(),
            };
            Ok(Target::Name(name, reference))
        }
    }
}
