//! The URL of a PostgreSQL database: parsed once, for the driver, for the encryption of the connection
//! and for PostgreSQL's own programs.

use std::borrow::Cow;
use std::net::IpAddr;

use percent_encoding::percent_decode_str;
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

use crate::secret::Secret;

/// Names of the parameter that gives the mode of encryption.
const MODE: [&str; 2] = ["sslmode", "ssl-mode"];
/// Names of the parameter that gives the authorities of the server.
const AUTHORITIES: [&str; 3] = ["sslrootcert", "ssl-root-cert", "ssl-ca"];

/// Names of all parameters that the driver understands.
const KNOWN: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// A PostgreSQL URL. Has no `Debug`: it holds the password.
#[derive(Clone)]
pub struct PostgresUrl {
    options: PgConnectOptions,
    program: ProgramUrl,
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

/// Why a text is not a PostgreSQL URL. Never repeats the text.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidPostgresUrl(String);

impl PostgresUrl {
    /// Parses a URL whose scheme is `postgres` or `postgresql`.
    ///
    /// # Errors
    /// When the URL is malformed, or has a parameter that is unknown or has an unknown value.
    pub fn parse(text: &str) -> Result<Self, InvalidPostgresUrl> {
        let invalid = |error: &dyn std::fmt::Display| InvalidPostgresUrl(error.to_string());
        let url = Url::parse(&with_host(text)).map_err(|error| invalid(&error))?;
        check_parameters(&url)?;
        let options = PgConnectOptions::from_url(&url).map_err(|error| invalid(&error))?;
        // The driver keeps the brackets of an IPv6 address, which certificates do not have.
        let host = options.get_host().trim_matches(['[', ']']).to_owned();
        let options = options.host(&host);
        let mode = ssl_mode(&url, &options);
        let verified = matches!(mode, PgSslMode::VerifyFull);
        let password = url
            .password()
            .map(|password| percent_decode_str(password).decode_utf8())
            .transpose()
            .map_err(|error| invalid(&error))?
            .map(Secret::new);
        Ok(Self {
            options: options.ssl_mode(mode),
            program: ProgramUrl {
                password,
                url: without_password(url).into(),
                verified,
            },
        })
    }

    /// The options for the driver.
    pub fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// The URL for PostgreSQL's own programs.
    pub fn program(&self) -> &ProgramUrl {
        &self.program
    }
}

/// The URL with a host, which may be missing where a parameter gives the folder of the server's socket.
fn with_host(text: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.into();
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if authority.ends_with('@') {
        format!("{scheme}://{authority}localhost{path}").into()
    } else {
        text.into()
    }
}

/// Refuses unknown parameters, which the driver would write into the log, value and all.
fn check_parameters(url: &Url) -> Result<(), InvalidPostgresUrl> {
    let known =
        |key: &str| KNOWN.contains(&key) || (key.starts_with("options[") && key.ends_with(']'));
    let Some((key, _)) = url.query_pairs().find(|(key, _)| !known(key)) else {
        return Ok(());
    };
    let is_name = key
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || b"_-".contains(&byte));
    // Of a password with `?` in it, the rest looks like a parameter.
    let next = url
        .query()
        .and_then(|query| query.as_bytes().get(key.len()));
    Err(InvalidPostgresUrl(if is_name && next == Some(&b'=') {
        format!("the parameter {key} is not known")
    } else {
        "a parameter is not known; in a password, `?` has to be written as `%3F`".into()
    }))
}

