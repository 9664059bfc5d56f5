//! The password of the database changes while the service runs.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{assert_unavailable, recovers, terminate};
use crate::support::app::{App, command};
use crate::support::client::Connection;
use crate::support::postgres::{self, OWNER};
use crate::support::{LONG, eventually, succeed};

/// A service that reads its address from a file, on a server of its own.
fn with_address_in_a_file(name: &str) -> (App, postgres::Server, tempfile::NamedTempFile) {
    let server = postgres::Server::start(name, &[]);
    server.sql("postgres", &format!("CREATE DATABASE hello OWNER {OWNER}"));
    let file = tempfile::NamedTempFile::new().unwrap();
    let url = server.url(OWNER, "hello");
    std::fs::write(file.path(), &url).unwrap();
    let migrated = command(&["migrate"]).env("DATABASE_URL", &url).output();
    assert!(migrated.unwrap().status.success());
    let app = App::ready(&[("DATABASE_URL_FILE", file.path().to_str().unwrap())]);
    (app, server, file)
}

/// The server accepts only the new password from now on, and the sessions of the old one end.
fn rotate(server: &postgres::Server) {
    server.sql(
        "postgres",
        &format!("ALTER ROLE {OWNER} PASSWORD 'rotated'"),
    );
    end_sessions(server);
}

/// Ends every session of the owner's role.
fn end_sessions(server: &postgres::Server) {
    let sql = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{OWNER}'"
    );
    server.sql("postgres", &sql);
}

#[test]
fn a_rotated_password_takes_effect_without_a_restart() {
    let (app, server, file) = with_address_in_a_file("rotation");
    rotate(&server);
    eventually("the old password is refused", LONG, || {
        app.admin("/readyz").status == 503
    });
    let url = server.url(OWNER, "hello").replace("secret", "rotated");
    std::fs::write(file.path(), url).unwrap();
    recovers(&app);
    assert!(!app.log().contains("rotated"));
}

/// As on a network that hangs: whoever opens a pipe that nobody writes does not come back.
#[test]
fn a_file_that_hangs_holds_up_nothing_but_new_connections() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (server, database) = (postgres::shared(), postgres::database());
    std::fs::write(path("url"), server.url(OWNER, &database)).unwrap();
    succeed(Command::new("mkfifo").arg(path("pipe")));
    let lead_to = |name: &str| {
        std::os::unix::fs::symlink(path(name), path("new")).unwrap();
        std::fs::rename(path("new"), path("link")).unwrap();
    };
    lead_to("url");
    let link = path("link");
    let mut app = App::ready(&[
        ("DATABASE_URL_FILE", link.to_str().unwrap()),
        ("HELLO_DATABASE_DEADLINE", "5s"),
    ]);
    lead_to("pipe");
    terminate(&database);
    eventually("the log says why", LONG, || {
        app.log().contains("not read within")
    });
    assert_unavailable(&app.get("/hello/alice"));
    assert_eq!(app.admin("/livez").status, 200);
    assert_eq!(app.admin("/readyz").status, 503);
    let threads = std::fs::read_dir(format!("/proc/{}/task", app.pid())).unwrap();
    let name = |thread: std::path::PathBuf| std::fs::read_to_string(thread.join("comm"));
    let readers = threads
        .filter(|thread| name(thread.as_ref().unwrap().path()).is_ok_and(|name| name == "aside\n"));
    assert_eq!(readers.count(), 1, "whatever the number of attempts");
    // The one that hangs gets an empty file, and the next one the URL.
    lead_to("url");
    drop(std::fs::File::create(path("pipe")).unwrap());
    recovers(&app);
    // Nobody waits for it at the end either.
    lead_to("pipe");
    terminate(&database);
    eventually("it is not ready", LONG, || {
        app.admin("/readyz").status == 503
    });
    app.signal("-TERM");
    assert_eq!(app.wait().code(), Some(0));
}

/// Before, during and after the change in the server, a lost connection is replaced at once.
#[test]
fn with_both_passwords_no_connection_fails() {
    let server = postgres::Server::start("both", &[]);
    server.sql("postgres", &format!("CREATE DATABASE hello OWNER {OWNER}"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("url");
    let url = server.url(OWNER, "hello");
    std::fs::write(&file, &url).unwrap();
    let migrated = command(&["migrate"]).env("DATABASE_URL", &url).output();
    assert!(migrated.unwrap().status.success());
    let app = App::ready(&[("DATABASE_URL_FILE", file.to_str().unwrap())]);
    assert_eq!(app.put_date("/hello/alice", "1990-01-01").status, 204);
    std::fs::write(folder.path().join("url.previous"), &url).unwrap();
    std::fs::write(&file, url.replace("secret", "rotated")).unwrap();
    for alter in ["SELECT", &format!("ALTER ROLE {OWNER} PASSWORD 'rotated'")] {
        server.sql("postgres", alter);
        end_sessions(&server);
        for _ in 0..20 {
            assert_eq!(app.get("/hello/alice").status, 200, "after {alter}");
        }
    }
    let log = app.log();
    assert!(
        !log.contains("rotated") && !log.contains("authentication failed"),
        "{log}"
    );
}

#[test]
fn a_password_that_is_known_in_time_costs_no_more_than_a_reconnect() {
    let (app, server, file) = with_address_in_a_file("rotation-in-time");
    assert_eq!(app.put_date("/hello/alice", "1990-01-01").status, 204);
    let url = server.url(OWNER, "hello").replace("secret", "rotated");
    std::fs::write(file.path(), url).unwrap();
    let done = AtomicBool::new(false);
    let refused = std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut connection = Connection::open(app.api);
                while !done.load(Ordering::Relaxed) {
                    let answer = connection.request("GET", "/hello/alice", &[], b"");
                    assert_eq!(answer.status, 200);
                }
            });
        }
        let writer = scope.spawn(|| {
            let mut refused = 0;
            while !done.load(Ordering::Relaxed) {
                let answer = app.put_date("/hello/bob", "1990-01-01");
                if answer.status != 204 {
                    assert_unavailable(&answer);
                    refused += 1;
                }
            }
            refused
        });
        std::thread::sleep(Duration::from_millis(300));
        rotate(&server);
        std::thread::sleep(Duration::from_millis(1500));
        done.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    });
    // A write in progress on a connection that ends may or may not have taken effect.
    assert!(refused <= 2, "{refused} refused writes on two connections");
    recovers(&app);
}
