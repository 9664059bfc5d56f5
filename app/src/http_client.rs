//! A bounded GET, over TLS or not: all that is needed of an HTTP client.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{Either, select};
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

/// The longest that one document may take, from the name's lookup to the last byte.
pub const DEADLINE: Duration = Duration::from_secs(5);
/// The largest document, in bytes.
const MAX_BODY: usize = 256 << 10;

/// Why a document was not got.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No answer within the deadline.
    #[error("no answer within {DEADLINE:?}")]
    Timeout,
    /// The connection, TLS included, failed.
    #[error("{0}")]
    Connection(#[from] io::Error),
    /// The answer is not HTTP, or was cut off.
    #[error("{0}")]
    Http(#[from] hyper::Error),
    /// The answer is not a success.
    #[error("the answer is {0}")]
    Status(StatusCode),
    /// The answer is over the limit.
    #[error("the answer is over {MAX_BODY} bytes")]
    TooLarge,
    /// The URL has no host, or one that TLS has no name for.
    #[error("the URL names no host")]
    NoHost,
    /// The trusted certificates cannot be read.
    #[error("{0}")]
    Certificates(String),
}

/// Gets a JSON document. `ca_file` replaces the system's certificates.
///
/// # Errors
/// See [`FetchError`]. Redirections are not followed.
pub async fn get(url: &Url, ca_file: Option<&Path>) -> Result<Bytes, FetchError> {
    tokio::time::timeout(DEADLINE, exchange(url, ca_file))
        .await
        .map_err(|_| FetchError::Timeout)?
}

async fn exchange(url: &Url, ca_file: Option<&Path>) -> Result<Bytes, FetchError> {
    let stream = connect(url, ca_file).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answer = Box::pin(async move {
        let response = sender.send_request(request(url)?).await?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), MAX_BODY);
        Ok(body.collect().await.map_err(body_error)?.to_bytes())
    });
    match select(answer, Box::pin(connection)).await {
        Either::Left((answer, _)) => answer,
        // Done with the connection; the rest of the answer is at hand.
        Either::Right((_, answer)) => answer.await,
    }
}

fn request(url: &Url) -> Result<Request<Empty<Bytes>>, FetchError> {
    let host = url.host_str().ok_or(FetchError::NoHost)?;
    let authority = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.into(),
    };
    let target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().into(),
    };
    Request::get(target)
        .header(header::HOST, authority)
        .header(header::ACCEPT, "application/json, application/jwk-set+json")
        .header(
            header::USER_AGENT,
            concat!("hello-app/", env!("CARGO_PKG_VERSION")),
        )
        .body(Empty::new())
        .map_err(|_| FetchError::NoHost)
}

fn body_error(error: Box<dyn std::error::Error + Send + Sync>) -> FetchError {
    match error.downcast::<hyper::Error>() {
        Ok(error) => FetchError::Http(*error),
        Err(error) if error.is::<LengthLimitError>() => FetchError::TooLarge,
        Err(error) => io::Error::other(error).into(),
    }
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

async fn connect(url: &Url, ca_file: Option<&Path>) -> Result<Box<dyn Io>, FetchError> {
    let port = url.port_or_known_default().ok_or(FetchError::NoHost)?;
    let (name, stream) = match url.host().ok_or(FetchError::NoHost)? {
        Host::Domain(name) => {
            let server = ServerName::try_from(name.to_owned());
            (server.ok(), TcpStream::connect((name, port)).await?)
        }
        Host::Ipv4(address) => (
            Some(ServerName::IpAddress(address.into())),
            TcpStream::connect((address, port)).await?,
        ),
        Host::Ipv6(address) => (
            Some(ServerName::IpAddress(address.into())),
            TcpStream::connect((address, port)).await?,
        ),
    };
    if url.scheme() != "https" {
        return Ok(Box::new(stream));
    }
    let connector = TlsConnector::from(Arc::new(tls_config(ca_file)?));
    let name = name.ok_or(FetchError::NoHost)?;
    Ok(Box::new(connector.connect(name, stream).await?))
}

/// Trusts the certificates in `ca_file`, or the system's. Made anew for each connection: there is
/// one every few minutes, and certificates change.
///
/// # Errors
/// When the file cannot be read or holds none.
pub fn tls_config(ca_file: Option<&Path>) -> Result<ClientConfig, FetchError> {
    let roots = match ca_file {
        Some(file) => own_roots(file).map_err(FetchError::Certificates)?,
        None => system_roots(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| FetchError::Certificates(error.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Whether `file` holds certificates.
///
/// # Errors
/// When it cannot be read or holds none; the text says which.
pub fn check_ca_file(file: &Path) -> Result<(), String> {
    own_roots(file).map(|_| ())
}

fn own_roots(file: &Path) -> Result<RootCertStore, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| failed(&error))? {
        let certificate = certificate.map_err(|error| failed(&error))?;
        roots.add(certificate).map_err(|error| failed(&error))?;
    }
    if roots.is_empty() {
        return Err(failed(&"holds no certificate"));
    }
    Ok(roots)
}

/// The system's certificates; Mozilla's, which are built in, where there are none.
fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}
