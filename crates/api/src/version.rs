//! API versions.

use std::fmt;
use std::str::FromStr;

/// The oldest version served.
pub const MIN: ApiVersion = ApiVersion(1, 24);

/// The newest version served, and what an unversioned path means.
pub const MAX: ApiVersion = ApiVersion(1, 51);

/// An API version, `MAJOR.MINOR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiVersion(pub u32, pub u32);

impl Default for ApiVersion {
    fn default() -> Self {
        MAX
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// The text is not a version number.
#[derive(Debug, thiserror::Error)]
#[error("invalid API version {0:?}")]
pub struct ParseVersionError(String);

impl FromStr for ApiVersion {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |part: &str| {
            if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
                None
            } else {
                part.parse().ok()
            }
        };
        text.split_once('.')
            .and_then(|(major, minor)| Some(ApiVersion(number(major)?, number(minor)?)))
            .ok_or_else(|| ParseVersionError(text.to_owned()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn orders_by_number() {
        let v = |s: &str| s.parse::<ApiVersion>().unwrap();
        assert!(v("1.9") < MIN && v("1.100") > MAX && v("1.24") == MIN);
        for bad in ["", "1", "1.", ".1", "1.x", "1.+1", "1.2.3", "99999999999.1"] {
            assert!(bad.parse::<ApiVersion>().is_err(), "{bad}");
        }
        assert_eq!(v("1.51").to_string(), "1.51");
    }
}
