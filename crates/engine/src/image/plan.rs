//! What removing an image takes away: a pure function of the images, their names and the containers that use them.

use std::collections::BTreeMap;

use wharf_oci::{Digest, Reference};

/// A container, as far as images are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageUser {
    /// Id of the container.
    pub container: String,
    /// Id of the image it was made of.
    pub image: String,
    /// Whether it has a process.
    pub running: bool,
}

/// An image, as far as its removal is concerned.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    /// Tags and digests that name it, in the order of their texts.
    pub(super) references: Vec<Reference>,
    /// The image it was built from, if that is known.
    pub(super) parent: Option<Digest>,
}

/// All images.
pub(super) type Graph = BTreeMap<Digest, Node>;

/// One thing to do, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Take a name away.
    Untag(Reference),
    /// Take a digest away because the last tag of its repository went. compat: subscribers are not told.
    UntagOrphan(Reference),
    /// Delete an image.
    Delete(Digest),
}

/// How the image to remove was named.
pub(super) enum Target<'a> {
    /// By its id or the beginning of it.
    Id,
    /// By a name; holds what the user wrote.
    Name(&'a str, Reference),
}

/// How hard to try.
#[derive(Debug, Clone, Copy, Default)]
pub struct RemoveOptions {
    /// Remove an image that has several names or that stopped containers use.
    pub force: bool,
    /// Keep the images it was built from, even when nothing names them any more.
    pub keep_parents: bool,
}

struct Planner<'a> {
    graph: Graph,
    users: &'a [ImageUser],
    steps: Vec<Step>,
}

/// The steps that remove `image`.
///
/// # Errors
/// Docker's message about the conflict that keeps it.
pub(super) fn plan(
    graph: Graph,
    users: &[ImageUser],
    image: &Digest,
    target: Target<'_>,
    options: RemoveOptions,
) -> Result<Vec<Step>, String> {
    let mut planner = Planner { graph, users, steps: Vec::new() };
    let mut quiet = false;
    match target {
        Target::Name(written, reference) => {
            let single = is_single(planner.references(image));
            if let (false, true, Some(user)) = (options.force, single, planner.user(image, None)) {
                return Err(format!(
                    "conflict: unable to remove repository reference {written:?} (must force) - container {} is using \
                     its referenced image {}",
                    crate::short_id(&user.container),
                    image.short()
                ));
            }
            planner.untag(image, &reference);
            if reference.digest().is_none() {
                planner.untag_orphaned_digests(image, &reference);
            }
            if !planner.references(image).is_empty() {
                return Ok(planner.steps);
            }
            quiet = true;
        }
        Target::Id => {
            if is_single(planner.references(image)) {
                planner
                    .conflict(image, Strictness { references: false, stopped: !options.force })
                    .map_or(Ok(()), |c| Err(c.message))?;
                planner.untag_all(image);
            }
        }
    }
    planner.delete(image, options.force, !options.keep_parents, quiet)?;
    Ok(planner.steps)
}

/// Which of the conflicts that force overrides count.
struct Strictness {
    references: bool,
    stopped: bool,
}

struct Conflict {
    message: String,
    used: bool,
}

