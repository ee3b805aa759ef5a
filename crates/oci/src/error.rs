//! What can be wrong with a name. The texts are the ones Docker prints.

/// Why a string is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// Not of the form `algorithm:encoded`.
    #[error("invalid checksum digest format")]
    Format,
    /// The encoded part has not the length the algorithm gives.
    #[error("invalid checksum digest length")]
    Length,
    /// An algorithm other than sha256, sha384 and sha512.
    #[error("unsupported digest algorithm")]
    Algorithm,
}

/// Why a string is not an image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// The grammar does not match.
    #[error("invalid reference format")]
    Format,
    /// The repository path has capitals; holds the path as it was read, `library/` included.
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    Uppercase(String),
    /// Only the lower-case form of the whole name would match the grammar.
    #[error("repository name must be lowercase")]
    NameUppercase,
    /// 64 hexadecimal digits are an image id, never a repository name.
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    Identifier(String),
    /// The path is longer than 255 bytes.
    #[error("repository name must not be more than 255 characters")]
    TooLong,
    /// A tag that does not match `[\w][\w.-]{0,127}`.
    #[error("invalid tag format")]
    Tag,
    /// The digest part is well formed but not a digest.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

/// Why a string is not a platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    /// A component has a character outside the allowed set.
    #[error(
        "{component:?} is an invalid component of {platform:?}: platform specifier component must match {pattern:?}: invalid argument"
    )]
    Component {
        /// The offending part.
        component: String,
        /// The whole string.
        platform: String,
        /// The pattern it had to match.
        pattern: &'static str,
    },
    /// The operating system, with its optional version and features in brackets, is malformed.
    #[error(
        "{component:?} is an invalid OS component of {platform:?}: OSAndVersion specifier component must match {pattern:?}: invalid argument"
    )]
    Os {
        /// The offending part.
        component: String,
        /// The whole string.
        platform: String,
        /// The pattern it had to match.
        pattern: &'static str,
    },
    /// One word that names neither an operating system nor a processor.
    #[error("{0:?}: unknown operating system or architecture: invalid argument")]
    Unknown(String),
    /// More than three components.
    #[error("{0:?}: cannot parse platform specifier: invalid argument")]
    Form(String),
}
