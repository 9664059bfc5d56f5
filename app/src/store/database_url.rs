//! The database's address, kept out of every log.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::sqlite::SqliteConnectOptions;

use crate::secret::Secret;

/// A database address. `Debug` shows only the kind, because the address holds the password.
#[derive(Clone)]
pub enum DatabaseUrl {
    /// `postgres://…`
    Postgres(Box<PgConnectOptions>),
    /// `sqlite://…`
    Sqlite(Box<SqliteConnectOptions>),
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Postgres(_) => "Postgres(…)",
            Self::Sqlite(_) => "Sqlite(…)",
        })
    }
}

/// Why an address cannot be used. Never repeats the address.
#[derive(Debug, thiserror::Error)]
pub enum InvalidDatabaseUrl {
    /// Neither of the two schemes.
    #[error("the database URL must begin with postgres://, postgresql:// or sqlite:")]
    Scheme,
    /// The right scheme, but malformed behind it.
    #[error("the database URL is malformed: {0}")]
    Malformed(String),
    /// The file with the address cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    File {
        /// The file that was named.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
}

impl FromStr for DatabaseUrl {
    type Err = InvalidDatabaseUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = |error: sqlx::Error| InvalidDatabaseUrl::Malformed(error.to_string());
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            let options: PgConnectOptions = text.parse().map_err(malformed)?;
            // The driver keeps the brackets of an IPv6 address, which certificates do not have.
            let host = options.get_host().trim_matches(['[', ']']).to_owned();
            let options = options.host(&host);
            let mode = ssl_mode(text, &options);
            Ok(Self::Postgres(Box::new(options.ssl_mode(mode))))
        } else if text.starts_with("sqlite:") {
            Ok(Self::Sqlite(Box::new(text.parse().map_err(malformed)?)))
        } else {
            Err(InvalidDatabaseUrl::Scheme)
        }
    }
}

/// How the server is spoken to: as PostgreSQL's own programs would, except that a remote server is
/// verified unless the address says otherwise.
fn ssl_mode(text: &str, options: &PgConnectOptions) -> PgSslMode {
    let query: Vec<_> = url::Url::parse(text)
        .map(|url| url.query_pairs().map(|(key, _)| key.into()).collect())
        .unwrap_or_default();
    let given = |names: &[&str]| query.iter().any(|key: &String| names.contains(&&**key));
    let authority_given = given(&["sslrootcert", "ssl-root-cert", "ssl-ca"])
        || std::env::var_os("PGSSLROOTCERT").is_some();
    let mode_given = given(&["sslmode", "ssl-mode"]);
    match options.get_ssl_mode() {
        _ if !mode_given && is_remote(options) => PgSslMode::VerifyFull,
        // The driver does not look at the authorities it is given then.
        PgSslMode::Require if authority_given => PgSslMode::VerifyCa,
        // The driver would never encrypt.
        PgSslMode::Allow => PgSslMode::Prefer,
        mode => mode,
    }
}

/// Whether the way to the server leaves the machine and the cluster. Names without a dot are
/// Services of the same namespace or neighbours in a compose file.
fn is_remote(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    let local = options.get_socket().is_some()
        || host.starts_with('/')
        || host
            .parse::<std::net::IpAddr>()
            .map_or(!host.contains('.'), |ip| ip.is_loopback())
        || host.ends_with(".svc")
        || host.ends_with(".svc.cluster.local");
    !local
}

/// Where the address comes from; a file is read anew for every connection, so that a rotated
/// password takes effect without a restart.
#[derive(Debug, Clone)]
pub enum DatabaseUrlSource {
    /// Given directly.
    Value(Secret),
    /// In a file, as mounted from a Secret.
    File(PathBuf),
}

impl DatabaseUrlSource {
    /// Reads the address as it is now.
    ///
    /// # Errors
    /// When the file is unreadable or does not hold a usable address.
    pub fn read(&self) -> Result<DatabaseUrl, InvalidDatabaseUrl> {
        self.text()?.expose().parse()
    }

