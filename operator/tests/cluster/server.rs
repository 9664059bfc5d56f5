//! A real API server with its etcd; both end with the process that started them.

use std::{
    fs,
    io::Write,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{OnceLock, mpsc},
    thread,
    time::{Duration, Instant},
};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Client, Config,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams},
};
use rustix::process::{Pid, Signal};

use crate::definitions;

/// A running API server; it ends when this is dropped.
pub struct Server {
    /// Address of the API server.
    pub url: String,
    /// Bearer token of a cluster administrator.
    pub token: String,
    folder: PathBuf,
    /// Process of the API server.
    process: Pid,
    /// The programs end when this is dropped.
    _keeper: mpsc::Sender<()>,
}

/// The server that the tests share, started at the first call.
pub fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(Server::start)
}

/// Folder with the programs etcd and kube-apiserver.
pub fn assets() -> PathBuf {
    if let Some(folder) = std::env::var_os("KUBEBUILDER_ASSETS") {
        return folder.into();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../e2e/kind/cluster");
    let output = Command::new(&script)
        .arg("kube-assets")
        .stderr(Stdio::inherit())
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", script.display()));
    assert!(
        output.status.success(),
        "{} kube-assets failed",
        script.display()
    );
    String::from_utf8(output.stdout).unwrap().trim().into()
}

/// Administrators with names of their own, so that the audit log distinguishes the operators that use them.
pub const REPLICAS: [&str; 2] = ["first", "second"];

/// Only the tests of rights and those of the leader read the log, so only their requests are logged.
const AUDIT_POLICY: &str = "
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
    namespaces: [rights, limited]
  - level: Metadata
    users: [first, second]
    verbs: [create, update, patch, delete]
  - level: None
";

/// A port that nobody listens on now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Writes the files that the API server reads, and returns the administrator's token.
fn write_files(folder: &Path) -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    fs::write(folder.join("account.key"), key.serialize_pem()).unwrap();
    fs::write(folder.join("account.pub"), key.public_key_pem()).unwrap();
    fs::write(folder.join("audit.yaml"), AUDIT_POLICY).unwrap();
    let token = key.serialize_pem().lines().nth(1).unwrap()[..32].replace(['+', '/'], "x");
    let mut tokens = format!("{token},admin,admin,system:masters\n");
    for user in REPLICAS {
        tokens += &format!("{token}-{user},{user},{user},system:masters\n");
    }
    fs::write(folder.join("tokens"), tokens).unwrap();
    token
}

/// etcd and an API server that listens on `port`, each with its arguments.
fn programs(assets: &Path, folder: &Path, port: u16) -> Vec<(PathBuf, Vec<String>)> {
    let (etcd, peer) = (free_port(), free_port());
    let at = |name: &str| folder.join(name).display().to_string();
    vec![
        (
            assets.join("etcd"),
            vec![
                format!("--data-dir={}", at("etcd")),
                format!("--listen-client-urls=http://127.0.0.1:{etcd}"),
                format!("--advertise-client-urls=http://127.0.0.1:{etcd}"),
                format!("--listen-peer-urls=http://127.0.0.1:{peer}"),
                format!("--initial-advertise-peer-urls=http://127.0.0.1:{peer}"),
                format!("--initial-cluster=default=http://127.0.0.1:{peer}"),
                "--unsafe-no-fsync".into(),
                "--log-level=error".into(),
            ],
        ),
        (
            assets.join("kube-apiserver"),
            vec![
                format!("--etcd-servers=http://127.0.0.1:{etcd}"),
                format!("--secure-port={port}"),
                "--bind-address=127.0.0.1".into(),
                format!("--cert-dir={}", at("certificates")),
                format!("--token-auth-file={}", at("tokens")),
                format!("--service-account-key-file={}", at("account.pub")),
                format!("--service-account-signing-key-file={}", at("account.key")),
                "--service-account-issuer=https://kubernetes.default.svc".into(),
                // Two families, so that Services of both kinds can be made.
                "--service-cluster-ip-range=10.0.0.0/16,fd00:10::/112".into(),
                "--authorization-mode=RBAC".into(),
                // As in most clusters: what refuses a pod here is then not the API server itself.
                "--allow-privileged=true".into(),
                format!("--audit-policy-file={}", at("audit.yaml")),
                format!("--audit-log-path={}", at("audit.log")),
                "--audit-log-mode=blocking".into(),
                // The controller that creates service accounts does not run here.
                "--disable-admission-plugins=ServiceAccount".into(),
                "--feature-gates=WatchList=true".into(),
            ],
        ),
    ]
}

fn start() -> Server {
    let assets = assets();
    for program in ["etcd", "kube-apiserver"] {
        assert!(
            assets.join(program).exists(),
            "{program} is not in {}",
            assets.display()
        );
    }
    let folder = tempfile::Builder::new()
        .prefix("hello-api-")
        .tempdir()
        .unwrap()
        .keep();
    let token = write_files(&folder);
    let port = free_port();
    let (keeper, process) = run_until_dropped(programs(&assets, &folder, port), folder.clone());
    let server = Server {
        url: format!("https://127.0.0.1:{port}"),
        token,
        folder,
        process,
        _keeper: keeper,
    };
    server.wait();
    server
}

