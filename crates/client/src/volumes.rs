//! `/volumes/…`.

use http::Method;
use serde::de::DeserializeOwned;
use wharf_api::{Filters, volume::CreateRequest};

use crate::{
    Client, Result,
    containers::filters,
    query::{Query, path},
};

fn volume(name: &str) -> Query {
    Query::new(path("/volumes/", name, ""))
}

impl Client {
    /// Lists volumes.
    ///
    /// # Errors
    /// [`crate::Error::Response`] for a bad filter.
    pub async fn volume_list<T: DeserializeOwned>(&self, which: &Filters) -> Result<T> {
        self.get_json(Query::new("/volumes").option("filters", filters(which).as_deref())).await
    }

    /// Everything about a volume.
    ///
    /// # Errors
    /// [`crate::Error::Response`] with status 404.
    pub async fn volume_inspect<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        self.get_json(volume(name)).await
    }

    /// Creates a volume, or returns the one of this name.
    ///
    /// # Errors
    /// [`crate::Error::Response`] for a bad name or option.
    pub async fn volume_create<T: DeserializeOwned>(&self, request: &CreateRequest) -> Result<T> {
        self.post_json(Query::new("/volumes/create"), request).await
    }

    /// Removes a volume; with `force` one that is missing is no error.
    ///
    /// # Errors
    /// [`crate::Error::Response`] with status 404, or 409 if it is in use.
    pub async fn volume_remove(&self, name: &str, force: bool) -> Result<()> {
        self.call(Method::DELETE, volume(name).flag("force", force)).await.map(drop)
    }

    /// Removes volumes nobody uses.
    ///
    /// # Errors
    /// [`crate::Error::Response`] for a bad filter.
    pub async fn volume_prune<T: DeserializeOwned>(&self, which: &Filters) -> Result<T> {
        self.post_for(Query::new("/volumes/prune").option("filters", filters(which).as_deref())).await
    }
}
