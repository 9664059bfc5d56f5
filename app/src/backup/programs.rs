//! PostgreSQL's own programs, and how they reach a database.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use super::authorities::root_certificates;
use super::destination::Folder;
use super::error::{BackupError, Reason, without_rows};
use crate::config::DumpFormat;
use crate::postgres_url::ProgramUrl;

const PG_DUMP: &str = "pg_dump";
const PG_RESTORE: &str = "pg_restore";
const PSQL: &str = "psql";

/// How much is kept of what a program writes about its failure: so much of the beginning, where the cause is, and so
/// much of the end.
const KEPT_BYTES: usize = 4 << 10;

/// PostgreSQL's programs.
#[derive(Debug, Clone)]
pub struct Programs {
    /// Their folder; `None` is the PATH.
    folder: Option<PathBuf>,
}

/// A database to dump.
pub struct Source<'a> {
    url: &'a ProgramUrl,
    /// The value of `PGSSLROOTCERT`, where it is to be set.
    root_certificates: Option<String>,
}

impl<'a> Source<'a> {
    /// The database at `url`. A file that the programs need may be written into `destination`.
    ///
    /// # Errors
    /// When that file cannot be written.
    pub fn new(url: &'a ProgramUrl, destination: &Folder) -> Result<Self, BackupError> {
        let root_certificates = if url.verified {
            root_certificates(destination)?
        } else {
            None
        };
        Ok(Self {
            url,
            root_certificates,
        })
    }

    /// What is not in the URL: the password, and that a remote server must be verified, which the
    /// programs do not do by themselves.
    fn environment(&self) -> Vec<(&'static str, &str)> {
        let mut variables = Vec::new();
        if let Some(password) = &self.url.password {
            variables.push(("PGPASSWORD", password.expose()));
        }
        if self.url.verified {
            variables.push(("PGSSLMODE", "verify-full"));
        }
        if let Some(certificates) = &self.root_certificates {
            variables.push(("PGSSLROOTCERT", certificates));
        }
        variables
    }
}

impl Programs {
    /// The programs in `folder`, or on the PATH.
    pub fn new(folder: Option<&Path>) -> Self {
        Self {
            folder: folder.map(Into::into),
        }
    }

    /// The major version of pg_dump, and its version in its own words.
    ///
    /// # Errors
    /// When pg_dump cannot be run.
    pub async fn version(&self) -> Result<(u32, String), BackupError> {
        let mut command = self.command(PG_DUMP);
        command.arg("--version");
        let printed = run(PG_DUMP, command).await?;
        let words = printed.trim().rsplit(") ").next().unwrap_or_default();
        let major = major_of(words).ok_or_else(|| BackupError::Program {
            program: PG_DUMP,
            message: format!("its version is not understood: {printed}"),
        })?;
        Ok((major, words.to_owned()))
    }

    /// Dumps what the exported `snapshot` sees into the archive `file`.
    ///
    /// # Errors
    /// When pg_dump cannot be run or fails.
    pub async fn dump(
        &self,
        source: &Source<'_>,
        snapshot: &str,
        lock_timeout: Duration,
        file: &Path,
    ) -> Result<(), BackupError> {
        let mut command = self.command(PG_DUMP);
        command
            .args(["--no-password", "--format=custom", "--snapshot", snapshot])
            // An eighth larger than the usual level, for a fifth of its time: other programs share the processors.
            .arg("--compress=1")
            .args([
                "--exclude-schema=hello_restore_*",
                "--exclude-schema=hello_previous_*",
            ])
            .arg(format!(
                "--lock-wait-timeout={}",
                lock_timeout.as_millis().max(1)
            ))
            .arg("--file")
            .arg(file)
            .args(["--dbname", &source.url.url])
            .envs(source.environment());
        run(PG_DUMP, command).await.map(drop)
    }

