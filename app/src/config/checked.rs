//! Checked configuration. All mistakes are found before any is reported.

mod oidc;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::args::LogArgs;
use super::{BackupArgs, DatabaseArgs, MigrateArgs, Secret, SeedArgs, ServeArgs};
use crate::auth::OidcConfig;
use crate::domain::{LeapDay, UsernameRule};
use crate::http::{RateLimitOptions, TlsFiles};
use crate::roles::RolePasswords;
use crate::store::{DatabaseUrlSource, Pooler};
use crate::telemetry::LogFormat;

/// Everything that is wrong with the configuration.
#[derive(Debug, Default)]
pub struct ConfigErrors(Vec<String>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "invalid configuration: {}", self.0.join("; "))
    }
}

impl std::error::Error for ConfigErrors {}

impl ConfigErrors {
    /// Notes a mistake.
    pub(super) fn note(&mut self, mistake: &str) {
        self.0.push(mistake.to_owned());
    }

    /// Reads `text`, or notes what is wrong with it.
    pub(super) fn parse<T: FromStr<Err: fmt::Display>>(
        &mut self,
        name: &str,
        text: &str,
    ) -> Option<T> {
        text.parse()
            .map_err(|error| self.0.push(format!("{name}: {error}")))
            .ok()
    }

    fn duration(&mut self, name: &str, text: &str) -> Option<Duration> {
        humantime::parse_duration(text)
            .map_err(|error| {
                self.0
                    .push(format!("{name}: {error} (write 5s, 500ms or 1m)"))
            })
            .ok()
    }

    fn zone(&mut self, name: &str, text: &str) -> Option<TimeZone> {
        TimeZone::get(text)
            .map_err(|error| self.0.push(format!("{name}: {error}")))
            .ok()
    }

    fn secret(&mut self, name: &str, path: Option<&Path>) -> Option<Secret> {
        let path = non_empty_path(path)?;
        Secret::read(path)
            .map_err(|error| {
                self.0
                    .push(format!("{name}: cannot read {}: {error}", path.display()))
            })
            .ok()
            .filter(|secret| {
                let empty = secret.expose().is_empty();
                if empty {
                    self.0.push(format!("{name}: {} is empty", path.display()));
                }
                !empty
            })
    }

    fn database(&mut self, args: &DatabaseArgs) -> Option<DatabaseUrlSource> {
        let value = args.database_url.as_deref().filter(|text| !text.is_empty());
        let file = non_empty_path(args.database_url_file.as_deref());
        let source = match (value, file) {
            (Some(_), Some(_)) => {
                self.0
                    .push("DATABASE_URL and DATABASE_URL_FILE are both given".into());
                return None;
            }
            (Some(text), None) => DatabaseUrlSource::Value(Secret::new(text)),
            (None, Some(path)) => DatabaseUrlSource::File(path.into()),
            (None, None) => return None,
        };
        match source.read() {
            Ok(_) => Some(source),
            Err(error) => {
                self.0.push(format!("DATABASE_URL: {error}"));
                None
            }
        }
    }

    fn required_database(&mut self, args: &DatabaseArgs) -> Option<DatabaseUrlSource> {
        let before = self.0.len();
        let source = self.database(args);
        if source.is_none() && self.0.len() == before {
            self.0
                .push("DATABASE_URL or DATABASE_URL_FILE is required".into());
        }
        source
    }

    fn log(&mut self, args: &LogArgs) -> Option<(tracing::Level, LogFormat)> {
        let level = self.parse("HELLO_LOG_LEVEL", &args.log_level);
        let format = self.parse("HELLO_LOG_FORMAT", &args.log_format);
        Some((level?, format?))
    }

    /// The checked values, or all mistakes. A value is missing only when a mistake was noted.
    fn finish<T>(self, value: Option<T>) -> Result<T, Self> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(self),
        }
    }
}

/// An empty variable counts as not set.
pub(super) fn non_empty_path(path: Option<&Path>) -> Option<&Path> {
    path.filter(|path| !path.as_os_str().is_empty())
}

