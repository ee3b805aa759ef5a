//! TLS with what the certificate folders have for a registry, and what Go's users read when it fails.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{AlertDescription, CertificateError, DigitallySignedStruct, Error as Tls, SignatureScheme};

use crate::error::{Error, PLAIN_HTTP, Result};

/// Certificates for one registry.
#[derive(Debug, Default)]
pub(crate) struct Certificates {
    authorities: Vec<CertificateDer<'static>>,
    client: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

impl Certificates {
    /// What `folders` have for `host`: authorities (`*.crt`) and a client's certificate (`*.cert` with `*.key`).
    ///
    /// # Errors
    /// A file cannot be read, or its other half is missing.
    pub(crate) fn read(folders: &[PathBuf], host: &str) -> Result<Self> {
        let mut certificates = Self::default();
        for folder in folders {
            let Ok(entries) = std::fs::read_dir(folder.join(host)) else { continue };
            for path in entries.flatten().map(|entry| entry.path()) {
                certificates.add(&path)?;
            }
        }
        Ok(certificates)
    }

    fn add(&mut self, path: &Path) -> Result<()> {
        let (key, certificate) = (path.with_extension("key"), path.with_extension("cert"));
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match path.extension().and_then(|extension| extension.to_str()) {
            // One without certificates adds none, as for Docker.
            Some("crt") => self.authorities.extend(chain(path)?),
            Some("cert") if !key.exists() => {
                let (key, certificate) = (name(&key), name(path));
                return Err(Error::Certificates(format!(
                    "missing key {key} for client certificate {certificate}. CA certificates must use the extension .crt"
                )));
            }
            Some("cert") => {
                let pem = read(&key)?;
                let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| bad(&key, &error))?;
                self.client = Some((chain(path)?, key));
            }
            Some("key") if !certificate.exists() => {
                let (key, certificate) = (name(path), name(&certificate));
                return Err(Error::Certificates(format!(
                    "missing client certificate {certificate} for key {key}"
                )));
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.authorities.is_empty() && self.client.is_none()
    }

    /// TLS by them and by what the system trusts.
    pub(crate) fn config(self) -> Result<rustls::ClientConfig> {
        let failed = |error: Tls| Error::Setup(error.to_string());
        let provider = CryptoProvider::get_default().cloned();
        let provider = provider.unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()));
        let system = rustls_platform_verifier::Verifier::new_with_extra_roots(
            self.authorities.clone(),
            provider.clone(),
        );
        let verifier = Verifier { system: system.map_err(failed)?, given: self.authorities };
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match self.client {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(failed)?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_slice_iter(&read(path)?).collect::<std::result::Result<_, _>>();
    all.map_err(|error| bad(path, &error))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| bad(path, &error))
}

fn bad(path: &Path, error: &dyn std::error::Error) -> Error {
    Error::Certificates(format!("{}: {error}", path.display()))
}

/// Trusts what the system and the folder trust. A registry's own certificate that lies in the folder may call itself an
/// authority: the usual self-signed one does, and Go lets it pass.
#[derive(Debug)]
struct Verifier {
    system: rustls_platform_verifier::Verifier,
    given: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, Tls> {
        match self.system.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // That its time is right was found before this.
            Err(Tls::InvalidCertificate(error))
                if is_authority(&error) && self.given.contains(end_entity) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Tls> {
        self.system.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Tls> {
        self.system.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.system.supported_verify_schemes()
    }
}

fn is_authority(error: &CertificateError) -> bool {
    matches!(error, CertificateError::Other(other)
        if other.0.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity))
}

/// Why a handshake failed, in the words of Go's TLS.
pub(crate) fn reason(error: &Tls) -> String {
    match error {
        // A plain HTTP server answers a TLS greeting with text.
        Tls::InvalidMessage(_) => PLAIN_HTTP.to_owned(),
        Tls::InvalidCertificate(reason) => {
            format!("tls: failed to verify certificate: x509: {}", certificate_reason(reason))
        }
        Tls::AlertReceived(alert) => format!("remote error: tls: {}", alert_words(*alert)),
        other => format!("tls: {other}"),
    }
}

fn certificate_reason(error: &CertificateError) -> String {
    let moment = |time: &UnixTime| {
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
    };
    let untimely = "certificate has expired or is not yet valid: current time";
    match error {
        CertificateError::UnknownIssuer => "certificate signed by unknown authority".to_owned(),
        error if is_authority(error) => "certificate signed by unknown authority".to_owned(),
        CertificateError::ExpiredContext { time, not_after } => {
            format!("{untimely} {} is after {}", moment(time), moment(not_after))
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            format!("{untimely} {} is before {}", moment(time), moment(not_before))
        }
        CertificateError::NotValidForNameContext { expected, presented } => other_name(expected, presented),
        other => other.to_string(),
    }
}

fn other_name(expected: &ServerName<'_>, presented: &[String]) -> String {
    let wanted = expected.to_str();
    let kind = if matches!(expected, ServerName::IpAddress(_)) { "IpAddress(" } else { "DnsName(" };
    // Names come in the form `DnsName("a.example")`.
    let names = presented.iter().filter_map(|name| name.strip_prefix(kind)?.strip_suffix(')'));
    let names: Vec<&str> = names.map(|name| name.trim_matches('"')).collect();
    match (names.as_slice(), expected) {
        ([], ServerName::IpAddress(_)) => {
            format!("cannot validate certificate for {wanted} because it doesn't contain any IP SANs")
        }
        ([], _) => format!("certificate is not valid for any names, but wanted to match {wanted}"),
        (names, _) => format!("certificate is valid for {}, not {wanted}", names.join(", ")),
    }
}

fn alert_words(alert: AlertDescription) -> String {
    let words = match alert {
        AlertDescription::AccessDenied => "access denied",
        AlertDescription::BadCertificate => "bad certificate",
        AlertDescription::CertificateExpired => "expired certificate",
        AlertDescription::CertificateRequired => "certificate required",
        AlertDescription::CertificateRevoked => "revoked certificate",
        AlertDescription::CertificateUnknown => "unknown certificate",
        AlertDescription::HandshakeFailure => "handshake failure",
        AlertDescription::InternalError => "internal error",
        AlertDescription::ProtocolVersion => "protocol version not supported",
        AlertDescription::UnknownCA => "unknown certificate authority",
        AlertDescription::UnrecognisedName => "unrecognized name",
        other => return format!("{other:?}"),
    };
    words.to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn failures_in_gos_words() {
        let name = |name: &str| ServerName::try_from(name.to_owned()).unwrap();
        let presented = ["DnsName(\"a.example\")".to_owned(), "IpAddress(192.0.2.1)".to_owned()];
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let late = CertificateError::ExpiredContext { time: at(1_795_754_043), not_after: at(1_609_459_200) };
        let authority = rustls::OtherError(Arc::new(webpki::Error::CaUsedAsEndEntity));
        for (error, words) in [
            (CertificateError::UnknownIssuer, "certificate signed by unknown authority"),
            (CertificateError::Other(authority), "certificate signed by unknown authority"),
            (
                late,
                "certificate has expired or is not yet valid: current time 2026-11-27T04:34:03Z is after 2021-01-01T00:00:00Z",
            ),
        ] {
            assert_eq!(certificate_reason(&error), words);
        }
        assert_eq!(
            other_name(&name("b.example"), &presented),
            "certificate is valid for a.example, not b.example"
        );
        assert_eq!(
            other_name(&name("192.0.2.2"), &presented),
            "certificate is valid for 192.0.2.1, not 192.0.2.2"
        );
        assert_eq!(
            other_name(&name("192.0.2.2"), &presented[..1]),
            "cannot validate certificate for 192.0.2.2 because it doesn't contain any IP SANs"
        );
        assert_eq!(
            reason(&Tls::AlertReceived(AlertDescription::CertificateRequired)),
            "remote error: tls: certificate required"
        );
    }

    /// How a handshake with a server ends whose certificate is its own authority, by what lies in the folder.
    async fn handshake(name: &str, trusted: bool) -> std::result::Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let mut openssl = std::process::Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=r", "-days", "2"]);
        openssl.args(["-addext", "subjectAltName=DNS:r.example"]);
        openssl.arg("-keyout").arg(path("key.pem")).arg("-out").arg(path("ca.crt"));
        assert!(openssl.output().unwrap().status.success());
        crate::client::install_crypto();
        let key = PrivateKeyDer::from_pem_slice(&std::fs::read(path("key.pem")).unwrap()).unwrap();
        let server = rustls::ServerConfig::builder().with_no_client_auth();
        let server = server.with_single_cert(chain(&path("ca.crt")).unwrap(), key).unwrap();
        let mut certificates = Certificates::default();
        if trusted {
            certificates.add(&path("ca.crt")).unwrap();
        }
        let (here, there) = tokio::io::duplex(1 << 16);
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
        tokio::spawn(async move { acceptor.accept(there).await.map(drop) });
        let connector = tokio_rustls::TlsConnector::from(Arc::new(certificates.config().unwrap()));
        let name = ServerName::try_from(name.to_owned()).unwrap();
        match connector.connect(name, here).await {
            Ok(_) => Ok(()),
            Err(error) => Err(reason(error.get_ref().unwrap().downcast_ref().unwrap())),
        }
    }

    #[tokio::test]
    async fn a_registrys_own_certificate_may_call_itself_an_authority() {
        handshake("r.example", true).await.unwrap();
        let unknown = handshake("r.example", false).await.unwrap_err();
        assert!(unknown.ends_with("x509: certificate signed by unknown authority"), "{unknown}");
        let other = handshake("s.example", true).await.unwrap_err();
        assert!(other.ends_with("x509: certificate is valid for r.example, not s.example"), "{other}");
    }

    #[test]
    fn halves_are_missed_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let host = folder.path().join("r.example");
        std::fs::create_dir(&host).unwrap();
        let read = || {
            Certificates::read(&[folder.path().to_owned()], "r.example").map_err(|error| error.to_string())
        };
        std::fs::write(host.join("ca.crt"), "junk").unwrap();
        assert!(read().unwrap().is_empty());
        std::fs::write(host.join("me.key"), "").unwrap();
        assert_eq!(read().unwrap_err(), "missing client certificate me.cert for key me.key");
        std::fs::rename(host.join("me.key"), host.join("me.cert")).unwrap();
        assert!(read().unwrap_err().starts_with("missing key me.key for client certificate me.cert."));
    }
}
