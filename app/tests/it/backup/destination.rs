//! What can be wrong with the folder, and with what is read from it.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::bench::{Bench, before, filled_database, stderr};
use crate::support::eventually;
use crate::support::postgres;

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let bench = Bench::new(&filled_database());
    let missing = bench.path("missing");
    let message = bench.fail(
        "DestinationUnreachable",
        &["--directory", missing.to_str().unwrap()],
    );
    assert!(message.contains("missing"), "{message}");
    let closed = bench.path("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o555)).unwrap();
    let message = bench.fail(
        "DestinationDenied",
        &["--directory", closed.to_str().unwrap()],
    );
    assert!(message.contains("closed"), "{message}");
}

/// pg_dump, on a folder that takes no more.
const FULL: &str = "[ \"$1\" = --version ] && exec $REAL --version\n\
     for argument; do shift; case $before in --file) argument=/dev/full;; esac; before=$argument; \
     set -- \"$@\" \"$argument\"; done; exec $REAL \"$@\"";

#[test]
fn a_full_folder_is_named_and_the_next_backup_finds_room() {
    let mut bench = Bench::new(&filled_database());
    let sets: Vec<_> = (0..3)
        .map(|_| bench.succeed(&["--keep-last=3"])["set"].clone())
        .collect();
    bench.replace("pg_dump", FULL);
    for _ in 0..3 {
        let message = bench.fail("DestinationFull", &["--keep-last=3"]);
        assert!(message.contains("No space left on device"), "{message}");
        // The place of the next one is free; no more is deleted, however often that fails.
        assert_eq!(bench.states(), [2, 0, 0]);
    }
    // As with a quota.
    bench.replace("pg_dump", "trap '' XFSZ; ulimit -f 1; exec $REAL \"$@\"");
    bench.fail("DestinationFull", &["--keep-last=3"]);
    // The newest one stays, also where the policy has room for one only.
    bench.replace("pg_dump", FULL);
    bench.fail("DestinationFull", &["--keep-last=1"]);
    bench.fail("DestinationFull", &["--keep-last=1"]);
    assert_eq!(bench.states(), [1, 0, 0]);
    assert_eq!(bench.list()[0]["name"], sets[2]);
    bench.replace("pg_dump", "exec $REAL \"$@\"");
    let result = bench.succeed(&["--keep-last=3"]);
    assert_eq!(result["count"], 2);
}

#[test]
fn a_volume_that_is_full_heals() {
    let database = filled_database();
    let megabyte = "INSERT INTO users SELECT md5(n::text), DATE '1990-01-01' + n % 9999 FROM generate_series(1, 30000) n";
    postgres::shared().sql(&database, megabyte);
    let bench = Bench::new(&database);
    let size = bench.succeed(&[])["sizeBytes"].as_u64().unwrap();
    // A volume of its own, with room for three and a half.
    let volume = bench.path("volume");
    std::fs::create_dir(&volume).unwrap();
    postgres::hand_over(&volume);
    let script = format!(
        "mount -t tmpfs -o size={size},mode=777 tmpfs {volume} || exit 2\n\
         backup() {{ \"$@\" >>{volume}.log; }}; sets() {{ ls {volume} | grep -c json; }}\n\
         for run in 1 2 3; do backup \"$@\" --keep-last=2 || exit 3; done; sets\n\
         head -c 99999999 /dev/zero >{volume}/other 2>/dev/null; truncate --size=-65536 {volume}/other\n\
         backup \"$@\" --keep-last=2 || exit 4; sets\n\
         for run in 1 2 3; do backup \"$@\" --keep-last=9 --result-file {volume}.$run && exit 5; done; sets\n\
         rm {volume}/other; backup \"$@\" --keep-last=9 || exit 6; sets",
        size = size * 7 / 2,
        volume = volume.display()
    );
    let run = bench.run_command(&["--directory"]);
    let mut unshare = Command::new("unshare");
    unshare.arg("--mount");
    if !postgres::is_root() {
        unshare.arg("--map-root-user");
    }
    let output = unshare
        .args(["sh", "-c", &script, "sh"])
        .arg(run.get_program())
        .args(run.get_args())
        .arg(&volume)
        .envs(
            run.get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{:?} {}",
        output.status,
        stderr(&output)
    );
    let counts = String::from_utf8(output.stdout).unwrap();
    let counts: Vec<_> = counts.split_whitespace().collect();
    // Full, and the policy lets one go: it makes room for the next. Otherwise all stay, until there is room again.
    assert_eq!(counts, ["2", "2", "2", "3"]);
    for number in 1..=3 {
        let text = std::fs::read_to_string(format!("{}.{number}", volume.display())).unwrap();
        assert!(text.contains("DestinationFull"), "{text}");
    }
}

