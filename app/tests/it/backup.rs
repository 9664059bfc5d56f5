//! `backup` and `install-to`.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::app::command;
use crate::support::postgres::{self, OWNER};

fn backup(database: &str, folder: &Path, arguments: &[&str]) -> Output {
    command(&["backup", "--directory"])
        .arg(folder)
        .args(arguments)
        .env("DATABASE_URL", postgres::shared().url(OWNER, database))
        .env("PG_BIN", postgres::bin())
        .output()
        .unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != ".hello-backup.lock")
        .collect();
    names.sort();
    names
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_dump_can_be_restored() {
    let (server, source, target) = (postgres::shared(), postgres::database(), "restored");
    server.sql(
        &source,
        "INSERT INTO users VALUES ('José', '2000-02-29'), ('alice', '1990-01-01')",
    );
    server.sql(
        "postgres",
        &format!("CREATE DATABASE {target} OWNER {OWNER}"),
    );
    let folder = tempfile::tempdir().unwrap();
    let output = backup(
        &source,
        folder.path(),
        &["--format", "custom", "--format", "plain"],
    );
    assert!(output.status.success(), "{}", stderr(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let files = names(folder.path());
    assert_eq!(files.len(), 2, "{files:?}");
    for (file, reported) in files.iter().zip(report["files"].as_array().unwrap()) {
        assert_eq!(reported["name"], *file);
        assert_eq!(
            reported["sizeBytes"],
            folder.path().join(file).metadata().unwrap().len()
        );
        let mode = folder
            .path()
            .join(file)
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "only the owner may read a dump");
    }
    let dump = files.iter().find(|name| name.ends_with(".dump")).unwrap();
    let restored = Command::new(postgres::bin().join("pg_restore"))
        .args(["--exit-on-error", "--dbname", &server.url(OWNER, target)])
        .arg(folder.path().join(dump))
        .output()
        .unwrap();
    assert!(restored.status.success(), "{}", stderr(&restored));
    let rows = "SELECT string_agg(username || date_of_birth, ',' ORDER BY username) FROM users";
    assert_eq!(server.sql(target, rows), "José2000-02-29,alice1990-01-01");
}

#[test]
fn keeps_the_newest_and_leaves_other_files_alone() {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "hello-20200101T000000Z.dump",
        "hello-20210101T000000Z.dump",
        "notes.txt",
    ] {
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    // Left by a backup that was killed.
    std::fs::write(
        folder.path().join(".hello-20220101T000000Z.dump.partial"),
        "",
    )
    .unwrap();
    let output = backup(&postgres::database(), folder.path(), &["--keep-last", "2"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let names = names(folder.path());
    assert_eq!(names.len(), 3, "{names:?}");
    assert_eq!(names[0], "hello-20210101T000000Z.dump");
    assert_eq!(names[2], "notes.txt");
}

#[test]
fn a_backup_that_fails_reports_it_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let old = "hello-20200101T000000Z.dump";
    std::fs::write(folder.path().join(old), "").unwrap();
    let output = backup("nonexistent", folder.path(), &["--keep-last", "1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output)
            .lines()
            .last()
            .unwrap()
            .contains("pg_dump failed"),
        "{}",
        stderr(&output)
    );
    assert!(!stderr(&output).contains("secret"));
    assert_eq!(names(folder.path()), [old]);

    let output = command(&["backup", "--directory", "/nonexistent"])
        .env("DATABASE_URL", "postgres://u@localhost/db")
        .output()
        .unwrap();
    assert!(
        stderr(&output).contains("/nonexistent"),
        "{}",
        stderr(&output)
    );

    let output = command(&[
        "backup",
        "--keep-last",
        "0",
        "--format",
        "zip",
        "--directory",
    ])
    .arg(folder.path())
    .output()
    .unwrap();
    for name in ["DATABASE_URL", "KEEP_LAST", "FORMATS"] {
        assert!(stderr(&output).contains(name), "{}", stderr(&output));
    }
}

#[test]
fn an_incomplete_dump_is_not_published() {
    // A pg_dump that succeeds without writing everything, as on a full disk.
    let bin = tempfile::tempdir().unwrap();
    let program = bin.path().join("pg_dump");
    std::fs::write(
        &program,
        "#!/bin/sh\nwhile [ $# -gt 1 ]; do [ $1 = --file ] && echo half >$2; shift; done\n",
    )
    .unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink(
        postgres::bin().join("pg_restore"),
        bin.path().join("pg_restore"),
    )
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    for format in ["plain", "custom"] {
        let output = command(&["backup", "--format", format, "--directory"])
            .arg(folder.path())
            .arg("--pg-bin")
            .arg(bin.path())
            .env("PATH", "/usr/bin:/bin")
            .env("DATABASE_URL", "postgres://u@localhost/db")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{format}");
        assert_eq!(names(folder.path()), [""; 0], "{}", stderr(&output));
    }
}

#[test]
fn installs_itself() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let output = command(&["install-to"])
            .arg(folder.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    }
    let copy = Command::new(folder.path().join("hello-app"))
        .arg("--version")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(copy.stdout).unwrap(), "hello-app 0.1.0\n");
    assert_eq!(names(folder.path()), ["hello-app"]);
    let output = command(&["install-to", "/nonexistent"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}
