//! Where the database is.

use std::path::PathBuf;

use clap::ArgMatches;

use super::group::{OptionGroup, option_group};
use super::option::{optional, path};
use super::{ConfigErrors, Section};
use crate::secret::Secret;
use crate::store::DatabaseUrlSource;

option_group! {
    /// Where the database is.
    "Database" => pub struct DatabaseOptions {
        /// URL of the database, which may list several servers. Unset: `serve` keeps a SQLite file in the user's data folder; other
        /// commands need a URL.
        database_url: Option<Secret> = optional(
            "DATABASE_URL", "`postgres://…` or `sqlite://…`", |text| Ok(Secret::new(text)))
            .secret()
            .excludes("database_url_file"),
        /// File that holds the URL of the database. It is read again for every connection. When the
        /// server rejects the login, `serve` tries the URL in the file of the same name with
        /// `.previous` added.
        database_url_file: Option<PathBuf> = path("DATABASE_URL_FILE", "the path of a file"),
    }
}

impl DatabaseOptions {
    /// The options for the table of a command.
    pub(super) fn section() -> Section {
        Section::from_group::<Self>()
    }

    /// The database, which must be named.
    pub(super) fn required(
        matches: &ArgMatches,
        errors: &mut ConfigErrors,
    ) -> Option<DatabaseUrlSource> {
        match Self::read_group(matches, errors)?.source(errors)? {
            Some(source) => Some(source),
            None => {
                errors.record(&both_labels(), "one of them is required");
                None
            }
        }
    }

    /// The database that is named, or else a file in the user's data folder.
    pub(super) fn or_embedded(
        matches: &ArgMatches,
        errors: &mut ConfigErrors,
    ) -> Option<DatabaseUrlSource> {
        match Self::read_group(matches, errors)?.source(errors)? {
            Some(source) => Some(source),
            None => embedded(errors),
        }
    }

    /// The database that is named, if any. The outer `None` means that a mistake was recorded.
    fn source(self, errors: &mut ConfigErrors) -> Option<Option<DatabaseUrlSource>> {
        let (source, option) = match (self.database_url, self.database_url_file) {
            // That both are given is recorded already.
            (Some(_), Some(_)) => return None,
            (Some(url), None) => (DatabaseUrlSource::Value(url), "database_url"),
            (None, Some(path)) => (DatabaseUrlSource::File(path), "database_url_file"),
            (None, None) => return Some(None),
        };
        match source.read() {
            Ok(_) => Some(Some(source)),
            Err(error) => {
                errors.record(&Self::label(option), error);
                None
            }
        }
    }
}

fn both_labels() -> String {
    let label = <DatabaseOptions as OptionGroup>::label;
    format!(
        "{} or {}",
        label("database_url"),
        label("database_url_file")
    )
}

/// The file that `serve` uses when no database is named.
fn embedded(errors: &mut ConfigErrors) -> Option<DatabaseUrlSource> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let data = variable("XDG_DATA_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".local/share")));
    let Some(data) = data else {
        let mistake = "give one of them: without HOME there is no place for an embedded database";
        errors.record(&both_labels(), mistake);
        return None;
    };
    Some(DatabaseUrlSource::Embedded(data.join("hello")))
}
