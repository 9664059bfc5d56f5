//! Encrypted backups, opened by this program and by age's own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::bench::{Bench, filled_database, folder, names, stderr};
use super::bucket::Store;
use crate::restore::bench::Restore;
use crate::support;
use crate::support::postgres::{self, OWNER};

/// What every file in the format of age begins with.
const HEADER: &[u8] = b"age-encryption.org/v1\n";

/// age's own programs.
fn program(name: &str) -> Command {
    Command::new(support::program(name))
}

/// A key that `age-keygen` made.
struct Key {
    file: PathBuf,
    recipient: String,
    _folder: tempfile::TempDir,
}

impl Key {
    fn new() -> Self {
        let folder = folder();
        let file = folder.path().join("key");
        let made = program("age-keygen").arg("-o").arg(&file).output().unwrap();
        assert!(made.status.success(), "{}", stderr(&made));
        postgres::hand_over(&file);
        let recipient = program("age-keygen").arg("-y").arg(&file).output().unwrap();
        Self {
            file,
            recipient: String::from_utf8(recipient.stdout).unwrap().trim().into(),
            _folder: folder,
        }
    }

    fn identity(&self) -> [&str; 2] {
        ["--identity-file", self.file.to_str().unwrap()]
    }
}

fn with(bench: &Bench, command: &[&str], key: &Key) -> Output {
    let mut command = bench.command(command);
    command.args(key.identity()).output().unwrap()
}

/// A command that fails, and what it says, which does not tell the key.
fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"");
    let said = stderr(output);
    assert!(!said.contains("AGE-SECRET-KEY"), "{said}");
    said
}

fn begins(path: &Path, bytes: &[u8]) -> bool {
    std::fs::read(path).unwrap().starts_with(bytes)
}

#[test]
fn an_encrypted_backup_needs_only_one_of_its_keys_and_standard_programs() {
    let bench = Bench::new(&filled_database());
    let (first, second) = (Key::new(), Key::new());
    let to = format!("--encrypt-to={},{}", first.recipient, second.recipient);
    let set = bench.succeed(&["--format=custom,plain", &to])["set"].clone();
    let set = set.as_str().unwrap();
    let expected = ["dump.age", "json", "sql.age"].map(|kind| format!("{set}.{kind}"));
    assert_eq!(bench.names(), expected);
    for name in [&expected[0], &expected[2]] {
        assert!(begins(&bench.path(name), HEADER), "{name}");
    }
    let shown = &bench.list()[0];
    assert_eq!(shown["state"], "verified");
    let recipients = serde_json::json!([first.recipient, second.recipient]);
    assert_eq!(shown["recipients"], recipients);

    // As the documentation says.
    let (server, database) = (postgres::shared(), format!("opened_{}", std::process::id()));
    server.sql(
        "postgres",
        &format!("CREATE DATABASE {database} OWNER {OWNER}"),
    );
    let url = server.url(OWNER, &database);
    let mut opened = program("age")
        .args(["--decrypt", "--identity"])
        .args([&second.file, &bench.path(&expected[0])])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let restored = Command::new(postgres::bin().join("pg_restore"))
        .args([
            "--no-owner",
            "--no-privileges",
            "--exit-on-error",
            "--dbname",
            &url,
        ])
        .stdin(opened.stdout.take().unwrap())
        .output()
        .unwrap();
    assert!(restored.status.success(), "{}", stderr(&restored));
    assert!(opened.wait().unwrap().success());
    let count = server.sql(&database, "SELECT count(*) FROM users");
    assert_eq!(count.trim(), "501");

    for key in [&first, &second] {
        let verified = with(&bench, &["verify", "latest"], key);
        assert!(verified.status.success(), "{}", stderr(&verified));
    }
    let target = folder();
    let to = target.path().to_str().unwrap();
    let fetched = with(&bench, &["fetch", "latest", "--to", to], &first);
    assert!(fetched.status.success(), "{}", stderr(&fetched));
    let expected = ["dump", "json", "sql"].map(|kind| format!("{set}.{kind}"));
    assert_eq!(names(target.path()), expected);
    assert!(begins(&target.path().join(&expected[0]), b"PGDMP"));
}