    /// The address to try when the server refuses the login of the first: the file beside it whose
    /// name ends in `.previous`. Whoever replaces a password leaves the old one there, so that
    /// connections are made both before and after the server has learned the new one.
    pub fn read_previous(&self) -> Option<DatabaseUrl> {
        let Self::File(path) = self else {
            return None;
        };
        let mut beside = path.clone().into_os_string();
        beside.push(".previous");
        let previous = Secret::read(beside.as_ref()).ok()?;
        let current = self.text().ok()?;
        (previous != current).then(|| previous.expose().parse().ok())?
    }

    /// Reads the address as it is now, unparsed.
    ///
    /// # Errors
    /// When the file is unreadable.
    pub fn text(&self) -> Result<Secret, InvalidDatabaseUrl> {
        match self {
            Self::Value(text) => Ok(text.clone()),
            Self::File(path) => Secret::read(path).map_err(|error| InvalidDatabaseUrl::File {
                path: path.clone(),
                error,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ssl_mode(url: &str) -> PgSslMode {
        match url.parse().unwrap() {
            DatabaseUrl::Postgres(options) => options.get_ssl_mode(),
            DatabaseUrl::Sqlite(_) => panic!("{url} is not PostgreSQL"),
        }
    }

    #[test]
    fn remote_hosts_are_verified_unless_told_otherwise() {
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
        }
        for url in [
            "postgres://user@db.example.com/db",
            "postgres://user@192.0.2.7/db",
            "postgres://user@[2001:db8::7]/db",
        ] {
            assert!(matches!(ssl_mode(url), PgSslMode::VerifyFull), "{url}");
        }
        let told = "postgres://user@db.example.com/db?sslmode=require";
        assert!(matches!(ssl_mode(told), PgSslMode::Require));
        // Only a parameter tells; this is a password.
        let not_told = "postgres://user:sslmode=disable@db.example.com/db";
        assert!(matches!(ssl_mode(not_told), PgSslMode::VerifyFull));
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
    fn neither_debug_nor_errors_show_the_password() {
        let url = "postgres://user:s3cret@localhost/db"
            .parse::<DatabaseUrl>()
            .unwrap();
        assert!(!format!("{url:?}").contains("s3cret"));
        for wrong in [
            "mysql://u:s3cret@h/d",
            "postgres://u:s3cret@h:port/d",
            "s3cret",
        ] {
            let error = wrong.parse::<DatabaseUrl>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{wrong}");
        }
    }

    #[test]
    fn a_file_is_read_anew_each_time() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let source = DatabaseUrlSource::File(file.path().into());
        assert!(source.read().is_err());
        std::fs::write(file.path(), "postgres://first@localhost/db\n").unwrap();
        let user = |source: &DatabaseUrlSource| match source.read().unwrap() {
            DatabaseUrl::Postgres(options) => options.get_username().to_owned(),
            DatabaseUrl::Sqlite(_) => panic!("not PostgreSQL"),
        };
        assert_eq!(user(&source), "first");
        std::fs::write(file.path(), "postgres://second@localhost/db\n").unwrap();
        assert_eq!(user(&source), "second");
    }

    #[test]
    fn an_earlier_address_counts_when_it_is_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let (file, beside) = (
            folder.path().join("uri"),
            folder.path().join("uri.previous"),
        );
        let source = DatabaseUrlSource::File(file.clone());
        std::fs::write(&file, "postgres://new@localhost/db").unwrap();
        assert!(source.read_previous().is_none());
        std::fs::write(&beside, "postgres://new@localhost/db\n").unwrap();
        assert!(source.read_previous().is_none());
        std::fs::write(&beside, "nonsense").unwrap();
        assert!(source.read_previous().is_none());
        std::fs::write(&beside, "postgres://old@localhost/db").unwrap();
        let DatabaseUrl::Postgres(options) = source.read_previous().unwrap() else {
            panic!("not PostgreSQL")
        };
        assert_eq!(options.get_username(), "old");
    }
}
