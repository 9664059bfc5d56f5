//! What cannot be restored is named before anything is made.

use crate::backup::bench::{Bench, filled_database};
use crate::support::postgres::{self, OWNER};
use crate::support::session::Session;

use super::bench::Restore;

const REFUSED: (&str, i32) = ("Refused", 65);
const SOON: &str = "--lock-timeout=300ms";

/// What others make of the tables, how it is named, and how it is removed.
const PARTS: [(&str, &str, &str); 13] = [
    (
        "CREATE SCHEMA report; CREATE VIEW report.seen AS SELECT username FROM users",
        "report.seen",
        "DROP SCHEMA report CASCADE",
    ),
    (
        "CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM friendships",
        "counted",
        "DROP MATERIALIZED VIEW counted",
    ),
    (
        "CREATE TABLE other (u text REFERENCES users)",
        "table constraint other_u_fkey on other",
        "DROP TABLE other",
    ),
    (
        "CREATE FUNCTION noticed() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'; \
         CREATE TRIGGER notice AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION noticed()",
        "trigger notice on users",
        "DROP FUNCTION noticed CASCADE",
    ),
    (
        "CREATE RULE silent AS ON DELETE TO users DO ALSO NOTHING",
        "rule silent on users",
        "DROP RULE silent ON users",
    ),
    (
        "CREATE POLICY own_rows ON users USING (true)",
        "policy own_rows on users",
        "DROP POLICY own_rows ON users",
    ),
    (
        "ALTER TABLE friendships ENABLE ROW LEVEL SECURITY",
        "row security of friendships",
        "ALTER TABLE friendships DISABLE ROW LEVEL SECURITY",
    ),
    (
        "ALTER TABLE users ADD COLUMN nickname text",
        "column users.nickname text",
        "ALTER TABLE users DROP COLUMN nickname",
    ),
    (
        "CREATE INDEX by_day ON users (date_of_birth)",
        "index by_day",
        "DROP INDEX by_day",
    ),
    (
        "CREATE PUBLICATION changes FOR TABLE users",
        "publication relation users in publication changes",
        "DROP PUBLICATION changes",
    ),
    (
        "CREATE TABLE heirs () INHERITS (users)",
        "heirs",
        "DROP TABLE heirs",
    ),
    (
        "CREATE TABLE typed (u users)",
        "table typed",
        "DROP TABLE typed",
    ),
    (
        "CREATE STATISTICS both_of ON username, date_of_birth FROM users",
        "statistics object both_of",
        "DROP STATISTICS both_of",
    ),
];

#[test]
fn what_others_have_made_of_the_tables_is_named_before_anything_is_made() {
    let restore = Restore::new();
    for (make, name, remove) in PARTS {
        restore.sql(make);
        let refused = restore.fail("stage", "x", &[], REFUSED);
        assert!(refused.message().contains(name), "{name}: {refused:?}");
        restore.sql(remove);
    }
    // What has only its name from us, or is ours to lose, is no obstacle.
    restore.sql(
        "CREATE TABLE others (username text); CREATE FUNCTION counted() RETURNS bigint LANGUAGE sql \
         AS 'SELECT count(*) FROM public.users'; DROP INDEX friendships_by_high; CREATE EXTENSION pg_trgm",
    );
    restore.succeed("stage", "x", &[]);
    // Between the two.
    for (make, name, remove) in [PARTS[0], PARTS[2], PARTS[8]] {
        restore.sql(make);
        let refused = restore.fail("swap", "x", &[], REFUSED);
        assert!(refused.message().contains(name), "{name}: {refused:?}");
        restore.sql(remove);
    }
    restore.succeed("swap", "x", &[]);
    assert_eq!(restore.sql("SELECT counted()"), "501");
    assert_eq!(
        restore.sql("SELECT to_regclass('friendships_by_high')"),
        "friendships_by_high"
    );
    // Of what was live before.
    restore.sql("CREATE VIEW former AS SELECT * FROM hello_previous_x.users");
    let refused = restore.fail("drop-previous", "x", &[], REFUSED);
    assert!(
        refused.message().contains("view public.former"),
        "{refused:?}"
    );
    restore.sql("DROP VIEW former; CREATE TABLE hello_previous_x.mine ()");
    let refused = restore.fail("undo", "x", &[], REFUSED);
    assert!(refused.message().contains("mine"), "{refused:?}");
}

