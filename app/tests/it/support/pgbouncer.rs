//! A PgBouncer in transaction mode in front of the test server.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::{LONG, eventually, postgres};

/// A running PgBouncer.
pub struct PgBouncer {
    pub port: u16,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts one for `database`, with fewer server connections than the service has, and with more settings.
pub fn start(server: u16, database: &str, settings: &str) -> PgBouncer {
    let folder = tempfile::tempdir().unwrap();
    let (port, owner) = (postgres::free_port(), postgres::OWNER);
    let users = folder.path().join("users.txt");
    std::fs::write(&users, format!("\"{owner}\" \"secret\"\n")).unwrap();
    let config = folder.path().join("pgbouncer.ini");
    std::fs::write(
        &config,
        format!(
            "[databases]\n{database} = host=127.0.0.1 port={server}\n[pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = plain\nauth_file = {}\npool_mode = transaction\n\
             default_pool_size = 2\nserver_login_retry = 1\n{settings}",
            users.display()
        ),
    )
    .unwrap();
    // It refuses to run as root, so another user must be able to read its files.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).unwrap();
    let program = program();
    let mut command = postgres::unprivileged(&program);
    let child = command
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let bouncer = PgBouncer {
        port,
        child,
        _folder: folder,
    };
    eventually("PgBouncer starts", LONG, || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    bouncer
}

/// The program; on a Debian machine where it is missing, root installs it.
fn program() -> PathBuf {
    let path = PathBuf::from("/usr/sbin/pgbouncer");
    if !path.exists() {
        let installed = Command::new("apt-get")
            .args(["install", "--yes", "--no-install-recommends", "pgbouncer"])
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&installed.stderr);
        assert!(
            path.exists(),
            "needs PgBouncer (Debian: pgbouncer): {error}"
        );
    }
    path
}
