//! `backup scratch-server`: a PostgreSQL server for one proof, on a socket in a folder. It holds no secret, nothing
//! reaches it over the network, and nothing of it is kept.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use tokio::process::Child;

use super::{FAILED, PORT, REQUEST, SUPERUSER, signal};
use crate::backup::destination::write_whole;
use crate::backup::error::{BackupError, Reason, at};
use crate::backup::locale::Locale;
use crate::backup::programs::{Programs, run};
use crate::config::ScratchServerConfig;
use crate::lifecycle::Signals;

/// The folder of the data.
const DATA: &str = "data";
/// How often the request is looked for.
const PAUSE: Duration = Duration::from_millis(10);
/// How often it is looked whether a server that was asked to end has ended.
const STOP_CHECKS: u32 = 500;
const INITDB: &str = "initdb";
const POSTGRES: &str = "postgres";

/// Settings of a server whose data may be lost at any time, and which one client uses.
const SETTINGS: [&str; 13] = [
    "listen_addresses=",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_wal_size=256MB",
    "autovacuum=off",
    "max_connections=10",
    "dynamic_shared_memory_type=mmap", // a container's /dev/shm is small
    "max_parallel_maintenance_workers=2",
    "maintenance_work_mem=64MB",
    "jit=off",
];

/// Waits for a request, serves it, and ends with a signal, or with the process that has started this one.
///
/// # Errors
/// When signals cannot be received. A server that fails is reported in the folder, to whoever has asked for it.
pub async fn serve(config: &ScratchServerConfig) -> Result<(), BackupError> {
    let folder = Folder(&config.options.directory);
    let mut signals = Signals::new().map_err(at(folder.0))?;
    // A parent outside of the container is none that counts: the container's runtime ends at once.
    if getppid().is_some() {
        let _ = set_parent_process_death_signal(Some(Signal::TERM));
    }
    let programs = Programs::new(config.options.pg_bin.as_deref());
    let failure = tokio::select! {
        failure = folder.serve(&programs) => Some(failure),
        _ = signals.next() => None,
    };
    if let Some(error) = failure {
        tracing::error!(%error, "there is no throw-away server");
        let cause = error.to_string();
        write_whole(&folder.0.join(FAILED), cause.as_bytes())?;
        // Whoever has asked reads it, and ends this.
        signals.next().await;
    }
    folder.clear();
    Ok(())
}

/// The folder of the server.
struct Folder<'a>(&'a Path);

impl Folder<'_> {
    /// Serves the request, until it fails.
    async fn serve(&self, programs: &Programs) -> BackupError {
        match self.start(programs).await {
            Ok(mut server) => server.ended().await,
            Err(error) => error,
        }
    }

    async fn start(&self, programs: &Programs) -> Result<Server, BackupError> {
        let data = self.0.join(DATA);
        if data.exists() {
            // Another server under the same client would be taken for the one that it restores into.
            return Err(failed("it ended before its time, and was started again"));
        }
        let request = self.request().await?;
        tracing::info!(?request, "starting the throw-away server");
        let mut initdb = programs.command(INITDB);
        initdb.args(arguments(&request)).arg("--pgdata").arg(&data);
        run(INITDB, initdb).await?;
        let mut postgres = programs.command(POSTGRES);
        postgres.arg("-D").arg(&data).arg("-k").arg(self.0);
        postgres.args(["-p", &PORT.to_string()]);
        for setting in SETTINGS {
            postgres.args(["-c", setting]);
        }
        let child = postgres.spawn().map_err(|error| BackupError::Start {
            program: POSTGRES,
            error,
        })?;
        Ok(Server { child })
    }

    /// Waits for the request.
    async fn request(&self) -> Result<Locale, BackupError> {
        let path: PathBuf = self.0.join(REQUEST);
        loop {
            match std::fs::read(&path) {
                Ok(bytes) => {
                    let request = serde_json::from_slice(&bytes);
                    return request.map_err(|error| failed(&format!("its request: {error}")));
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(at(&path)(error)),
            }
        }
    }

    /// Removes all that it has written, and the request.
    fn clear(&self) {
        let _ = std::fs::remove_dir_all(self.0.join(DATA));
        for name in [REQUEST, FAILED] {
            let _ = std::fs::remove_file(self.0.join(name));
        }
    }
}

/// A running server; it is stopped when this is dropped.
struct Server {
    child: Child,
}

impl Server {
    /// Waits for its end, which is never wanted.
    async fn ended(&mut self) -> BackupError {
        let status = self.child.wait().await;
        let status = status.map(|status: ExitStatus| status.to_string());
        failed(&format!("it ended: {}", status.unwrap_or_default()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // At once, clients or not, and together with its processes.
        if signal(&self.child, Signal::QUIT) {
            for _ in 0..STOP_CHECKS {
                if !matches!(self.child.try_wait(), Ok(None)) {
                    return;
                }
                std::thread::sleep(PAUSE);
            }
            // Otherwise it is killed.
        }
    }
}

fn failed(cause: &str) -> BackupError {
    BackupError::found(Reason::NotProved, cause)
}

/// What initdb is called with for a database like the one that was dumped.
fn arguments(request: &Locale) -> Vec<String> {
    let mut arguments = vec![
        format!("--username={SUPERUSER}"),
        "--auth=trust".into(), // the folder is the way in
        "--no-sync".into(),
        "--locale=C".into(),
        format!("--encoding={}", request.encoding),
        format!("--lc-collate={}", request.lc_collate),
        format!("--lc-ctype={}", request.lc_ctype),
    ];
    if let Some(provider) = &request.locale_provider {
        arguments.push(format!("--locale-provider={provider}"));
        let locale = request.locale.as_ref();
        if provider != "libc" {
            arguments.extend(locale.map(|locale| format!("--{provider}-locale={locale}")));
        }
        let rules = request.icu_rules.as_ref();
        arguments.extend(rules.map(|rules| format!("--icu-rules={rules}")));
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locale_is_that_of_the_request() {
        let libc = Locale {
            encoding: "UTF8".into(),
            lc_collate: "de_DE.UTF-8".into(),
            lc_ctype: "C".into(),
            locale_provider: None,
            locale: None,
            icu_rules: None,
        };
        let text = |request: &Locale| arguments(request).join(" ");
        assert!(text(&libc).ends_with("--encoding=UTF8 --lc-collate=de_DE.UTF-8 --lc-ctype=C"));
        let icu = Locale {
            locale_provider: Some("icu".into()),
            locale: Some("und".into()),
            ..libc.clone()
        };
        assert!(text(&icu).ends_with("--locale-provider=icu --icu-locale=und"));
        let given = Locale {
            locale_provider: Some("libc".into()),
            ..libc
        };
        assert!(text(&given).ends_with("--lc-ctype=C --locale-provider=libc"));
    }
}
