//! The schemas of a restore.

use crate::config::RestoreId;

/// The schema of the live data.
pub const LIVE: &str = "public";
/// The tables of the service: those that others refer to come first.
pub const TABLES: [&str; 2] = ["users", "friendships"];
/// The table that says which migrations a schema has had.
pub const MIGRATIONS: &str = "_sqlx_migrations";

/// The schema of what is restored and not live. No name of these needs quoting.
pub fn staged(id: &RestoreId) -> String {
    format!("hello_restore_{}", id.as_str().replace('-', "_"))
}

/// The schema of what was live before.
pub fn previous(id: &RestoreId) -> String {
    format!("hello_previous_{}", id.as_str().replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_have_names_that_postgresql_does_not_cut() {
        const LONGEST: usize = 63;
        let id: RestoreId = "0b7c1f0e-51a4-4a50-9a0c-5f8f7a1f3c0d-123".parse().unwrap();
        for name in [staged(&id), previous(&id)] {
            assert!(name.len() <= LONGEST && !name.contains('-'), "{name}");
        }
    }
}
