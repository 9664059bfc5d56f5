//! The command line. Values are taken as text here and checked together later, so that all
//! mistakes are reported at once.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Remembers dates of birth and greets people on their birthday.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the API.
    Serve(Box<ServeArgs>),
    /// Bring the database to this program's schema, and its roles into being.
    Migrate(MigrateArgs),
    /// Dump the database into a folder, check the dump, and prune old ones.
    Backup(BackupArgs),
    /// Fill a migrated database with made-up people.
    Seed(SeedArgs),
    /// Print the API's OpenAPI document.
    Openapi,
    /// Copy this program to a folder (for init containers; this image has no `cp`).
    InstallTo {
        /// The folder; the copy is named `hello-app`.
        directory: PathBuf,
    },
    /// Ask a running service whether it is ready.
    Healthcheck(HealthcheckArgs),
}

/// Where the database is.
#[derive(Debug, Args)]
pub struct DatabaseArgs {
    /// `postgres://…` or `sqlite://…`; `serve` uses an embedded SQLite file when there is none.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// A file that holds the database URL; read anew for every connection. When the server refuses its
    /// login, `serve` tries the URL in the file of this name with `.previous` behind it.
    #[arg(long, env = "DATABASE_URL_FILE")]
    pub database_url_file: Option<PathBuf>,
}

/// What `serve` takes.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Where the database is.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Address of the API [default: 127.0.0.1:8080, or port PORT on all addresses when it is set].
    #[arg(long, env = "HELLO_LISTEN")]
    pub listen: Option<String>,
    /// Port of the API as serverless platforms give it.
    #[arg(long, env = "PORT")]
    pub port: Option<String>,
    /// Address of health and metrics.
    #[arg(long, env = "HELLO_ADMIN_LISTEN", default_value = "127.0.0.1:9090")]
    pub admin_listen: String,
    /// IANA name of the zone that decides what day it is.
    #[arg(long, env = "HELLO_TIME_ZONE", default_value = "UTC")]
    pub time_zone: String,
    /// When people born on 29 February celebrate in other years: `feb28` or `mar1`.
    #[arg(long, env = "HELLO_LEAP_DAY", default_value = "feb28")]
    pub leap_day: String,
    /// Which letters a name may hold: `unicode` or `ascii`.
    #[arg(long, env = "HELLO_USERNAMES", default_value = "unicode")]
    pub usernames: String,
    /// Who may write.
    #[command(flatten)]
    pub oidc: OidcArgs,
    /// How the log is kept.
    #[command(flatten)]
    pub log: LogArgs,
    /// How long to go on serving after SIGTERM, while load balancers take notice.
    #[arg(long, env = "HELLO_DRAIN_DELAY", default_value = "5s")]
    pub drain_delay: String,
    /// How long requests that are under way may take after that.
    #[arg(long, env = "HELLO_DRAIN_TIMEOUT", default_value = "20s")]
    pub drain_timeout: String,
    /// PostgreSQL connections that read.
    #[arg(long, env = "HELLO_READ_CONNECTIONS", default_value = "2")]
    pub read_connections: String,
    /// PostgreSQL connections that write.
    #[arg(long, env = "HELLO_WRITE_CONNECTIONS", default_value = "2")]
    pub write_connections: String,
    /// PostgreSQL connections for lists and friendships.
    #[arg(long, env = "HELLO_QUERY_CONNECTIONS", default_value = "1")]
    pub query_connections: String,
    /// The longest a request waits for PostgreSQL.
    #[arg(long, env = "HELLO_DATABASE_DEADLINE", default_value = "2s")]
    pub database_deadline: String,
    /// What is between the service and PostgreSQL: `none`, or `transaction` for PgBouncer in
    /// transaction mode.
    #[arg(long, env = "HELLO_DATABASE_POOLER", default_value = "none")]
    pub database_pooler: String,
    /// Threads that serve requests [default: 1 on up to two cores, otherwise one for each core].
    #[arg(long, env = "HELLO_THREADS")]
    pub threads: Option<String>,
    /// The most connections of clients at a time.
    #[arg(long, env = "HELLO_MAX_CONNECTIONS", default_value = "20000")]
    pub max_connections: String,
    /// The longest a request's head may take to arrive, and a connection may be idle.
    #[arg(long, env = "HELLO_HEADER_TIMEOUT", default_value = "60s")]
    pub header_timeout: String,
    /// The longest a request's body may take to arrive.
    #[arg(long, env = "HELLO_BODY_TIMEOUT", default_value = "10s")]
    pub body_timeout: String,
    /// The most requests of one client, such as `20/s`, `600/m` or `1000/h` [default: no limit].
    #[arg(long, env = "HELLO_RATE_LIMIT")]
    pub rate_limit: Option<String>,
    /// Requests of one client that may come at once [default: the number in the rate limit].
    #[arg(long, env = "HELLO_RATE_LIMIT_BURST")]
    pub rate_limit_burst: Option<String>,
    /// Addresses, or blocks such as `10.0.0.0/8`, of proxies whose word is taken for whom they
    /// ask [default: none].
    #[arg(long, env = "HELLO_TRUSTED_PROXIES", value_delimiter = ',')]
    pub trusted_proxies: Vec<String>,
    /// The header in which these proxies tell it: `x-forwarded-for` or `forwarded`.
    #[arg(
        long,
        env = "HELLO_FORWARDED_HEADER",
        default_value = "x-forwarded-for"
    )]
    pub forwarded_header: String,
    /// A file with the API's certificate and those that vouch for it, in PEM. With it, and its
    /// key, the API speaks TLS; both are read again when they change.
    #[arg(long, env = "HELLO_TLS_CERTIFICATE_FILE")]
    pub tls_certificate_file: Option<PathBuf>,
    /// A file with the certificate's private key, in PEM.
    #[arg(long, env = "HELLO_TLS_KEY_FILE")]
    pub tls_key_file: Option<PathBuf>,
}

