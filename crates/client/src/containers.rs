//! `/containers/…` and `/commit`.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use http::Method;
use serde::{Serialize, de::DeserializeOwned};
use wharf_api::{
    Filters,
    container::{CreateRequest, CreateResponse, PathStat, WaitResponse},
};

use crate::{
    AttachOptions, ByteStream, Client, CommitOptions, Error, Hijacked, JsonLines, ListOptions, LogsOptions,
    RemoveOptions, Result, StopOptions, Upload, WaitCondition,
    client::{Answer, collect},
    query::{Query, path},
    transport::Payload,
};

/// A wait that the engine has accepted: whatever happens from now on counts.
#[derive(Debug)]
pub struct Wait(Answer);

impl Wait {
    /// The exit code, once the condition is met.
    ///
    /// # Errors
    /// If the connection breaks or the container is removed with an error.
    pub async fn outcome(self) -> Result<WaitResponse> {
        let bytes = collect(self.0).await?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(Error::Unexpected("the engine gave up waiting".to_owned()));
        }
        Ok(serde_json::from_slice(&bytes)?)
    }
}

fn container(id: &str, action: &str) -> Query {
    Query::new(path("/containers/", id, action))
}

impl Client {
    /// Creates a container.
    ///
    /// # Errors
    /// [`Error::Response`] with status 404 if the image is missing, 409 if the name is taken.
    pub async fn container_create(
        &self,
        name: Option<&str>,
        platform: Option<&str>,
        request: &CreateRequest,
    ) -> Result<CreateResponse> {
        let query = Query::new("/containers/create").option("name", name).option("platform", platform);
        self.post_json(query, request).await
    }

    /// Lists containers.
    ///
    /// # Errors
    /// [`Error::Response`] for a bad filter.
    pub async fn container_list<T: DeserializeOwned>(&self, options: &ListOptions) -> Result<Vec<T>> {
        let query = Query::new("/containers/json")
            .flag("all", options.all)
            .flag("size", options.size)
            .number("limit", Some(options.limit).filter(|limit| *limit > 0))
            .option("filters", filters(&options.filters).as_deref());
        self.get_json(query).await
    }

    /// Everything about a container.
    ///
    /// # Errors
    /// [`Error::Response`] with status 404 if there is none of this name or id.
    pub async fn container_inspect<T: DeserializeOwned>(&self, id: &str, size: bool) -> Result<T> {
        self.get_json(container(id, "/json").flag("size", size)).await
    }

    /// Starts a container; false if it runs already.
    ///
    /// # Errors
    /// [`Error::Response`] with Docker's message if it cannot be started.
    pub async fn container_start(&self, id: &str, detach_keys: Option<&str>) -> Result<bool> {
        let query = container(id, "/start").option("detachKeys", detach_keys);
        Ok(self.call(Method::POST, query).await? != http::StatusCode::NOT_MODIFIED)
    }

    /// Stops a container; false if it does not run.
    ///
    /// # Errors
    /// [`Error::Response`] if it cannot be stopped.
    pub async fn container_stop(&self, id: &str, options: &StopOptions) -> Result<bool> {
        let query = stop_query(container(id, "/stop"), options);
        Ok(self.call(Method::POST, query).await? != http::StatusCode::NOT_MODIFIED)
    }

    /// Stops a container and starts it again.
    ///
    /// # Errors
    /// As [`Client::container_stop`] and [`Client::container_start`].
    pub async fn container_restart(&self, id: &str, options: &StopOptions) -> Result<()> {
        self.call(Method::POST, stop_query(container(id, "/restart"), options)).await.map(drop)
    }

    /// Sends a signal; empty means SIGKILL.
    ///
    /// # Errors
    /// [`Error::Response`] with status 409 if the container does not run.
    pub async fn container_kill(&self, id: &str, signal: &str) -> Result<()> {
        self.call(Method::POST, container(id, "/kill").option("signal", Some(signal))).await.map(drop)
    }

    /// Freezes a container.
    ///
    /// # Errors
    /// [`Error::Response`] if it does not run or is paused already.
    pub async fn container_pause(&self, id: &str) -> Result<()> {
        self.call(Method::POST, container(id, "/pause")).await.map(drop)
    }