/// Runs the programs until the returned sender is dropped, and returns the process of the last one. They die with the
/// thread that starts them, so the thread lives as long.
pub fn run_until_dropped(
    programs: Vec<(PathBuf, Vec<String>)>,
    folder: PathBuf,
) -> (mpsc::Sender<()>, Pid) {
    let (started, wait) = mpsc::channel();
    let (keeper, dropped) = mpsc::channel::<()>();
    thread::spawn(move || {
        let mut children: Vec<Child> = Vec::new();
        for (program, arguments) in programs {
            let name = program.file_name().unwrap().to_string_lossy().into_owned();
            let log = fs::File::create(folder.join(format!("{name}.log"))).unwrap();
            let child = Command::new("setpriv")
                .args(["--pdeathsig", "KILL"])
                .arg(program)
                .args(arguments)
                .stdout(log.try_clone().unwrap())
                .stderr(log)
                .spawn()
                .expect("setpriv (util-linux) starts the server");
            children.push(child);
        }
        // The shell removes the folder once this process has ended.
        let cleaner = Command::new("sh")
            .args(["-c", "cat >/dev/null; sleep 1; rm -rf \"$0\""])
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let last = children.last().unwrap().id().try_into().unwrap();
        started.send(Pid::from_raw(last).unwrap()).unwrap();
        // Nothing is ever sent: this returns when the sender is dropped.
        let _ = dropped.recv();
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        drop(cleaner);
    });
    (keeper, wait.recv().unwrap())
}

impl Server {
    /// Starts a server of its own, with the optional APIs.
    pub fn start() -> Self {
        let server = Self::bare();
        thread::spawn(move || {
            server.add_definitions();
            server
        })
        .join()
        .expect("the definitions are installed")
    }

    /// Starts a server of its own, without the optional APIs.
    pub fn bare() -> Self {
        // In a thread of its own: the caller is inside a runtime, where nothing may block on another.
        thread::spawn(start).join().expect("the API server starts")
    }

    /// A client with every right.
    pub fn client(&self) -> Client {
        hello_operator::kubernetes::connection::connect(self.config(&self.url)).unwrap()
    }

    /// Settings of a client that reaches the server under another address.
    pub fn config(&self, url: &str) -> Config {
        let mut config = Config::new(url.parse().unwrap());
        config.auth_info.token = Some(self.token.clone().into());
        config.accept_invalid_certs = true;
        config
    }

    /// Bearer token of one of [`REPLICAS`].
    pub fn token_of(&self, user: &str) -> String {
        format!("{}-{user}", self.token)
    }

    /// File with the certificates that the API server made for itself.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("certificates/apiserver.crt")
    }

    /// Stops the API server's process: connections stay open, and nothing answers.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Continues the process.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.process, signal).unwrap();
    }

    /// Requests in the namespaces `rights` and `limited`, and by [`REPLICAS`], one JSON document a line.
    pub fn audit_log(&self) -> String {
        fs::read_to_string(self.folder.join("audit.log")).unwrap()
    }

    fn wait(&self) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        runtime.block_on(async {
            let client = self.client();
            loop {
                let request = http::Request::get("/readyz").body(Vec::new()).unwrap();
                match client.request_text(request).await {
                    Ok(_) => break,
                    Err(error) if Instant::now() > deadline => {
                        let log = fs::read_to_string(self.folder.join("kube-apiserver.log"));
                        let mut out = std::io::stderr();
                        let _ = out.write_all(log.unwrap_or_default().as_bytes());
                        panic!("kube-apiserver is not ready: {error}");
                    }
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
            for definition in ours() {
                self.define(&definition).await;
            }
        });
    }

    fn add_definitions(&self) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            self.define(&definitions::cluster()).await;
            self.define(&definitions::http_route()).await;
            self.define(&definitions::service_monitor()).await;
        });
    }

    /// Installs a definition and waits until its kind is served.
    pub async fn define(&self, definition: &CustomResourceDefinition) {
        define(&self.client(), definition).await;
    }
}

/// The resources' definitions from the committed files.
pub fn ours() -> [CustomResourceDefinition; 2] {
    ["helloservices", "hellorestores"].map(|name| {
        let path = format!("{}/../crds/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
        serde_yaml::from_str(&fs::read_to_string(path).unwrap()).unwrap()
    })
}

async fn define(client: &Client, definition: &CustomResourceDefinition) {
    let api: kube::Api<CustomResourceDefinition> = kube::Api::all(client.clone());
    api.create(&kube::api::PostParams::default(), definition)
        .await
        .unwrap();
    let established = kube::runtime::conditions::is_crd_established();
    let name = definition.metadata.name.as_deref().unwrap();
    let wait = kube::runtime::wait::await_condition(api, name, established);
    tokio::time::timeout(Duration::from_secs(20), wait)
        .await
        .unwrap()
        .unwrap();
    // For a moment the server knows the kind and answers that its storage is being initialized.
    let spec = &definition.spec;
    let version = &spec.versions[0].name;
    let kind = GroupVersionKind::gvk(&spec.group, version, &spec.names.kind);
    let resource = ApiResource::from_gvk_with_plural(&kind, &spec.names.plural);
    let objects: kube::Api<DynamicObject> = kube::Api::all_with(client.clone(), &resource);
    let deadline = Instant::now() + Duration::from_secs(20);
    while let Err(error) = objects.list(&ListParams::default().limit(1)).await {
        assert!(Instant::now() < deadline, "{name}: {error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
