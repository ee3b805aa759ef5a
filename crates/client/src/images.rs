//! `/images/…` and `/distribution/…`.

use http::Method;
use serde::de::DeserializeOwned;
use wharf_api::{Filters, progress::Progress};

use crate::{
    ByteStream, Client, JsonLines, Result, Upload,
    containers::filters,
    query::{Query, path},
};

/// What is pulled.
#[derive(Debug, Clone, Default)]
pub struct PullOptions {
    /// The repository without tag.
    pub image: String,
    /// Tag or digest; empty means all tags.
    pub tag: String,
    /// `os/arch[/variant]`; empty means the engine's own.
    pub platform: String,
    /// The value of `X-Registry-Auth`; empty sends none.
    pub auth: String,
}

/// How an image is made from an archive of a root filesystem.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// `-` for the body of the request, else an address the engine fetches.
    pub source: String,
    /// Name and tag of the image; empty for none.
    pub repository: String,
    /// Tag, where `repository` has none.
    pub tag: String,
    /// A remark for the history.
    pub message: String,
    /// Dockerfile instructions to apply.
    pub changes: Vec<String>,
    /// `os/arch[/variant]`; empty means the engine's own.
    pub platform: String,
}

fn image(name: &str, action: &str) -> Query {
    Query::new(path("/images/", name, action))
}

impl Client {
    /// Lists images.
    ///
    /// # Errors
    /// [`crate::Error::Response`] for a bad filter.
    pub async fn image_list<T: DeserializeOwned>(&self, all: bool, which: &Filters) -> Result<Vec<T>> {
        self.get_json(
            Query::new("/images/json").flag("all", all).option("filters", filters(which).as_deref()),
        )
        .await
    }

    /// Everything about an image. `platform`, a document or empty, is the one it must be for.
    ///
    /// # Errors
    /// [`crate::Error::Response`] with status 404.
    pub async fn image_inspect<T: DeserializeOwned>(&self, name: &str, platform: &str) -> Result<T> {
        self.get_json(image(name, "/json").option("platform", Some(platform))).await
    }

    /// The steps an image was made in. `platform`, a document or empty, is the one it must be for.
    ///
    /// # Errors
    /// [`crate::Error::Response`] with status 404.
    pub async fn image_history<T: DeserializeOwned>(&self, name: &str, platform: &str) -> Result<T> {
        self.get_json(image(name, "/history").option("platform", Some(platform))).await
    }

    /// Removes a name of an image, and the image with its last name. `platforms`, documents, are those it must be for.
    ///
    /// # Errors
    /// [`crate::Error::Response`] with status 404, or 409 if it is in use.
    pub async fn image_remove<T: DeserializeOwned>(
        &self,
        name: &str,
        force: bool,
        keep_parents: bool,
        platforms: &[String],
    ) -> Result<T> {
        let query = image(name, "").flag("force", force).flag("noprune", keep_parents);
        self.delete_json(platforms.iter().fold(query, |query, platform| query.with("platforms", platform)))
            .await
    }

    /// Gives an image another name.
    ///
    /// # Errors
    /// [`crate::Error::Response`] with status 404, or 400 for a bad name.
    pub async fn image_tag(&self, name: &str, repository: &str, tag: &str) -> Result<()> {
        let query = image(name, "/tag").with("repo", repository).with("tag", tag);
        self.call(Method::POST, query).await.map(drop)
    }

    /// Pulls an image, or all tags of a repository.
    ///
    /// # Errors
    /// [`crate::Error::Response`] if it fails before any progress; a later failure is in the stream.
    pub async fn image_pull(&self, options: &PullOptions) -> Result<JsonLines<Progress>> {
        let query = Query::new("/images/create")
            .with("fromImage", &options.image)
            .option("tag", Some(&options.tag))
            .option("platform", Some(&options.platform));
        self.lines(Method::POST, query, &auth(&options.auth)).await
    }

    /// Pushes an image, or all tags of a repository if `tag` is empty. `platform` is the one the image has to
    /// be for, if not empty; `registry_auth` the value of `X-Registry-Auth`.
    ///
    /// # Errors
    /// As [`Client::image_pull`].
    pub async fn image_push(
        &self,
        repository: &str,
        tag: &str,
        platform: &str,
        registry_auth: &str,
    ) -> Result<JsonLines<Progress>> {
        let query = image(repository, "/push").option("tag", Some(tag)).option("platform", Some(platform));
        self.lines(Method::POST, query, &auth(registry_auth)).await
    }

    /// Makes an image from an archive of a root filesystem.
    ///
    /// # Errors
    /// As [`Client::image_pull`].
    pub async fn image_import(
        &self,
        options: &ImportOptions,
        archive: Option<Upload>,
    ) -> Result<JsonLines<Progress>> {
        let mut query = Query::new("/images/create")
            .with("fromSrc", &options.source)
            .option("repo", Some(&options.repository))
            .option("tag", Some(&options.tag))
            .option("message", Some(&options.message))
            .option("platform", Some(&options.platform));
        for change in &options.changes {
            query = query.with("changes", change);
        }
        match archive {
            Some(archive) => Ok(JsonLines::new(self.upload(Method::POST, query, archive).await?)),
            None => self.lines(Method::POST, query, &[]).await,
        }
    }

    /// Loads the images of an archive.
    ///
    /// # Errors
    /// As [`Client::image_pull`].
    pub async fn image_load(
        &self,
        quiet: bool,
        platform: &str,
        archive: Upload,
    ) -> Result<JsonLines<Progress>> {
        let query = Query::new("/images/load").with("quiet", if quiet { "1" } else { "0" });
        let query = query.option("platform", Some(platform));
        Ok(JsonLines::new(self.upload(Method::POST, query, archive).await?))
    }

    /// Images as an archive. `platform`, a document or empty, is the one they must be for.
    ///
    /// # Errors
    /// [`crate::Error::Response`] with status 404.
    pub async fn image_save(&self, names: &[String], platform: &str) -> Result<ByteStream> {
        let query = names.iter().fold(Query::new("/images/get"), |query, name| query.with("names", name));
        self.stream(Method::GET, query.option("platform", Some(platform)), &[]).await
    }

    /// Removes images nobody uses.
    ///
    /// # Errors
    /// [`crate::Error::Response`] for a bad filter.
    pub async fn image_prune<T: DeserializeOwned>(&self, which: &Filters) -> Result<T> {
        self.post_for(Query::new("/images/prune").option("filters", filters(which).as_deref())).await
    }

    /// Searches the registry. `limit` 0 leaves the number to the engine; `registry_auth` is the value of `X-Registry-Auth`.
    ///
    /// # Errors
    /// [`crate::Error::Response`] if the registry does not answer.
    pub async fn image_search<T: DeserializeOwned>(
        &self,
        term: &str,
        limit: i64,
        which: &Filters,
        registry_auth: &str,
    ) -> Result<T> {
        let query =
            Query::new("/images/search").with("term", term).number("limit", Some(limit).filter(|l| *l != 0));
        self.get_json_with(query.option("filters", filters(which).as_deref()), &auth(registry_auth)).await
    }
}

/// The header with the credentials, if there are any.
fn auth(value: &str) -> Vec<(&'static str, String)> {
    match value {
        "" => Vec::new(),
        value => vec![("x-registry-auth", value.to_owned())],
    }
}
