//! TLS to the database: which servers and clients are trusted, how refusals are explained, and which
//! certificates are reloaded without a restart.

use std::path::Path;
use std::process::Output;

use crate::backup::bench::Bench;
use crate::faults::recovers;
use crate::support::app::{App, command};
use crate::support::authority::Authority;
use crate::support::postgres::{self, OWNER};
use crate::support::tls_server::{self, TlsServer};
use crate::support::{LONG, eventually};

/// An address of this machine that is treated as remote: it is not known to be local.
const REMOTE: &str = "0.0.0.0";
const NEAR: &str = "127.0.0.1";
/// The server's method of authentication by password.
const PASSWORD: &str = "scram-sha-256";

/// A refusal is waited for to its end, so the time is short: longer only where a busy machine needs it for one attempt.
fn migrate(url: &str) -> Output {
    let migrate = |time: &str| {
        command(&["migrate", "--wait-timeout", time])
            .env("DATABASE_URL", url)
            .output()
            .unwrap()
    };
    let is_too_short =
        |output: &Output| String::from_utf8_lossy(&output.stderr).contains("no attempt finished");
    ["3s", "30s"]
        .into_iter()
        .map(migrate)
        .find(|output| !is_too_short(output))
        .unwrap_or_else(|| migrate("180s"))
}

/// Asserts that the server is used when `reason` is `None`, and that it is refused for the reason
/// otherwise.
fn assert_outcome(url: &str, reason: Option<&str>) {
    let output = migrate(url);
    let error = String::from_utf8_lossy(&output.stderr);
    let last = error.lines().last().unwrap_or_default();
    match reason {
        None => assert!(output.status.success(), "{url}: {error}"),
        Some(reason) => {
            assert_eq!(output.status.code(), Some(69), "{url}: {error}");
            assert!(last.contains(reason), "{url}: {reason} is not in {last}");
        }
    }
    assert!(!error.contains("secret"), "{error}");
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

const UNKNOWN: Option<&str> = Some("invalid peer certificate: UnknownIssuer");
const WRONG_NAME: Option<&str> = Some("certificate not valid for name");

#[test]
fn a_remote_server_must_prove_who_it_is() {
    let (own, other) = (Authority::new("own"), Authority::new("other"));
    let certified = own.server(&[REMOTE, NEAR]);
    let server = TlsServer::start("tls-modes", &certified, &own, PASSWORD);
    let folder = tempfile::tempdir().unwrap();
    let own = format!("sslrootcert={}", write(folder.path(), "own", &own.pem()));
    let other = format!(
        "sslrootcert={}",
        write(folder.path(), "other", &other.pem())
    );
    let nonsense = format!(
        "sslrootcert={}",
        write(folder.path(), "nonsense", "nonsense")
    );
    std::thread::scope(|scope| {
        let check = |host, parameters: String, reason| {
            let url = server.url(host, &parameters);
            scope.spawn(move || assert_outcome(&url, reason));
        };
        // By default everything is verified when the server is remote.
        check(REMOTE, String::new(), UNKNOWN);
        check(REMOTE, format!("?{own}"), None);
        check(REMOTE, format!("?{other}"), UNKNOWN);
        check(REMOTE, "?sslrootcert=/nowhere".into(), Some("No such file"));
        check(REMOTE, format!("?{nonsense}"), UNKNOWN);
        // The URL can choose another mode.
        check(REMOTE, "?sslmode=require".into(), None);
        check(REMOTE, "?sslmode=prefer".into(), None);
        check(REMOTE, "?sslmode=disable".into(), Some("no encryption"));
        // Locally, TLS is used when the server supports it, and nothing is verified unless the URL asks for it.
        check(NEAR, String::new(), None);
        check(NEAR, format!("?sslmode=verify-full&{own}"), None);
        check(
            "localhost",
            format!("?sslmode=verify-full&{own}"),
            WRONG_NAME,
        );
        check("localhost", format!("?sslmode=verify-ca&{own}"), None);
        check("localhost", format!("?sslmode=verify-ca&{other}"), UNKNOWN);
        // Authorities in the URL are used.
        check("localhost", format!("?sslmode=require&{own}"), None);
        check("localhost", format!("?sslmode=require&{other}"), UNKNOWN);
    });
}

#[test]
fn a_server_without_tls_is_used_only_where_that_is_allowed() {
    let (server, database) = (postgres::shared(), postgres::database());
    let url = |host, parameters| {
        let port = server.port;
        format!("postgres://{OWNER}:secret@{host}:{port}/{database}{parameters}")
    };
    let refused = Some("server does not support TLS");
    assert_outcome(&url(NEAR, ""), None);
    assert_outcome(&url(NEAR, "?sslmode=require"), refused);
    assert_outcome(&url(REMOTE, ""), refused);
    assert_outcome(&url(REMOTE, "?sslmode=prefer"), None);
}

#[test]
fn a_new_authority_is_trusted_without_a_restart() {
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let names = [REMOTE];
    let server = TlsServer::start("tls-renewal", &first.server(&names), &first, PASSWORD);
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "ca.crt", &first.pem());
    let url = server.url(REMOTE, &format!("?sslrootcert={file}"));
    assert_outcome(&url, None);
    let app = App::ready(&[("DATABASE_URL", &url)]);
    let all_encrypted = || eventually("all are encrypted", LONG, || server.sessions() == "7|7");
    all_encrypted();
    let refused = |reason: &str| {
        eventually("the server is refused", LONG, || {
            // Some sessions may have connected just before the server read its files.
            server.end_sessions();
            app.admin("/readyz").status == 503 && app.log().contains(reason)
        });
        assert_eq!(app.get("/hello/alice").status, 503);
    };
    server.replace(&first.expired_server(&names));
    refused("certificate expired");
    server.replace(&first.server(&["db.example.com"]));
    refused("certificate not valid for name");
    server.replace(&second.server(&names));
    refused("UnknownIssuer");
    write(folder.path(), "ca.crt", &second.pem());
    recovers(&app);
    all_encrypted();
}

