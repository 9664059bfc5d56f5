//! A PostgreSQL server for this test process, and a fresh database for each test.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{LONG, eventually, printed_by_with, succeed};

/// PostgreSQL refuses to run as root; `nobody` will do.
const UNPRIVILEGED: &str = "65534";
/// Template of every new database: owned by the owner's role, and migrated.
const TEMPLATE: &str = "template_hello";
/// The role that owns the schema, as in production.
pub const OWNER: &str = "hello_owner";

/// A server that ends with the test process, however that ends.
pub struct Server {
    pub port: u16,
    bin: PathBuf,
    folder: PathBuf,
    /// The guard cleans up when this pipe is closed.
    _guard: Child,
}

/// The server all tests share, started by the first that needs it.
pub fn shared() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let server = Server::start("shared", &[]);
        server.sql(
            "postgres",
            &format!("CREATE DATABASE {TEMPLATE} OWNER {OWNER}"),
        );
        let url = server.url(OWNER, TEMPLATE);
        succeed(super::app::command(&["migrate"]).env("DATABASE_URL", url));
        server
    })
}

/// A fresh migrated database on the shared server; its name.
pub fn database() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    shared().sql(
        "postgres",
        &format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE} OWNER {OWNER}"),
    );
    name
}

/// The folder with PostgreSQL's programs.
pub fn bin() -> PathBuf {
    if let Some(folder) = std::env::var_os("PG_BIN") {
        return folder.into();
    }
    bin_of("18")
}

/// The same of a major version.
pub fn bin_of(version: &str) -> PathBuf {
    PathBuf::from(printed_by_with(
        "../manifests/images/postgres/fetch",
        &[version],
    ))
    .join("bin")
}

impl Server {
    /// Starts a server of its own for one test, with more settings (`name=value`).
    pub fn start(name: &str, settings: &[&str]) -> Self {
        Self::start_from(&bin(), name, settings)
    }

    /// The same with the programs of another folder.
    pub fn start_from(programs: &Path, name: &str, settings: &[&str]) -> Self {
        let folder = fresh_folder(name);
        let data = folder.join("data");
        succeed(
            unprivileged(&programs.join("initdb"))
                .args([
                    "--username=postgres",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                ])
                .args(["--locale=C", "--no-sync", "--pwfile=/dev/stdin"])
                .arg("--pgdata")
                .arg(&data)
                .stdin(password_file(&folder)),
        );
        let server = Self::run(programs, folder, settings);
        // A debug build takes a tenth of a second for the usual number, and each service has seven connections.
        server.sql(
            "postgres",
            "DO $$BEGIN IF current_setting('server_version_num')::int >= 160000 \
             THEN ALTER ROLE postgres SET scram_iterations = 1; END IF; END$$",
        );
        server.sql(
            "postgres",
            &format!(
                "CREATE ROLE {OWNER} LOGIN CREATEROLE PASSWORD 'secret'; \
                 GRANT pg_read_all_data TO {OWNER} WITH ADMIN OPTION"
            ),
        );
        server
    }

    /// Starts a server that follows this one.
    pub fn standby(&self, name: &str) -> Self {
        let folder = fresh_folder(name);
        succeed(
            unprivileged(&self.bin.join("pg_basebackup"))
                .args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync"])
                .args(["--dbname", &self.url("postgres", "postgres")])
                .arg("--pgdata")
                .arg(folder.join("data")),
        );
        Self::run(&self.bin, folder, &[])
    }

    /// Runs a server on the data in `folder`.
    fn run(programs: &Path, folder: PathBuf, settings: &[&str]) -> Self {
        let port = free_port();
        let guard = start_guarded(programs, &folder, &folder.join("data"), port, settings);
        let server = Self {
            port,
            bin: bin(),
            folder,
            _guard: guard,
        };
        eventually("the test server starts", LONG, || {
            server.try_sql("postgres", "SELECT 1").status.success()
        });
        server
    }

    /// The address of `database` for `role`.
    pub fn url(&self, role: &str, database: &str) -> String {
        self.url_at(role, database, self.port)
    }

    /// The same through another port, such as a proxy's.
    pub fn url_at(&self, role: &str, database: &str, port: u16) -> String {
        format!("postgres://{role}:secret@127.0.0.1:{port}/{database}?sslmode=disable")
    }

    /// Runs SQL as the superuser and returns what it prints.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let output = self.try_sql(database, sql);
        assert!(
            output.status.success(),
            "{sql}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// From now on, these rules say who may log in how.
    pub fn access(&self, rules: &str) {
        std::fs::write(self.folder.join("data/pg_hba.conf"), format!("{rules}\n")).unwrap();
        let read = || self.sql("postgres", "SELECT pg_conf_load_time()");
        let before = read();
        self.sql("postgres", "SELECT pg_reload_conf()");
        eventually("the rules are in use", LONG, || read() != before);
    }

    /// What the server has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap()
    }

    /// Whether `role` may run `sql`.
    pub fn try_sql_as(&self, role: &str, database: &str, sql: &str) -> bool {
        self.psql(role, database, sql).status.success()
    }

    fn try_sql(&self, database: &str, sql: &str) -> Output {
        self.psql("postgres", database, sql)
    }

    fn psql(&self, role: &str, database: &str, sql: &str) -> Output {
        Command::new(self.bin.join("psql"))
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["-v", "ON_ERROR_STOP=1", "--command", sql])
            .arg(self.url(role, database))
            .output()
            .unwrap()
    }
}

/// A folder for a server's files, which belongs to its user.
fn fresh_folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("hello-postgres-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    hand_over(&folder);
    folder
}

/// Starts the server under a shell that stops it and removes its files as soon as this process ends:
/// the shell then reads the end of its input.
fn start_guarded(
    programs: &Path,
    folder: &Path,
    data: &Path,
    port: u16,
    settings: &[&str],
) -> Child {
    const GUARD: &str = r#"folder=$1; shift
        "$@" >"$folder/log" 2>&1 & server=$!
        read -r _
        kill -KILL $server; wait $server 2>/dev/null; rm -rf "$folder""#;
    let mut server = unprivileged(&programs.join("postgres"));
    server
        .arg("-D")
        .arg(data)
        .args(["-p", &port.to_string(), "-k", ""]);
    for setting in [
        "listen_addresses=127.0.0.1",
        "fsync=off",
        "max_connections=200",
        // In the folder, which goes with the server, also when that is killed.
        "dynamic_shared_memory_type=mmap",
    ]
    .iter()
    .chain(settings)
    {
        server.args(["-c", setting]);
    }
    Command::new("sh")
        .args(["-c", GUARD, "sh"])
        .arg(folder)
        .arg(server.get_program())
        .args(server.get_args())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// A command that runs `program` as nobody when this process is root.
pub fn unprivileged(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args([
            "--reuid",
            UNPRIVILEGED,
            "--regid",
            UNPRIVILEGED,
            "--clear-groups",
            "--",
        ])
        .arg(program);
    command
}

/// Gives a file or folder of root to the server's user.
pub fn hand_over(path: &Path) {
    if is_root() {
        succeed(Command::new("chown").arg(UNPRIVILEGED).arg(path));
    }
}

fn password_file(folder: &Path) -> std::fs::File {
    let path = folder.join("password");
    std::fs::write(&path, "secret\n").unwrap();
    std::fs::File::open(path).unwrap()
}

/// Whether this process is root's.
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

/// A port that is free now. Another process may take it before it is used; the start then fails.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}
