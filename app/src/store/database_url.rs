//! The URL of the database, and where it comes from. It is kept out of every log.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use sqlx::sqlite::SqliteConnectOptions;

use crate::postgres_url::{InvalidPostgresUrl, PostgresUrl};
use crate::secret::Secret;

/// The URL of a database. `Debug` shows only the kind, because the URL holds the password.
#[derive(Clone)]
pub enum DatabaseUrl {
    /// `postgres://…`
    Postgres(Box<PostgresUrl>),
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

/// Why a database URL cannot be used. Never repeats the URL.
#[derive(Debug, thiserror::Error)]
pub enum InvalidDatabaseUrl {
    /// Neither of the two schemes.
    #[error("the database URL must begin with postgres://, postgresql:// or sqlite:")]
    Scheme,
    /// A malformed PostgreSQL URL.
    #[error("the database URL is malformed: {0}")]
    Postgres(#[from] InvalidPostgresUrl),
    /// A SQLite URL without a file, whose data would be gone with each connection.
    #[error("the database URL names no file: write sqlite:///path/of/the/file")]
    NoFile,
    /// A malformed SQLite URL.
    #[error("the database URL is malformed: {0}")]
    Sqlite(sqlx::Error),
    /// The folder of the embedded database cannot be made.
    #[error("no database is given, and {} cannot be made for one: {error}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The error of the system.
        error: std::io::Error,
    },
    /// The file with the URL cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    File {
        /// The file that was named.
        path: PathBuf,
        /// The error of the system.
        error: std::io::Error,
    },
}

impl FromStr for DatabaseUrl {
    type Err = InvalidDatabaseUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            Ok(Self::Postgres(Box::new(PostgresUrl::parse(text)?)))
        } else if text.starts_with("sqlite:") {
            let options: SqliteConnectOptions = text.parse().map_err(InvalidDatabaseUrl::Sqlite)?;
            if options.get_filename().as_os_str().is_empty() {
                return Err(InvalidDatabaseUrl::NoFile);
            }
            Ok(Self::Sqlite(Box::new(options)))
        } else {
            Err(InvalidDatabaseUrl::Scheme)
        }
    }
}

/// Where the URL comes from. A file is read again for every connection, so that a rotated password
/// takes effect without a restart.
#[derive(Debug, Clone)]
pub enum DatabaseUrlSource {
    /// Given directly.
    Value(Secret),
    /// In a file, as mounted from a Secret.
    File(PathBuf),
    /// Nothing is given: a SQLite file in this folder, which is made when the database is opened.
    Embedded(PathBuf),
}

impl DatabaseUrlSource {
    /// Makes the folder of an embedded database, when nobody has said where the database is.
    ///
    /// # Errors
    /// [`InvalidDatabaseUrl::Folder`].
    pub fn prepare(&self) -> Result<(), InvalidDatabaseUrl> {
        let Self::Embedded(folder) = self else {
            return Ok(());
        };
        let path = folder.clone();
        std::fs::create_dir_all(folder).map_err(|error| InvalidDatabaseUrl::Folder { path, error })
    }

    /// Reads the present URL.
    ///
    /// # Errors
    /// When the file is unreadable or does not hold a usable URL.
    pub fn read(&self) -> Result<DatabaseUrl, InvalidDatabaseUrl> {
        self.text()?.expose().parse()
    }

    /// The URL to try when the server rejects the login of the first: in the file beside it whose name
    /// ends in `.previous`. Whoever replaces a password leaves the old one there, so that connections
    /// succeed both before and after the server gets the new one.
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

    fn text(&self) -> Result<Secret, InvalidDatabaseUrl> {
        match self {
            Self::Value(text) => Ok(text.clone()),
            Self::Embedded(folder) => {
                let file = folder.join("hello.db");
                Ok(Secret::new(format!("sqlite://{}", file.display())))
            }
            Self::File(path) => Secret::read(path).map_err(|error| self.unreadable(error)),
        }
    }

    /// The error of a source that cannot be read.
    pub fn unreadable(&self, error: std::io::Error) -> InvalidDatabaseUrl {
        let path = match self {
            Self::File(path) | Self::Embedded(path) => path.clone(),
            Self::Value(_) => PathBuf::from("DATABASE_URL"),
        };
        InvalidDatabaseUrl::File { path, error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(url: &DatabaseUrl) -> String {
        match url {
            DatabaseUrl::Postgres(url) => url.servers()[0].get_username().to_owned(),
            DatabaseUrl::Sqlite(_) => panic!("not PostgreSQL"),
        }
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
    fn a_file_without_a_name_is_none() {
        for nameless in [
            "sqlite:",
            "sqlite://",
            "sqlite://?mode=rwc",
            "sqlite:?mode=rwc",
        ] {
            let error = nameless.parse::<DatabaseUrl>().unwrap_err();
            assert!(matches!(error, InvalidDatabaseUrl::NoFile), "{nameless}");
        }
        for named in [
            "sqlite::memory:",
            "sqlite:hello.db",
            "sqlite:///hello.db?mode=rwc",
        ] {
            named.parse::<DatabaseUrl>().unwrap();
        }
    }

    #[test]
    fn a_file_is_read_again_each_time() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let source = DatabaseUrlSource::File(file.path().into());
        assert!(source.read().is_err());
        std::fs::write(file.path(), "postgres://first@localhost/db\n").unwrap();
        assert_eq!(user(&source.read().unwrap()), "first");
        std::fs::write(file.path(), "postgres://second@localhost/db\n").unwrap();
        assert_eq!(user(&source.read().unwrap()), "second");
    }

    #[test]
    fn the_previous_url_counts_when_it_differs() {
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
        assert_eq!(user(&source.read_previous().unwrap()), "old");
    }
}
