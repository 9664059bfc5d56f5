//! An S3 server, and a proxy before it that breaks requests in every way a store can.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::authority::Certified;
use super::{eventually, postgres, program};

pub const KEY_ID: &str = "key-of-the-tests";
pub const KEY: &str = "secret-of-the-tests";
pub const BUCKET: &str = "backups";

/// A running server with one bucket. Its objects are files in a folder.
pub struct Server {
    pub port: u16,
    child: Child,
    folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts one, with TLS where there is a certificate.
    pub fn start(certified: Option<&Certified>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["objects", "objects/backups", "attributes"] {
            std::fs::create_dir(path(name)).unwrap();
        }
        let port = postgres::free_port();
        let mut command = Command::new(program("s3-server"));
        command
            .args(["--port", &format!("127.0.0.1:{port}"), "--quiet"])
            .args(["--access", KEY_ID, "--secret", KEY]);
        if let Some(certified) = certified {
            std::fs::write(path("certificate"), &certified.certificate).unwrap();
            std::fs::write(path("key"), &certified.key).unwrap();
            command.arg("--cert").arg(path("certificate"));
            command.arg("--key").arg(path("key"));
        }
        // Attributes apart, so that the file system need not have them.
        command.args(["posix", "--sidecar"]).arg(path("attributes"));
        let child = command
            .arg(path("objects"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self {
            port,
            child,
            folder,
        };
        eventually("the S3 server starts", Duration::from_secs(30), || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        server
    }

    /// The file of an object.
    pub fn object(&self, key: &str) -> PathBuf {
        self.folder.path().join("objects").join(BUCKET).join(key)
    }

    /// The keys of all objects.
    pub fn keys(&self) -> Vec<String> {
        let bucket = self.object("");
        files_in(&bucket)
            .iter()
            .map(|path| path.strip_prefix(&bucket).unwrap().display().to_string())
            .filter(|key| !key.starts_with(".sgwtmp"))
            .collect()
    }

    /// The parts of uploads that are not finished.
    pub fn parts(&self) -> Vec<PathBuf> {
        files_in(&self.object(".sgwtmp/multipart"))
    }

    /// Makes everything two days older.
    pub fn age(&self) {
        let status = Command::new("find")
            .arg(self.object(""))
            .args(["-exec", "touch", "--date=2 days ago", "{}", "+"])
            .status();
        assert!(status.unwrap().success());
    }
}

/// The files in a folder and below, in order.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_in(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// A request as the proxy sees it.
pub struct Seen {
    /// Method, path and query.
    pub line: String,
    /// The whole head.
    pub head: String,
}

/// What the proxy does with a request.
pub enum Action {
    /// Nothing special.
    Pass,
    /// Answers with this status and body itself.
    Answer(u16, &'static str),
    /// The same, later.
    Late(Duration, u16),
    /// Closes the connection before anything is answered.
    Cut,
    /// The request arrives, its answer does not.
    Lose,
    /// Half of the answer's body arrives.
    Halve,
    /// One bit of the answer's body is another.
    Flip,
}

type Rule = Box<dyn FnMut(&Seen) -> Action + Send>;

/// A proxy before one server.
pub struct Proxy {
    pub address: SocketAddr,
    rule: Arc<Mutex<Rule>>,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    pub fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            rule: Arc::new(Mutex::new(Box::new(|_| Action::Pass))),
            lines: Arc::default(),
        };
        let (rule, lines) = (proxy.rule.clone(), proxy.lines.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (rule, lines) = (rule.clone(), lines.clone());
                // A client that is killed breaks the connection.
                std::thread::spawn(move || forward(client, server, &rule, &lines));
            }
        });
        proxy
    }

    /// Follows this rule from now on.
    pub fn set(&self, rule: impl FnMut(&Seen) -> Action + Send + 'static) {
        *self.rule.lock().unwrap() = Box::new(rule);
    }

    /// The requests since this was last asked.
    pub fn lines(&self) -> Vec<String> {
        std::mem::take(&mut self.lines.lock().unwrap())
    }
}

fn forward(
    mut client: TcpStream,
    server: u16,
    rule: &Mutex<Rule>,
    lines: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let (head, request) = read_request(&mut client)?;
    let line = head.lines().next().unwrap_or_default();
    let line = line.trim_end_matches(" HTTP/1.1").to_owned();
    lines.lock().unwrap().push(line.clone());
    let action = (rule.lock().unwrap())(&Seen { line, head });
    let pass = || {
        let mut server = TcpStream::connect(("127.0.0.1", server))?;
        server.write_all(&request)?;
        let mut answer = Vec::new();
        // The server closes the connection after each answer.
        server.read_to_end(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = match action {
        Action::Pass => pass()?,
        Action::Answer(status, body) => own_answer(status, body),
        Action::Late(delay, status) => {
            std::thread::sleep(delay);
            own_answer(status, "")
        }
        Action::Cut => return Ok(()),
        Action::Lose => {
            pass()?;
            return Ok(());
        }
        Action::Halve => {
            let mut answer = pass()?;
            let body = body_of(&answer);
            answer.truncate(body + (answer.len() - body) / 2);
            answer
        }
        Action::Flip => {
            let mut answer = pass()?;
            let body = body_of(&answer);
            let middle = body + (answer.len() - body) / 2;
            answer[middle] ^= 1;
            answer
        }
    };
    client.write_all(&answer)?;
    client.shutdown(Shutdown::Write)
}

fn own_answer(status: u16, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} As asked\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

/// Where the body of a message begins.
fn body_of(message: &[u8]) -> usize {
    let end = message.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    end.map_or(message.len(), |end| end + 4)
}

/// The head of a request, and all of it.
fn read_request(client: &mut TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let (mut request, mut bytes) = (Vec::new(), [0; 64 << 10]);
    loop {
        let body = body_of(&request);
        if request[..body].ends_with(b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&request[..body]).to_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if request.len() - body >= length.unwrap_or(0) {
                let head = String::from_utf8_lossy(&request[..body]).into_owned();
                return Ok((head, request));
            }
        }
        match client.read(&mut bytes)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            count => request.extend_from_slice(&bytes[..count]),
        }
    }
}
