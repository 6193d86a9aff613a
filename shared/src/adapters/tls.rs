//! TLS: rustls with ring and the system's certificates.

use std::sync::{Arc, OnceLock};

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};

/// The certificates that receivers are trusted by.
#[derive(Default)]
pub(in crate::adapters) struct Roots {
    /// Reading them takes longer than all the rest of the start, so it waits for a request that needs them.
    system: OnceLock<Arc<RootCertStore>>,
}

impl Roots {
    /// Trusts whom the system trusts.
    pub(in crate::adapters) fn of_the_system(&self) -> Result<ClientConfig, rustls::Error> {
        config(Arc::clone(self.system.get_or_init(|| Arc::new(system_roots()))))
    }
}

/// Trusts whom the system trusts, and whom these certificates are of: PEM.
#[cfg(feature = "nats")]
pub(in crate::adapters) fn with_certificates(pem: &str) -> Result<ClientConfig, rustls::Error> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    let mut roots = system_roots();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate.map_err(|error| rustls::Error::General(error.to_string()))?)?;
    }
    config(Arc::new(roots))
}

/// Trusts nobody: for a client that never speaks TLS, but has to be told how.
#[cfg(feature = "webhook")]
pub(in crate::adapters) fn without_roots() -> Result<ClientConfig, rustls::Error> {
    config(Arc::new(RootCertStore::empty()))
}

fn config(roots: Arc<RootCertStore>) -> Result<ClientConfig, rustls::Error> {
    // The provider is named: with a process-wide one, another crate could choose it.
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn system_roots() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, unusable) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        tracing::error!(unusable, errors = ?found.errors, "the system has no certificates: no webhook can be sent over https");
    }
    roots
}
