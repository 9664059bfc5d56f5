//! A database that has no room for a second copy.

use std::os::unix::fs::PermissionsExt as _;

use crate::backup::bench::{Bench, folder};
use crate::support::app::short_command;
use crate::support::postgres::{self, OWNER, Server};
use crate::support::succeed;

use super::bench::Restore;

#[test]
fn a_full_disk_is_named_and_gets_its_room_back() {
    // A server that has a small volume for its own at the folder `small`.
    let (programs, small) = (folder(), folder());
    for entry in std::fs::read_dir(postgres::bin()).unwrap() {
        let path = entry.unwrap().path();
        let link = programs.path().join(path.file_name().unwrap());
        std::os::unix::fs::symlink(path, link).unwrap();
    }
    let server = programs.path().join("postgres");
    std::fs::remove_file(&server).unwrap();
    let script = format!(
        "#!/bin/sh\nexec unshare --map-current-user --keep-caps --mount sh -c \
         'mount -t tmpfs -o size=1m,mode=700 tmpfs {} && exec {} \"$@\"' sh \"$@\"\n",
        small.path().display(),
        postgres::bin().join("postgres").display(),
    );
    std::fs::write(&server, script).unwrap();
    std::fs::set_permissions(&server, std::fs::Permissions::from_mode(0o755)).unwrap();
    let server = Server::start_from(programs.path(), "restore-room", &[]);
    server.sql("postgres", &format!("CREATE DATABASE hello OWNER {OWNER}"));
    let url = server.url(OWNER, "hello");
    succeed(short_command(&["migrate"]).env("DATABASE_URL", &url));
    let users = "INSERT INTO users SELECT 'user-' || n, DATE '1990-01-01' + n % 9999 FROM generate_series(1, 30000) n";
    server.sql("hello", users);
    let location = small.path().display();
    server.sql(
        "hello",
        &format!("CREATE TABLESPACE small OWNER {OWNER} LOCATION '{location}'"),
    );
    let restore = Restore {
        backup: Bench::at(&url),
        database: "hello".into(),
        own: Some(server),
    };
    restore.backup.succeed(&[]);

    restore.sql(&format!(
        "ALTER ROLE {OWNER} SET default_tablespace = small"
    ));
    for _ in 0..2 {
        let failed = restore.fail("stage", "a", &[], ("DestinationFull", 69));
        assert!(
            failed.message().contains("No space left on device"),
            "{failed:?}"
        );
        assert_eq!(
            restore.sql("SELECT pg_tablespace_size('small') < 65536"),
            "t"
        );
    }
    restore.sql(&format!("ALTER ROLE {OWNER} RESET default_tablespace"));
    restore.succeed("stage", "a", &[]);
    restore.succeed("swap", "a", &[]);
}
