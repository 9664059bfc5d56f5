//! The schema: the migrations in this program, and the version of a database.

use std::fmt;

use chrono::{DateTime, Utc};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqlitePool;
use sqlx::{AssertSqlSafe, Row};

/// Migrations for PostgreSQL.
pub static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");
/// Migrations for SQLite.
pub static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");

/// The version that this program's PostgreSQL statements need.
pub fn postgres_version() -> i64 {
    latest(&POSTGRES)
}

/// The newest version among `migrator`'s migrations.
pub fn latest(migrator: &Migrator) -> i64 {
    migrator
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or(0)
}

/// The encoding of a database that can hold all names.
pub const ENCODING: &str = "UTF8";

/// State of a PostgreSQL server.
#[derive(Debug, Clone)]
pub struct PostgresState {
    /// Whether it rejects writes.
    pub read_only: bool,
    /// Whether it follows another server.
    pub standby: bool,
    /// The encoding of the database.
    pub encoding: String,
    /// The schema's version, 0 when it was never migrated.
    pub version: i64,
    /// What this role may not do, of what the service does.
    pub lacking: Vec<Right>,
    /// The time by its clock.
    pub time: DateTime<Utc>,
    /// When it was started, in microseconds: no two servers have this in common.
    pub started: i64,
}

/// A right on a table, or on the schema of all tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Right {
    /// What may be done.
    pub privilege: &'static str,
    /// The table.
    pub table: &'static str,
}

impl Right {
    /// All rights that any part of the service needs.
    pub const ALL: [Self; 8] = [
        Self::new("SELECT", "users"),
        Self::new("INSERT", "users"),
        Self::new("UPDATE", "users"),
        Self::new("DELETE", "users"),
        Self::new("SELECT", "friendships"),
        Self::new("INSERT", "friendships"),
        Self::new("UPDATE", "friendships"),
        Self::new("DELETE", "friendships"),
    ];
    /// Without it there seem to be no tables.
    pub const SCHEMA: Self = Self::new("USAGE", "schema");

    /// The right to do something with a table.
    pub const fn new(privilege: &'static str, table: &'static str) -> Self {
        Self { privilege, table }
    }

    /// Whether the role has it, or on some columns at least; no value where there is no such table.
    fn condition(self) -> String {
        let Self { privilege, table } = self;
        let function = match privilege {
            "DELETE" => "has_table_privilege",
            _ => "has_any_column_privilege",
        };
        format!("{function}(to_regclass('{table}'), '{privilege}')")
    }
}

impl fmt::Display for Right {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} on {}", self.privilege, self.table)
    }
}

/// Reads the state of a server, in one simple query that every pooler accepts.
///
/// # Errors
/// When the server does not answer, or this role may not read the versions.
pub async fn postgres_state(connection: &mut PgConnection) -> Result<PostgresState, sqlx::Error> {
    const SERVER: &str = "SELECT current_setting('transaction_read_only') = 'on', pg_is_in_recovery(), \
         current_setting('server_encoding'), clock_timestamp(), \
         (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint";
    // Of the schemas that the role may not look into, one with such a table is the service's.
    const IS_HIDDEN: &str = "EXISTS (SELECT 1 FROM pg_class WHERE relname = '_sqlx_migrations' \
         AND NOT has_schema_privilege(relnamespace, 'USAGE'))";
    const UNDEFINED_TABLE: &str = "42P01";
    let rights = Right::ALL.map(Right::condition).join(", ");
    let versioned = format!(
        "{SERVER}, coalesce((SELECT max(version) FROM _sqlx_migrations WHERE success), 0), {rights}, false"
    );
    let unversioned = format!("{SERVER}, 0::bigint, {rights}, {IS_HIDDEN}");
    let answer = sqlx::raw_sql(AssertSqlSafe(versioned))
        .fetch_one(&mut *connection)
        .await;
    let row = match answer {
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(UNDEFINED_TABLE) => {
            sqlx::raw_sql(AssertSqlSafe(unversioned))
                .fetch_one(connection)
                .await?
        }
        answer => answer?,
    };
    let mut lacking = Vec::new();
    for (place, right) in Right::ALL.into_iter().enumerate() {
        if row.try_get::<Option<bool>, _>(6 + place)? == Some(false) {
            lacking.push(right);
        }
    }
    if row.try_get(6 + Right::ALL.len())? {
        lacking.push(Right::SCHEMA);
    }
    Ok(PostgresState {
        lacking,
        read_only: row.try_get(0)?,
        standby: row.try_get(1)?,
        encoding: row.try_get(2)?,
        time: row.try_get(3)?,
        started: row.try_get(4)?,
        version: row.try_get(5)?,
    })
}