/// pg_dump, and then `damage` of the archive in `$file`.
fn damaged_dump(damage: &str) -> String {
    format!(
        "[ \"$1\" = --version ] && exec $REAL --version\n\
         for argument; do [ \"$before\" = --file ] && file=$argument; before=$argument; done\n\
         $REAL \"$@\" && {damage}"
    )
}

#[test]
fn a_damaged_archive_never_counts() {
    let mut bench = Bench::new(&filled_database());
    let good = bench.succeed(&["--keep-last=1"])["set"].clone();
    let flip = "python3 - \"$file\" <<'END'\n\
         import sys, pathlib\npath = pathlib.Path(sys.argv[1])\nbytes = bytearray(path.read_bytes())\n\
         bytes[len(bytes) * 9 // 10] ^= 1\npath.write_bytes(bytes)\nEND";
    for damage in ["truncate --size=-1 \"$file\"", ": >\"$file\"", flip] {
        bench.replace("pg_dump", &damaged_dump(damage));
        let message = bench.fail("RestoreFailed", &["--keep-last=1"]);
        assert!(message.contains("pg_restore"), "{message}");
        assert_eq!(bench.list()[0]["name"], good);
        assert_eq!(bench.names().len(), 2);
    }
    // An archive that is whole, and of something else.
    bench.replace(
        "pg_dump",
        &before("set -- \"$@\" --exclude-table-data=friendships"),
    );
    let message = bench.fail("Mismatch", &["--keep-last=1"]);
    assert!(
        message.contains("table public.friendships: 0 rows instead of 1"),
        "{message}"
    );
    bench.replace(
        "pg_dump",
        &before("set -- \"$@\" --exclude-table=friendships"),
    );
    let message = bench.fail("Mismatch", &["--keep-last=1"]);
    assert!(message.contains("public.friendships: missing"), "{message}");
    assert_eq!(bench.list()[0]["name"], good);
    bench.replace("pg_dump", "exec $REAL \"$@\"");
    assert_eq!(bench.succeed(&["--keep-last=1"])["count"], 1);
}

#[test]
fn two_backups_at_once_keep_out_of_each_others_way() {
    let bench = Bench::new(&filled_database());
    let bench = bench.script(
        "pg_dump",
        "[ \"$1\" = --version ] && exec $REAL --version\n\
         touch $HELLO_BACKUP_DIRECTORY/begun; while [ ! -e $HELLO_BACKUP_DIRECTORY/go ]; do sleep 0.05; done; exec $REAL \"$@\"",
    );
    let mut first = bench.run_command(&[]).spawn().unwrap();
    eventually(
        "the first has begun",
        std::time::Duration::from_secs(60),
        || bench.path("begun").exists(),
    );
    let message = bench.fail("Locked", &[]);
    assert!(message.contains("another backup"), "{message}");
    std::fs::write(bench.path("go"), "").unwrap();
    assert!(first.wait().unwrap().success());
    assert_eq!(bench.states(), [1, 0, 0]);
}
