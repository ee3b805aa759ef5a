//! Error kinds, their HTTP status and the error document.

document! {
    /// The body of every failed request.
    pub struct ErrorResponse {
        /// What went wrong, in words for the user.
        pub message: String,
    }
}

/// What class of failure an error is; decides the HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// 304: the object is already in the wanted state. Has no body.
    NotModified,
    /// 400: the request is wrong by itself.
    InvalidParameter,
    /// 401: the registry refused the credentials.
    Unauthorized,
    /// 403: never allowed, whoever asks.
    Forbidden,
    /// 404: no such object.
    NotFound,
    /// 409: wrong in the present state of the object.
    Conflict,
    /// 500: the system failed, or an oddity of the reference.
    System,
    /// 501: not there yet.
    NotImplemented,
    /// 503: a part that this needs is not active.
    Unavailable,
}

impl ErrorKind {
    /// The HTTP status of the answer.
    pub const fn status(self) -> u16 {
        match self {
            ErrorKind::NotModified => 304,
            ErrorKind::InvalidParameter => 400,
            ErrorKind::Unauthorized => 401,
            ErrorKind::Forbidden => 403,
            ErrorKind::NotFound => 404,
            ErrorKind::Conflict => 409,
            ErrorKind::System => 500,
            ErrorKind::NotImplemented => 501,
            ErrorKind::Unavailable => 503,
        }
    }

    /// The kind that an HTTP status stands for; any other status is [`ErrorKind::System`].
    pub const fn from_status(status: u16) -> ErrorKind {
        match status {
            304 => ErrorKind::NotModified,
            400 => ErrorKind::InvalidParameter,
            401 => ErrorKind::Unauthorized,
            403 => ErrorKind::Forbidden,
            404 => ErrorKind::NotFound,
            409 => ErrorKind::Conflict,
            501 => ErrorKind::NotImplemented,
            503 => ErrorKind::Unavailable,
            _ => ErrorKind::System,
        }
    }
}
