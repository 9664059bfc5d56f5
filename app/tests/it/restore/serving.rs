//! Clients of the service while the tables under it are exchanged.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::backup::bench::Bench;
use crate::support::app::{App, short_command};
use crate::support::client::Answer;
use crate::support::postgres::{OWNER, Server};
use crate::support::{eventually, succeed};

use super::bench::Restore;

const ACCEPT: &[&str] = &["--accept-data-loss"];
const SOON: Duration = Duration::from_secs(120);

/// What the clients know.
#[derive(Default)]
struct History {
    acknowledged: Mutex<Vec<String>>,
    /// Acknowledged, and not found by the next read.
    vanished: Mutex<Vec<String>>,
    ended: AtomicBool,
}

impl History {
    fn count(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    /// Writes names that nobody has, one after the other, and reads each of them afterwards.
    fn write(&self, app: &App, client: usize) {
        for number in 0.. {
            if self.ended.load(Ordering::Relaxed) {
                return;
            }
            let name = format!("w{}", letters(&format!("{client}x{number}")));
            let path = format!("/hello/{name}");
            if !is_done(&app.put_date(&path, "1990-01-01"), 204) {
                continue;
            }
            self.acknowledged.lock().unwrap().push(name.clone());
            let read = app.get(&path);
            if read.status == 404 {
                self.vanished.lock().unwrap().push(name);
            } else {
                is_done(&read, 200);
            }
        }
    }

    /// Reads what is always there, one user and lists.
    fn read(&self, app: &App) {
        while !self.ended.load(Ordering::Relaxed) {
            for path in ["/hello/userb", "/users?limit=9", "/users/userb/friends"] {
                is_done(&app.get(path), 200);
            }
        }
    }
}

/// Names have no digits.
fn letters(text: &str) -> String {
    let letter = |letter: char| match letter.to_digit(10) {
        Some(digit) => char::from(b'a' + u8::try_from(digit).unwrap()),
        None => letter,
    };
    text.chars().map(letter).collect()
}

/// Whether a request was done; otherwise it was refused as it should be.
fn is_done(answer: &Answer, expected: u16) -> bool {
    if answer.status == 503 {
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
        return false;
    }
    assert_eq!(answer.status, expected, "{}", answer.text());
    true
}

/// A database with the roles of production, its service, and a backup that the backup's role has made.
fn production() -> (App, Restore) {
    let server = Server::start("restore-serving", &[]);
    server.sql("postgres", &format!("CREATE DATABASE hello OWNER {OWNER}"));
    let owner = server.url(OWNER, "hello");
    migrate(&owner);
    server.sql(
        "hello",
        "INSERT INTO users SELECT 'user' || translate(n::text, '0123456789', 'abcdefghij'), DATE '1990-01-01' + n % 9999 \
             FROM generate_series(1, 20000) n; \
         INSERT INTO friendships VALUES ('userb', 'userc', true, true)",
    );
    // Where a shorter one would only measure how busy the machine is.
    let deadline = ("HELLO_DATABASE_DEADLINE", "60s");
    let app = App::ready(&[
        ("DATABASE_URL", &server.url("hello_app", "hello")),
        deadline,
    ]);
    let mut backup = Bench::at(&server.url("hello_backup", "hello"));
    backup.succeed(&[]);
    backup.url = owner;
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

#[test]
fn clients_get_no_wrong_answer_and_lose_only_what_is_counted() {
    let (app, restore) = production();
    let history = History::default();
    let swapped = std::thread::scope(|scope| {
        for client in 0..2 {
            let (history, app) = (&history, &app);
            scope.spawn(move || history.write(app, client));
        }
        scope.spawn(|| history.read(&app));
        let more = |count: usize| {
            let end = history.count() + count;
            eventually("writes are acknowledged", SOON, || history.count() >= end);
        };
        more(20);
        restore.succeed("stage", "live", &[]);
        more(20);
        let swapped = restore.succeed("swap", "live", ACCEPT);
        more(20);
        history.ended.store(true, Ordering::Relaxed);
        swapped
    });

    let names = |schema: &str| {
        let sql = format!("SELECT username FROM {schema}.users WHERE username ~ '^w'");
        let names = restore.sql(&sql);
        names.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let (live, lost) = (names("public"), names("hello_previous_live"));
    assert_eq!(swapped.loss(), [lost.len() as u64, 0, 0]);
    assert!(!lost.is_empty() && live.len() >= 20);
    for name in history.acknowledged.lock().unwrap().iter() {
        assert!(live.contains(name) != lost.contains(name), "{name}");
    }
    for name in history.vanished.lock().unwrap().iter() {
        assert!(lost.contains(name), "{name}");
    }

    // All roles have their rights, now and after the next migration, which grants them nothing of the former data.
    migrate(&restore.backup.url);
    let server = restore.server();
    assert_eq!(app.put_date("/hello/after", "1990-01-01").status, 204);
    for role in ["hello_app", "hello_backup"] {
        let former = "SELECT count(*) FROM hello_previous_live.users";
        assert!(!server.try_sql_as(role, "hello", former), "{role}");
    }
    let mut backup = Bench::at(&server.url("hello_backup", "hello"));
    backup.folder = restore.backup.folder;
    assert_eq!(backup.succeed(&[])["count"], 2);
}
