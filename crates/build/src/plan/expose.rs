//! `EXPOSE`: ports and ranges of them.

/// What one word says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exposed {
    /// `80/tcp`, one for each port of a range.
    pub(crate) ports: Vec<String>,
    /// The word.
    pub(crate) text: String,
    /// Whether the protocol has capital letters.
    pub(crate) capitals: bool,
    /// Whether it names an address or a port of the host.
    pub(crate) mapped: bool,
}

/// Why a word names no port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ExposeError {
    #[error("invalid port: {}: no port specified", crate::quote::go(.0))]
    Missing(String),
    #[error("invalid containerPort: {0}")]
    Port(String),
    #[error("invalid port: {}: invalid proto: {protocol}", crate::quote::go(.word))]
    Protocol { word: String, protocol: String },
}

impl ExposeError {
    /// The same in the words of what was there before BuildKit.
    pub(super) fn classic(&self) -> String {
        match self {
            Self::Missing(word) => format!("No port specified: {word}<empty>"),
            Self::Port(range) => format!("Invalid containerPort: {range}"),
            Self::Protocol { protocol, .. } => format!("Invalid proto: {protocol}"),
        }
    }
}

/// Reads `[[address:]hostport:]port[-port][/protocol]`.
pub(super) fn parse(word: &str) -> Result<Exposed, ExposeError> {
    let (spec, protocol) = match word.split_once('/') {
        Some((spec, protocol)) => (spec, protocol),
        None => (word, ""),
    };
    let (host, range) = match spec.rsplit_once(':') {
        Some((host, range)) => (host, range),
        None => ("", spec),
    };
    if range.is_empty() {
        return Err(ExposeError::Missing(word.to_owned()));
    }
    let (start, end) = range.split_once('-').unwrap_or((range, range));
    let port = |text: &str| text.parse::<u16>().ok();
    let (Some(start), Some(end)) = (port(start), port(end)) else {
        return Err(ExposeError::Port(range.to_owned()));
    };
    if end < start {
        return Err(ExposeError::Port(range.to_owned()));
    }
    let lower = if protocol.is_empty() { "tcp".to_owned() } else { protocol.to_lowercase() };
    if !matches!(lower.as_str(), "tcp" | "udp" | "sctp") {
        let (word, protocol) = (word.to_owned(), protocol.to_owned());
        return Err(ExposeError::Protocol { word, protocol });
    }
    Ok(Exposed {
        ports: (start..=end).map(|port| format!("{port}/{lower}")).collect(),
        text: word.to_owned(),
        capitals: protocol != protocol.to_lowercase(),
        mapped: !host.is_empty() || spec.contains(':'),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports() {
        let shown = |word: &str| match parse(word) {
            Ok(exposed) => exposed.ports.join(" "),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown("80"), "80/tcp");
        assert_eq!(shown("90-91/UDP"), "90/udp 91/udp");
        assert_eq!(shown("127.0.0.1:80:81"), "81/tcp");
        assert_eq!(shown("abc"), "invalid containerPort: abc");
        assert_eq!(shown("80-70"), "invalid containerPort: 80-70");
        assert_eq!(shown("80/foo"), "invalid port: \"80/foo\": invalid proto: foo");
        assert_eq!(shown("/tcp"), "invalid port: \"/tcp\": no port specified");
    }
}
