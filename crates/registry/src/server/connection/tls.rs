//! Certificates, and what is negotiated with clients.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::server::ServeError;
use crate::server::config::Tls;

/// Name of HTTP/2 in the negotiation of protocols (RFC 9113, section 3.1).
pub(super) const H2: &[u8] = b"h2";

/// Reads the files of `tls`.
pub(super) fn acceptor(tls: &Tls) -> Result<TlsAcceptor, ServeError> {
    let wrong = |path: &std::path::Path, error: &dyn std::fmt::Display| {
        ServeError::Tls(format!("{}: {error}", path.display()))
    };
    let certificates = |path: &std::path::Path| {
        CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| wrong(path, &error))
    };
    let chain = certificates(&tls.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| wrong(&tls.key, &error))?;
    let builder = rustls::ServerConfig::builder();
    let builder = if tls.client_authorities.is_empty() {
        builder.with_no_client_auth()
    } else {
        let mut roots = rustls::RootCertStore::empty();
        for path in &tls.client_authorities {
            for authority in certificates(path)? {
                roots.add(authority).map_err(|error| wrong(path, &error))?;
            }
        }
        let verifier = rustls::server::WebPkiClientVerifier::builder(Arc::new(roots)).build();
        builder.with_client_cert_verifier(verifier.map_err(|error| ServeError::Tls(error.to_string()))?)
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| wrong(&tls.certificate, &error))?;
    config.alpn_protocols = vec![H2.to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
