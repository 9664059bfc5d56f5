//! The operator as a process, seen from outside.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal};
use serde_json::json;

use crate::server::{Server, free_port};

/// A running operator; it ends when this is dropped.
pub struct Operator {
    child: Child,
    listen: SocketAddr,
    api_port: u16,
    _folder: tempfile::TempDir,
}

/// Its metrics.
pub struct Metrics(String);

impl Operator {
    /// Starts the operator for the whole cluster.
    pub fn start(server: &Server) -> Self {
        Self::start_at(server, &server.url)
    }

    /// Starts one whose metrics name the services, as its alerts need it.
    pub fn start_with_names(server: &Server) -> Self {
        let variables = [("HELLO_METRICS_NAMES", "true")];
        Self::launch(&server.url, server, &server.token, &variables)
    }

    /// Starts one that reaches the server under another address.
    pub fn start_at(server: &Server, url: &str) -> Self {
        Self::launch(url, server, &server.token, &[])
    }

    /// Starts one of several replicas for the namespace in which they elect their leader, as a user of its own.
    /// It reaches the API server at `url`.
    pub fn start_replica(url: &str, server: &Server, user: &str, namespace: &str) -> Self {
        let variables = [
            ("POD_NAME", user),
            ("POD_NAMESPACE", namespace),
            ("WATCH_NAMESPACE", namespace),
        ];
        Self::launch(url, server, &server.token_of(user), &variables)
    }

    fn launch(url: &str, server: &Server, token: &str, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        let content = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "bench",
            "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
            "clusters": [{"name": "bench", "cluster": {"server": url, "tls-server-name": "127.0.0.1",
                "certificate-authority": server.certificate()}}],
            "users": [{"name": "bench", "user": {"token": token}}],
        });
        fs::write(&kubeconfig, content.to_string()).unwrap();
        let listen = SocketAddr::from(([127, 0, 0, 1], free_port()));
        // The benchmark passes the release program.
        let program = std::env::var_os("HELLO_OPERATOR_PROGRAM")
            .unwrap_or_else(|| env!("CARGO_BIN_EXE_hello-operator").into());
        let child = Command::new(program)
            .arg("run")
            .env_clear()
            .env("KUBECONFIG", &kubeconfig)
            .env("HELLO_OPERATOR_LISTEN", listen.to_string())
            .env("HELLO_LOG_LEVEL", "error")
            .env("HELLO_LOG_FORMAT", "json")
            .envs(variables.iter().copied())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            child,
            listen,
            api_port: url.rsplit(':').next().unwrap().parse().unwrap(),
            _folder: folder,
        }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.listen
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its exit status, once it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    fn get(&self, path: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(self.listen)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// Whether it has read the list of resources.
    pub fn is_ready(&self) -> bool {
        self.get("/readyz")
            .is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    /// Its metrics now; empty while it starts.
    pub fn metrics(&self) -> Metrics {
        Metrics(self.get("/metrics").unwrap_or_default())
    }

    /// Resident memory in MiB: `VmRSS` is now, `VmHWM` the most so far.
    pub fn memory(&self, field: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
            .unwrap();
        let kib: f64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        kib / 1024.0
    }

    /// Connections to the API server.
    pub fn connections(&self) -> usize {
        let process = format!("/proc/{}", self.child.id());
        let sockets: Vec<String> = fs::read_dir(format!("{process}/fd"))
            .unwrap()
            .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
            .filter_map(|link| {
                let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
                Some(inode.to_owned())
            })
            .collect();
        let remote = format!(":{:04X}", self.api_port);
        fs::read_to_string(format!("{process}/net/tcp"))
            .unwrap()
            .lines()
            .filter(|line| {
                let fields: Vec<&str> = line.split_whitespace().collect();
                fields[2].ends_with(&remote) && sockets.iter().any(|inode| inode == fields[9])
            })
            .count()
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Metrics {
    /// Sum over all series of a metric whose labels contain one of these texts.
    pub fn sum(&self, metric: &str, labels: &[&str]) -> u64 {
        self.0
            .lines()
            .filter_map(|line| line.strip_prefix(metric))
            .filter(|rest| rest.starts_with(['{', ' ']))
            .filter(|rest| labels.is_empty() || labels.iter().any(|label| rest.contains(label)))
            .filter_map(|rest| rest.rsplit(' ').next()?.parse::<u64>().ok())
            .sum()
    }

    /// Calls to the API server.
    pub fn calls(&self) -> u64 {
        self.sum("hello_operator_api_calls_total", &[])
    }

    /// Writes to the API server, events excepted.
    pub fn writes(&self) -> u64 {
        let verbs = [
            "\"create\"",
            "\"update\"",
            "\"scale\"",
            "\"delete\"",
            "\"status\"",
        ];
        self.sum("hello_operator_api_calls_total", &verbs)
    }

    /// Reconciles that ended.
    pub fn reconciles(&self) -> u64 {
        self.sum("hello_operator_reconciles_total", &[])
    }
}