impl Planner<'_> {
    fn references(&self, image: &Digest) -> &[Reference] {
        self.graph.get(image).map_or(&[], |node| &node.references)
    }

    fn has_children(&self, image: &Digest) -> bool {
        self.graph.values().any(|node| node.parent.as_ref() == Some(image))
    }

    fn user(&self, image: &Digest, running: Option<bool>) -> Option<&ImageUser> {
        self.users
            .iter()
            .find(|user| user.image == image.as_str() && running.is_none_or(|r| r == user.running))
    }

    fn untag(&mut self, image: &Digest, reference: &Reference) {
        self.forget(image, reference);
        self.steps.push(Step::Untag(reference.clone()));
    }

    fn forget(&mut self, image: &Digest, reference: &Reference) {
        if let Some(node) = self.graph.get_mut(image) {
            node.references.retain(|other| other != reference);
        }
    }

    fn untag_all(&mut self, image: &Digest) {
        for reference in self.references(image).to_vec() {
            self.untag(image, &reference);
        }
    }

    /// A repository digest goes with the last tag of its repository.
    fn untag_orphaned_digests(&mut self, image: &Digest, removed: &Reference) {
        let same: Vec<Reference> =
            self.references(image).iter().filter(|other| other.name() == removed.name()).cloned().collect();
        if same.iter().all(|other| other.digest().is_some()) {
            for reference in same {
                self.forget(image, &reference);
                self.steps.push(Step::UntagOrphan(reference));
            }
        }
    }

    fn conflict(&self, image: &Digest, strictness: Strictness) -> Option<Conflict> {
        let conflict = |how: &str, why: String, used: bool| {
            Some(Conflict {
                message: format!("conflict: unable to delete {} ({how}) - {why}", image.short()),
                used,
            })
        };
        if self.has_children(image) {
            return conflict("cannot be forced", "image has dependent child images".to_owned(), false);
        }
        if let Some(user) = self.user(image, Some(true)) {
            let why =
                format!("image is being used by running container {}", crate::short_id(&user.container));
            return conflict("cannot be forced", why, true);
        }
        if strictness.references && !self.references(image).is_empty() {
            let why = "image is referenced in multiple repositories".to_owned();
            return conflict("must be forced", why, false);
        }
        if let (true, Some(user)) = (strictness.stopped, self.user(image, Some(false))) {
            let why =
                format!("image is being used by stopped container {}", crate::short_id(&user.container));
            return conflict("must be forced", why, true);
        }
        None
    }

    /// Deletes an image, then those it was built from as far as nothing else needs them. `quiet` keeps silent about a
    /// conflict that was to be expected.
    fn delete(&mut self, image: &Digest, force: bool, parents: bool, quiet: bool) -> Result<(), String> {
        if let Some(conflict) = self.conflict(image, Strictness { references: !force, stopped: !force }) {
            let dangling = self.references(image).is_empty() && !self.has_children(image);
            return if quiet && (!dangling || conflict.used) { Ok(()) } else { Err(conflict.message) };
        }
        self.untag_all(image);
        let parent = self.graph.remove(image).and_then(|node| node.parent);
        self.steps.push(Step::Delete(image.clone()));
        match parent.filter(|parent| parents && self.graph.contains_key(parent)) {
            Some(parent) => self.delete(&parent, false, true, true),
            None => Ok(()),
        }
    }
}

