//! Clients of the service while it is backed up and restored, and the steps of both are killed.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::backup::bench::{Bench, stderr};
use crate::support::app::{App, short_command};
use crate::support::postgres::{self, OWNER, Server};
use crate::support::{LONG, eventually, succeed};

use super::bench::{Ended, Restore};
use super::history::clients::{CLIENTS, Recorder};
use super::history::{Exchange, Rows, Write};

const ACCEPT: &[&str] = &["--accept-data-loss"];

/// A database with the roles of production, and its service.
fn production() -> (App, Restore) {
    let server = Server::start("restore-serving", &[]);
    server.sql("postgres", &format!("CREATE DATABASE hello OWNER {OWNER}"));
    let owner = server.url(OWNER, "hello");
    migrate(&owner);
    server.sql(
        "hello",
        "INSERT INTO users SELECT 'user' || translate(n::text, '0123456789', 'abcdefghij'), DATE '1990-01-01' + n % 9999 \
             FROM generate_series(1, 2000) n; \
         INSERT INTO friendships VALUES ('userb', 'userc', true, true)",
    );
    // A write whose fate a crash has left open is answered when it has passed.
    let deadline = ("HELLO_DATABASE_DEADLINE", "3s");
    let app = App::ready(&[
        ("DATABASE_URL", &server.url("hello_app", "hello")),
        deadline,
    ]);
    let backup = Bench::at(&owner);
    let restore = Restore {
        backup,
        database: "hello".into(),
        own: Some(server),
    };
    (app, restore)
}

fn migrate(owner: &str) {
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "secret").unwrap();
    succeed(
        short_command(&["migrate"])
            .env("DATABASE_URL", owner)
            .env("HELLO_APP_ROLE_PASSWORD_FILE", &password)
            .env("HELLO_BACKUP_ROLE_PASSWORD_FILE", &password),
    );
}

/// Backups and restores of a database that clients use. Steps are killed at some moment, or the database crashes, and then
/// they are done.
struct Rounds<'a> {
    restore: &'a Restore,
    recorder: &'a Recorder,
    /// How long the steps take.
    usual: BTreeMap<String, Duration>,
    random: u64,
    /// Of the present one.
    id: String,
}