    /// Thaws a container.
    ///
    /// # Errors
    /// [`Error::Response`] if it is not paused.
    pub async fn container_unpause(&self, id: &str) -> Result<()> {
        self.call(Method::POST, container(id, "/unpause")).await.map(drop)
    }

    /// Gives a container another name.
    ///
    /// # Errors
    /// [`Error::Response`] with status 409 if the name is taken.
    pub async fn container_rename(&self, id: &str, name: &str) -> Result<()> {
        self.call(Method::POST, container(id, "/rename").with("name", name)).await.map(drop)
    }

    /// Removes a container.
    ///
    /// # Errors
    /// [`Error::Response`] with status 409 if it runs and `force` is not set.
    pub async fn container_remove(&self, id: &str, options: RemoveOptions) -> Result<()> {
        let query = container(id, "")
            .flag("v", options.volumes)
            .flag("link", options.link)
            .flag("force", options.force);
        self.call(Method::DELETE, query).await.map(drop)
    }

    /// Sets the size of a container's terminal.
    ///
    /// # Errors
    /// [`Error::Response`] if it does not run.
    pub async fn container_resize(&self, id: &str, height: u16, width: u16) -> Result<()> {
        self.call(Method::POST, resize(container(id, "/resize"), height, width)).await.map(drop)
    }

    /// Changes limits and restart policy.
    ///
    /// # Errors
    /// [`Error::Response`] for bad values.
    pub async fn container_update<B: Serialize, T: DeserializeOwned>(
        &self,
        id: &str,
        request: &B,
    ) -> Result<T> {
        self.post_json(container(id, "/update"), request).await
    }

    /// Removes all containers that do not run.
    ///
    /// # Errors
    /// [`Error::Response`] for a bad filter.
    pub async fn container_prune<T: DeserializeOwned>(&self, which: &Filters) -> Result<T> {
        self.post_for(Query::new("/containers/prune").option("filters", filters(which).as_deref())).await
    }

    /// The processes of a container, as `ps` with these arguments shows them.
    ///
    /// # Errors
    /// [`Error::Response`] if it does not run.
    pub async fn container_top<T: DeserializeOwned>(&self, id: &str, arguments: &str) -> Result<T> {
        self.get_json(container(id, "/top").option("ps_args", Some(arguments))).await
    }

    /// What a container changed in its root filesystem.
    ///
    /// # Errors
    /// [`Error::Response`] with status 404.
    pub async fn container_changes<T: DeserializeOwned>(&self, id: &str) -> Result<T> {
        self.get_json(container(id, "/changes")).await
    }

    /// Resource usage: a document a second, or a single one. `one_shot` does not wait for a second sample.
    ///
    /// # Errors
    /// [`Error::Response`] with status 404.
    pub async fn container_stats<T>(&self, id: &str, stream: bool, one_shot: bool) -> Result<JsonLines<T>> {
        let query =
            container(id, "/stats").with("stream", if stream { "1" } else { "0" }).flag("one-shot", one_shot);
        self.lines(Method::GET, query, &[]).await
    }

    /// The log: raw for a container with a terminal, else in frames for [`crate::Demux`].
    ///
    /// # Errors
    /// [`Error::Response`] with status 404, or if the log driver cannot be read.
    pub async fn container_logs(&self, id: &str, options: &LogsOptions) -> Result<ByteStream> {
        let query = container(id, "/logs")
            .flag("stdout", options.stdout)
            .flag("stderr", options.stderr)
            .flag("follow", options.follow)
            .flag("timestamps", options.timestamps)
            .flag("details", options.details)
            .option("since", Some(&options.since))
            .option("until", Some(&options.until))
            .option("tail", Some(&options.tail));
        self.stream(Method::GET, query, &[]).await
    }

    /// Everything in a container's root filesystem, as an archive.
    ///
    /// # Errors
    /// [`Error::Response`] with status 404.
    pub async fn container_export(&self, id: &str) -> Result<ByteStream> {
        self.stream(Method::GET, container(id, "/export"), &[]).await
    }

