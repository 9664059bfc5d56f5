//! What `serve` runs with.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::ConfigErrors;
use super::errors::non_empty;
use crate::auth::OidcConfig;
use crate::cli::ServeArgs;
use crate::domain::{LeapDay, UsernameRule};
use crate::http::{RateLimitOptions, TlsFiles};
use crate::runtime;
use crate::secret::Secret;
use crate::store::{DatabaseUrlSource, Pooler};
use crate::telemetry::LogFormat;

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
    /// Threads that serve requests.
    pub threads: NonZeroUsize,
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
        let before = errors.count();
        let database = errors.database(&args.database);
        let database = if database.is_none() && errors.count() == before {
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
        let threads = match non_empty(args.threads.as_deref()) {
            Some(threads) => errors.parse("HELLO_THREADS", threads),
            None => Some(runtime::default_threads()),
        };
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
                threads: threads?,
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
        match (
            non_empty(args.listen.as_deref()),
            non_empty(args.port.as_deref()),
        ) {
            (Some(listen), _) => self.parse("HELLO_LISTEN", listen),
            (None, Some(port)) => self
                .parse("PORT", port)
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
            self.note("DATABASE_URL is not given, and without HOME there is no place for a file");
            return None;
        };
        let folder = data.join("hello");
        if let Err(error) = std::fs::create_dir_all(&folder) {
            self.note(format!("cannot make {}: {error}", folder.display()));
            return None;
        }
        let url = format!("sqlite://{}", folder.join("hello.db").display());
        Some(DatabaseUrlSource::Value(Secret::new(url)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
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
            "--threads=0",
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
            "HELLO_THREADS",
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