impl Rounds<'_> {
    /// A backup, a wrong `DELETE`, a restore, and its undoing where that is asked for. Clients write before, during and
    /// after each of them.
    fn run(&mut self, number: u64, undo: bool) {
        self.id = format!("round{number}");
        // The two that take seconds are killed by turns.
        let odd = number % 2 == 1;
        let set = self.backup(odd);
        self.recorder.more(10);
        self.delete_seeded();
        self.end_sessions();
        self.recorder.more(10);
        if odd {
            self.restore.succeed("stage", &self.id, &[]);
        } else {
            self.step("stage", &[]);
        }
        let staged = self.rows("hello", &format!("hello_restore_{}", self.id));
        assert_eq!(staged, set);
        self.recorder.more(10);
        let before = self.swap(staged);
        self.recorder.more(10);
        if undo {
            self.undo(before, &set);
            self.step("discard", &[]);
            self.recorder.more(10);
        }
    }

    /// What a new backup has, restored by PostgreSQL's own programs.
    fn backup(&mut self, killed: bool) -> Rows {
        let server = self.restore.server();
        // As the role of backups.
        let url = format!("--database-url={}", server.url("hello_backup", "hello"));
        let command = || self.restore.backup.run_command(&[&url]);
        if killed {
            self.interrupt(command(), "backup");
        }
        let start = Instant::now();
        let (output, span) = self.recorder.spanned(|| command().output().unwrap());
        self.usual.insert("backup".into(), start.elapsed());
        assert!(output.status.success(), "{}", stderr(&output));
        let result: Value = serde_json::from_slice(&output.stdout).unwrap();
        let set = result["set"].as_str().unwrap();

        let target = set.to_ascii_lowercase().replace('-', "_");
        server.sql("postgres", &format!("CREATE DATABASE {target}"));
        let dump = self.restore.backup.path(&format!("{set}.dump"));
        succeed(
            Command::new(postgres::bin().join("pg_restore"))
                .args([
                    "--exit-on-error",
                    "--dbname",
                    &server.url("postgres", &target),
                ])
                .arg(dump),
        );
        let manifest = self.restore.backup.path(&format!("{set}.json"));
        let manifest: Value = serde_json::from_slice(&std::fs::read(manifest).unwrap()).unwrap();
        let counted = &manifest["contents"]["tables"]["public.users"];
        let checksum =
            "SELECT count(*), sum(hashtextextended((u.*)::text COLLATE \"C\", 0)) FROM users u";
        assert_eq!(
            server.sql(&target, checksum),
            format!(
                "{}|{}",
                counted["rows"],
                counted["checksum"].as_str().unwrap()
            )
        );
        let rows = self.rows(&target, "public");
        self.recorder.saw(set, "", rows.clone(), span);
        rows
    }

    fn swap(&mut self, incoming: Rows) -> Rows {
        let recorder = self.recorder;
        let (swapped, span) = recorder.spanned(|| self.step("swap", ACCEPT));
        let outgoing = self.rows("hello", &format!("hello_previous_{}", self.id));
        let exchange = Exchange {
            outgoing: outgoing.clone(),
            incoming,
            span,
        };
        assert_eq!(swapped.loss(), exchange.loss(None));
        recorder.note(|history| history.exchanges.push(exchange));
        outgoing
    }

    fn undo(&mut self, incoming: Rows, begun_with: &Rows) {
        let recorder = self.recorder;
        let (undone, span) = recorder.spanned(|| self.step("undo", ACCEPT));
        let exchange = Exchange {
            outgoing: self.rows("hello", &format!("hello_restore_{}", self.id)),
            incoming,
            span,
        };
        assert_eq!(undone.loss(), exchange.loss(Some(begun_with)));
        recorder.note(|history| history.exchanges.push(exchange));
    }

    /// A step of the restore, which is killed at some moment, and done again.
    fn step(&mut self, command: &str, arguments: &[&str]) -> Ended {
        let program = self.restore.command(command, &self.id, arguments).0;
        self.interrupt(program, command);
        let start = Instant::now();
        let ended = self.restore.succeed(command, &self.id, arguments);
        self.usual.insert(command.into(), start.elapsed());
        ended
    }

    /// A part of the time that it takes, or of a second.
    fn some_of(&mut self, command: &str) -> Duration {
        // Knuth's generator.
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let usual = self.usual.get(command).copied();
        let usual = usual.unwrap_or(Duration::from_secs(1));
        usual * u32::try_from(self.random >> 48).unwrap() / (1 << 16)
    }

    /// Somebody removes people that no client writes.
    fn delete_seeded(&self) {
        let delete = "DELETE FROM users WHERE username IN (SELECT username FROM users WHERE username > 'usere' LIMIT 2) \
             RETURNING username";
        let (names, span) = self.recorder.spanned(|| self.restore.sql(delete));
        let removed = |name: &str| Write {
            key: name.into(),
            value: None,
            span,
            acknowledged: true,
        };
        let removed: Vec<_> = names.lines().map(removed).collect();
        assert_eq!(removed.len(), 2);
        self.recorder.note(|history| history.writes.extend(removed));
    }

    /// Begins a command, and after some time either that is killed or the database crashes.
    fn interrupt(&mut self, mut command: Command, name: &str) {
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
        let after = self.some_of(name);
        let mut child = quiet.spawn().unwrap();
        std::thread::sleep(after);
        if self.random >> 32 & 1 == 1 {
            self.crash();
        } else {
            // `timeout` has one child: the program, unless that has ended.
            let _ = Command::new("pkill")
                .args(["-KILL", "-P", &child.id().to_string()])
                .status();
        }
        child.wait().unwrap();
    }

    /// The database crashes: it ends all sessions when one of its processes is killed, and reads its log again.
    fn crash(&self) {
        let server = self.restore.server();
        let checkpointer = "FROM pg_stat_activity WHERE backend_type = 'checkpointer'";
        let victim = self.restore.sql(&format!("SELECT pid {checkpointer}"));
        succeed(Command::new("kill").args(["-KILL", &victim]));
        // An error until there is another one.
        let another = format!("SELECT 1 / count(*) {checkpointer} AND pid <> {victim}");
        eventually("the database has recovered", LONG, || {
            server.try_sql_as("postgres", "postgres", &another)
        });
    }

    /// Ends all sessions of the service, whatever it does just then.
    fn end_sessions(&self) {
        self.restore.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'hello_app'",
        );
    }

    /// The people in a schema of a database.
    fn rows(&self, database: &str, schema: &str) -> Rows {
        let sql = format!("SELECT username, date_of_birth FROM {schema}.users");
        let printed = self.restore.server().sql(database, &sql);
        let row = |line: &str| {
            let (name, date) = line.split_once('|').unwrap();
            (name.to_owned(), date.parse().unwrap())
        };
        printed.lines().map(row).collect()
    }
}

/// How many rounds are played, and what their random numbers begin with.
fn given(name: &str, otherwise: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(otherwise, |given| given.parse().unwrap())
}

#[test]
fn clients_lose_only_what_is_counted_whoever_is_killed() {
    let (app, restore) = production();
    let recorder = Recorder::default();
    let mut rounds = Rounds {
        restore: &restore,
        recorder: &recorder,
        usual: BTreeMap::new(),
        random: given("HISTORY_SEED", 1),
        id: String::new(),
    };
    let seeded = rounds.rows("hello", "public").into_iter();
    recorder.note(|history| history.writes.extend(seeded.map(Write::before_all)));
    let count = given("HISTORY_ROUNDS", 2);
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (recorder, app) = (&recorder, &app);
            scope.spawn(move || recorder.client(app, client));
        }
        // Also when this thread fails.
        let _end = recorder.end_later();
        recorder.more(10);
        // The last one is not undone.
        for number in 1..=count {
            rounds.run(number, (count - number) % 2 == 1);
        }
    });
    let (rows, span) = recorder.spanned(|| rounds.rows("hello", "public"));
    recorder.saw("the end", "", rows, span);
    let history = recorder.into_history();
    eprintln!("{}", history.size());
    assert_eq!(history.contradictions(), [""; 0]);

    // All roles have their rights, now and after the next migration, which grants them nothing of the former data.
    migrate(&restore.backup.url);
    let server = restore.server();
    assert_eq!(app.put_date("/hello/after", "1990-01-01").status, 204);
    for role in ["hello_app", "hello_backup"] {
        let former = format!("SELECT count(*) FROM hello_previous_round{count}.users");
        assert!(!server.try_sql_as(role, "hello", &former), "{role}");
    }
}