    /// Writes the archive `archive` as SQL text into `file`.
    ///
    /// # Errors
    /// When pg_restore cannot be run or fails.
    pub async fn write_plain(&self, archive: &Path, file: &Path) -> Result<(), BackupError> {
        let mut command = self.command(PG_RESTORE);
        command.arg("--file").arg(file).arg(archive);
        run(PG_RESTORE, command).await.map(drop)
    }

    /// Restores the dump `file` as a superuser into the database `name` of the server whose socket is in `folder`: all
    /// of it, or nothing.
    ///
    /// # Errors
    /// When the program cannot be run or fails.
    pub async fn restore(
        &self,
        format: DumpFormat,
        file: &Path,
        folder: &Path,
        name: &str,
    ) -> Result<(), BackupError> {
        let (program, mut command) = match format {
            DumpFormat::Custom => {
                let mut command = self.command(PG_RESTORE);
                command.args(["--exit-on-error", "--no-tablespaces"]);
                (PG_RESTORE, command)
            }
            DumpFormat::Plain => {
                let mut command = self.command(PSQL);
                command.args(["--no-psqlrc", "--quiet", "--output=/dev/null"]);
                command.args(["--set=ON_ERROR_STOP=1", "--file"]).arg(file);
                (PSQL, command)
            }
        };
        for (name, _) in std::env::vars_os() {
            // They are about the database that is backed up.
            if name.as_encoded_bytes().starts_with(b"PG") {
                command.env_remove(name);
            }
        }
        command
            .args([
                "--single-transaction",
                "--no-password",
                "--username=postgres",
            ])
            .arg("--host")
            .arg(folder)
            .args(["--dbname", name]);
        if format == DumpFormat::Custom {
            command.arg(file);
        }
        run(program, command).await.map(drop)
    }

    /// A command whose messages are in English. A signal from the keyboard is for this process alone, which then says
    /// that it was interrupted, and not that a program failed.
    pub fn command(&self, name: &str) -> Command {
        let path = self
            .folder
            .as_ref()
            .map_or_else(|| name.into(), |folder| folder.join(name));
        let mut command = Command::new(path);
        command.env("LC_ALL", "C").stdin(Stdio::null());
        command.kill_on_drop(true).process_group(0);
        command
    }
}

/// Runs a program to its end; what it prints.
///
/// # Errors
/// When it cannot be run or fails: with all that it wrote about it, within reason.
pub async fn run(program: &'static str, mut command: Command) -> Result<String, BackupError> {
    let start = |error| BackupError::Start { program, error };
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(start)?;
    let (output, errors) = (child.stdout.take(), child.stderr.take());
    let (status, output, errors) = tokio::join!(child.wait(), ends_of(output), ends_of(errors));
    let status = status.map_err(start)?;
    if status.success() {
        return Ok(output);
    }
    let errors = without_rows(&errors);
    let message = if errors.is_empty() {
        status.to_string()
    } else {
        errors
    };
    Err(BackupError::Program { program, message })
}

/// Reads to the end; keeps the first and the last [`KEPT_BYTES`].
async fn ends_of(stream: Option<impl AsyncRead + Unpin>) -> String {
    const MARK: &[u8] = "\n…\n".as_bytes();
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    let mut is_cut = false;
    let mut bytes = [0; KEPT_BYTES];
    if let Some(mut stream) = stream {
        // What cannot be read is as good as its end.
        while let Ok(length @ 1..) = stream.read(&mut bytes).await {
            let (first, rest) = bytes[..length].split_at(length.min(KEPT_BYTES - head.len()));
            head.extend_from_slice(first);
            tail.extend_from_slice(rest);
            if let Some(over @ 1..) = tail.len().checked_sub(KEPT_BYTES) {
                tail.drain(..over);
                is_cut = true;
            }
        }
    }
    if is_cut {
        head.extend_from_slice(MARK);
    }
    head.extend_from_slice(&tail);
    String::from_utf8_lossy(&head).trim().to_owned()
}

