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
}

/// What the snapshot sees.
pub struct Seen {
    /// Tables and all else.
    pub contents: Contents,
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
        Ok(Self { connection, id })
    }

    /// Reads what it sees.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn read(&mut self) -> Result<Seen, BackupError> {
        let contents = Contents::read(&mut self.connection).await?;
        let migrations = contents.tables.keys();
        let mut migrations = migrations.filter(|name| name.ends_with("._sqlx_migrations"));
        let schema_version = match migrations.next() {
            Some(table) => {
                let sql = format!("SELECT coalesce(max(version), 0) FROM {table} WHERE success");
                sqlx::query_scalar(AssertSqlSafe(sql))
                    .fetch_one(&mut self.connection)
                    .await?
            }
            None => 0,
        };
        Ok(Seen {
            contents,
            schema_version,
        })
    }

    /// Ends it; what the sequences are by then, which belong to no snapshot.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end(
        mut self,
        relations: &[Relation],
    ) -> Result<BTreeMap<String, Sequence>, BackupError> {
        let sequences = contents::sequences(&mut self.connection, relations).await?;
        // Everything is read: how the session ends does not matter.
        let _ = self.connection.close().await;
        Ok(sequences)
    }
}
