//! What a backup is: proved, and restored with PostgreSQL's programs alone.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::bench::{Bench, before, filled_database, folder, stderr};
use crate::support::eventually;
use crate::support::postgres::{self, OWNER};

#[test]
fn a_backup_is_proved_and_needs_only_postgresqls_programs_to_be_restored() {
    let (server, source) = (postgres::shared(), filled_database());
    let bench = Bench::new(&source);
    let result_file = bench.path("result");
    let path = result_file.to_str().unwrap();
    let result = bench.succeed(&["--format=custom", "--format=plain", "--result-file", path]);
    let written = std::fs::read_to_string(&result_file).unwrap();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&written).unwrap(),
        result
    );
    std::fs::remove_file(&result_file).unwrap();
    let set = result["set"].as_str().unwrap();
    let files = ["dump", "json", "sql"].map(|extension| format!("{set}.{extension}"));
    assert_eq!(bench.names(), files);
    for file in &files {
        let mode = bench.path(file).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "only the owner may read {file}");
    }
    let manifest = std::fs::read_to_string(bench.path(&files[1])).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    counts_everything(&manifest["contents"]);
    assert_eq!(result["rows"], 501 + 1 + 2 + 3 + 3, "and the migrations");
    assert_eq!(
        (&result["sequence"], &result["count"]),
        (&1.into(), &1.into())
    );
    assert_eq!(result["schemaVersion"], 3);
    assert!(result["restoreSeconds"].as_f64().unwrap() > 0.0);
    assert_eq!(result["warnings"], serde_json::json!([]));

    let digest = |database: &str| {
        let sql = "SELECT md5(string_agg(u::text, ',' ORDER BY username)) FROM users u";
        server.sql(database, sql)
    };
    for (program, file, target) in [
        ("pg_restore", &files[0], "restored_custom"),
        ("psql", &files[2], "restored_plain"),
    ] {
        server.sql(
            "postgres",
            &format!("CREATE DATABASE {target} OWNER {OWNER}"),
        );
        let mut command = Command::new(postgres::bin().join(program));
        command.args(["--dbname", &server.url(OWNER, target)]);
        if program == "psql" {
            command.args(["--quiet", "--set=ON_ERROR_STOP=1", "--file"]);
        } else {
            command.arg("--exit-on-error");
        }
        let restored = command.arg(bench.path(file)).output().unwrap();
        assert!(restored.status.success(), "{}", stderr(&restored));
        assert_eq!(digest(target), digest(&source));
    }
}

/// The manifest counts what [`filled_database`] has.
fn counts_everything(contents: &serde_json::Value) {
    assert_eq!(contents["tables"]["public.users"]["rows"], 501);
    assert_eq!(
        contents["tables"]["\"odd one\".\"a \"\"table\"\"\""]["rows"],
        2
    );
    assert_eq!(contents["tables"]["public.part"]["rows"], 3);
    assert_eq!(contents["largeObjects"]["rows"], 1);
    let sequence = "\"odd one\".\"a \"\"table\"\"_hello_row_seq\"";
    assert_eq!(contents["sequences"][sequence]["lastValue"], 2);
}

#[test]
fn each_format_alone_is_proved_in_its_own_way() {
    let bench = Bench::new(&filled_database());
    for (format, extension) in [("custom", "dump"), ("plain", "sql")] {
        let result = bench.succeed(&["--format", format, "--keep-last=1"]);
        let set = result["set"].as_str().unwrap();
        let mut files = [extension, "json"].map(|extension| format!("{set}.{extension}"));
        files.sort();
        assert_eq!(bench.names(), files);
        let verified = bench.command(&["verify", set]).output().unwrap();
        assert!(verified.status.success(), "{}", stderr(&verified));
    }
}

#[test]
fn the_backups_role_can_read_all_that_is_needed() {
    let server = postgres::Server::start("backup-role", &[]);
    server.sql("postgres", &format!("CREATE DATABASE hello OWNER {OWNER}"));
    let password = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(password.path(), "secret").unwrap();
    let migrated = crate::support::app::command(&["migrate"])
        .env("DATABASE_URL", server.url(OWNER, "hello"))
        .env("HELLO_BACKUP_ROLE_PASSWORD_FILE", password.path())
        .output()
        .unwrap();
    assert!(migrated.status.success(), "{}", stderr(&migrated));
    let bench = Bench::at(&server.url("hello_backup", "hello"));
    let result = bench.succeed(&[]);
    assert_eq!(result["rows"], 3, "the migrations");
}

