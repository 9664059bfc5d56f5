//! The way of a restore: staged, counted, swapped, undone, removed.

use crate::support::postgres::{self, OWNER};

use super::bench::Restore;

const ACCEPT: &[&str] = &["--accept-data-loss"];
const REFUSED: (&str, i32) = ("Refused", 65);
const NOT_ACCEPTED: (&str, i32) = ("LossNotAccepted", 65);

/// One row more, one other, and two less: a user and a friendship.
const WRITES: &str = "INSERT INTO users VALUES ('new', '2001-01-01'); \
     UPDATE users SET date_of_birth = '2002-02-02' WHERE username = 'user-7'; \
     DELETE FROM users WHERE username = 'user-1'";

#[test]
fn what_a_backup_lacks_is_counted_and_lost_only_with_consent_and_comes_back() {
    let restore = Restore::new();
    let as_backed_up = restore.rows();
    restore.owner_sql(WRITES);
    let (as_written, objects) = (restore.rows(), restore.everything());

    let staged = restore.succeed("stage", "monday", &[]);
    assert_eq!(staged.loss(), [1, 1, 2]);
    let list = restore.backup.list();
    assert_eq!(staged.result["set"], list[0]["name"]);
    assert_eq!(staged.result["loss"]["since"], list[0]["time"]);
    assert_eq!(staged.result["rows"], 502);
    assert_eq!(staged.result["schemaVersion"], 3);
    assert!(staged.result.get("previous").is_none());
    assert_eq!(restore.rows(), as_written);
    assert_eq!(restore.rows_in("hello_restore_monday"), as_backed_up);
    assert_eq!(restore.schemas(), "hello_restore_monday");

    let refused = restore.fail("swap", "monday", &[], NOT_ACCEPTED);
    assert_eq!(refused.loss(), [1, 1, 2]);
    assert!(
        refused
            .message()
            .contains("1 rows would be lost that were added")
    );

    let swapped = restore.succeed("swap", "monday", ACCEPT);
    assert_eq!(swapped.loss(), [1, 1, 2]);
    assert_eq!(swapped.result["previous"], "hello_previous_monday");
    assert_eq!(restore.rows(), as_backed_up);
    assert_eq!(restore.rows_in("hello_previous_monday"), as_written);
    assert_eq!(restore.schemas(), "hello_previous_monday");

    // Nothing was written since.
    let undone = restore.succeed("undo", "monday", &[]);
    assert_eq!(undone.loss(), [0, 0, 1]);
    assert_eq!(restore.rows(), as_written);
    assert_eq!(restore.schemas(), "hello_restore_monday");
    restore.succeed("discard", "monday", &[]);
    assert_eq!(
        restore.everything(),
        objects,
        "the same tables are live again"
    );
}

#[test]
fn what_was_written_after_a_swap_is_lost_by_its_undoing_only_with_consent() {
    let restore = Restore::new();
    restore.owner_sql(WRITES);
    restore.succeed("stage", "a", &[]);
    restore.succeed("swap", "a", ACCEPT);
    restore.owner_sql(
        "INSERT INTO users VALUES ('later', '2003-03-03'), ('new', '2001-01-01'); \
         UPDATE users SET date_of_birth = '2004-04-04' WHERE username = 'user-9'; \
         DELETE FROM users WHERE username = 'user-8'",
    );
    let after = restore.rows();
    // `new` is in the former data as well.
    let refused = restore.fail("undo", "a", &[], NOT_ACCEPTED);
    assert_eq!(refused.loss(), [1, 1, 1]);
    let undone = restore.succeed("undo", "a", ACCEPT);
    assert_eq!(undone.loss(), [1, 1, 1]);
    assert_eq!(restore.rows_in("hello_restore_a"), after, "it is kept");
    let again = restore.succeed("undo", "a", &[]);
    assert_eq!(again.loss(), [1, 1, 1]);
}

#[test]
fn what_was_deleted_comes_back_without_consent() {
    let restore = Restore::new();
    let before = restore.rows();
    restore.owner_sql("DELETE FROM users WHERE username ~ '^user-'");
    assert_eq!(restore.succeed("stage", "b", &[]).loss(), [0, 0, 501]);
    assert_eq!(restore.succeed("swap", "b", &[]).loss(), [0, 0, 501]);
    assert_eq!(restore.rows(), before);
    restore.succeed("drop-previous", "b", &[]);
    assert_eq!(restore.schemas(), "");
    restore.fail("undo", "b", &[], REFUSED);
    assert_eq!(restore.rows(), before);
}

