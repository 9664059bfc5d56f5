//! The real program, serving on ports of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use super::client::{Answer, Connection};
use super::{LONG, eventually, postgres};

/// The header that every PUT needs.
pub const JSON: (&str, &str) = ("content-type", "application/json");

/// Where the deadline of the database would only measure how busy the machine is: a connection then takes seconds.
pub const ANY_TIME: (&str, &str) = ("HELLO_DATABASE_DEADLINE", "60s");

/// The program with a clean environment. It ends with the thread that starts it.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "--", env!("CARGO_BIN_EXE_hello-app")])
        .args(arguments)
        .env_clear();
    command
}

/// The same for a run that must end: it is killed when it hangs, and so fails its test.
pub fn short_command(arguments: &[&str]) -> Command {
    let inner = command(arguments);
    let mut command = Command::new("timeout");
    command
        .args(["--signal=KILL", "60"])
        .arg(inner.get_program())
        .args(inner.get_args())
        .env_clear();
    command
}

/// A running service.
pub struct App {
    pub api: SocketAddr,
    pub admin: SocketAddr,
    child: Child,
    log: Arc<Mutex<String>>,
    /// The file of an embedded database.
    _folder: Option<tempfile::TempDir>,
}

impl App {
    /// Serves on a fresh PostgreSQL database.
    pub fn postgres() -> Self {
        let url = postgres::shared().url(postgres::OWNER, &postgres::database());
        Self::ready(&[("DATABASE_URL", &url)])
    }

    /// Serves on a fresh SQLite file.
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("hello.db").display());
        let mut app = Self::ready(&[("DATABASE_URL", &url)]);
        app._folder = Some(folder);
        app
    }

    /// Serves with these variables, and waits until it is ready.
    pub fn ready(variables: &[(&str, &str)]) -> Self {
        let app = Self::start(variables);
        eventually("the service is ready", LONG, || {
            app.admin("/readyz").status == 200
        });
        app
    }

    /// Serves with these variables, and waits only until it listens. It has time for the database, unless they say how much.
    pub fn start(variables: &[(&str, &str)]) -> Self {
        let mut child = command(&["serve"])
            .envs([
                ("HELLO_LISTEN", "127.0.0.1:0"),
                ("HELLO_ADMIN_LISTEN", "127.0.0.1:0"),
                ("HELLO_DRAIN_DELAY", "0s"),
                ("HELLO_LOG_FORMAT", "json"),
                ANY_TIME,
            ])
            .envs(variables.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut text = String::new();
        let (api, admin) = loop {
            let Some(line) = lines.next() else {
                panic!("the service did not start: {text}")
            };
            let line = line.unwrap();
            text.push_str(&line);
            text.push('\n');
            if let Some(addresses) = addresses(&line) {
                break addresses;
            }
        };
        let log = Arc::new(Mutex::new(text));
        std::thread::spawn({
            let log = log.clone();
            move || {
                for line in lines.map_while(Result::ok) {
                    let mut log = log.lock().unwrap();
                    log.push_str(&line);
                    log.push('\n');
                }
            }
        });
        Self {
            api,
            admin,
            child,
            log,
            _folder: None,
        }
    }

    /// One request to the API on a connection of its own.
    pub fn request(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        Connection::open(self.api).request(method, target, headers, body)
    }

    pub fn get(&self, target: &str) -> Answer {
        self.request("GET", target, &[], b"")
    }

    pub fn put(&self, target: &str, body: &str) -> Answer {
        self.request("PUT", target, &[JSON], body.as_bytes())
    }

    /// Sets a date of birth.
    pub fn put_date(&self, target: &str, date: &str) -> Answer {
        self.put(target, &format!(r#"{{"dateOfBirth":"{date}"}}"#))
    }

    /// One request to the admin listener.
    pub fn admin(&self, target: &str) -> Answer {
        Connection::open(self.admin).request("GET", target, &[], b"")
    }

    /// The log so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Waits until the program ends.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("log of the service:\n{}", self.log());
        }
    }
}

/// The status of a request that is repeated while it is refused: the embedded database gives each two seconds, which may
/// be too little on a busy machine. One that is refused has done nothing.
pub fn status_at_last(mut ask: impl FnMut() -> Answer) -> u16 {
    let mut status = 503;
    eventually("the request is not refused", LONG, || {
        status = ask().status;
        status != 503
    });
    status
}

/// The addresses in the log line of the listeners.
fn addresses(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let address = |name: &str| line[name].as_str()?.parse().ok();
    Some((address("api")?, address("admin")?))
}
