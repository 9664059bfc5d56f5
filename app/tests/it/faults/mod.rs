//! The connection to the database breaks: every answer is right, or 503 in time; no acknowledged write
//! is lost; and the service recovers by itself.

mod connections;
mod few;
mod lists;
mod locks;
mod network;
mod passwords;
mod refusals;
mod rights;
mod schema;
mod writes;

use std::time::Duration;

use crate::support::app::App;
use crate::support::client::Answer;
use crate::support::postgres::{self, OWNER};
use crate::support::proxy::Proxy;
use crate::support::{LONG, eventually};

/// The service's default deadline for the database.
const DEADLINE: Duration = Duration::from_secs(2);
/// The same as a variable, for tests of what is not answered in time.
const IN_TIME: (&str, &str) = ("HELLO_DATABASE_DEADLINE", "2s");
/// What a test machine that does other things at the same time may add to a deadline.
const SLACK: Duration = Duration::from_secs(60);
/// Longest time until the service recovers once the database is available, on such a machine.
const RECOVERY: Duration = LONG;

/// A service that reaches its fresh database through a proxy.
fn behind_proxy() -> (App, Proxy, String) {
    behind_proxy_with(&[IN_TIME])
}

fn behind_proxy_with(options: &[(&str, &str)]) -> (App, Proxy, String) {
    let (server, database) = (postgres::shared(), postgres::database());
    let proxy = Proxy::start(server.port);
    let url = server.url_at(OWNER, &database, proxy.address.port());
    let mut variables = vec![("DATABASE_URL", url.as_str())];
    variables.extend_from_slice(options);
    (App::ready(&variables), proxy, database)
}

/// Asserts that an answer reports the database as unavailable.
fn assert_unavailable(answer: &Answer) {
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.json()["type"], "/problems/database-unavailable");
}

/// Waits until reads and writes work and the service is ready again.
pub fn recovers(app: &App) {
    eventually("reads and writes work again", RECOVERY, || {
        app.put_date("/hello/recovered", "1990-01-01").status == 204
            && app.get("/hello/recovered").status == 200
            && app.admin("/readyz").status == 200
    });
}

/// Ends every session in `database`.
fn terminate(database: &str) {
    let sql = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{database}'"
    );
    postgres::shared().sql("postgres", &sql);
}