#[test]
fn a_server_in_another_container_is_used_through_the_shared_folder() {
    let bench = Bench::new(&filled_database());
    let scratch = folder();
    let mut server = bench
        .command(&["scratch-server", "--directory"])
        .arg(scratch.path())
        .spawn()
        .unwrap();
    let mut command = bench.run_command(&[]);
    let output = command
        .arg("--scratch")
        .arg(scratch.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(bench.states(), [1, 0, 0]);
    assert!(scratch.path().join("data").exists(), "it was used");
    let ended = Command::new("kill")
        .arg(server.id().to_string())
        .status()
        .unwrap();
    assert!(ended.success());
    assert!(server.wait().unwrap().success());
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
}

#[test]
fn without_a_throw_away_server_a_dump_is_kept_that_does_not_count() {
    let mut bench = Bench::new(&filled_database());
    bench.succeed(&["--keep-last=1"]);
    bench.replace("initdb", "echo 'no such locale' >&2; exit 1");
    for _ in 0..3 {
        let message = bench.fail("NotProved", &["--keep-last=1"]);
        assert!(message.contains("no such locale"), "{message}");
        assert_eq!(bench.states(), [1, 1, 0]);
    }
    bench.replace("postgres", "exec false");
    let message = bench.fail("NotProved", &["--keep-last=1"]);
    assert!(message.contains("exit status: 1"), "{message}");
    // It ends in the middle of the proof.
    bench.replace(
        "pg_restore",
        "kill -KILL $(head -n1 $TMPDIR/hello-scratch-$PPID/data/postmaster.pid); exec $REAL \"$@\"",
    );
    bench.fail("NotProved", &["--keep-last=1"]);
    assert_eq!(bench.states(), [1, 1, 0]);
    bench.replace("pg_restore", "exec $REAL \"$@\"");
    let result = bench.succeed(&["--keep-last=1"]);
    assert_eq!(bench.states(), [1, 0, 0]);
    assert_eq!(result["sequence"], 7);
}

#[test]
fn nothing_of_a_throw_away_server_is_left() {
    let bench = Bench::new(&filled_database());
    let temporary = folder();
    let bench = bench.variable("TMPDIR", temporary.path().to_str().unwrap());
    bench.succeed(&[]);
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
    // Also when the program is killed while the server runs.
    let mut bench = bench;
    bench.replace("pg_restore", "kill -KILL $PPID; sleep 1");
    let output = bench.run(&[]);
    assert!(!output.status.success());
    let data = || {
        let folders = std::fs::read_dir(temporary.path()).unwrap();
        folders
            .filter(|folder| folder.as_ref().unwrap().path().join("data").exists())
            .count()
    };
    eventually(
        "the server is gone",
        std::time::Duration::from_secs(60),
        || data() == 0,
    );
}

#[test]
fn a_backup_under_load_is_one_instant() {
    let (server, database) = (postgres::shared(), filled_database());
    server.sql(
        &database,
        &format!(
            "SET ROLE {OWNER}; CREATE TABLE one (n int); CREATE TABLE other (n int); \
             INSERT INTO one VALUES (0); INSERT INTO other VALUES (0); CREATE SEQUENCE counter"
        ),
    );
    let script = tempfile::NamedTempFile::new().unwrap();
    let statements = "BEGIN; UPDATE one SET n = n + 1; UPDATE other SET n = n + 1; SELECT nextval('counter'); END;\n";
    std::fs::write(script.path(), statements).unwrap();
    let mut load = Command::new(postgres::bin().join("pgbench"))
        .args(["--no-vacuum", "--time=600", "--file"])
        .arg(script.path())
        .arg(server.url(OWNER, &database))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let written = || {
        server
            .sql(&database, "SELECT n FROM one")
            .parse::<u64>()
            .unwrap()
    };
    let wait = |number| {
        eventually("writes go on", std::time::Duration::from_secs(60), || {
            written() > number
        })
    };
    wait(0);
    // Much is written between what is counted and what is dumped.
    let bench = Bench::new(&database).script("pg_dump", &before("sleep 0.5"));
    let results = [(); 2].map(|()| bench.succeed(&[]));
    // And while it is counted, beside what is dumped.
    let many = "CREATE TABLE many AS SELECT generate_series(1, 2000000) AS n";
    server.sql(&database, &format!("SET ROLE {OWNER}; {many}"));
    Bench::new(&database).succeed(&[]);
    let before_the_end = written();
    wait(before_the_end);
    load.kill().unwrap();
    load.wait().unwrap();
    let instants = results.map(|result| {
        let target = format!("under_load_{}", result["sequence"]);
        server.sql(
            "postgres",
            &format!("CREATE DATABASE {target} OWNER {OWNER}"),
        );
        let dump = bench.path(&format!("{}.dump", result["set"].as_str().unwrap()));
        let restored = Command::new(postgres::bin().join("pg_restore"))
            .args(["--exit-on-error", "--dbname", &server.url(OWNER, &target)])
            .arg(dump)
            .output()
            .unwrap();
        assert!(restored.status.success(), "{}", stderr(&restored));
        let numbers = server.sql(&target, "SELECT one.n, other.n FROM one, other");
        let (one, other) = numbers.split_once('|').unwrap();
        assert_eq!(one, other);
        one.parse::<u64>().unwrap()
    });
    assert!(0 < instants[0] && instants[0] < instants[1] && instants[1] <= before_the_end);
}

#[test]
fn a_person_at_a_terminal_sees_that_it_goes_on() {
    let bench = Bench::new(&filled_database()).script("pg_dump", &before("sleep 1"));
    let run = bench.run_command(&[]);
    let words = std::iter::once(run.get_program()).chain(run.get_args());
    let words: Vec<_> = words.map(|word| word.to_str().unwrap()).collect();
    let output = Command::new("script")
        .args([
            "--quiet",
            "--return",
            "--command",
            &words.join(" "),
            "/dev/null",
        ])
        .env_clear()
        .envs(
            run.get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let seen = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{seen}");
    assert!(
        seen.contains("\r\u{1b}[Kdumping the database: 0."),
        "{seen}"
    );
    let elsewhere = bench.run(&[]);
    assert!(
        !stderr(&elsewhere).contains('\u{1b}'),
        "{}",
        stderr(&elsewhere)
    );
}
