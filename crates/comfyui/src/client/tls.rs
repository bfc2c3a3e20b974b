//! One TLS configuration for HTTP and WebSocket, with the ring provider named explicitly.
//!
//! Nothing process-wide is installed or consulted, so two clients can trust different certificates. Plain
//! `http` servers get an empty root store: reading the system's certificates is slow and may fail on a bare
//! image, for nothing.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::Verifier;
use url::Url;

use crate::error::Error;

pub(super) fn client_config(base_url: &Url, ca_pem: Option<&[u8]>) -> Result<rustls::ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::config(format!("TLS cannot be set up: {error}")))?;
    if base_url.scheme() == "http" {
        return Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth());
    }
    let extra = extra_roots(ca_pem)?;
    let verifier = Verifier::new_with_extra_roots(extra.clone(), provider);
    let builder = match verifier {
        Ok(verifier) => builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)),
        // No certificates on this system: those that were given must do.
        Err(error) if extra.is_empty() => {
            return Err(Error::config(format!("no trusted certificates on this system: {error}")));
        }
        Err(_) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(extra);
            builder.with_root_certificates(roots)
        }
    };
    Ok(builder.with_no_client_auth())
}

fn extra_roots(ca_pem: Option<&[u8]>) -> Result<Vec<CertificateDer<'static>>, Error> {
    let Some(pem) = ca_pem else { return Ok(Vec::new()) };
    let roots: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| Error::config(format!("the certificate file cannot be read: {error}")))?;
    if roots.is_empty() {
        return Err(Error::config("the certificate file holds no certificate"));
    }
    Ok(roots)
}
