//! The throw-away server that dumps are restored into: how a backup asks for it, and reaches it.
//!
//! The server runs as `backup scratch-server`, in another container that shares a folder, or as a child of this process.
//! The folder has the request, the server's socket, its data, and the cause when there is none.

mod server;

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

pub use self::server::serve;
use super::contents;
use super::destination::{private_folder, write_whole};
use super::error::{BackupError, not_proved};
use super::locale::Locale;

/// What the server is to be like; its presence starts it.
const REQUEST: &str = "request.json";
/// Why there is no server.
const FAILED: &str = "failed";
/// The superuser.
const SUPERUSER: &str = "postgres";
/// The port that names the socket; nothing listens on the network.
const PORT: u16 = 5432;
/// The database that a dump is restored into.
pub const DATABASE: &str = "proof";

/// How long the server may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(180);
/// How often it is looked for.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a server of this process may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// A server that was asked for. One that this process started ends with it.
pub struct Scratch {
    folder: PathBuf,
    child: Option<Child>,
}

impl Scratch {
    /// Asks for a server: in the folder that is `shared` with one that waits, or else started by this process with the
    /// programs in `pg_bin`.
    ///
    /// # Errors
    /// When it cannot be asked for.
    pub fn request(
        shared: Option<&Path>,
        pg_bin: Option<&Path>,
        locale: &Locale,
    ) -> Result<Self, BackupError> {
        let folder = match shared {
            Some(folder) => folder.to_owned(),
            // Whoever reaches the socket is a superuser.
            None => private_folder("hello-scratch").map_err(not_proved)?,
        };
        let mut scratch = Self {
            folder,
            child: None,
        };
        if let Err(error) = scratch.ask(pg_bin, locale, shared.is_none()) {
            if shared.is_none() {
                let _ = std::fs::remove_dir_all(&scratch.folder);
            }
            return Err(error);
        }
        Ok(scratch)
    }

    fn ask(
        &mut self,
        pg_bin: Option<&Path>,
        locale: &Locale,
        starts_it: bool,
    ) -> Result<(), BackupError> {
        let request = serde_json::to_vec(locale).map_err(not_proved)?;
        write_whole(&self.folder.join(REQUEST), &request).map_err(not_proved)?;
        if starts_it {
            self.child = Some(self.start(pg_bin).map_err(not_proved)?);
        }
        Ok(())
    }

    fn start(&self, pg_bin: Option<&Path>) -> io::Result<Child> {
        // The program itself, also where its user may not look into the folder that it is in, or it was replaced meanwhile.
        let mut command = Command::new("/proc/self/exe");
        command.arg0("hello-app");
        command.args(["backup", "scratch-server", "--directory"]);
        command.arg(&self.folder);
        if let Some(pg_bin) = pg_bin {
            command.arg("--pg-bin").arg(pg_bin);
        }
        // What it says about a failure is read from its file.
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::null()).process_group(0).spawn()
    }

    /// The folder of its socket.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Waits until it accepts connections, and makes an empty database in it, with roles of these names.
    ///
    /// # Errors
    /// When it failed, or takes too long.
    pub async fn prepare(&mut self, roles: &[String]) -> Result<(), BackupError> {
        self.ready().await?;
        self.create_database(roles).await.map_err(not_proved)
    }

    /// Waits until it accepts connections.
    ///
    /// # Errors
    /// When it failed, or takes too long.
    pub async fn ready(&mut self) -> Result<(), BackupError> {
        let end = Instant::now() + START_TIMEOUT;
        loop {
            if let Ok(cause) = std::fs::read_to_string(self.folder.join(FAILED)) {
                return Err(not_proved(cause));
            }
            if let Some(child) = &mut self.child
                && let Ok(Some(status)) = child.try_wait()
            {
                return Err(not_proved(status));
            }
            let error = match self.connect("postgres").await {
                Ok(connection) => {
                    let _ = connection.close().await;
                    return Ok(());
                }
                Err(error) => error,
            };
            if Instant::now() >= end {
                return Err(not_proved(format!(
                    "none within {START_TIMEOUT:?}: {error}"
                )));
            }
            sleep(PAUSE).await;
        }
    }

    /// Whether it still accepts connections, and is the same.
    pub async fn is_alive(&self) -> bool {
        self.connect(DATABASE).await.is_ok()
    }

    /// A session of `database`, whose settings are pinned.
    ///
    /// # Errors
    /// When the server refuses or fails.
    pub async fn connect(&self, database: &str) -> Result<PgConnection, sqlx::Error> {
        let options = PgConnectOptions::new_without_pgpass()
            .ssl_mode(PgSslMode::Disable)
            .socket(&self.folder)
            .port(PORT)
            .username(SUPERUSER)
            .password("") // there is none, also when the environment has one
            .database(database);
        let options = options.disable_statement_logging();
        let mut connection = options.connect().await?;
        contents::pin_session(&mut connection).await?;
        Ok(connection)
    }

    /// Makes an empty database with roles of these names, which cannot log in.
    async fn create_database(&self, roles: &[String]) -> Result<(), sqlx::Error> {
        let mut connection = self.connect("postgres").await?;
        let known: Vec<String> = sqlx::query_scalar("SELECT rolname::text FROM pg_roles")
            .fetch_all(&mut connection)
            .await?;
        for role in roles.iter().filter(|role| !known.contains(*role)) {
            let statement = format!("CREATE ROLE {} NOLOGIN", quoted(role));
            execute(&mut connection, statement).await?;
        }
        execute(
            &mut connection,
            format!("DROP DATABASE IF EXISTS {DATABASE}"),
        )
        .await?;
        execute(
            &mut connection,
            format!("CREATE DATABASE {DATABASE} TEMPLATE template0"),
        )
        .await?;
        connection.close().await
    }

    /// Ends it and waits for that, if this process has started it.
    pub async fn stop(mut self) {
        if let Some(child) = &mut self.child {
            signal(child, Signal::TERM);
            let _ = tokio::time::timeout(STOP_TIMEOUT, child.wait()).await;
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(child) = &self.child {
            signal(child, Signal::TERM);
        }
    }
}

/// Sends a signal to a child; whether it has not ended yet.
fn signal(child: &Child, signal: Signal) -> bool {
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    let Some(id) = id.and_then(Pid::from_raw) else {
        return false;
    };
    let _ = kill_process(id, signal);
    true
}

async fn execute(connection: &mut PgConnection, statement: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(connection)
        .await
        .map(drop)
}

/// A name as SQL writes it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted() {
        assert_eq!(quoted("hello_app"), "\"hello_app\"");
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
    }

    #[test]
    fn a_request_has_the_agreed_names() {
        let locale = Locale {
            encoding: "UTF8".into(),
            lc_collate: "C".into(),
            lc_ctype: "C".into(),
            locale_provider: Some("libc".into()),
            locale: None,
            icu_rules: None,
        };
        assert_eq!(
            serde_json::to_string(&locale).unwrap(),
            r#"{"encoding":"UTF8","lcCollate":"C","lcCtype":"C","localeProvider":"libc"}"#
        );
    }
}
