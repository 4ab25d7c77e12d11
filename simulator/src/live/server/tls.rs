//! TLS for `wss://`: which certificates are trusted, and why a handshake failed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, InvalidMessage, RootCertStore,
    SignatureScheme,
};

use crate::units::quoted;

use crate::file::LoadError;

/// The application protocol that is offered. A proxy that also speaks HTTP/2 must not choose that: it has no
/// upgrade.
const PROTOCOL: &[u8] = b"http/1.1";

/// Which certificates are trusted. By default: those that this machine's root certificates vouch for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    file: Option<PathBuf>,
    /// The root certificates in that file.
    further: Vec<CertificateDer<'static>>,
    is_insecure: bool,
}

impl Trust {
    /// Trusts the root certificates in this PEM file as well as those of this machine.
    ///
    /// # Errors
    ///
    /// The file cannot be read, holds no certificate, or holds one that cannot be a root.
    pub fn with_roots_of(file: &Path) -> Result<Self, LoadError> {
        let pem = fs::read(file).map_err(|error| LoadError::Io(file.to_owned(), error))?;
        let further = read_roots(&pem).map_err(|sentence| LoadError::Mistake(file.to_owned(), sentence))?;
        Ok(Self { file: Some(file.to_owned()), further, is_insecure: false })
    }

    /// Trusts every certificate, so any peer that answers is taken for the server.
    pub fn any_certificate() -> Self {
        Self { is_insecure: true, ..Self::default() }
    }

    /// Whether every certificate is trusted.
    pub fn is_insecure(&self) -> bool {
        self.is_insecure
    }

    /// The same as command line options, each with a space before it.
    pub(crate) fn as_options(&self) -> String {
        let file = self.file.as_deref().map(|file| format!(" --ca {}", quoted(&file.display().to_string())));
        let insecure = if self.is_insecure { " --insecure" } else { "" };
        file.unwrap_or_default() + insecure
    }

    /// The TLS configuration that all connections share.
    #[doc(hidden)]
    pub fn config(&self) -> Arc<ClientConfig> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("ring has cipher suites for both versions");
        let builder = if self.is_insecure {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        } else {
            builder.with_root_certificates(self.roots())
        };
        let mut config = builder.with_no_client_auth();
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        // The clients of a load are independent: none resumes another's session.
        config.resumption = Resumption::disabled();
        Arc::new(config)
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        // Without root certificates no certificate is trusted. A broken root does not affect the others.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots.add_parsable_certificates(self.further.iter().cloned());
        roots
    }
}

/// The certificates in a PEM text; an error if one of them cannot be a root.
fn read_roots(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = read.map_err(|error| match error {
        PemError::MissingSectionEnd { .. } => {
            "a certificate in it has no end (-----END CERTIFICATE-----)".to_owned()
        }
        PemError::IllegalSectionStart { line } => {
            format!("a section in it begins with {:?}", String::from_utf8_lossy(&line))
        }
        error => error.to_string(),
    })?;
    if found.is_empty() {
        return Err("it holds no certificate in PEM (-----BEGIN CERTIFICATE-----)".to_owned());
    }
    let mut roots = RootCertStore::empty();
    let added = found.iter().cloned().try_for_each(|root| roots.add(root));
    added.map_err(|error| format!("one of its certificates cannot be a root: {error}"))?;
    Ok(found)
}

/// TLS settings for one server.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    pub(crate) config: Arc<ClientConfig>,
    /// The name that its certificate must have.
    pub(crate) name: ServerName<'static>,
    pub(crate) is_insecure: bool,
}

impl Tls {
    /// TLS to the server with this name or address.
    ///
    /// # Errors
    ///
    /// A sentence: no certificate can have this name.
    pub(crate) fn to(host: &str, trust: &Trust) -> Result<Self, String> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| format!("no certificate can be for {host:?}: {error}"))?;
        Ok(Self { config: trust.config(), name, is_insecure: trust.is_insecure })
    }
}

/// A sentence about a failed TLS handshake and what to do about it; `None` if the error is not one of TLS. `host`
/// is the name in the URL.
pub fn explain(host: &str, error: &io::Error) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    Some(match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => format!(
            "the certificate of {host} is from an issuer that is not known here; name the issuer's own certificate \
             with --ca FILE, or accept any certificate with --insecure"
        ),
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => format!(
            "the certificate of the server is not for {host} ({error}); use a name that it is for in the URL, or \
             accept any certificate with --insecure"
        ),
        Error::InvalidCertificate(_) => format!(
            "the certificate of {host} is not accepted ({error}); replace it, or accept any certificate with \
             --insecure"
        ),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            format!("the peer at {host} does not speak TLS; if the server has no TLS, write ws://")
        }
        error => format!("no TLS with {host}: {error}"),
    })
}

/// Whether a repeated handshake would fail again: the certificate is not trusted, or the peer does not speak TLS.
/// After any other error the server may just be starting.
pub fn is_final(error: &io::Error) -> bool {
    matches!(
        error.get_ref().and_then(|error| error.downcast_ref::<Error>()),
        Some(Error::InvalidCertificate(_) | Error::InvalidMessage(InvalidMessage::InvalidContentType))
    )
}

/// Accepts every certificate, if the peer has its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_a_list_of_roots_is_refused_with_a_reason() {
        for (text, expected) in [
            ("", "no certificate"),
            ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no certificate"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n", "has no end"),
            ("-----BEGIN CERTIFICATE\nAAAA\n", "begins with \"-----BEGIN CERTIFICATE"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be a root"),
        ] {
            let sentence = read_roots(text.as_bytes()).unwrap_err();
            assert!(sentence.contains(expected), "{text}: {sentence}");
        }
        let missing = Trust::with_roots_of(Path::new("/there/is/no/such/file"));
        assert!(matches!(missing, Err(LoadError::Io(..))), "{missing:?}");
    }

    #[test]
    fn trust_is_rendered_as_command_line_options() {
        assert_eq!(Trust::default().as_options(), "");
        assert_eq!(Trust::any_certificate().as_options(), " --insecure");
        let trust = Trust { file: Some("my roots.pem".into()), ..Trust::default() };
        assert_eq!(trust.as_options(), " --ca 'my roots.pem'");
    }

    #[test]
    fn a_host_that_no_certificate_can_name_is_refused() {
        let sentence = Tls::to("-", &Trust::default()).unwrap_err();
        assert!(sentence.contains("\"-\""), "{sentence}");
        assert!(Tls::to("::1", &Trust::any_certificate()).unwrap().is_insecure);
    }

    #[test]
    fn only_errors_that_a_retry_cannot_fix_are_final() {
        let of = |error: Error| is_final(&io::Error::new(io::ErrorKind::InvalidData, error));
        assert!(of(Error::InvalidCertificate(CertificateError::UnknownIssuer)));
        assert!(of(Error::InvalidMessage(InvalidMessage::InvalidContentType)));
        assert!(!of(Error::AlertReceived(rustls::AlertDescription::InternalError)));
        assert!(!is_final(&io::ErrorKind::ConnectionReset.into()));
    }
}