/// How the connection is encrypted: as PostgreSQL's own programs do it, except that a remote server is
/// verified unless the URL gives another mode.
fn ssl_mode(url: &Url, options: &PgConnectOptions) -> PgSslMode {
    let given = |names: &[&str]| url.query_pairs().any(|(key, _)| names.contains(&&*key));
    let authorities_given = given(&AUTHORITIES) || std::env::var_os("PGSSLROOTCERT").is_some();
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> PostgresUrl {
        PostgresUrl::parse(url).unwrap()
    }

    fn ssl_mode(url: &str) -> PgSslMode {
        parse(url).options().get_ssl_mode()
    }

    #[test]
    fn remote_servers_are_verified_unless_the_url_gives_another_mode() {
        for url in [
            "postgres://user@localhost/db",
            "postgres://user@127.0.0.1/db",
            "postgres://user@[::1]/db",
            "postgres://user@hello-db/db",
            "postgres://user@hello-db.default.svc/db",
            "postgresql://user@hello-db.default.svc.cluster.local/db",
            "postgres://user@localhost/db?host=/run/postgresql",
        ] {
            assert!(matches!(ssl_mode(url), PgSslMode::Prefer), "{url}");
            assert!(!parse(url).program().verified, "{url}");
        }
        for url in [
            "postgres://user@db.example.com/db",
            "postgres://user@192.0.2.7/db",
            "postgres://user@[2001:db8::7]/db",
        ] {
            assert!(matches!(ssl_mode(url), PgSslMode::VerifyFull), "{url}");
            assert!(parse(url).program().verified, "{url}");
        }
        let given = "postgres://user@db.example.com/db?sslmode=require";
        assert!(matches!(ssl_mode(given), PgSslMode::Require));
        // Only a parameter gives the mode; this is a password.
        let password = "postgres://user:sslmode=disable@db.example.com/db";
        assert!(matches!(ssl_mode(password), PgSslMode::VerifyFull));
    }

    #[test]
    fn modes_mean_what_they_mean_to_the_programs_of_postgresql() {
        let local = |query: &str| ssl_mode(&format!("postgres://user@localhost/db?{query}"));
        assert!(matches!(local("sslmode=require"), PgSslMode::Require));
        assert!(matches!(
            local("sslmode=require&sslrootcert=/ca"),
            PgSslMode::VerifyCa
        ));
        assert!(matches!(
            local("sslmode=verify-full&sslrootcert=/ca"),
            PgSslMode::VerifyFull
        ));
        assert!(matches!(local("sslmode=allow"), PgSslMode::Prefer));
        assert!(matches!(local("sslmode=disable"), PgSslMode::Disable));
    }

    #[test]
    fn programs_get_the_password_apart() {
        let url = parse(
            "postgres://hello_backup:p%40ss@db:5432/hello?statement-cache-capacity=0&sslmode=disable",
        );
        let program = url.program();
        assert_eq!(
            program.url,
            "postgres://hello_backup@db:5432/hello?sslmode=disable"
        );
        assert_eq!(program.password.as_ref().unwrap().expose(), "p@ss");
        let bare = parse("postgres://u@db/hello");
        assert_eq!(bare.program().url, "postgres://u@db/hello");
        assert!(bare.program().password.is_none());
    }

    #[test]
    fn programs_get_their_own_spelling() {
        let url = "postgres://u@db.example.com/hello?ssl-mode=require&ssl-ca=/ca&ssl-key=/key";
        assert_eq!(
            parse(url).program().url,
            "postgres://u@db.example.com/hello?sslmode=require&sslrootcert=%2Fca&sslkey=%2Fkey"
        );
    }

    #[test]
    fn a_socket_needs_no_host() {
        let url = parse("postgres://u:p%40ss@/hello?host=/cloudsql/one:two:three");
        assert_eq!(
            url.options()
                .get_socket()
                .map(|path| path.to_str().unwrap()),
            Some("/cloudsql/one:two:three")
        );
        assert_eq!(url.program().password.as_ref().unwrap().expose(), "p@ss");
    }

    #[test]
    fn unknown_parameters_are_refused_by_name_only() {
        let error = |url: &str| PostgresUrl::parse(url).err().unwrap().to_string();
        assert!(error("postgres://u@h/d?sslpassword=s3cret").contains("sslpassword"));
        assert!(
            error("postgres://u@h/d?sslmode=require&channel_binding=s3cret").contains("not known")
        );
        for wrong in [
            "postgres://u@h/d?sslpassword=s3cret",
            "postgres://u@h/d?sslmode=require&channel_binding=s3cret",
            "postgres://u?s3cret@h/d",
            "postgres://u?s=s3cret@h/d",
            "postgres://u?hush-s3cret",
            "postgres://u@h/d?s3cret",
        ] {
            assert!(!error(wrong).contains("s3cret"), "{wrong}");
        }
    }

    #[test]
    fn malformed_urls_are_refused_without_repeating_them() {
        for wrong in [
            "postgres://u:s3cret@h:port/d",
            "postgres://u:s3cret@h/d?sslmode=s3cure",
            "postgres://u:s3cret%ff@h/d",
            "s3cret",
        ] {
            let error = PostgresUrl::parse(wrong).err().unwrap();
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{wrong}");
        }
    }
}