#[test]
fn schemas_of_others_are_in_the_way() {
    let restore = Restore::new();
    for schema in ["hello_restore_y", "hello_previous_y"] {
        restore.sql(&format!("CREATE SCHEMA {schema} AUTHORIZATION {OWNER}"));
        for command in ["stage", "swap", "undo"] {
            let refused = restore.fail(command, "y", &[], REFUSED);
            assert!(refused.message().contains(schema), "{refused:?}");
        }
        restore.sql(&format!("DROP SCHEMA {schema}"));
    }
    restore.sql("CREATE SCHEMA hello_restore_y; CREATE TABLE hello_restore_y.mine ()");
    restore.fail("discard", "y", &[], REFUSED);
}

#[test]
fn only_schemas_that_this_program_knows_are_restored() {
    let restore = Restore::new();
    const NEWER: &str = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9000, 'from the future', true, '', 0)";
    restore.owner_sql(NEWER);
    let refused = restore.fail("stage", "z", &[], REFUSED);
    assert!(
        refused.message().contains("live data is at version 9000"),
        "{refused:?}"
    );
    restore.backup.succeed(&[]);
    restore.owner_sql("DELETE FROM _sqlx_migrations WHERE version = 9000");
    let refused = restore.fail("stage", "z", &[], REFUSED);
    assert!(
        refused.message().contains("backup is at version 9000"),
        "{refused:?}"
    );
    let refused = restore.fail("stage", "z", &["--backup=hello-20200101T000000Z"], REFUSED);
    assert!(refused.message().contains("no backup"), "{refused:?}");

    // Tables that no release has made.
    restore.owner_sql("ALTER TABLE users ADD COLUMN nickname text");
    restore.backup.succeed(&[]);
    restore.owner_sql("ALTER TABLE users DROP COLUMN nickname");
    let refused = restore.fail("stage", "z", &[], REFUSED);
    assert!(
        refused.message().contains("tables of the backup")
            && refused.message().contains("nickname"),
        "{refused:?}"
    );
}

#[test]
fn a_backup_of_an_older_schema_is_migrated_before_anybody_sees_it() {
    let (server, database) = (postgres::shared(), filled_database());
    let older = "DROP TABLE friendships; DELETE FROM _sqlx_migrations WHERE version = 3";
    server.sql(&database, older);
    let restore = Restore::of(database);
    crate::support::succeed(
        crate::support::app::short_command(&["migrate"]).env("DATABASE_URL", &restore.backup.url),
    );
    restore.owner_sql(
        "INSERT INTO friendships VALUES ('user-1', 'user-2', true, true); DELETE FROM users WHERE username = 'user-9'",
    );
    let staged = restore.succeed("stage", "w", &[]);
    assert_eq!(staged.loss(), [1, 0, 1]);
    assert_eq!(staged.result["schemaVersion"], 3);
    restore.succeed("swap", "w", &["--accept-data-loss"]);
    assert_eq!(
        restore.sql("SELECT count(*) FROM users; SELECT count(*) FROM friendships"),
        "501\n0"
    );
    // What was live before was the same version, and is again after a while: it is migrated, too.
    restore.owner_sql(
        "SET search_path = hello_previous_w; DROP TABLE friendships; DELETE FROM _sqlx_migrations WHERE version = 3",
    );
    restore.succeed("undo", "w", &[]);
    assert_eq!(
        restore.sql("SELECT count(*) FROM users; SELECT count(*) FROM friendships"),
        "500\n0"
    );
}

#[test]
fn a_backup_that_is_not_what_it_was_is_not_restored() {
    let mut restore = Restore::new();
    restore.backup.replace("initdb", "exit 1");
    restore.fail("stage", "v", &[], ("NotProved", 69));
    restore.backup.replace("initdb", "exec $REAL \"$@\"");
    let name = restore.backup.list()[0]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = restore.backup.path(&format!("{name}.dump"));
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let refused = restore.fail("stage", "v", &[], ("Mismatch", 65));
    assert!(refused.message().contains("SHA-256"), "{refused:?}");
    assert_eq!(restore.schemas(), "");
}