/// What `serve` runs with.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// Address of the API.
    pub listen: SocketAddr,
    /// Address of health and metrics.
    pub admin_listen: SocketAddr,
    /// Where the database is.
    pub database: DatabaseUrlSource,
    /// The zone that decides what day it is.
    pub zone: TimeZone,
    /// When people born on 29 February celebrate.
    pub leap_day: LeapDay,
    /// Which letters a name may hold.
    pub usernames: UsernameRule,
    /// What tokens are judged by, when writing needs one.
    pub oidc: Option<OidcConfig>,
    /// The least level that is logged.
    pub log_level: tracing::Level,
    /// How log lines look.
    pub log_format: LogFormat,
    /// How long to go on serving after SIGTERM.
    pub drain_delay: Duration,
    /// How long open requests may take after that.
    pub drain_timeout: Duration,
    /// PostgreSQL connections that read.
    pub read_connections: usize,
    /// PostgreSQL connections that write.
    pub write_connections: usize,
    /// PostgreSQL connections for lists and friendships.
    pub query_connections: usize,
    /// The longest a request waits for PostgreSQL.
    pub database_deadline: Duration,
    /// What is between the service and PostgreSQL.
    pub pooler: Pooler,
    /// The most connections of clients at a time.
    pub max_connections: u32,
    /// The longest a request's head may take, and a connection may be idle.
    pub header_timeout: Duration,
    /// The longest a request's body may take.
    pub body_timeout: Duration,
    /// What each client may do, when that is limited.
    pub rate_limit: Option<RateLimitOptions>,
    /// The API's certificate, when it speaks TLS.
    pub tls: Option<TlsFiles>,
}

impl TryFrom<&ServeArgs> for ServeConfig {
    type Error = ConfigErrors;

    fn try_from(args: &ServeArgs) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::default();
        let before = errors.0.len();
        let database = errors.database(&args.database);
        let database = if database.is_none() && errors.0.len() == before {
            errors.parse_embedded()
        } else {
            database
        };
        let listen = errors.listen(args);
        let admin_listen = errors.parse("HELLO_ADMIN_LISTEN", &args.admin_listen);
        let zone = errors.zone("HELLO_TIME_ZONE", &args.time_zone);
        let leap_day = errors.parse("HELLO_LEAP_DAY", &args.leap_day);
        let usernames = errors.parse("HELLO_USERNAMES", &args.usernames);
        let oidc = errors.oidc(&args.oidc);
        let log = errors.log(&args.log);
        let drain_delay = errors.duration("HELLO_DRAIN_DELAY", &args.drain_delay);
        let drain_timeout = errors.duration("HELLO_DRAIN_TIMEOUT", &args.drain_timeout);
        let reads = errors.parse::<NonZeroUsize>("HELLO_READ_CONNECTIONS", &args.read_connections);
        let writes =
            errors.parse::<NonZeroUsize>("HELLO_WRITE_CONNECTIONS", &args.write_connections);
        let queries =
            errors.parse::<NonZeroUsize>("HELLO_QUERY_CONNECTIONS", &args.query_connections);
        let deadline = errors.duration("HELLO_DATABASE_DEADLINE", &args.database_deadline);
        let pooler = errors.parse("HELLO_DATABASE_POOLER", &args.database_pooler);
        let max = errors.parse::<NonZeroU32>("HELLO_MAX_CONNECTIONS", &args.max_connections);
        let header_timeout = errors.duration("HELLO_HEADER_TIMEOUT", &args.header_timeout);
        let body_timeout = errors.duration("HELLO_BODY_TIMEOUT", &args.body_timeout);
        let rate_limit = errors.rate_limit(args);
        let tls = errors.tls(args);
        let config = (|| {
            let (log_level, log_format) = log?;
            Some(Self {
                listen: listen?,
                admin_listen: admin_listen?,
                database: database?,
                zone: zone?,
                leap_day: leap_day?,
                usernames: usernames?,
                oidc,
                log_level,
                log_format,
                drain_delay: drain_delay?,
                drain_timeout: drain_timeout?,
                read_connections: reads?.get(),
                write_connections: writes?.get(),
                query_connections: queries?.get(),
                database_deadline: deadline?,
                pooler: pooler?,
                max_connections: max?.get(),
                header_timeout: header_timeout?,
                body_timeout: body_timeout?,
                rate_limit,
                tls,
            })
        })();
        errors.finish(config)
    }
}

