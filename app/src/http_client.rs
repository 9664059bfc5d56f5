//! The HTTP client: how the issuer's keys are fetched, backups kept in a bucket, and traces sent. TLS is rustls with ring.
//!
//! Each exchange has a connection of its own, which is closed afterwards: there are two documents every
//! ten minutes, and objects come in large parts. A pool of connections and HTTP/2 would only make the program larger.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{Either, select};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper::service::Service as _;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use url::{Position, Url};

use crate::aside::Aside;

/// The longest time for one document, from the lookup of the name to the last byte.
pub const DEADLINE: Duration = Duration::from_secs(5);
/// The largest document, in bytes.
const MAX_BODY: usize = 256 << 10;

/// Why a document could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No answer within the deadline.
    #[error("no answer within {DEADLINE:?}")]
    Timeout,
    /// The connection, TLS included, failed.
    #[error("{0}")]
    Connection(String),
    /// The answer is not HTTP, or is incomplete.
    #[error("{0}")]
    Http(#[from] hyper::Error),
    /// The answer is not a success.
    #[error("the answer is {0}")]
    Status(StatusCode),
    /// The answer is over the limit.
    #[error("the answer is over {0} bytes")]
    TooLarge(usize),
    /// The URL cannot be requested.
    #[error("the URL is invalid: {0}")]
    Url(#[from] http::Error),
    /// The certificates of the authorities cannot be used.
    #[error("{0}")]
    Certificates(#[from] InvalidCertificates),
}

/// Why certificates cannot be used; the text names the file.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidCertificates(String);

/// Fetches a JSON document.
///
/// # Errors
/// See [`FetchError`]. Redirects are not followed.
pub async fn get(url: &Url, connector: Connector) -> Result<Bytes, FetchError> {
    tokio::time::timeout(DEADLINE, fetch(url, connector))
        .await
        .map_err(|_| FetchError::Timeout)?
}

async fn fetch(url: &Url, connector: Connector) -> Result<Bytes, FetchError> {
    let answer = exchange(connector, url, request(url)?, MAX_BODY).await?;
    match answer.status() {
        StatusCode::OK => Ok(answer.into_body()),
        status => Err(FetchError::Status(status)),
    }
}

/// Sends a request to the server at `url`; the answer, whose body may have `max_body` bytes. The request has the target
/// of the URL, and its `Host`.
///
/// # Errors
/// See [`FetchError`]. Redirects are not followed, and there is no deadline.
pub async fn exchange(
    connector: Connector,
    url: &Url,
    request: Request<Full<Bytes>>,
    max_body: usize,
) -> Result<Response<Bytes>, FetchError> {
    let uri = Uri::try_from(url.as_str()).map_err(http::Error::from)?;
    let stream = TowerToHyperService::new(connector)
        .call(uri)
        .await
        .map_err(|error| FetchError::Connection(with_sources(&*error)))?;
    let (mut sender, connection) = http1::handshake(stream).await?;
    let answer = Box::pin(async move {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, max_body).collect().await;
        let body = body.map_err(|error| body_error(error, max_body))?;
        Ok(Response::from_parts(head, body.to_bytes()))
    });
    match select(answer, Box::pin(connection)).await {
        Either::Left((answer, _)) => answer,
        // The connection is done; the rest of the answer is in memory.
        Either::Right((_, answer)) => answer.await,
    }
}

fn request(url: &Url) -> Result<Request<Full<Bytes>>, http::Error> {
    let mut request = Request::get(&url[Position::BeforePath..Position::AfterQuery])
        .header(header::ACCEPT, "application/json, application/jwk-set+json")
        .body(Full::default())?;
    add_defaults(url, request.headers_mut())?;
    Ok(request)
}

/// Adds the headers that each request has: whom it is for, and whom it is from.
///
/// # Errors
/// When the URL names no host that a header can have.
pub fn add_defaults(url: &Url, headers: &mut HeaderMap) -> Result<(), http::Error> {
    let host = HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort])?;
    headers.insert(header::HOST, host);
    let agent = HeaderValue::from_static(concat!("hello-app/", env!("CARGO_PKG_VERSION")));
    headers.insert(header::USER_AGENT, agent);
    Ok(())
}