    /// Begins to wait for a container. When this returns, the engine is watching it.
    ///
    /// # Errors
    /// [`Error::Response`] with status 404.
    pub async fn container_wait(&self, id: &str, condition: WaitCondition) -> Result<Wait> {
        let query = container(id, "/wait").with("condition", condition.as_str());
        self.send(Method::POST, &query, Payload::Empty, &[]).await.map(Wait)
    }

    /// Attaches to a container's streams.
    ///
    /// # Errors
    /// [`Error::Response`] with status 404, or 409 if it is paused.
    pub async fn container_attach(&self, id: &str, options: &AttachOptions) -> Result<Hijacked> {
        let query = container(id, "/attach")
            .flag("stream", true)
            .flag("stdin", options.stdin)
            .flag("stdout", options.stdout)
            .flag("stderr", options.stderr)
            .flag("logs", options.logs)
            .option("detachKeys", Some(&options.detach_keys));
        self.hijack(query, Payload::Empty).await
    }

    /// Properties of a path in a container.
    ///
    /// # Errors
    /// [`Error::Response`] with status 404 if there is none.
    pub async fn archive_stat(&self, id: &str, file: &str) -> Result<PathStat> {
        let query = container(id, "/archive").with("path", file);
        let answer = self.send(Method::HEAD, &query, Payload::Empty, &[]).await?;
        let stat = path_stat(&answer);
        collect(answer).await?;
        stat
    }

    /// A path of a container as an archive.
    ///
    /// # Errors
    /// [`Error::Response`] with status 404 if there is none.
    pub async fn archive_get(&self, id: &str, file: &str) -> Result<(PathStat, ByteStream)> {
        let query = container(id, "/archive").with("path", file);
        let answer = self.send(Method::GET, &query, Payload::Empty, &[]).await?;
        Ok((path_stat(&answer)?, ByteStream::new(answer.into_body())))
    }

    /// Unpacks an archive into a directory of a container. A directory never replaces a file or the other way
    /// round; `keep_owner` keeps the user and group of the archive.
    ///
    /// # Errors
    /// [`Error::Response`] with status 404 if the directory is missing, 403 if it is read-only.
    pub async fn archive_put(
        &self,
        id: &str,
        directory: &str,
        keep_owner: bool,
        archive: Upload,
    ) -> Result<()> {
        let mut query =
            container(id, "/archive").with("path", directory).with("noOverwriteDirNonDir", "true");
        if keep_owner {
            query = query.with("copyUIDGID", "true");
        }
        self.upload(Method::PUT, query, archive).await?.read_all().await.map(drop)
    }

    /// Makes an image from a container; `config` replaces parts of its configuration.
    ///
    /// # Errors
    /// [`Error::Response`] for a bad name or change.
    pub async fn container_commit<B: Serialize, T: DeserializeOwned>(
        &self,
        id: &str,
        options: &CommitOptions,
        config: &B,
    ) -> Result<T> {
        let (repository, tag) = options.reference.clone().unwrap_or_default();
        let mut query = Query::new("/commit")
            .with("container", id)
            .option("repo", Some(&repository))
            .option("tag", Some(&tag))
            .option("comment", Some(&options.comment))
            .option("author", Some(&options.author));
        for change in &options.changes {
            query = query.with("changes", change);
        }
        if options.no_pause {
            query = query.with("pause", "0");
        }
        self.post_json(query, config).await
    }
}

/// The `filters` parameter, if there are any.
pub(crate) fn filters(filters: &Filters) -> Option<String> {
    (!filters.is_empty()).then(|| filters.to_query())
}

/// Adds the size of a terminal.
pub(crate) fn resize(query: Query, height: u16, width: u16) -> Query {
    query.number("h", Some(height.into())).number("w", Some(width.into()))
}

fn stop_query(query: Query, options: &StopOptions) -> Query {
    query.option("signal", options.signal.as_deref()).number("t", options.timeout)
}

fn path_stat(answer: &Answer) -> Result<PathStat> {
    let header = answer.header("x-docker-container-path-stat").unwrap_or_default();
    let document = BASE64
        .decode(header)
        .map_err(|_| Error::Unexpected(format!("unable to decode container path stat header: {header}")))?;
    Ok(serde_json::from_slice(&document)?)
}