impl ConfigErrors {
    fn listen(&mut self, args: &ServeArgs) -> Option<SocketAddr> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        match (given(&args.listen), given(&args.port)) {
            (Some(listen), _) => self.parse("HELLO_LISTEN", &listen),
            (None, Some(port)) => self
                .parse("PORT", &port)
                .map(|port| (Ipv4Addr::UNSPECIFIED, port).into()),
            (None, None) => Some((Ipv4Addr::LOCALHOST, 8080).into()),
        }
    }

    /// The file that `serve` uses when no database is named, in the user's data folder.
    fn parse_embedded(&mut self) -> Option<DatabaseUrlSource> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let data = variable("XDG_DATA_HOME")
            .map(PathBuf::from)
            .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".local/share")));
        let Some(data) = data else {
            self.0.push(
                "DATABASE_URL is not given, and without HOME there is no place for a file".into(),
            );
            return None;
        };
        let folder = data.join("hello");
        if let Err(error) = std::fs::create_dir_all(&folder) {
            self.0
                .push(format!("cannot make {}: {error}", folder.display()));
            return None;
        }
        let url = format!("sqlite://{}", folder.join("hello.db").display());
        Some(DatabaseUrlSource::Value(Secret::new(url)))
    }
}

/// What `migrate` runs with.
#[derive(Debug)]
pub struct MigrateConfig {
    /// Where the database is.
    pub database: DatabaseUrlSource,
    /// How long to wait for the database.
    pub wait: Duration,
    /// Roles to make.
    pub passwords: RolePasswords,
    /// The least level that is logged.
    pub log_level: tracing::Level,
    /// How log lines look.
    pub log_format: LogFormat,
}

impl TryFrom<&MigrateArgs> for MigrateConfig {
    type Error = ConfigErrors;

    fn try_from(args: &MigrateArgs) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::default();
        let database = errors.required_database(&args.database);
        let wait = errors.duration("HELLO_WAIT_TIMEOUT", &args.wait_timeout);
        let log = errors.log(&args.log);
        let app = errors.secret(
            "HELLO_APP_ROLE_PASSWORD_FILE",
            args.app_role_password_file.as_deref(),
        );
        let backup = errors.secret(
            "HELLO_BACKUP_ROLE_PASSWORD_FILE",
            args.backup_role_password_file.as_deref(),
        );
        let config = (|| {
            let (log_level, log_format) = log?;
            let passwords = RolePasswords { app, backup };
            Some(Self {
                database: database?,
                wait: wait?,
                passwords,
                log_level,
                log_format,
            })
        })();
        errors.finish(config)
    }
}

/// What `seed` runs with.
#[derive(Debug)]
pub struct SeedConfig {
    /// Where the database is.
    pub database: DatabaseUrlSource,
    /// How many people to make.
    pub count: u32,
    /// What they are made from.
    pub seed: u64,
    /// The least level that is logged.
    pub log_level: tracing::Level,
    /// How log lines look.
    pub log_format: LogFormat,
}

impl TryFrom<&SeedArgs> for SeedConfig {
    type Error = ConfigErrors;

    fn try_from(args: &SeedArgs) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::default();
        let database = errors.required_database(&args.database);
        let log = errors.log(&args.log);
        let count = errors.parse("HELLO_SEED_COUNT", &args.count);
        let seed = errors.parse("HELLO_SEED", &args.seed);
        let config = (|| {
            let (log_level, log_format) = log?;
            Some(Self {
                database: database?,
                count: count?,
                seed: seed?,
                log_level,
                log_format,
            })
        })();
        errors.finish(config)
    }
}

