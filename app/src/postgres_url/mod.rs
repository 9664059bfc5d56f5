//! The URL of a PostgreSQL database: parsed once, for the driver, for the encryption of the connection
//! and for PostgreSQL's own programs.

mod parameters;
mod servers;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use percent_encoding::percent_decode_str;
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

pub use self::parameters::InvalidPostgresUrl;
use self::parameters::{AUTHORITIES, MODE};
use self::servers::Servers;
use crate::secret::Secret;

/// A PostgreSQL URL. Has no `Debug`: it holds the password.
#[derive(Clone)]
pub struct PostgresUrl {
    servers: Vec<PgConnectOptions>,
    wants_writes: bool,
    /// For each server.
    programs: Vec<ProgramUrl>,
}

/// The same URL for PostgreSQL's own programs, with the password apart: every user of the machine can
/// read a command line.
#[derive(Clone)]
pub struct ProgramUrl {
    /// The URL without its password, in the spelling of the programs.
    pub url: String,
    /// The password, for the environment of the program.
    pub password: Option<Secret>,
    /// Whether the server must prove that it is the one of this name.
    pub verified: bool,
}

impl PostgresUrl {
    /// Parses a URL whose scheme is `postgres` or `postgresql`.
    ///
    /// # Errors
    /// When the URL is malformed, or has a parameter that is unknown or has an unknown value.
    pub fn parse(text: &str) -> Result<Self, InvalidPostgresUrl> {
        let listed = Servers::parse(text)?;
        let servers = listed.urls.iter().map(options);
        let servers = servers.collect::<Result<Vec<_>, _>>()?;
        let programs = listed.urls.iter().zip(&servers).map(program);
        Ok(Self {
            programs: programs.collect::<Result<_, _>>()?,
            servers,
            wants_writes: listed.wants_writes,
        })
    }

    /// The options for the driver: for each server in the order in which they are tried, and at least one.
    pub fn servers(&self) -> &[PgConnectOptions] {
        &self.servers
    }

    /// Whether a server that takes no writes is passed over, also where nothing is written.
    pub const fn wants_writes(&self) -> bool {
        self.wants_writes
    }

    /// The URL of one of the servers, for PostgreSQL's own programs.
    pub fn program_of(&self, server: &PgConnectOptions) -> &ProgramUrl {
        let name = server_name(server);
        let mut names = self.servers.iter().map(server_name);
        let place = names.position(|known| known == name);
        &self.programs[place.unwrap_or_default()] // there is at least one
    }
}

/// The name of a server, for messages.
pub fn server_name(server: &PgConnectOptions) -> String {
    match server.get_socket() {
        Some(folder) => folder.display().to_string(),
        None => format!("{}:{}", server.get_host(), server.get_port()),
    }
}

/// The URL of one server for programs.
fn program((url, options): (&Url, &PgConnectOptions)) -> Result<ProgramUrl, InvalidPostgresUrl> {
    let password = url
        .password()
        .map(|password| percent_decode_str(password).decode_utf8())
        .transpose()
        .map_err(|error| InvalidPostgresUrl(error.to_string()))?
        .map(Secret::new);
    Ok(ProgramUrl {
        password,
        url: without_password(url.clone()).into(),
        verified: matches!(options.get_ssl_mode(), PgSslMode::VerifyFull),
    })
}

/// The options of one server.
fn options(url: &Url) -> Result<PgConnectOptions, InvalidPostgresUrl> {
    let options = PgConnectOptions::from_url(url);
    let options = options.map_err(|error| InvalidPostgresUrl(error.to_string()))?;
    // The driver keeps the brackets of an IPv6 address, which certificates do not have.
    let host = options.get_host().trim_matches(['[', ']']).to_owned();
    let options = options.host(&host);
    let mode = ssl_mode(url, &options);
    Ok(options.ssl_mode(mode))
}

/// How the connection is encrypted: as PostgreSQL's own programs do it, except that a remote server is
/// verified unless the URL gives another mode.
fn ssl_mode(url: &Url, options: &PgConnectOptions) -> PgSslMode {
    let given = |names: &[&str]| url.query_pairs().any(|(key, _)| names.contains(&&*key));
    let authorities_given = given(&AUTHORITIES)
        || std::env::var_os("PGSSLROOTCERT").is_some_and(|path| !path.is_empty());
    match options.get_ssl_mode() {
        _ if !given(&MODE) && is_remote(options) => PgSslMode::VerifyFull,
        // The driver would not look at the authorities that it is given.
        PgSslMode::Require if authorities_given => PgSslMode::VerifyCa,
        // The driver would never encrypt.
        PgSslMode::Allow => PgSslMode::Prefer,
        mode => mode,
    }
}

/// Whether the way to the server leaves the machine and the cluster. Names without a dot are Services
/// of the same namespace, or services of the same compose file.
fn is_remote(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    let local = options.get_socket().is_some()
        || host.starts_with('/')
        || host
            .parse::<IpAddr>()
            .map_or(!host.contains('.'), |ip| ip.is_loopback())
        || host.ends_with(".svc")
        || host.ends_with(".svc.cluster.local");
    !local
}

/// The URL without its password, and with parameters that PostgreSQL's programs know: they refuse
/// others.
fn without_password(mut url: Url) -> Url {
    // Only a URL without a host refuses, and that has no password.
    let _ = url.set_password(None);
    let kept: Vec<_> = url
        .query_pairs()
        .filter(|(key, _)| key != "statement-cache-capacity")
        .map(|(key, value)| (program_spelling(&key).to_owned(), value.into_owned()))
        .collect();
    url.query_pairs_mut().clear().extend_pairs(kept);
    if url.query() == Some("") {
        url.set_query(None);
    }
    url
}

fn program_spelling(key: &str) -> &str {
    match key {
        key if MODE.contains(&key) => MODE[0],
        key if AUTHORITIES.contains(&key) => AUTHORITIES[0],
        "ssl-cert" => "sslcert",
        "ssl-key" => "sslkey",
        other => other,
    }
}
