//! `/containers/{id}/exec` and `/exec/…`.

use bytes::Bytes;
use http::Method;
use serde::de::DeserializeOwned;
use wharf_api::exec::{CreateRequest, CreateResponse, StartRequest};

use crate::{
    Client, Hijacked, Result,
    containers::resize,
    query::{Query, path},
    transport::Payload,
};

impl Client {
    /// Prepares a process in a running container and returns the id of the session.
    ///
    /// # Errors
    /// [`crate::Error::Response`] with status 409 if the container does not run.
    pub async fn exec_create(&self, container: &str, request: &CreateRequest) -> Result<String> {
        let query = Query::new(path("/containers/", container, "/exec"));
        let created: CreateResponse = self.post_json(query, request).await?;
        Ok(created.id)
    }

    /// Starts the process and attaches to its streams.
    ///
    /// # Errors
    /// [`crate::Error::Response`] if the container is gone or paused.
    pub async fn exec_start(&self, session: &str, request: &StartRequest) -> Result<Hijacked> {
        let body = Payload::Json(Bytes::from(serde_json::to_vec(request)?));
        self.hijack(Query::new(path("/exec/", session, "/start")), body).await
    }

    /// Starts the process and leaves it alone.
    ///
    /// # Errors
    /// As [`Client::exec_start`], and if it cannot be started.
    pub async fn exec_start_detached(&self, session: &str, request: &StartRequest) -> Result<()> {
        self.post_body(Query::new(path("/exec/", session, "/start")), request).await
    }

    /// What became of the process.
    ///
    /// # Errors
    /// [`crate::Error::Response`] with status 404.
    pub async fn exec_inspect<T: DeserializeOwned>(&self, session: &str) -> Result<T> {
        self.get_json(Query::new(path("/exec/", session, "/json"))).await
    }

    /// Sets the size of the process's terminal.
    ///
    /// # Errors
    /// [`crate::Error::Response`] if it does not run.
    pub async fn exec_resize(&self, session: &str, height: u16, width: u16) -> Result<()> {
        let query = resize(Query::new(path("/exec/", session, "/resize")), height, width);
        self.call(Method::POST, query).await.map(drop)
    }
}
