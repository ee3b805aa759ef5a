//! `/networks/…`.

use http::Method;
use serde::de::DeserializeOwned;
use wharf_api::{
    Filters,
    network::{ConnectRequest, CreateRequest, CreateResponse, DisconnectRequest},
};

use crate::{
    Client, Result,
    containers::filters,
    query::{Query, path},
};

fn network(name: &str, action: &str) -> Query {
    Query::new(path("/networks/", name, action))
}

impl Client {
    /// Lists networks.
    ///
    /// # Errors
    /// [`crate::Error::Response`] for a bad filter.
    pub async fn network_list<T: DeserializeOwned>(&self, which: &Filters) -> Result<Vec<T>> {
        self.get_json(Query::new("/networks").option("filters", filters(which).as_deref())).await
    }

    /// Everything about a network.
    ///
    /// # Errors
    /// [`crate::Error::Response`] with status 404.
    pub async fn network_inspect<T: DeserializeOwned>(&self, name: &str, verbose: bool) -> Result<T> {
        self.get_json(network(name, "").flag("verbose", verbose)).await
    }

    /// Creates a network.
    ///
    /// # Errors
    /// [`crate::Error::Response`] with status 409 if the name is taken.
    pub async fn network_create(&self, request: &CreateRequest) -> Result<CreateResponse> {
        self.post_json(Query::new("/networks/create"), request).await
    }

    /// Connects a container.
    ///
    /// # Errors
    /// [`crate::Error::Response`] with status 404, or 403 if it is connected already.
    pub async fn network_connect(&self, name: &str, request: &ConnectRequest) -> Result<()> {
        self.post_body(network(name, "/connect"), request).await
    }

    /// Disconnects a container.
    ///
    /// # Errors
    /// [`crate::Error::Response`] with status 404, or 500 if it is not connected.
    pub async fn network_disconnect(&self, name: &str, request: &DisconnectRequest) -> Result<()> {
        self.post_body(network(name, "/disconnect"), request).await
    }

    /// Removes a network.
    ///
    /// # Errors
    /// [`crate::Error::Response`] with status 404, or 403 if it is in use.
    pub async fn network_remove(&self, name: &str) -> Result<()> {
        self.call(Method::DELETE, network(name, "")).await.map(drop)
    }

    /// Removes networks nobody uses.
    ///
    /// # Errors
    /// [`crate::Error::Response`] for a bad filter.
    pub async fn network_prune<T: DeserializeOwned>(&self, which: &Filters) -> Result<T> {
        self.post_for(Query::new("/networks/prune").option("filters", filters(which).as_deref())).await
    }
}
