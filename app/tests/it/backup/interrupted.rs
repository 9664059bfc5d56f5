//! Backups that end before their time.

use std::process::Command;
use std::time::Duration;

use super::bench::{Bench, after, before, filled_database, stderr};
use crate::support::eventually;

#[test]
fn whoever_is_killed_at_any_step_harms_nothing_and_leaves_nothing() {
    let mut bench = Bench::new(&filled_database());
    let good = bench.succeed(&["--keep-last=1", "--format=custom,plain"])["set"].clone();
    let kill = "kill -KILL $PPID";
    for (program, script) in [
        ("pg_dump", before(kill)),
        ("pg_dump", after(kill)),
        ("initdb", format!("kill -KILL $(ps -o ppid= $PPID); {kill}")),
        // The plain file is made by the first, the proof by the second.
        ("pg_restore", before(kill)),
        ("pg_restore", after(kill)),
        (
            "pg_restore",
            before(&format!("case \"$*\" in *--exit-on-error*) {kill};; esac")),
        ),
        (
            "pg_restore",
            after(&format!("case \"$*\" in *--exit-on-error*) {kill};; esac")),
        ),
    ] {
        bench.replace(program, &script);
        let output = bench.run(&["--keep-last=1", "--format=custom,plain"]);
        assert!(!output.status.success(), "{program}: {script}");
        let list = bench.list();
        assert_eq!((list.len(), &list[0]["name"]), (1, &good), "{script}");
        assert_eq!(list[0]["state"], "verified");
    }
    bench.replace("pg_restore", "exec $REAL \"$@\"");
    let result = bench.succeed(&["--keep-last=1", "--format=custom,plain"]);
    assert_eq!(result["count"], 1);
    assert_eq!(bench.names().len(), 3, "{:?}", bench.names());
}

#[test]
fn a_signal_ends_a_backup_at_once_and_is_reported() {
    let bench = Bench::new(&filled_database());
    let script = before("touch $HELLO_BACKUP_DIRECTORY/begun; exec sleep 600");
    let bench = bench.script("pg_dump", &script);
    let result = bench.path("result");
    let child = bench
        .run_command(&["--result-file", result.to_str().unwrap()])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    eventually("it dumps", Duration::from_secs(60), || {
        bench.path("begun").exists()
    });
    // `timeout` passes it on.
    let sent = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    assert!(
        stderr(&output).contains("interrupted by a signal"),
        "{}",
        stderr(&output)
    );
    let reported = std::fs::read_to_string(&result).unwrap();
    assert!(
        reported.contains("\"reason\":\"Interrupted\""),
        "{reported}"
    );
    assert_eq!(bench.names(), ["begun", "result"]);
}
