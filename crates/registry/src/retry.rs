//! How long to wait before asking again.

use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};

/// A registry that wants to be left alone for longer is an error at once.
const LONGEST_WISH: Duration = Duration::from_secs(60);

/// Growing pauses between attempts.
pub(crate) struct Pause {
    left: u32,
    limit: u32,
    next: Duration,
}

impl std::fmt::Debug for Pause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pause")
    }
}

impl Pause {
    const FIRST: Duration = Duration::from_millis(200);
    const LONGEST: Duration = Duration::from_secs(5);

    pub(crate) fn new(limit: u32) -> Self {
        Self { left: limit, limit, next: Self::FIRST }
    }

    /// Waits; `false`, at once, when there were enough attempts.
    pub(crate) async fn again(&mut self) -> bool {
        let next = self.next;
        self.next = (next * 2).min(Self::LONGEST);
        self.after(next).await
    }

    /// Waits as long as the answer of a busy registry asks for, else as [`Pause::again`].
    pub(crate) async fn again_after(&mut self, response: &Response) -> bool {
        match wish(response.headers()) {
            Some(wish) if wish > LONGEST_WISH => false,
            Some(wish) => self.after(wish).await,
            None => self.again().await,
        }
    }

    async fn after(&mut self, time: Duration) -> bool {
        let Some(left) = self.left.checked_sub(1) else { return false };
        self.left = left;
        tokio::time::sleep(time).await;
        true
    }

    /// Starts counting anew, because something went well.
    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.limit);
    }
}

/// Whether the same request may be answered a little later.
pub(crate) fn is_busy(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

/// `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date by the server's own clock.
fn wish(headers: &HeaderMap) -> Option<Duration> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let text = header(RETRY_AFTER)?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    let now = header(DATE).and_then(|date| httpdate::parse_http_date(date).ok());
    Some(until.duration_since(now.unwrap_or_else(SystemTime::now)).unwrap_or_default())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn wishes() {
        let read = |pairs: &[(reqwest::header::HeaderName, &str)]| {
            wish(&pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect())
        };
        let (now, later) = ("Thu, 01 Jan 2026 00:00:00 GMT", "Thu, 01 Jan 2026 00:00:07 GMT");
        assert_eq!(read(&[(RETRY_AFTER, "3")]), Some(Duration::from_secs(3)));
        assert_eq!(read(&[(RETRY_AFTER, later), (DATE, now)]), Some(Duration::from_secs(7)));
        assert_eq!(read(&[(RETRY_AFTER, now), (DATE, later)]), Some(Duration::ZERO));
        assert_eq!(read(&[(RETRY_AFTER, "soon")]), None);
        assert_eq!(read(&[]), None);
    }
}
