//! A folder of backups, and the program as it runs in production: as the user that PostgreSQL runs as.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::postgres::{self, OWNER, Server};

/// A folder of backups of one database.
pub struct Bench {
    pub url: String,
    pub folder: tempfile::TempDir,
    /// Other programs than PostgreSQL's own.
    bin: PathBuf,
    _bin: Option<tempfile::TempDir>,
    /// For throw-away servers: who is killed leaves an empty folder.
    temporary: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

impl Bench {
    /// Backs up a database of the shared server.
    pub fn new(database: &str) -> Self {
        Self::at(&postgres::shared().url(OWNER, database))
    }

    /// Backs up the database at `url`.
    pub fn at(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            folder: folder(),
            bin: postgres::bin(),
            _bin: None,
            temporary: folder(),
            variables: Vec::new(),
        }
    }

    /// Replaces one of PostgreSQL's programs by a script, which has the real one in `$REAL`.
    pub fn script(mut self, program: &str, script: &str) -> Self {
        self.replace(program, script);
        self
    }

    /// The same for one that is used already.
    pub fn replace(&mut self, program: &str, script: &str) {
        let bin = folder();
        for entry in std::fs::read_dir(postgres::bin()).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() != program {
                std::os::unix::fs::symlink(entry.path(), bin.path().join(entry.file_name()))
                    .unwrap();
            }
        }
        let real = postgres::bin().join(program);
        let script = format!("#!/bin/sh\nREAL={}\n{script}\n", real.display());
        let path = bin.path().join(program);
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        self.bin = bin.path().into();
        self._bin = Some(bin);
    }

    /// Uses the programs in another folder.
    pub fn programs(mut self, folder: &Path) -> Self {
        self.bin = folder.into();
        self
    }

    /// Sets a variable of the environment.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// A command of `backup` on the folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.program();
        command.arg("backup").args(arguments);
        command
    }

    /// The program, with the folder.
    pub fn program(&self) -> Command {
        let inner = postgres::unprivileged(Path::new(env!("CARGO_BIN_EXE_hello-app")));
        let mut command = Command::new("timeout");
        command
            .args(["--signal=KILL", "180"])
            .arg(inner.get_program())
            .args(inner.get_args())
            .env_clear()
            .env("HELLO_BACKUP_DIRECTORY", self.folder.path())
            .env("PG_BIN", &self.bin)
            .env("TMPDIR", self.temporary.path())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    /// Backs up.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.run_command(arguments).output().unwrap()
    }

    /// The command that backs up.
    pub fn run_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(&["run"]);
        command.args(arguments).env("DATABASE_URL", &self.url);
        command
    }

    /// Backs up, which succeeds; the result.
    pub fn succeed(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        let result: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(result["reason"], "Verified", "{result}");
        result
    }

    /// Backs up, which fails with this reason; the message.
    pub fn fail(&self, reason: &str, arguments: &[&str]) -> String {
        let result = self.folder.path().join("result");
        std::fs::write(&result, "").unwrap();
        postgres::hand_over(&result);
        let mut command = self.run_command(arguments);
        let command = command.arg("--result-file").arg(&result);
        let output = command.output().unwrap();
        // What no other attempt mends ends the Job.
        let lasts = ["Privileges", "ToolTooOld"].contains(&reason);
        let code = if lasts { 65 } else { 1 };
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        assert_eq!(output.stdout, b"");
        let text = std::fs::read_to_string(&result).unwrap();
        std::fs::remove_file(&result).unwrap();
        assert!(!text.contains("secret") && text.len() <= 4096, "{text}");
        assert!(!stderr(&output).contains("secret"), "{}", stderr(&output));
        let result = serde_json::from_str::<Value>(&text);
        let result = result.unwrap_or_else(|error| panic!("{error}: {}", stderr(&output)));
        assert_eq!(result["reason"], reason, "{result}");
        result["message"].as_str().unwrap().to_owned()
    }

    /// Names of the files in the folder.
    pub fn names(&self) -> Vec<String> {
        names(self.folder.path())
    }

    /// The list of backups.
    pub fn list(&self) -> Vec<Value> {
        let output = self.command(&["list", "-o", "json"]).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// How many backups are in each state.
    pub fn states(&self) -> [usize; 3] {
        let list = self.list();
        let count = |state: &str| list.iter().filter(|set| set["state"] == state).count();
        ["verified", "notProved", "damaged"].map(count)
    }

    /// The path of a file in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// A script that runs `script` before the real program, except when that is asked for its version only.
pub fn before(script: &str) -> String {
    format!("[ \"$1\" = --version ] && exec $REAL --version\n{script}\nexec $REAL \"$@\"")
}

/// The same after it.
pub fn after(script: &str) -> String {
    format!("[ \"$1\" = --version ] && exec $REAL --version\n$REAL \"$@\"; {script}")
}

/// A folder that PostgreSQL's user can write.
pub fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).unwrap();
    postgres::hand_over(folder.path());
    folder
}

/// Names of the files in a folder.
pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != ".hello-backup.lock")
        .collect();
    names.sort();
    names
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// PostgreSQL's programs without one of their extensions, and the folder that they go with.
pub fn programs_without(extension: &str) -> (tempfile::TempDir, PathBuf) {
    // Their libraries are beside them.
    let copy = folder();
    let bin = postgres::bin();
    let install = bin.ancestors().nth(3).unwrap();
    let copied = Command::new("cp")
        .arg("-r")
        .arg(install)
        .arg(copy.path().join("pg"))
        .status();
    assert!(copied.unwrap().success());
    let bin = copy
        .path()
        .join("pg")
        .join(bin.strip_prefix(install).unwrap());
    let extensions = bin.join("../share/extension");
    for entry in std::fs::read_dir(extensions).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().starts_with(extension) {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    (copy, bin)
}

/// A database with rows of several kinds.
pub fn filled_database() -> String {
    let database = postgres::database();
    fill(postgres::shared(), &database);
    database
}

/// Puts such rows into a migrated database.
pub fn fill(server: &Server, database: &str) {
    server.sql(
        database,
        &format!(
            "SET ROLE {OWNER}; \
             INSERT INTO users SELECT 'user-' || n, DATE '1990-01-01' + n FROM generate_series(1, 500) n; \
             INSERT INTO users VALUES ('José', '2000-02-29'); \
             INSERT INTO friendships VALUES ('user-1', 'user-2', true, true); \
             CREATE SCHEMA \"odd one\"; \
             CREATE TABLE \"odd one\".\"a \"\"table\"\"\" (t int, hello_row bigserial, x float8, b bytea, at timestamptz); \
             INSERT INTO \"odd one\".\"a \"\"table\"\"\" (t, x, b, at) VALUES (1, 0.1, 'x', '2026-01-01Z'), (NULL, 'NaN', '', NULL); \
             CREATE TABLE parts (n int) PARTITION BY RANGE (n); \
             CREATE TABLE part PARTITION OF parts FOR VALUES FROM (0) TO (9); \
             INSERT INTO parts VALUES (1), (2), (2); \
             SELECT lo_from_bytea(0, 'a large object')"
        ),
    );
}
