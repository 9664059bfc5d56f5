//! An OpenID Connect issuer on the loopback, with selectable faults.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

/// How the issuer behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    Well,
    /// Closes connections unanswered.
    Down,
    /// Accepts requests and does not answer.
    Hangs,
    /// 500.
    Fails,
    /// The key set is a web page.
    Babbles,
    /// The key set is empty.
    Empty,
    /// The key set is over any limit.
    Huge,
    /// The key set is cut off.
    Cut,
    /// Redirects to itself.
    Redirects,
    /// The discovery document names another issuer.
    Impostor,
}

struct State {
    behaviour: Behaviour,
    keys: Vec<Value>,
}

/// A running issuer.
pub struct Issuer {
    pub url: String,
    state: Arc<Mutex<State>>,
    fetches: Arc<AtomicUsize>,
}

impl Issuer {
    /// Serves these keys.
    pub fn start(keys: Vec<Value>) -> Self {
        Self::serve(keys, "http://127.0.0.1", None)
    }

    /// Serves these keys over TLS, with a certificate of its own that is written to `ca_file`.
    pub fn start_tls(keys: Vec<Value>, ca_file: &Path) -> Self {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(ca_file, own.cert.pem()).unwrap();
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .unwrap();
        Self::serve(keys, "https://localhost", Some(Arc::new(config)))
    }

    fn serve(keys: Vec<Value>, origin: &str, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let issuer = Self {
            url: format!("{origin}:{port}/realms/test"),
            state: Arc::new(Mutex::new(State {
                behaviour: Behaviour::Well,
                keys,
            })),
            fetches: Arc::default(),
        };
        let (url, state, fetches) = (
            issuer.url.clone(),
            issuer.state.clone(),
            issuer.fetches.clone(),
        );
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (url, state, fetches) = (url.clone(), state.clone(), fetches.clone());
                let tls = tls.clone();
                std::thread::spawn(move || {
                    // A client that disconnects is no error.
                    let _ = match tls {
                        Some(config) => {
                            let connection = ServerConnection::new(config).unwrap();
                            let mut stream = StreamOwned::new(connection, stream);
                            answer(&mut stream, &url, &state, &fetches)
                        }
                        None => answer(&mut { stream }, &url, &state, &fetches),
                    };
                });
            }
        });
        issuer
    }

    pub fn behave(&self, behaviour: Behaviour) {
        self.state.lock().unwrap().behaviour = behaviour;
    }

    /// Publishes other keys from now on.
    pub fn rotate(&self, keys: Vec<Value>) {
        self.state.lock().unwrap().keys = keys;
    }

    /// Number of fetches of the keys: each begins with the discovery document.
    pub fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }
}

fn answer(
    stream: &mut (impl Read + Write),
    url: &str,
    state: &Mutex<State>,
    fetches: &AtomicUsize,
) -> std::io::Result<()> {
    let (behaviour, keys) = {
        let state = state.lock().unwrap();
        (state.behaviour, json!({ "keys": state.keys }).to_string())
    };
    let target = read_target(stream)?;
    let discovery = target == "/realms/test/.well-known/openid-configuration";
    if discovery {
        fetches.fetch_add(1, Ordering::SeqCst);
    }
    let own = json!({"issuer": url, "jwks_uri": format!("{url}/keys?of=all")}).to_string();
    let other = json!({"issuer": "http://127.0.0.1", "jwks_uri": format!("{url}/keys?of=all")});
    let (status, body) = match (behaviour, discovery) {
        (Behaviour::Down, _) => return Ok(()),
        (Behaviour::Hangs, _) => {
            std::thread::sleep(Duration::from_secs(30));
            return Ok(());
        }
        (Behaviour::Fails, _) => ("500 Internal Server Error", own),
        (Behaviour::Redirects, _) => ("302 Found", own),
        (Behaviour::Impostor, true) => ("200 OK", other.to_string()),
        (_, true) => ("200 OK", own),
        (Behaviour::Babbles, false) => ("200 OK", "<html>".into()),
        (Behaviour::Empty, false) => ("200 OK", r#"{"keys":[]}"#.into()),
        (Behaviour::Huge, false) => ("200 OK", format!("{keys}{}", " ".repeat(1 << 20))),
        (_, false) if target == "/realms/test/keys?of=all" => ("200 OK", keys),
        _ => ("404 Not Found", String::new()),
    };
    let length = body.len() + usize::from(behaviour == Behaviour::Cut);
    write!(
        stream,
        "HTTP/1.1 {status}\r\nlocation: {target}\r\ncontent-length: {length}\r\n\r\n{body}"
    )?;
    stream.flush()
}

fn read_target(stream: &mut impl Read) -> std::io::Result<String> {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while !head.ends_with(b"\r\n\r\n") {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(&buffer[..count]);
    }
    let head = String::from_utf8(head).unwrap();
    Ok(head.split(' ').nth(1).unwrap().to_owned())
}