#[test]
fn a_client_certificate_is_presented_and_renewed() {
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let server = TlsServer::start("tls-clients", &first.server(&[NEAR]), &first, "cert");
    let folder = tempfile::tempdir().unwrap();
    let present = |authority: &Authority, name| {
        let client = authority.client(name);
        write(folder.path(), "client.key", &client.key);
        write(folder.path(), "client.crt", &client.certificate);
    };
    let path = |name: &str| folder.path().join(name).display().to_string();
    write(folder.path(), "ca.crt", &first.pem());
    let verified = format!("?sslmode=verify-full&sslrootcert={}", path("ca.crt"));
    let presented = format!(
        "{verified}&sslcert={}&sslkey={}",
        path("client.crt"),
        path("client.key")
    );
    assert_outcome(&server.url(NEAR, &verified), Some("client certificate"));
    present(&first, "another_role");
    assert_outcome(&server.url(NEAR, &presented), Some("authentication failed"));
    present(&first, OWNER);
    assert_outcome(&server.url(NEAR, &presented), None);
    let app = App::ready(&[("DATABASE_URL", &server.url(NEAR, &presented))]);
    server.believe(&second);
    eventually("the old one is refused", LONG, || {
        server.end_sessions();
        app.admin("/readyz").status == 503
    });
    present(&second, OWNER);
    recovers(&app);
}

#[test]
fn a_backup_verifies_the_server_as_the_service_does() {
    let (own, other) = (Authority::new("own"), Authority::new("other"));
    let server = TlsServer::start("tls-backup", &own.server(&[REMOTE]), &own, PASSWORD);
    let bench = Bench::at("")
        // As in PostgreSQL's image, which has no certificates.
        .variable("SSL_CERT_FILE", "/nonexistent")
        .variable("SSL_CERT_DIR", "/nonexistent");
    let folder = &bench.folder;
    let parameters = |authority: &Authority, name| {
        format!(
            "?sslrootcert={}",
            write(folder.path(), name, &authority.pem())
        )
    };
    let (right, wrong) = (parameters(&own, "own"), parameters(&other, "other"));
    assert_outcome(&server.url(REMOTE, &right), None);
    let backup = |parameters: &str, trusted: Option<&str>| {
        bench
            .run_command(&[])
            .envs(trusted.map(|file| ("PGSSLROOTCERT", file)))
            .env("DATABASE_URL", server.url(REMOTE, parameters))
            .env("PG_BIN", tls_server::bin())
            .output()
            .unwrap()
    };
    let output = backup(&right, None);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    // Without configured authorities only the public ones are trusted, and the test's own is none of them.
    for untrusted in [&wrong, ""] {
        let output = backup(untrusted, None);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains("UnknownIssuer"), "{error}");
    }
    // The operator passes the file in the variable that PostgreSQL's programs read.
    let file = write(folder.path(), "trusted", &own.pem());
    let (url, trusted) = (server.url(REMOTE, ""), Some(file.as_str()));
    let output = backup("", trusted);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let migrate = command(&["migrate"])
        .env("DATABASE_URL", url)
        .env("PGSSLROOTCERT", &file)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&migrate.stderr);
    assert!(migrate.status.success(), "{error}");
    let left = std::fs::read_dir(folder.path()).unwrap();
    let hidden = left.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().ends_with(".partial")
    });
    assert_eq!(hidden.count(), 0);
}
