//! Registry credentials: `POST /auth` and the `X-Registry-Auth` header.

use crate::go::omit;

document! {
    /// Credentials for one registry.
    pub struct AuthConfig {
        /// Account name.
        #[serde(skip_serializing_if = "omit")]
        pub username: String,
        /// Its password.
        #[serde(skip_serializing_if = "omit")]
        pub password: String,
        /// `base64(username:password)`, as configuration files keep it.
        #[serde(skip_serializing_if = "omit")]
        pub auth: String,
        /// Mail address; no longer used.
        #[serde(skip_serializing_if = "omit")]
        pub email: String,
        /// The registry these are for.
        #[serde(skip_serializing_if = "omit")]
        pub serveraddress: String,
        /// Refresh token that stands for user and password.
        #[serde(skip_serializing_if = "omit")]
        pub identitytoken: String,
        /// Bearer token to send as it is.
        #[serde(skip_serializing_if = "omit")]
        pub registrytoken: String,
    }
}

document! {
    /// The answer of `POST /auth`.
    #[serde(rename_all = "PascalCase")]
    pub struct AuthResponse {
        /// Token that replaces the password from now on; empty when the registry gives none.
        pub identity_token: String,
        /// Always `Login Succeeded`.
        pub status: String,
    }
}
