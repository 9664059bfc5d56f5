//! PostgreSQL's own programs, and how they reach the database.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use super::authorities::root_certificates;
use super::destination::Folder;
use super::error::BackupError;
use crate::postgres_url::ProgramUrl;

const PG_DUMP: &str = "pg_dump";
const PG_RESTORE: &str = "pg_restore";

/// PostgreSQL's programs, with what they need to reach the database.
pub struct Programs<'a> {
    /// The folder of the programs; `None` is the PATH.
    folder: Option<&'a Path>,
    url: &'a ProgramUrl,
    /// The value of `PGSSLROOTCERT`, where it is to be set.
    root_certificates: Option<String>,
}

impl<'a> Programs<'a> {
    /// The programs in `folder`, or on the PATH. A file that they need may be written into
    /// `destination`.
    ///
    /// # Errors
    /// When that file cannot be written.
    pub fn new(
        folder: Option<&'a Path>,
        url: &'a ProgramUrl,
        destination: &Folder,
    ) -> Result<Self, BackupError> {
        let root_certificates = if url.verified {
            root_certificates(destination)?
        } else {
            None
        };
        Ok(Self {
            folder,
            url,
            root_certificates,
        })
    }

    /// Dumps the database into `file`; `format` is the flag of the format.
    ///
    /// # Errors
    /// When pg_dump cannot be run or fails.
    pub async fn pg_dump(&self, format: &str, file: &Path) -> Result<(), BackupError> {
        let mut command = self.command(PG_DUMP);
        command
            .args(["--no-password", format, "--file"])
            .arg(file)
            .args(["--dbname", &self.url.url])
            .envs(self.environment());
        run(PG_DUMP, command).await
    }

    /// Lists what is in the archive `file`, which fails when it is incomplete.
    ///
    /// # Errors
    /// When pg_restore cannot be run or fails.
    pub async fn pg_restore_list(&self, file: &Path) -> Result<(), BackupError> {
        let mut command = self.command(PG_RESTORE);
        command.arg("--list").arg(file);
        run(PG_RESTORE, command).await
    }

    fn command(&self, name: &str) -> Command {
        let path = self
            .folder
            .map_or_else(|| name.into(), |folder| folder.join(name));
        Command::new(path)
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

async fn run(program: &'static str, mut command: Command) -> Result<(), BackupError> {
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| BackupError::Start { program, error })?;
    if output.status.success() {
        return Ok(());
    }
    Err(BackupError::Program {
        program,
        message: last_line(&String::from_utf8_lossy(&output.stderr)),
    })
}

fn last_line(errors: &str) -> String {
    let line = errors.trim().lines().last();
    line.unwrap_or("no message").to_owned()
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
            let programs = Programs::new(None, url.program(), &destination).unwrap();
            let names = programs.environment().into_iter().map(|(name, _)| name);
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

    #[test]
    fn the_last_line_is_the_message() {
        assert_eq!(last_line("first\nlast\n\n"), "last");
        assert_eq!(last_line("\n"), "no message");
    }

    #[tokio::test]
    async fn a_program_that_is_missing_is_named() {
        let url = PostgresUrl::parse("postgres://u@db/hello").unwrap();
        let programs = Programs {
            folder: Some(Path::new("/nonexistent")),
            url: url.program(),
            root_certificates: None,
        };
        let error = programs.pg_restore_list(Path::new("x")).await.unwrap_err();
        assert!(error.to_string().contains("cannot run pg_restore"));
    }
}