/// Who may write: everybody, unless an issuer is named.
#[derive(Debug, Args)]
pub struct OidcArgs {
    /// OpenID Connect issuer whose tokens allow to write, exactly as the tokens name it.
    #[arg(long, env = "HELLO_OIDC_ISSUER")]
    pub oidc_issuer: Option<String>,
    /// Whom tokens must be made for; any one of these, separated by commas.
    #[arg(long, env = "HELLO_OIDC_AUDIENCE", value_delimiter = ',')]
    pub oidc_audience: Vec<String>,
    /// The claim that holds the user name.
    #[arg(long, env = "HELLO_OIDC_USERNAME_CLAIM", default_value = "sub")]
    pub oidc_username_claim: String,
    /// The scope that allows to write every user [default: none does].
    #[arg(long, env = "HELLO_OIDC_ADMIN_SCOPE")]
    pub oidc_admin_scope: Option<String>,
    /// The algorithms that tokens may be signed with.
    #[arg(
        long,
        env = "HELLO_OIDC_ALGORITHMS",
        value_delimiter = ',',
        default_value = "RS256,ES256,EdDSA"
    )]
    pub oidc_algorithms: Vec<String>,
    /// How far the issuer's clock may be off, at most 5m.
    #[arg(long, env = "HELLO_OIDC_LEEWAY", default_value = "60s")]
    pub oidc_leeway: String,
    /// A file of certificates (PEM) that the issuer is trusted by, instead of the system's.
    #[arg(long, env = "HELLO_OIDC_CA_FILE")]
    pub oidc_ca_file: Option<PathBuf>,
    /// `true`: the issuer may be reached without TLS also when it is not on this machine.
    #[arg(long, env = "HELLO_OIDC_ALLOW_HTTP", default_value = "false")]
    pub oidc_allow_http: String,
}

/// How the log is kept.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    #[arg(long, env = "HELLO_LOG_LEVEL", default_value = "info")]
    pub log_level: String,
    /// `text` or `json`.
    #[arg(long, env = "HELLO_LOG_FORMAT", default_value = "text")]
    pub log_format: String,
}

/// What `migrate` takes.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// Where the database is.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// How the log is kept.
    #[command(flatten)]
    pub log: LogArgs,
    /// How long to wait for the database to come up.
    #[arg(long, env = "HELLO_WAIT_TIMEOUT", default_value = "60s")]
    pub wait_timeout: String,
    /// A file with the password of the role `hello_app`, which is made when this is given.
    #[arg(long, env = "HELLO_APP_ROLE_PASSWORD_FILE")]
    pub app_role_password_file: Option<PathBuf>,
    /// A file with the password of the role `hello_backup`, which is made when this is given.
    #[arg(long, env = "HELLO_BACKUP_ROLE_PASSWORD_FILE")]
    pub backup_role_password_file: Option<PathBuf>,
}

/// What `seed` takes.
#[derive(Debug, Args)]
pub struct SeedArgs {
    /// Where the database is.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// How the log is kept.
    #[command(flatten)]
    pub log: LogArgs,
    /// How many people to make.
    #[arg(long, env = "HELLO_SEED_COUNT", default_value = "1000")]
    pub count: String,
    /// What they are made from: the same number makes the same people.
    #[arg(long, env = "HELLO_SEED", default_value = "1")]
    pub seed: String,
}

/// What `backup` takes.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// Where the database is.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// How the log is kept.
    #[command(flatten)]
    pub log: LogArgs,
    /// The folder that keeps the dumps.
    #[arg(long, env = "HELLO_BACKUP_DIRECTORY")]
    pub directory: PathBuf,
    /// `custom` (pg_restore reads it) or `plain` (SQL text); may be given more than once.
    #[arg(
        long,
        env = "HELLO_BACKUP_FORMATS",
        value_delimiter = ',',
        default_value = "custom"
    )]
    pub format: Vec<String>,
    /// How many dumps of each format to keep.
    #[arg(long, env = "HELLO_BACKUP_KEEP_LAST", default_value = "7")]
    pub keep_last: String,
    /// The folder with pg_dump and pg_restore, when they are not on the PATH.
    #[arg(long, env = "PG_BIN")]
    pub pg_bin: Option<PathBuf>,
}

/// What `healthcheck` takes.
#[derive(Debug, Args)]
pub struct HealthcheckArgs {
    /// Address of health and metrics.
    #[arg(long, env = "HELLO_ADMIN_LISTEN", default_value = "127.0.0.1:9090")]
    pub admin_listen: std::net::SocketAddr,
}