/// The major version in a version in PostgreSQL's own words.
fn major_of(words: &str) -> Option<u32> {
    let digits = words.split(|letter: char| !letter.is_ascii_digit()).next();
    digits.and_then(|digits| digits.parse().ok())
}

/// Refuses programs that are older than those that made the dump of the set `name`: they cannot restore it.
///
/// # Errors
/// [`Reason::ToolTooOld`].
pub fn check_maker(tool: u32, maker: &str, name: &str) -> Result<(), BackupError> {
    // What cannot be read is left to the programs.
    let Some(major) = major_of(maker).filter(|major| tool < *major) else {
        return Ok(());
    };
    Err(BackupError::found(
        Reason::ToolTooOld,
        format!(
            "{name} was made by pg_dump of PostgreSQL {maker}, which programs of PostgreSQL {tool} cannot restore: use \
             programs (`spec.backup.image`) of PostgreSQL {major} or newer"
        ),
    ))
}

/// Refuses programs that are older than the server that they dump.
///
/// # Errors
/// [`Reason::ToolTooOld`].
pub fn check_version(tool: u32, server: u32) -> Result<(), BackupError> {
    if tool >= server {
        return Ok(());
    }
    Err(BackupError::found(
        Reason::ToolTooOld,
        format!(
            "pg_dump of PostgreSQL {tool} cannot dump a server of PostgreSQL {server}: use programs of PostgreSQL \
             {server} or newer"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres_url::PostgresUrl;

    #[test]
    fn a_remote_server_must_be_verified() {
        let folder = tempfile::tempdir().unwrap();
        let destination = Folder::lock(folder.path()).unwrap();
        let environment = |text: &str| {
            let url = PostgresUrl::parse(text).unwrap();
            let program = url.program_of(&url.servers()[0]);
            let source = Source::new(program, &destination).unwrap();
            let names = source.environment().into_iter().map(|(name, _)| name);
            names.collect::<Vec<_>>()
        };
        assert_eq!(
            environment("postgres://u:p@db.example.com/hello"),
            ["PGPASSWORD", "PGSSLMODE", "PGSSLROOTCERT"]
        );
        assert_eq!(environment("postgres://u@db/hello"), [""; 0]);
        assert_eq!(
            environment("postgres://u@db.example.com/hello?sslmode=require"),
            [""; 0]
        );
    }

    #[tokio::test]
    async fn both_ends_of_a_long_output_are_kept() {
        let text = format!("first\n{}\nlast", "x".repeat(99_999));
        let kept = ends_of(Some(text.as_bytes())).await;
        assert!(kept.starts_with("first\n") && kept.ends_with("\nlast"));
        assert!(kept.len() < 3 * KEPT_BYTES, "{}", kept.len());
        let text = "y".repeat(KEPT_BYTES + 5);
        assert_eq!(ends_of(Some(text.as_bytes())).await, text);
        assert_eq!(ends_of(None::<&[u8]>).await, "");
    }

    #[tokio::test]
    async fn a_program_that_is_missing_is_named() {
        let programs = Programs::new(Some(Path::new("/nonexistent")));
        let error = programs.version().await.unwrap_err();
        assert!(error.to_string().contains("cannot run pg_dump"));
    }

    #[test]
    fn older_programs_are_refused() {
        check_version(18, 16).unwrap();
        check_version(18, 18).unwrap();
        let error = check_version(16, 18).unwrap_err();
        assert_eq!(error.reason(), Reason::ToolTooOld);
        for maker in ["16.14", "18.6 (Debian 18.6-1)", "18beta1", "", "devel"] {
            check_maker(18, maker, "hello-1").unwrap();
        }
        let error = check_maker(16, "18.6 (Debian 18.6-1)", "hello-1").unwrap_err();
        assert_eq!(error.reason(), Reason::ToolTooOld);
    }
}
