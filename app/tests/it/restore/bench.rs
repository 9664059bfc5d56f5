//! A database with a backup, and the commands of `restore` on it.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::backup::bench::{Bench, filled_database, stderr};
use crate::support::postgres::{self, OWNER, Server};

/// A database with a backup.
pub struct Restore {
    pub backup: Bench,
    pub database: String,
    /// A server of its own; otherwise the shared one.
    pub own: Option<Server>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub result: Value,
}

impl Ended {
    /// What was lost, or would have been: added, changed, removed.
    pub fn loss(&self) -> [u64; 3] {
        ["added", "changed", "removed"].map(|name| {
            let count = &self.result["loss"][name];
            count.as_u64().unwrap_or_else(|| panic!("{self:?}"))
        })
    }

    /// The words of a failure.
    pub fn message(&self) -> &str {
        self.result["message"].as_str().unwrap()
    }
}

impl Restore {
    /// A database with rows of several kinds, and a backup of it.
    pub fn new() -> Self {
        Self::of(filled_database())
    }

    /// The same of a database on the shared server.
    pub fn of(database: String) -> Self {
        let backup = Bench::new(&database);
        backup.succeed(&[]);
        Self {
            backup,
            database,
            own: None,
        }
    }

    /// The server of the database.
    pub fn server(&self) -> &Server {
        self.own.as_ref().unwrap_or_else(|| postgres::shared())
    }

    /// Runs SQL in the database.
    pub fn sql(&self, sql: &str) -> String {
        self.server().sql(&self.database, sql)
    }

    /// The same as the owner of the tables.
    pub fn owner_sql(&self, sql: &str) -> String {
        self.sql(&format!("SET ROLE {OWNER}; {sql}"))
    }

    /// The command line `restore COMMAND --id ID`, and where its result is written.
    pub fn command(&self, command: &str, id: &str, arguments: &[&str]) -> (Command, String) {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let result = self.backup.path(&format!("result-{number}"));
        std::fs::write(&result, "").unwrap();
        postgres::hand_over(&result);
        let result = result.display().to_string();
        let mut program = self.backup.program();
        program
            .args(["restore", command, "--id", id, "--result-file", &result])
            .args(arguments)
            .env("DATABASE_URL", &self.backup.url)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        (program, result)
    }

    /// Runs one to its end.
    pub fn run(&self, command: &str, id: &str, arguments: &[&str]) -> Ended {
        let (mut program, result) = self.command(command, id, arguments);
        let output = program.output().unwrap();
        let text = std::fs::read_to_string(&result).unwrap();
        assert!(!text.contains("secret") && text.len() <= 4096, "{text}");
        assert!(!stderr(&output).contains("secret"), "{}", stderr(&output));
        let result = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{error}: {text}: {}", stderr(&output)));
        if output.status.success() {
            let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(printed, result);
        }
        Ended {
            code: output.status.code(),
            result,
        }
    }

    /// Runs one, which does what it should.
    pub fn succeed(&self, command: &str, id: &str, arguments: &[&str]) -> Ended {
        let ended = self.run(command, id, arguments);
        let reason = match command {
            "stage" => "Staged",
            "swap" => "Swapped",
            "undo" => "Undone",
            "drop-previous" => "Dropped",
            _ => "Discarded",
        };
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(ended.result["reason"], reason, "{ended:?}");
        ended
    }

    /// Runs one, which fails with this reason and this exit code; nothing is changed.
    pub fn fail(
        &self,
        command: &str,
        id: &str,
        arguments: &[&str],
        expected: (&str, i32),
    ) -> Ended {
        let before = self.everything();
        let ended = self.run(command, id, arguments);
        let reason = ended.result["reason"].as_str().unwrap();
        assert_eq!(
            (reason, ended.code),
            (expected.0, Some(expected.1)),
            "{ended:?}"
        );
        assert_eq!(self.everything(), before);
        ended
    }

    /// The rows of the live tables of the service.
    pub fn rows(&self) -> String {
        self.rows_in("public")
    }

    /// The same of another schema.
    pub fn rows_in(&self, schema: &str) -> String {
        self.sql(&format!(
            "SELECT md5(string_agg(u::text, ' ' ORDER BY username)) || count(*) FROM {schema}.users u; \
             SELECT md5(string_agg(f::text, ' ' ORDER BY low, high)) || count(*) FROM {schema}.friendships f; \
             SELECT string_agg(version::text, ' ' ORDER BY version) FROM {schema}._sqlx_migrations"
        ))
    }

    /// The names of the schemas that restores have made.
    pub fn schemas(&self) -> String {
        self.sql(
            "SELECT string_agg(nspname, ' ' ORDER BY nspname) FROM pg_namespace WHERE nspname ~ '^hello_'",
        )
    }

    /// Every table, index, right and note, and the live rows.
    pub fn everything(&self) -> String {
        let catalog = self.sql(
            "SELECT string_agg(format('%s %s %s', oid, oid::regclass, relacl), ' ' ORDER BY oid) FROM pg_class \
                 WHERE relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname !~ '^pg_|^information_schema$'); \
             SELECT string_agg(format('%s %s', nspname, obj_description(oid)), ' ' ORDER BY oid) FROM pg_namespace \
                 WHERE nspname !~ '^pg_temp|^pg_toast_temp'",
        );
        format!("{catalog}\n{}", self.rows())
    }
}