/// Why a schema cannot be migrated.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// An applied migration is not the one that this program has.
    #[error(
        "migration {0} was changed after it was applied: the schema does not belong to this program"
    )]
    Tampered(i64),
    /// The database cannot hold all names.
    #[error("the database has the encoding {0}: create it with ENCODING 'UTF8'")]
    Encoding(String),
    /// A table that a migration changes is locked, and stays so.
    #[error("a table stays locked by {held_by}")]
    Locked {
        /// Roles, processes, programs and times.
        held_by: String,
    },
    /// A migration failed.
    #[error("{0}")]
    Failed(#[from] sqlx::Error),
    /// Another failure of the migrator.
    #[error("{0}")]
    Other(MigrateError),
}

impl From<MigrateError> for MigrationError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::VersionMismatch(version) => Self::Tampered(version),
            other => Self::Other(other),
        }
    }
}

/// Checks that a database can hold all names.
///
/// # Errors
/// [`MigrationError::Encoding`] when it cannot.
pub async fn check_encoding(connection: &mut PgConnection) -> Result<(), MigrationError> {
    let PostgresState { encoding, .. } = postgres_state(connection).await?;
    if encoding == ENCODING {
        Ok(())
    } else {
        Err(MigrationError::Encoding(encoding))
    }
}

impl MigrationError {
    /// The error of the database or of the connection to it, if that is the cause.
    pub fn database_error(&self) -> Option<&sqlx::Error> {
        match self {
            Self::Failed(error)
            | Self::Other(
                MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _),
            ) => Some(error),
            Self::Tampered(_) | Self::Encoding(_) | Self::Locked { .. } | Self::Other(_) => None,
        }
    }
}

/// What became of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Migrated {
    /// It is that of this program.
    ToOwn {
        /// The version.
        version: i64,
    },
    /// It is newer than this program, which serves on it all the same. Nothing was changed.
    IsNewer {
        /// The database's version.
        found: i64,
        /// The newest this program knows.
        known: i64,
    },
}

impl fmt::Display for Migrated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ToOwn { version } => write!(f, "the schema is at version {version}"),
            Self::IsNewer { found, known } => write!(
                f,
                "the schema is at version {found}, newer than this program's {known}: it was not changed"
            ),
        }
    }
}

/// Migrates a SQLite database to this program's schema. One that is newer is left alone.
///
/// # Errors
/// See [`MigrationError`].
pub async fn migrate_sqlite(pool: &SqlitePool) -> Result<Migrated, MigrationError> {
    const EXISTS: &str =
        "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = '_sqlx_migrations')";
    const VERSION: &str = "SELECT coalesce(max(version), 0) FROM _sqlx_migrations WHERE success";
    let known = latest(&SQLITE);
    let found: i64 = match sqlx::query_scalar(EXISTS).fetch_one(pool).await? {
        true => sqlx::query_scalar(VERSION).fetch_one(pool).await?,
        false => 0,
    };
    if found > known {
        return Ok(Migrated::IsNewer { found, known });
    }
    SQLITE.run(pool).await?;
    Ok(Migrated::ToOwn { version: known })
}
