//! From PostgreSQL 16 to 18 by a backup, and back.

use crate::backup::bench::{Bench, fill, programs_without, stderr};
use crate::support::app::{App, short_command};
use crate::support::postgres::{self, OWNER, Server};
use crate::support::succeed;

use super::bench::Restore;

const OLD: &str = "16";
const NEW: &str = "18";
const REFUSED: (&str, i32) = ("Refused", 65);

/// A server of a version, with the schema that a new service has.
fn service(version: &str, name: &str) -> Restore {
    let name = format!("versions-{name}-{version}");
    let programs = postgres::bin_of(version);
    let server = Server::start_from(&programs, &name, &[]);
    assert!(
        server
            .sql("postgres", "SHOW server_version")
            .starts_with(version)
    );
    server.sql("postgres", &format!("CREATE DATABASE hello OWNER {OWNER}"));
    let url = server.url(OWNER, "hello");
    succeed(short_command(&["migrate"]).env("DATABASE_URL", &url));
    Restore {
        backup: Bench::at(&url).programs(&programs),
        database: "hello".into(),
        own: Some(server),
    }
}

/// A service with rows of several kinds.
fn filled(version: &str, name: &str) -> Restore {
    let service = service(version, name);
    fill(service.server(), &service.database);
    service
}

impl Restore {
    /// Uses the programs of a version from now on.
    fn with_programs_of(mut self, version: &str) -> Self {
        self.backup = self.backup.programs(&postgres::bin_of(version));
        self
    }

    /// Uses the backups of another service from now on.
    fn with_backups_of(mut self, other: &Self) -> Self {
        let folder = other.backup.folder.path().to_str().unwrap();
        self.backup = self.backup.variable("HELLO_BACKUP_DIRECTORY", folder);
        self
    }
}

#[test]
fn data_of_16_comes_to_18_by_a_backup_of_either_programs() {
    for (name, programs) in [("by-old", OLD), ("by-new", NEW)] {
        let old = filled(OLD, name).with_programs_of(programs);
        let (rows, objects) = (old.rows(), old.everything());
        old.backup.succeed(&[]);
        let set = &old.backup.list()[0];
        assert!(
            set["serverVersion"].as_str().unwrap().starts_with(OLD),
            "{set}"
        );

        let new = service(NEW, name).with_backups_of(&old);
        // No row of the new service would be lost.
        assert_eq!(new.succeed("stage", "first", &[]).loss(), [0, 0, 502]);
        new.succeed("swap", "first", &[]);
        assert_eq!(new.rows(), rows);
        assert_eq!(old.everything(), objects, "the old service is as it was");

        let app = App::ready(&[("DATABASE_URL", &new.backup.url)]);
        assert_eq!(app.get("/hello/Jos%C3%A9").status, 200);
        assert_eq!(app.put_date("/hello/later", "2001-01-01").status, 204);
        // The backups of the new service follow those of the old one, which still can be verified.
        new.backup.succeed(&[]);
        let name = set["name"].as_str().unwrap();
        let verified = new.backup.command(&["verify", name]).output().unwrap();
        assert!(verified.status.success(), "{}", stderr(&verified));
    }
}

#[test]
fn a_backup_of_18_comes_to_16_only_by_the_programs_of_18() {
    let new = filled(NEW, "back");
    let old = service(OLD, "back").with_backups_of(&new);
    for format in ["custom", "plain"] {
        new.backup.succeed(&["--format", format]);
        let refused = old.fail("stage", "back", &[], REFUSED);
        for words in [
            "pg_dump of PostgreSQL 18",
            "PostgreSQL 16 cannot restore",
            "spec.backup.image",
        ] {
            assert!(refused.message().contains(words), "{refused:?}");
        }
        let verified = old.backup.command(&["verify", "latest"]).output().unwrap();
        let words = stderr(&verified);
        assert_eq!(verified.status.code(), Some(65), "{words}");
        assert!(words.contains("PostgreSQL 16 cannot restore"), "{words}");
    }
    // What was written since the upgrade comes back, and what only the old service has is counted.
    old.owner_sql("INSERT INTO users VALUES ('only-here', '2001-01-01')");
    let old = old.with_programs_of(NEW);
    assert_eq!(old.succeed("stage", "back", &[]).loss(), [1, 0, 502]);
    old.fail("swap", "back", &[], ("LossNotAccepted", 65));
    old.succeed("swap", "back", &["--accept-data-loss"]);
    assert_eq!(old.rows(), new.rows());
    old.succeed("undo", "back", &["--accept-data-loss"]);
    assert_eq!(old.sql("SELECT username FROM users"), "only-here");
}

#[test]
fn programs_of_16_do_not_touch_a_server_of_18() {
    let new = filled(NEW, "too-old").with_programs_of(OLD);
    let message = new.backup.fail("ToolTooOld", &[]);
    assert!(message.contains("a server of PostgreSQL 18"), "{message}");
    assert_eq!(new.backup.names(), [""; 0]);
    let old = filled(OLD, "too-old");
    old.backup.succeed(&[]);
    let new = new.with_backups_of(&old);
    let refused = new.fail("stage", "a", &[], REFUSED);
    assert!(
        refused
            .message()
            .contains("live data is on a server of PostgreSQL 18"),
        "{refused:?}"
    );
}

#[test]
fn an_extension_that_18_lacks_is_named_and_the_old_data_stays() {
    let (_copy, lacking) = programs_without("vector");
    let old = filled(OLD, "extension");
    old.sql("CREATE EXTENSION vector");
    old.backup.succeed(&[]);
    let objects = old.everything();
    let new = service(NEW, "extension").with_backups_of(&old);
    let new = Restore {
        backup: new.backup.programs(&lacking),
        ..new
    };
    let failed = new.fail("stage", "a", &[], ("RestoreFailed", 65));
    assert!(failed.message().contains("extensions vector"), "{failed:?}");
    // Named already by a backup that is made with the programs to come.
    let arguments = ["--pg-bin", lacking.to_str().unwrap()];
    let message = old.backup.fail("RestoreFailed", &arguments);
    assert!(message.contains("extensions vector"), "{message}");
    assert_eq!(old.everything(), objects);
    let new = new.with_programs_of(NEW);
    new.succeed("stage", "a", &[]);
    new.succeed("swap", "a", &[]);
    assert_eq!(new.rows(), old.rows());
}