#[test]
fn what_cannot_be_opened_is_never_said_to_be_good() {
    let bench = Bench::new(&filled_database());
    let (key, other) = (Key::new(), Key::new());
    let set = bench.succeed(&["--encrypt-to", &key.recipient])["set"].clone();
    let file = bench.path(&format!("{}.dump.age", set.as_str().unwrap()));
    let verify = || bench.command(&["verify", "latest"]).output().unwrap();

    let said = refused(&verify());
    for words in [
        "is encrypted",
        "--identity-file",
        &key.recipient,
        "was not tried",
    ] {
        assert!(said.contains(words), "{said}");
    }
    let said = refused(&with(&bench, &["verify", "latest"], &other));
    assert!(said.contains("encrypted to others"), "{said}");
    let target = folder();
    let to = target.path().to_str().unwrap();
    refused(&with(&bench, &["fetch", "latest", "--to", to], &other));
    assert_eq!(names(target.path()), [""; 0]);

    let bytes = std::fs::read(&file).unwrap();
    let mut flipped = bytes.clone();
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    std::fs::write(&file, flipped).unwrap();
    let with_key = with(&bench, &["verify", "latest"], &key);
    for said in [refused(&verify()), refused(&with_key)] {
        assert!(said.contains("SHA-256"), "{said}");
    }
    std::fs::write(&file, &bytes[..last]).unwrap();
    assert_eq!(bench.states(), [0, 0, 1]);

    // Files that are none of keys, and recipients that are none.
    std::fs::write(&key.file, "AGE-SECRET-KEY-1MISTYPED").unwrap();
    let said = refused(&with(&bench, &["verify", "latest"], &key));
    assert!(said.contains("line 1"), "{said}");
    let mistyped = other.recipient.replacen("age1", "age1q", 1);
    let said = refused(&bench.run(&["--encrypt-to", &mistyped]));
    assert!(said.contains("--encrypt-to"), "{said}");
    assert!(said.contains("HELLO_BACKUP_ENCRYPT_TO"), "{said}");
}

#[test]
fn encrypted_backups_and_others_are_kept_side_by_side_in_a_bucket() {
    let store = Store::new(&filled_database());
    let key = Key::new();
    let encrypted = ["--keep-last=2", "--encrypt-to", &key.recipient];
    let set = |arguments: &[&str]| store.bench.succeed(arguments)["set"].clone();
    let first = set(&encrypted);
    set(&["--keep-last=2"]);
    let last = set(&encrypted);
    assert_eq!(store.bench.states(), [2, 0, 0], "{first} had to go");
    let keys = store.server.keys();
    assert_eq!(keys.len(), 4, "{keys:?}");
    let kept = |kind: &str| keys.iter().filter(|key| key.ends_with(kind)).count();
    assert_eq!((kept(".dump.age"), kept(".dump")), (1, 1), "{keys:?}");
    let object = format!("all/{}.dump.age", last.as_str().unwrap());
    assert!(begins(&store.server.object(&object), HEADER));
    let verified = with(&store.bench, &["verify", "latest"], &key);
    assert!(verified.status.success(), "{}", stderr(&verified));
}

#[test]
fn an_encrypted_backup_is_staged_with_its_key_alone() {
    let (key, database) = (Key::new(), filled_database());
    let backup = Bench::new(&database);
    backup.succeed(&["--encrypt-to", &key.recipient]);
    let restore = Restore {
        backup,
        database,
        own: None,
    };
    let refused = restore.fail("stage", "sealed", &[], ("Refused", 65));
    let message = refused.message();
    assert!(message.contains("identitySecretRef"), "{message}");
    let staged = restore.succeed("stage", "sealed", &key.identity());
    assert_eq!(staged.loss(), [0, 0, 0]);
}
