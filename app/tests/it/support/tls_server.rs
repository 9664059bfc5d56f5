//! A PostgreSQL server that accepts the service's roles only over TLS.

use std::path::{Path, PathBuf};

use super::authority::{Authority, Certified};
use super::postgres::{self, OWNER, Server};
use super::printed_by;

/// A running server.
pub struct TlsServer {
    pub server: Server,
    folder: tempfile::TempDir,
}

impl TlsServer {
    /// Starts one that presents `certified`, trusts clients whose certificate `clients` has signed,
    /// and authenticates the owner's role by `method`.
    pub fn start(name: &str, certified: &Certified, clients: &Authority, method: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        postgres::hand_over(folder.path());
        write_certificate(folder.path(), certified);
        write(folder.path(), "clients.crt", &clients.pem());
        let rules = format!(
            "host all postgres 127.0.0.1/32 scram-sha-256\n\
             hostssl all {OWNER} 127.0.0.1/32 {method}\n"
        );
        write(folder.path(), "rules", &rules);
        let setting =
            |name: &str, file: &str| format!("{name}={}", folder.path().join(file).display());
        let settings = [
            "ssl=on".to_owned(),
            // The compiler that Debian's server would use for queries is not unpacked with it.
            "jit=off".to_owned(),
            setting("ssl_cert_file", "server.crt"),
            setting("ssl_key_file", "server.key"),
            setting("ssl_ca_file", "clients.crt"),
            setting("hba_file", "rules"),
        ];
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        let server = Server::start_from(&bin(), name, &settings);
        server.sql("postgres", &format!("CREATE DATABASE hello OWNER {OWNER}"));
        Self { server, folder }
    }

    /// Presents another certificate to new connections.
    pub fn replace(&self, certified: &Certified) {
        write_certificate(self.folder.path(), certified);
        self.reload();
    }

    /// Trusts other clients from now on.
    pub fn believe(&self, clients: &Authority) {
        write(self.folder.path(), "clients.crt", &clients.pem());
        self.reload();
    }

    fn reload(&self) {
        self.server.sql("postgres", "SELECT pg_reload_conf()");
    }

    /// Ends the service's sessions.
    pub fn end_sessions(&self) {
        let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                   WHERE usename <> 'postgres'";
        self.server.sql("postgres", sql);
    }

    /// How many of the service's sessions there are, and how many are encrypted.
    pub fn sessions(&self) -> String {
        let sql = "SELECT count(*), count(*) FILTER (WHERE ssl) FROM pg_stat_ssl \
                   JOIN pg_stat_activity USING (pid) WHERE usename <> 'postgres'";
        self.server.sql("postgres", sql)
    }

    /// The address with `host`, a name of this machine, and these parameters.
    pub fn url(&self, host: &str, parameters: &str) -> String {
        let port = self.server.port;
        format!("postgres://{OWNER}:secret@{host}:{port}/hello{parameters}")
    }
}

/// The folder with the programs of a PostgreSQL that supports TLS.
pub fn bin() -> PathBuf {
    PathBuf::from(printed_by("tests/postgres-with-tls")).join("bin")
}

fn write_certificate(folder: &Path, certified: &Certified) {
    write(folder, "server.crt", &certified.certificate);
    write(folder, "server.key", &certified.key);
}

/// Writes a file that only the server's user may read, as the server requires for its key.
fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    postgres::hand_over(&path);
}