fn body_error(error: Box<dyn Error + Send + Sync>, max_body: usize) -> FetchError {
    match error.downcast::<hyper::Error>() {
        Ok(error) => FetchError::Http(*error),
        Err(error) if error.is::<LengthLimitError>() => FetchError::TooLarge(max_body),
        Err(error) => FetchError::Connection(error.to_string()),
    }
}

/// The error and its causes: the first says only what was tried.
fn with_sources(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}

/// Connects to servers.
pub type Connector = HttpsConnector<HttpConnector>;

/// [`connector`], made `aside`: the certificates are files, which may be on a network that hangs.
///
/// # Errors
/// The same, or when the files are not read within [`DEADLINE`].
pub async fn connector_aside(
    ca_file: Option<PathBuf>,
    aside: &Aside,
) -> Result<Connector, InvalidCertificates> {
    let file = ca_file.clone();
    let made = aside.run(DEADLINE, move || connector(file.as_deref()));
    made.await.unwrap_or_else(|error| {
        let files = ca_file.map_or_else(
            || "the certificates of the system".into(),
            |file| file.display().to_string(),
        );
        Err(InvalidCertificates(format!("{files}: {error}")))
    })
}

/// Connects with TLS or without, as the URL says. Trusts the certificates in `ca_file`, or those of the
/// system. It is made again for each fetch of an issuer's keys, because certificates change.
///
/// # Errors
/// When the file cannot be read or holds no certificate.
pub fn connector(ca_file: Option<&Path>) -> Result<Connector, InvalidCertificates> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    Ok(HttpsConnector::from((http, tls_config(ca_file)?)))
}

fn tls_config(ca_file: Option<&Path>) -> Result<ClientConfig, InvalidCertificates> {
    let roots = match ca_file {
        Some(file) => roots_in_file(file)?,
        None => system_roots(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| InvalidCertificates(error.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Checks that `file` holds certificates.
///
/// # Errors
/// When it cannot be read or holds none; the text says which.
pub fn check_ca_file(file: &Path) -> Result<(), String> {
    roots_in_file(file)
        .map(drop)
        .map_err(|InvalidCertificates(text)| text)
}

fn roots_in_file(file: &Path) -> Result<RootCertStore, InvalidCertificates> {
    let failed =
        |error: &dyn std::fmt::Display| InvalidCertificates(format!("{}: {error}", file.display()));
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

/// The certificates of the system; where it has none, Mozilla's, which are built in.
fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_name_the_host_and_the_path_alone() {
        for (url, host, target) in [
            ("https://id.example/keys?a=b", "id.example", "/keys?a=b"),
            ("https://id.example:443", "id.example", "/"),
            ("http://id.example:8080/a", "id.example:8080", "/a"),
            ("http://[::1]:80/a#b", "[::1]", "/a"),
            ("http://user:secret@[::1]:81/", "[::1]:81", "/"),
        ] {
            let request = request(&url.parse().unwrap()).unwrap();
            assert_eq!(request.headers()["host"], host);
            assert_eq!(request.uri().to_string(), target);
        }
    }

    #[test]
    fn causes_are_reported_once_each() {
        #[derive(Debug, thiserror::Error)]
        #[error("tcp connect error")]
        struct Outer(#[source] std::io::Error);
        let refused = || std::io::Error::other("refused");
        assert_eq!(
            with_sources(&Outer(refused())),
            "tcp connect error: refused"
        );
        assert_eq!(with_sources(&std::io::Error::other(refused())), "refused");
    }

    /// The test would hang with the thread.
    #[tokio::test]
    async fn certificates_in_a_pipe_that_nobody_writes_hold_up_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("ca.crt");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let aside = Aside::default();
        let connector = connector_aside(Some(pipe.clone()), &aside);
        let waited = tokio::time::timeout(Duration::from_millis(10), connector).await;
        assert!(waited.is_err());
        // The reader, once it is there, gets the end of the file.
        let writer = tokio::task::spawn_blocking(|| std::fs::File::create(pipe));
        writer.await.unwrap().unwrap();
    }

    #[test]
    fn certificates_are_read_from_the_file_or_refused_by_its_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = connector(Some(file.path())).unwrap_err().to_string();
        assert!(error.contains("holds no certificate"), "{error}");
        assert!(
            error.contains(&file.path().display().to_string()),
            "{error}"
        );
        assert!(connector(Some(Path::new("/nonexistent"))).is_err());
        assert!(connector(None).is_ok());
    }
}