/// How a dump is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DumpFormat {
    /// PostgreSQL's own compressed archive.
    Custom,
    /// SQL text.
    Plain,
}

impl FromStr for DumpFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "custom" => Ok(Self::Custom),
            "plain" => Ok(Self::Plain),
            other => Err(format!("`{other}` is neither `custom` nor `plain`")),
        }
    }
}

/// What `backup` runs with.
#[derive(Debug)]
pub struct BackupConfig {
    /// Where the database is.
    pub database: DatabaseUrlSource,
    /// The folder that keeps the dumps.
    pub directory: PathBuf,
    /// Which dumps to write; none twice.
    pub formats: Vec<DumpFormat>,
    /// How many of each format to keep, at least one.
    pub keep_last: usize,
    /// The folder with PostgreSQL's programs, when not on the PATH.
    pub pg_bin: Option<PathBuf>,
    /// The least level that is logged.
    pub log_level: tracing::Level,
    /// How log lines look.
    pub log_format: LogFormat,
}

impl TryFrom<&BackupArgs> for BackupConfig {
    type Error = ConfigErrors;

    fn try_from(args: &BackupArgs) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::default();
        let database = errors.required_database(&args.database);
        let log = errors.log(&args.log);
        let keep = errors.parse::<NonZeroUsize>("HELLO_BACKUP_KEEP_LAST", &args.keep_last);
        let mut formats = Vec::new();
        for text in &args.format {
            if let Some(format) = errors.parse("HELLO_BACKUP_FORMATS", text)
                && !formats.contains(&format)
            {
                formats.push(format);
            }
        }
        let config = (|| {
            let (log_level, log_format) = log?;
            Some(Self {
                database: database?,
                directory: args.directory.clone(),
                formats,
                keep_last: keep?.get(),
                pg_bin: non_empty_path(args.pg_bin.as_deref()).map(Into::into),
                log_level,
                log_format,
            })
        })();
        errors.finish(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Cli, Command};
    use clap::Parser;

    fn serve(flags: &[&str]) -> Result<ServeConfig, ConfigErrors> {
        let command = ["hello-app", "serve", "--database-url", "sqlite::memory:"];
        let Command::Serve(args) = Cli::parse_from(command.iter().chain(flags)).command else {
            panic!("not serve");
        };
        ServeConfig::try_from(&*args)
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let error = serve(&[
            "--listen=nowhere",
            "--time-zone=Mars/Base",
            "--leap-day=mar2",
            "--usernames=all",
            "--drain-delay=5",
            "--read-connections=0",
            "--log-level=loud",
            "--rate-limit=fast",
            "--trusted-proxies=10.0.0.0/8,here",
        ])
        .unwrap_err()
        .to_string();
        for name in [
            "HELLO_LISTEN",
            "HELLO_TIME_ZONE",
            "HELLO_LEAP_DAY",
            "HELLO_USERNAMES",
            "HELLO_DRAIN_DELAY",
            "HELLO_READ_CONNECTIONS",
            "HELLO_LOG_LEVEL",
            "HELLO_RATE_LIMIT",
            "HELLO_TRUSTED_PROXIES",
        ] {
            assert!(error.contains(name), "{name} is not in {error}");
        }
    }

    #[test]
    fn the_port_of_serverless_platforms_is_honoured_unless_an_address_is_given() {
        let listen = |flags: &[&str]| serve(flags).unwrap().listen.to_string();
        assert_eq!(listen(&[]), "127.0.0.1:8080");
        assert_eq!(listen(&["--port=9999"]), "0.0.0.0:9999");
        assert_eq!(
            listen(&["--port=9999", "--listen=127.0.0.1:1"]),
            "127.0.0.1:1"
        );
    }

    #[test]
    fn one_database_only() {
        let error = serve(&["--database-url-file=/dev/null"])
            .unwrap_err()
            .to_string();
        assert!(error.contains("both given"), "{error}");
    }
}
