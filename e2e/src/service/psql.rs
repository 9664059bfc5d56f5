//! SQL in the managed database, as its superuser over the socket: what an administrator does by hand.

use std::time::Duration;

use anyhow::Result;

use super::hello::Hello;
use crate::cluster::command;
use crate::scenario::Scenario;

/// Runs SQL in the database's pod and returns the rows, columns separated by `|`.
///
/// # Errors
/// When the pod is not there, or a statement fails.
pub async fn psql(scenario: &Scenario, hello: &Hello, sql: &str) -> Result<String> {
    let pod = hello.database_pod();
    let args = [
        "--namespace",
        &scenario.namespace,
        "exec",
        "--stdin",
        &pod,
        "--",
        "psql",
        "--username=postgres",
        "--dbname=hello",
        "--no-psqlrc",
        "--tuples-only",
        "--no-align",
        "--quiet",
        "--set",
        "ON_ERROR_STOP=1",
    ];
    let rows = command::output("kubectl", &args, sql, Duration::from_secs(30)).await?;
    Ok(rows.trim_end().to_owned())
}