/// Whether all names of an image amount to one: at most one tag, and digests of the same repository only.
fn is_single(references: &[Reference]) -> bool {
    if references.len() <= 1 {
        return true;
    }
    let mut tags = references.iter().filter(|reference| reference.digest().is_none());
    let (tag, more) = (tags.next(), tags.next());
    let repository = tag.unwrap_or(&references[0]).name();
    more.is_none() && references.iter().all(|reference| reference.name() == repository)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn id(name: &str) -> Digest {
        Digest::sha256(name.as_bytes())
    }

    /// `a:1` is a tag, `a@` the digest of repository `a`.
    fn reference(text: &str) -> Reference {
        match text.strip_suffix('@') {
            Some(name) => Reference::parse(name).unwrap().with_digest(id("manifest")),
            None => Reference::parse(text).unwrap(),
        }
    }

    fn graph(images: &[(&str, &[&str], Option<&str>)]) -> Graph {
        let node = |references: &[&str], parent: Option<&str>| Node {
            references: references.iter().map(|text| reference(text)).collect(),
            parent: parent.map(id),
        };
        images.iter().map(|(name, references, parent)| (id(name), node(references, *parent))).collect()
    }

    fn user(image: &str, running: bool) -> ImageUser {
        ImageUser { container: "0123456789abcdef".to_owned(), image: id(image).to_string(), running }
    }

    fn show(
        graph: &Graph,
        users: &[ImageUser],
        image: &str,
        name: Option<&str>,
        options: RemoveOptions,
    ) -> String {
        let target = name.map_or(Target::Id, |name| Target::Name(name, reference(name)));
        let text = match plan(graph.clone(), users, &id(image), target, options) {
            Err(message) => message,
            Ok(steps) => steps
                .iter()
                .map(|step| match step {
                    Step::Untag(reference) | Step::UntagOrphan(reference) if reference.digest().is_some() => {
                        format!("-{}@", reference.familiar_name())
                    }
                    Step::Untag(reference) | Step::UntagOrphan(reference) => {
                        format!("-{}", reference.familiar())
                    }
                    Step::Delete(image) => {
                        let name = ["i", "p", "pp", "other"].into_iter().find(|name| id(name) == *image);
                        format!("x{}", name.unwrap())
                    }
                })
                .collect::<Vec<_>>()
                .join(" "),
        };
        text.replace(id("i").short(), "ID").replace(id("p").short(), "PARENT")
    }

    const PLAIN: RemoveOptions = RemoveOptions { force: false, keep_parents: false };
    const FORCE: RemoveOptions = RemoveOptions { force: true, keep_parents: false };

    fn check(graph: &Graph, users: &[ImageUser], cases: &[(Option<&str>, RemoveOptions)], expect: Expect) {
        let show = |(name, options): &(Option<&str>, RemoveOptions)| {
            let force = if options.force { " force" } else { "" };
            format!("{}{force}: {}\n", name.unwrap_or("id"), show(graph, users, "i", *name, *options))
        };
        expect.assert_eq(&cases.iter().map(show).collect::<String>());
    }

    #[test]
    fn names_and_ids() {
        let one = graph(&[("i", &["a:1", "a@"], None)]);
        check(
            &one,
            &[],
            &[(Some("a:1"), PLAIN), (Some("a@"), PLAIN), (None, PLAIN)],
            expect![[r#"
            a:1: -a:1 -a@ xi
            a@: -a@
            id: -a:1 -a@ xi
        "#]],
        );
        let two_tags = graph(&[("i", &["a:1", "a:2", "a@"], None)]);
        check(
            &two_tags,
            &[],
            &[(Some("a:1"), PLAIN), (None, PLAIN), (None, FORCE)],
            expect![[r#"
            a:1: -a:1
            id: conflict: unable to delete ID (must be forced) - image is referenced in multiple repositories
            id force: -a:1 -a:2 -a@ xi
        "#]],
        );
        let two_repositories = graph(&[("i", &["a:1", "a@", "b:1"], None)]);
        check(
            &two_repositories,
            &[],
            &[(Some("a:1"), PLAIN), (Some("b:1"), PLAIN), (None, PLAIN)],
            expect![[r#"
            a:1: -a:1 -a@
            b:1: -b:1
            id: conflict: unable to delete ID (must be forced) - image is referenced in multiple repositories
        "#]],
        );
    }

    #[test]
    fn containers_keep_images() {
        let one = graph(&[("i", &["a:1"], None)]);
        let cases = [(Some("a:1"), PLAIN), (None, PLAIN), (Some("a:1"), FORCE), (None, FORCE)];
        check(
            &one,
            &[user("i", false)],
            &cases,
            expect![[r#"
            a:1: conflict: unable to remove repository reference "a:1" (must force) - container 0123456789ab is using its referenced image ID
            id: conflict: unable to delete ID (must be forced) - image is being used by stopped container 0123456789ab
            a:1 force: -a:1 xi
            id force: -a:1 xi
        "#]],
        );
        check(
            &one,
            &[user("i", true)],
            &cases,
            expect![[r#"
            a:1: conflict: unable to remove repository reference "a:1" (must force) - container 0123456789ab is using its referenced image ID
            id: conflict: unable to delete ID (cannot be forced) - image is being used by running container 0123456789ab
            a:1 force: -a:1
            id force: conflict: unable to delete ID (cannot be forced) - image is being used by running container 0123456789ab
        "#]],
        );
        let two = graph(&[("i", &["a:1", "b:1"], None)]);
        check(
            &two,
            &[user("i", false)],
            &[(Some("a:1"), PLAIN)],
            expect![[r#"
            a:1: -a:1
        "#]],
        );
    }

    #[test]
    fn parents_go_along_until_something_needs_them() {
        let chain = graph(&[("i", &["a:1"], Some("p")), ("p", &[], Some("pp")), ("pp", &[], None)]);
        let keep = RemoveOptions { keep_parents: true, ..PLAIN };
        check(
            &chain,
            &[],
            &[(Some("a:1"), PLAIN), (Some("a:1"), keep)],
            expect![[r#"
            a:1: -a:1 xi xp xpp
            a:1: -a:1 xi
        "#]],
        );
        check(
            &chain,
            &[user("p", false)],
            &[(Some("a:1"), PLAIN)],
            expect![[r#"
            a:1: -a:1 xi
        "#]],
        );
        let tagged = graph(&[("i", &["a:1"], Some("p")), ("p", &["base:1"], None)]);
        check(
            &tagged,
            &[],
            &[(Some("a:1"), PLAIN)],
            expect![[r#"
            a:1: -a:1 xi
        "#]],
        );
        let shared = graph(&[("p", &["a:1"], None), ("i", &[], Some("p")), ("other", &[], Some("p"))]);
        assert_eq!(
            show(&shared, &[], "p", None, FORCE),
            "conflict: unable to delete PARENT (cannot be forced) - image has dependent child images"
        );
        assert_eq!(show(&shared, &[], "p", Some("a:1"), PLAIN), "-a:1");
    }
}
