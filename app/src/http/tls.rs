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

/// How often the files are looked at. Kubernetes itself takes up to a minute to bring a renewed
/// Secret to a pod.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Where the certificate and its key are, in PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate, with those that vouch for it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Why the files are of no use.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// One cannot be read.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// One is not what it should be.
    #[error("{}: {error}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: rustls::pki_types::pem::Error,
    },
    /// They do not belong together, or are of an unknown kind.
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

/// Greets clients with the newest certificate.
#[derive(Debug, Clone)]
pub struct Tls(watch::Receiver<Arc<ServerConfig>>);

impl Tls {
    /// Reads the files, and goes on looking for newer ones. Connections that are open keep what
    /// they began with.
    ///
    /// # Errors
    /// When the files are of no use now; later, the last good ones stay in use and the log tells.
    pub fn start(files: TlsFiles) -> Result<Self, TlsError> {
        let contents = files.read()?;
        let (sender, receiver) = watch::channel(files.parse(&contents)?);
        tokio::spawn(replace(files, contents, sender));
        Ok(Self(receiver))
    }

    /// Does the handshake.
    ///
    /// # Errors
    /// When the client breaks off or speaks something else.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let config = self.0.borrow().clone();
        TlsAcceptor::from(config).accept(stream).await
    }
}

/// Sends a new configuration whenever the files have changed to something of use.
async fn replace(files: TlsFiles, mut current: Contents, sender: watch::Sender<Arc<ServerConfig>>) {
    let mut told = String::new();
    while !sender.is_closed() {
        tokio::time::sleep(LOOK_EVERY).await;
        let newer = files.read().and_then(|contents| {
            if contents == current {
                return Ok(());
            }
            let config = files.parse(&contents)?;
            current = contents;
            tracing::info!("the certificate was replaced");
            sender.send_replace(config);
            Ok(())
        });
        match newer {
            Ok(()) => told.clear(),
            // Both files never change at the same instant: this may pass by itself.
            Err(error) if error.to_string() != told => {
                told = error.to_string();
                tracing::warn!(%error, "keeping the old certificate");
            }
            Err(_) => {}
        }
    }
}
