//! One instant of the database: what is dumped and what the restored dump is compared with are read from it.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};

use super::contents::{self, Contents, Kind, Relation, Sequence};
use super::error::BackupError;

/// What the locks of the snapshot are tried for, at least.
const SHORTEST: Duration = Duration::from_millis(1);

/// An exported snapshot. It ends with the session.
pub struct Snapshot {
    connection: PgConnection,
    /// What `pg_dump --snapshot` is given.
    pub id: String,
    relations: Vec<Relation>,
    /// What it sees, without rows; the sequences, which belong to no snapshot, as they are before the dump.
    pub contents: Contents,
}

/// What the snapshot sees.
pub struct Seen {
    /// Tables and all else.
    pub contents: Contents,
    /// What the sequences were by the time all else had been read.
    pub later: BTreeMap<String, Sequence>,
    /// The version of the schema; 0 when it was never migrated.
    pub schema_version: i64,
}

impl Snapshot {
    /// Locks the tables against changes of their structure, then takes the snapshot: so no migration comes between it
    /// and pg_dump, which reads the structure as it is at that time.
    ///
    /// # Errors
    /// When a table stays locked for `lock_timeout`, or the database fails.
    pub async fn take(
        mut connection: PgConnection,
        relations: &[Relation],
        lock_timeout: Duration,
    ) -> Result<Self, BackupError> {
        let lockable = relations
            .iter()
            .filter(|relation| relation.kind != Kind::Sequence);
        let names: Vec<_> = lockable.map(|relation| relation.name.as_str()).collect();
        let timeout = lock_timeout.max(SHORTEST).as_millis();
        let mut statements = vec![
            format!("SET lock_timeout = {timeout}"),
            // The callers of the database share its processors.
            "SET max_parallel_workers_per_gather = 0".to_owned(),
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY".to_owned(),
        ];
        if !names.is_empty() {
            let tables = names.join(", ONLY ");
            statements.push(format!("LOCK TABLE ONLY {tables} IN ACCESS SHARE MODE"));
        }
        for statement in statements {
            let statement = sqlx::raw_sql(AssertSqlSafe(statement));
            statement.execute(&mut connection).await?;
        }
        let id = sqlx::query_scalar("SELECT pg_export_snapshot()")
            .fetch_one(&mut connection)
            .await?;
        // A table may have come before the locks.
        let relations = contents::relations(&mut connection).await?;
        let contents = Contents::without_rows(&mut connection, &relations).await?;
        Ok(Self {
            connection,
            id,
            relations,
            contents,
        })
    }

    /// Reads what it sees, and ends it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn read(mut self) -> Result<Seen, BackupError> {
        let (connection, relations) = (&mut self.connection, &self.relations);
        self.contents.read_rows(connection, relations).await?;
        let migrations = self.contents.tables.keys();
        let mut migrations = migrations.filter(|name| name.ends_with("._sqlx_migrations"));
        let schema_version = match migrations.next() {
            Some(table) => {
                let sql = format!("SELECT coalesce(max(version), 0) FROM {table} WHERE success");
                sqlx::query_scalar(AssertSqlSafe(sql))
                    .fetch_one(&mut *connection)
                    .await?
            }
            None => 0,
        };
        let later = contents::sequences(connection, relations).await?;
        // Everything is read: how the session ends does not matter.
        let _ = self.connection.close().await;
        Ok(Seen {
            contents: self.contents,
            later,
            schema_version,
        })
    }
}
