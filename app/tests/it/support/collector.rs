//! An OTLP collector on the loopback: receives spans over HTTP and keeps them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::authority::Certified;

/// One export.
#[derive(Debug, Clone)]
pub struct Export {
    /// The request line and the headers.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

/// A running collector.
pub struct Collector {
    pub url: String,
    exports: Arc<Mutex<Vec<Export>>>,
    overloaded: Arc<AtomicBool>,
}

impl Collector {
    pub fn start() -> Self {
        Self::serve("http://127.0.0.1", None)
    }

    /// Receives spans over TLS, as `localhost`.
    pub fn start_tls(certified: &Certified) -> Self {
        let certificate = CertificateDer::from_pem_slice(certified.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(certified.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        Self::serve("https://localhost", Some(Arc::new(config)))
    }

    fn serve(origin: &str, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let collector = Self {
            url: format!("{origin}:{}", listener.local_addr().unwrap().port()),
            exports: Arc::default(),
            overloaded: Arc::default(),
        };
        let (exports, overloaded) = (collector.exports.clone(), collector.overloaded.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (exports, overloaded) = (exports.clone(), overloaded.clone());
                let tls = tls.clone();
                // A client that disconnects is no error.
                std::thread::spawn(move || match tls {
                    None => take(BufReader::new(stream), &exports, &overloaded),
                    Some(config) => {
                        let session = ServerConnection::new(config).unwrap();
                        let stream = StreamOwned::new(session, stream);
                        take(BufReader::new(stream), &exports, &overloaded)
                    }
                });
            }
        });
        collector
    }

    /// From now on spans are refused as unavailable, or accepted again.
    pub fn overload(&self, overloaded: bool) {
        self.overloaded.store(overloaded, Ordering::SeqCst);
    }

    pub fn exports(&self) -> Vec<Export> {
        self.exports.lock().unwrap().clone()
    }

    /// All spans so far, with the attributes of their resource.
    pub fn spans(&self) -> Vec<(Vec<KeyValue>, Span)> {
        let mut spans = Vec::new();
        for export in self.exports() {
            let request = ExportTraceServiceRequest::decode(&*export.body).unwrap();
            for resource in request.resource_spans {
                let attributes = resource.resource.unwrap().attributes;
                let own = resource
                    .scope_spans
                    .into_iter()
                    .flat_map(|scope| scope.spans);
                spans.extend(own.map(|span| (attributes.clone(), span)));
            }
        }
        spans
    }
}

/// The attribute of that name, as text.
pub fn attribute(attributes: &[KeyValue], name: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == name)?;
    match found.value.clone()?.value? {
        Value::StringValue(text) => Some(text),
        Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{name} is {other:?}"),
    }
}

/// Reads requests until the connection ends.
fn take(
    mut stream: BufReader<impl Read + Write>,
    exports: &Mutex<Vec<Export>>,
    overloaded: &AtomicBool,
) -> std::io::Result<()> {
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let head = head.to_lowercase();
        let length = head.split("content-length: ").nth(1).unwrap();
        let mut body = vec![0; length.lines().next().unwrap().parse().unwrap()];
        stream.read_exact(&mut body)?;
        let status = if overloaded.load(Ordering::SeqCst) {
            "503 Service Unavailable"
        } else {
            exports.lock().unwrap().push(Export { head, body });
            "200 OK"
        };
        write!(
            stream.get_mut(),
            "HTTP/1.1 {status}\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n"
        )?;
    }
}