#[test]
fn rights_that_the_owner_lacks_are_named() {
    let server = postgres::shared();
    let backed_up = Restore::new();
    server.sql(
        "postgres",
        "CREATE DATABASE not_owned TEMPLATE template_hello",
    );
    let mut restore = Restore {
        database: "not_owned".into(),
        ..backed_up
    };
    restore.backup.url = server.url(OWNER, "not_owned");
    let refused = restore.fail("stage", "u", &[], ("Privileges", 65));
    for statement in [
        format!("GRANT CREATE ON DATABASE not_owned TO {OWNER}"),
        format!("GRANT CREATE ON SCHEMA public TO {OWNER}"),
    ] {
        assert!(refused.message().contains(&statement), "{refused:?}");
        restore.sql(&statement);
    }
    server.sql(
        "postgres",
        "CREATE ROLE not_the_owner LOGIN PASSWORD 'secret'",
    );
    let owner = std::mem::replace(
        &mut restore.backup.url,
        server.url("not_the_owner", "not_owned"),
    );
    restore.fail("stage", "u", &[], ("Privileges", 65));
    restore.backup.url = owner.replace(":secret@", ":wrong-secret@");
    restore.fail("stage", "u", &[], ("Privileges", 65));
    restore.backup.url = owner;
    restore.succeed("stage", "u", &[]);
    restore.succeed("swap", "u", &[]);
}

#[test]
fn a_database_that_is_not_there_or_was_never_migrated_is_named() {
    let server = postgres::shared();
    let mut restore = Restore::new();
    server.sql(
        "postgres",
        &format!("CREATE DATABASE never_migrated OWNER {OWNER}"),
    );
    restore.backup.url = server.url(OWNER, "never_migrated");
    let refused = restore.run("stage", "t", &[]);
    assert_eq!(refused.code, Some(65));
    assert!(
        refused.message().contains("migrate it first"),
        "{refused:?}"
    );
    restore.backup.url = server.url_at(OWNER, "x", postgres::free_port());
    let failed = restore.run("stage", "t", &[]);
    assert_eq!(
        (failed.code, &failed.result["reason"]),
        (Some(69), &"Failed".into())
    );
}

#[test]
fn migrations_backups_and_restores_exclude_one_another() {
    let (server, restore) = (postgres::shared(), Restore::new());
    let held = ("Locked", 69);
    let mut session = Session::open(server, OWNER, "secret", &restore.database);
    let migration = "BEGIN; LOCK TABLE _sqlx_migrations IN SHARE UPDATE EXCLUSIVE MODE";
    session.run(migration).unwrap();
    for command in ["stage", "discard", "drop-previous"] {
        restore.fail(command, "s", &[SOON], held);
    }
    session.run("ROLLBACK").unwrap();
    restore.succeed("stage", "s", &[SOON]);
    session.run(migration).unwrap();
    restore.fail("swap", "s", &[SOON], held);
    session.run("ROLLBACK").unwrap();
    // A backup, or another long reader.
    session.run("BEGIN; SELECT count(*) FROM users").unwrap();
    restore.fail("swap", "s", &[SOON], held);
    // Nobody waits for a table meanwhile.
    assert!(server.try_sql_as(
        OWNER,
        &restore.database,
        "INSERT INTO users VALUES ('x', '2001-01-01')"
    ));
    let (mut patient, _) = restore.command("swap", "s", &["--accept-data-loss"]);
    let patient = patient.spawn().unwrap();
    session.run("SELECT count(*) FROM friendships").unwrap();
    session.run("ROLLBACK").unwrap();
    assert!(patient.wait_with_output().unwrap().status.success());

    let bench = Bench::new(&restore.database);
    session.run(migration).unwrap();
    assert!(bench.fail("Locked", &[SOON]).contains("migration"));
}

#[test]
fn a_later_restore_is_undone_first() {
    let restore = Restore::new();
    let as_backed_up = restore.rows();
    restore.owner_sql("DELETE FROM users WHERE username = 'user-5'");
    std::thread::scope(|scope| {
        for id in ["first", "second"] {
            let restore = &restore;
            scope.spawn(move || restore.succeed("stage", id, &[]));
        }
    });
    restore.succeed("swap", "first", &[]);
    restore.owner_sql("INSERT INTO users VALUES ('between', '2001-01-01')");
    restore.fail("swap", "second", &[], ("LossNotAccepted", 65));
    assert_eq!(
        restore
            .succeed("swap", "second", &["--accept-data-loss"])
            .loss(),
        [1, 0, 0]
    );
    assert_eq!(restore.rows(), as_backed_up);
    let refused = restore.fail("undo", "first", &["--accept-data-loss"], REFUSED);
    assert!(refused.message().contains("undo that first"), "{refused:?}");
    restore.succeed("undo", "second", &[]);
    assert_eq!(
        restore.sql("SELECT count(*) FROM users WHERE username = 'between'"),
        "1"
    );
    restore.succeed("undo", "first", &["--accept-data-loss"]);
    assert_eq!(
        restore.sql("SELECT count(*) FROM users WHERE username IN ('between', 'user-5')"),
        "0"
    );
}
