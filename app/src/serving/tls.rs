//! TLS for the API, with certificates that are replaced while it serves.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::aside::Aside;

/// How often the files are read. Kubernetes itself takes up to a minute to bring a renewed Secret
/// to a pod.
const RELOAD_INTERVAL: Duration = Duration::from_secs(2);
/// How long reading them may take.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// The files of the certificate and its key, in PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate, followed by the intermediate certificates.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// A file does not hold what it should, in PEM.
    #[error("{}: {error}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// The parser's error.
        error: rustls::pki_types::pem::Error,
    },
    /// Certificate and key do not match, or are of an unsupported kind.
    #[error("certificate and key cannot be used: {0}")]
    Refused(#[from] rustls::Error),
}

/// The contents of both files.
#[derive(PartialEq, Eq)]
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl TlsFiles {
    fn read(&self) -> Result<Contents, TlsError> {
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|error| TlsError::File {
                path: path.clone(),
                error,
            })
        };
        Ok(Contents {
            certificate: read(&self.certificate)?,
            key: read(&self.key)?,
        })
    }

    fn parse(&self, contents: &Contents) -> Result<Arc<ServerConfig>, TlsError> {
        let wrong = |path: &PathBuf| {
            let path = path.clone();
            move |error| TlsError::Pem { path, error }
        };
        let certificates = CertificateDer::pem_slice_iter(&contents.certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(wrong(&self.certificate))?;
        let key = PrivateKeyDer::from_pem_slice(&contents.key).map_err(wrong(&self.key))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(certificates, key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// Does TLS handshakes with the newest certificate.
#[derive(Debug, Clone)]
pub struct Tls(watch::Receiver<Arc<ServerConfig>>);

impl Tls {
    /// Reads the files, and reads them again while the service runs. Open connections keep the
    /// certificate that they began with.
    ///
    /// # Errors
    /// When the files cannot be used now. Later, the last good ones stay in use and the log
    /// reports why.
    pub fn start(files: TlsFiles) -> Result<Self, TlsError> {
        let contents = files.read()?;
        let (sender, receiver) = watch::channel(files.parse(&contents)?);
        tokio::spawn(replace(files, contents, sender));
        Ok(Self(receiver))
    }

    /// Does the handshake.
    ///
    /// # Errors
    /// When the client closes the connection or does not speak TLS.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let config = self.0.borrow().clone();
        TlsAcceptor::from(config).accept(stream).await
    }
}

/// Sends a new configuration whenever the files change and can be used.
async fn replace(files: TlsFiles, current: Contents, sender: watch::Sender<Arc<ServerConfig>>) {
    let mut current = Arc::new(current);
    let mut reported = String::new();
    let aside = Aside::default();
    while !sender.is_closed() {
        tokio::time::sleep(RELOAD_INTERVAL).await;
        // Not on a thread that serves: a file may be on a network that hangs, and parsing takes long for one request.
        let read = aside.run(READ_TIMEOUT, {
            let (files, current) = (files.clone(), current.clone());
            move || {
                let contents = files.read()?;
                if contents == *current {
                    return Ok(None);
                }
                let config = files.parse(&contents)?;
                Ok(Some((Arc::new(contents), config)))
            }
        });
        let path = files.certificate.clone();
        let read = read.await.map_err(|error| TlsError::File { path, error });
        let newer = read.and_then(|newer| newer);
        let newer = newer.map(|newer| {
            if let Some((contents, config)) = newer {
                current = contents;
                tracing::info!("the certificate was replaced");
                sender.send_replace(config);
            }
        });
        match newer {
            Ok(()) => reported.clear(),
            // The two files never change at the same instant: a mismatch may be gone the next time.
            Err::<(), TlsError>(error) if error.to_string() != reported => {
                reported = error.to_string();
                tracing::warn!(%error, "keeping the old certificate");
            }
            Err(_) => {}
        }
    }
}
