//! Restores from a bucket.

use super::bench::Restore;
use crate::backup::bench::filled_database;
use crate::backup::bucket::Store;
use crate::support::postgres::{self, OWNER};
use crate::support::s3::Action;

#[test]
fn a_lost_database_comes_back_from_a_bucket() {
    const USERS: &str =
        "SELECT md5(string_agg(u::text, ' ' ORDER BY username)) || count(*) FROM users u";
    let (server, lost) = (postgres::shared(), filled_database());
    let mut store = Store::new(&lost);
    let set = store.bench.succeed(&[])["set"].clone();
    let database = postgres::database();
    store.bench.url = server.url(OWNER, &database);
    // What a new service backs up before anybody restores is the latest.
    store.bench.succeed(&[]);
    // A key that may list the objects and read them is enough.
    store.proxy.set(|seen| {
        let reads = seen.line.starts_with("GET") && !seen.line.contains("uploads");
        match reads {
            true => Action::Pass,
            false => Action::Answer(403, ""),
        }
    });
    let restore = Restore {
        backup: store.bench,
        database,
        own: None,
    };
    let staged = restore.succeed("stage", "lost", &["--backup", set.as_str().unwrap()]);
    assert_eq!(staged.loss(), [0, 0, 502]);
    restore.succeed("swap", "lost", &[]);
    assert_eq!(restore.sql(USERS), server.sql(&lost, USERS));
}