#[test]
fn each_command_can_be_repeated_and_none_goes_a_step_back() {
    let restore = Restore::new();
    for command in ["drop-previous", "discard"] {
        restore.succeed(command, "c", &[]);
    }
    for command in ["swap", "undo"] {
        restore.fail(command, "c", ACCEPT, REFUSED);
    }
    restore.owner_sql(WRITES);
    restore.succeed("stage", "c", &[]);
    restore.owner_sql("INSERT INTO users VALUES ('newer', '2001-01-01')");
    assert_eq!(
        restore.succeed("stage", "c", &[]).loss(),
        [2, 1, 2],
        "it is counted anew"
    );
    restore.fail("undo", "c", ACCEPT, REFUSED);
    restore.succeed("drop-previous", "c", &[]);
    let swapped = restore.succeed("swap", "c", ACCEPT);
    restore.owner_sql("INSERT INTO users VALUES ('later', '2001-01-01')");
    let again = restore.succeed("swap", "c", &[]);
    assert_eq!(again.result["loss"], swapped.result["loss"]);
    assert_eq!(again.result["time"], swapped.result["time"]);
    restore.fail("stage", "c", &[], REFUSED);
    restore.succeed("discard", "c", &[]);
    restore.succeed("undo", "c", ACCEPT);
    for command in ["swap", "stage"] {
        let refused = restore.fail(command, "c", &[], REFUSED);
        assert!(refused.message().contains("was undone"), "{refused:?}");
    }
    restore.succeed("discard", "c", &[]);
    restore.succeed("discard", "c", &[]);
    assert_eq!(restore.schemas(), "");
    restore.succeed("stage", "c", &[]);
}

#[test]
fn the_rights_on_the_tables_stay() {
    let restore = Restore::new();
    let rights = || {
        restore.sql(
            "SELECT string_agg(right_of::text, ' ' ORDER BY right_of::text) FROM ( \
                 SELECT relname, '', a.* FROM pg_class, aclexplode(relacl) a WHERE relnamespace = 'public'::regnamespace \
                 UNION ALL SELECT relname, attname, a.* FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid, \
                     aclexplode(attacl) a WHERE relnamespace = 'public'::regnamespace) right_of",
        )
    };
    restore.sql(
        "CREATE ROLE \"a reader\"; CREATE ROLE grants_on; CREATE ROLE by_default; \
         GRANT SELECT ON users, _sqlx_migrations TO \"a reader\"; GRANT SELECT ON friendships TO PUBLIC; \
         GRANT INSERT, UPDATE ON users TO grants_on WITH GRANT OPTION; \
         GRANT UPDATE (date_of_birth) ON users TO \"a reader\"",
    );
    // What later tables would be given to, these must not.
    restore.owner_sql("ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO by_default");
    let before = rights();
    restore.succeed("stage", "d", &[]);
    restore.owner_sql("REVOKE INSERT ON users FROM grants_on");
    let changed = rights();
    assert_ne!(before, changed);
    restore.succeed("swap", "d", &[]);
    assert_eq!(rights(), changed, "as they are at the swap");
    restore.sql("DROP OWNED BY \"a reader\", grants_on, by_default; DROP ROLE \"a reader\", grants_on, by_default");
}

#[test]
fn backups_leave_out_what_restores_keep() {
    let restore = Restore::new();
    restore.owner_sql(WRITES);
    restore.succeed("stage", "e", &[]);
    let rows = restore.backup.list()[0]["rows"].as_u64().unwrap();
    let again = restore.backup.succeed(&[]);
    assert_eq!(
        again["rows"],
        rows - 1,
        "one row more, two less, as it is live"
    );
    restore.succeed("swap", "e", ACCEPT);
    restore.owner_sql("INSERT INTO users VALUES ('later', '2001-01-01')");
    let dump = postgres::bin().join("pg_restore");
    let set = restore.backup.succeed(&[])["set"]
        .as_str()
        .unwrap()
        .to_owned();
    let output = std::process::Command::new(dump)
        .arg("--list")
        .arg(restore.backup.path(&format!("{set}.dump")))
        .output()
        .unwrap();
    let list = String::from_utf8(output.stdout).unwrap();
    assert!(
        list.contains(" users ") && !list.contains("hello_previous"),
        "{list}"
    );
    assert!(list.contains(OWNER));
}

/// A migration that makes anything else has to have it exchanged as well.
#[test]
fn all_that_migrations_make_is_exchanged() {
    let made = postgres::shared().sql(
        &postgres::database(),
        "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class \
             WHERE relnamespace = 'public'::regnamespace AND relkind NOT IN ('i', 't'); \
         SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace; \
         SELECT count(*) FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typrelid = 0 AND typelem = 0; \
         SELECT count(*) FROM pg_namespace WHERE nspname !~ '^pg_|^information_schema$'",
    );
    // `TABLES` and `MIGRATIONS` in app/src/restore/names.rs.
    assert_eq!(made, "_sqlx_migrations friendships users\n0\n0\n1");
}
