//! `install-to`.

use std::process::Command;

use crate::support::app::command;
use crate::support::succeed;

#[test]
fn installs_itself() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        succeed(command(&["install-to"]).arg(folder.path()));
    }
    let copy = Command::new(folder.path().join("hello-app"))
        .arg("--version")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(copy.stdout).unwrap(), "hello-app 0.1.0\n");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let output = command(&["install-to", "/nonexistent"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}
