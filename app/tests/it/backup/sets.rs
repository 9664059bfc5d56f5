//! Sets of files: which are kept, shown, proved again and copied.

use std::os::unix::fs::PermissionsExt as _;

use super::bench::{Bench, filled_database, folder, names, stderr};

#[test]
fn the_newest_by_number_are_kept_and_other_files_are_left_alone() {
    let bench = Bench::new(&filled_database());
    let others = [
        "hello-20200101T000000Z.dump", // of a former version
        "hello-29990101T000000Z.dump", // with a clock that was ahead
        "hello-29990101T000000Z.sql",
        "notes.txt",
    ];
    for name in others {
        std::fs::write(bench.path(name), "x").unwrap();
    }
    // Left by a backup that was killed.
    std::fs::write(bench.path(".hello-20220101T000000Z.dump.partial"), "").unwrap();
    let sets: Vec<String> = (1..=4)
        .map(|number| {
            let result = bench.succeed(&["--keep-last=2"]);
            assert_eq!(result["sequence"], number);
            assert_eq!(result["count"], number.min(2));
            result["set"].as_str().unwrap().to_owned()
        })
        .collect();
    let mut expected: Vec<String> = others.map(str::to_owned).to_vec();
    for set in &sets[2..] {
        expected.extend(["dump", "json"].map(|extension| format!("{set}.{extension}")));
    }
    expected.sort();
    assert_eq!(bench.names(), expected);
    let list = bench.list();
    let named = |name: &str| list.iter().find(|set| set["name"] == name).unwrap();
    assert_eq!(named("hello-20200101T000000Z")["state"], "notProved");
    assert_eq!(named(&sets[3])["state"], "verified");
    assert_eq!(list.last().unwrap()["name"], sets[3].as_str());
    let table = bench.command(&["list"]).output().unwrap();
    let table = String::from_utf8(table.stdout).unwrap();
    let line = table
        .lines()
        .find(|line| line.starts_with(&sets[3]))
        .unwrap();
    assert!(line.contains("verified") && line.ends_with(" s"), "{table}");
}

#[test]
fn a_set_of_a_clock_that_was_ahead_is_older_than_the_next_one() {
    let bench = Bench::new(&filled_database());
    // As if all clocks had been ahead, and were set back since.
    let made = bench.succeed(&[])["set"].as_str().unwrap().to_owned();
    let ahead = "hello-29990101T000000Z";
    let manifest = std::fs::read_to_string(bench.path(&format!("{made}.json"))).unwrap();
    let mut manifest: serde_json::Value =
        serde_json::from_str(&manifest.replace(&made, ahead)).unwrap();
    manifest["time"] = "2999-01-01T00:00:00Z".into();
    std::fs::write(bench.path(&format!("{ahead}.json")), manifest.to_string()).unwrap();
    let dump = |set: &str| bench.path(&format!("{set}.dump"));
    std::fs::rename(dump(&made), dump(ahead)).unwrap();
    std::fs::remove_file(bench.path(&format!("{made}.json"))).unwrap();
    assert_eq!(bench.list()[0]["name"], ahead);
    assert_eq!(bench.states(), [1, 0, 0]);

    let next = bench.succeed(&["--keep-last=2"]);
    assert_eq!((&next["sequence"], &next["count"]), (&2.into(), &2.into()));
    let latest = bench.command(&["verify", "latest"]).output().unwrap();
    let said = String::from_utf8(latest.stdout).unwrap();
    assert!(said.starts_with(next["set"].as_str().unwrap()), "{said}");
    let last = bench.succeed(&["--keep-last=1"]);
    assert_eq!(bench.states(), [1, 0, 0]);
    assert_eq!(bench.list()[0]["name"], last["set"]);
}

#[test]
fn a_set_that_was_changed_is_found_by_proving_it_again() {
    let bench = Bench::new(&filled_database());
    let set = bench.succeed(&["--format=custom,plain"])["set"].clone();
    let set = set.as_str().unwrap();
    let verify = |name: &str| bench.command(&["verify", name]).output().unwrap();
    let good = verify("latest");
    assert!(good.status.success(), "{}", stderr(&good));
    let said = String::from_utf8(good.stdout).unwrap();
    assert!(
        said.starts_with(&format!("{set} is good: 510 rows, ")),
        "{said}"
    );
    for extension in ["dump", "sql"] {
        let path = bench.path(&format!("{set}.{extension}"));
        let bytes = std::fs::read(&path).unwrap();
        let mut flipped = bytes.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        std::fs::write(&path, &flipped).unwrap();
        let output = verify(set);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("SHA-256"), "{}", stderr(&output));
        assert_eq!(bench.states(), [1, 0, 0], "the list looks at sizes only");
        // Cut by one byte, or empty: the list shows it, it does not count, and the next backup says so.
        for length in [bytes.len() - 1, 0] {
            std::fs::write(&path, &bytes[..length]).unwrap();
            assert_eq!(verify(set).status.code(), Some(1));
            assert_eq!(bench.states(), [0, 0, 1]);
        }
        std::fs::write(&path, &bytes).unwrap();
    }
    std::fs::remove_file(bench.path(&format!("{set}.sql"))).unwrap();
    let result = bench.succeed(&["--keep-last=1"]);
    assert_eq!(bench.states(), [1, 0, 1]);
    let warning = result["warnings"][0].as_str().unwrap();
    assert!(
        warning.contains(set) && warning.contains("damaged"),
        "{warning}"
    );
    let unknown = verify("hello-x");
    assert_eq!(unknown.status.code(), Some(1));
    assert!(
        stderr(&unknown).contains("backup list"),
        "{}",
        stderr(&unknown)
    );
}

#[test]
fn contents_that_are_not_those_of_the_manifest_are_found() {
    let bench = Bench::new(&filled_database());
    let set = bench.succeed(&[])["set"].clone();
    let path = bench.path(&format!("{}.json", set.as_str().unwrap()));
    let manifest = std::fs::read_to_string(&path).unwrap();
    let mut other: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    other["contents"]["tables"]["public.users"]["rows"] = 502.into();
    std::fs::write(&path, other.to_string()).unwrap();
    let output = bench.command(&["verify", "latest"]).output().unwrap();
    let expected = "table public.users: 501 rows instead of 502";
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
}

#[test]
fn a_copy_is_checked_and_overwrites_nothing() {
    let bench = Bench::new(&filled_database());
    let set = bench.succeed(&["--format=custom,plain"])["set"].clone();
    let set = set.as_str().unwrap();
    let target = folder();
    let fetch = || {
        let mut command = bench.command(&["fetch", "latest", "--to"]);
        command.arg(target.path()).output().unwrap()
    };
    let copied = fetch();
    assert!(copied.status.success(), "{}", stderr(&copied));
    assert_eq!(names(target.path()), bench.names());
    for name in bench.names() {
        let read = |path| std::fs::read(path).unwrap();
        assert!(
            read(target.path().join(&name)) == read(bench.path(&name)),
            "{name}"
        );
    }
    let again = fetch();
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("exists"), "{}", stderr(&again));
    for name in names(target.path()) {
        std::fs::remove_file(target.path().join(name)).unwrap();
    }
    let dump = bench.path(&format!("{set}.dump"));
    let mut bytes = std::fs::read(&dump).unwrap();
    bytes[99] ^= 1;
    std::fs::write(&dump, bytes).unwrap();
    let damaged = fetch();
    assert_eq!(damaged.status.code(), Some(1));
    assert!(stderr(&damaged).contains("SHA-256"), "{}", stderr(&damaged));
    assert_eq!(names(target.path()), [""; 0]);
}

#[test]
fn a_set_that_may_not_be_read_is_not_damaged() {
    let bench = Bench::new(&filled_database());
    let sets: Vec<String> = (0..2)
        .map(|_| bench.succeed(&[])["set"].as_str().unwrap().to_owned())
        .collect();
    let manifest = |set: &str| bench.path(&format!("{set}.json"));
    let permit = |path: &std::path::Path, mode: u32| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let verify = |name: &str| bench.command(&["verify", name]).output().unwrap();
    permit(&manifest(&sets[1]), 0);
    let states: Vec<_> = bench
        .list()
        .iter()
        .map(|set| set["state"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(states, ["unreadable", "verified"]);
    let table = bench.command(&["list"]).output().unwrap();
    assert!(String::from_utf8_lossy(&table.stdout).contains("not readable"));
    // It may be the newest one, so there is none to be taken for it.
    for name in ["latest", &sets[1]] {
        let output = verify(name);
        let expected = format!("{} may not be read: ", sets[1]);
        assert!(stderr(&output).contains(&expected), "{}", stderr(&output));
        assert!(
            stderr(&output).contains("Permission denied"),
            "{}",
            stderr(&output)
        );
    }
    let result = bench.succeed(&["--keep-last=1"]);
    let warning = result["warnings"][0].as_str().unwrap();
    assert!(
        warning.contains(&sets[1]) && warning.contains("may not be read"),
        "{warning}"
    );
    assert!(verify("latest").status.success());
    permit(&manifest(&sets[1]), 0o600);
    assert_eq!(bench.states(), [2, 0, 0]);
    // Nor is one whose files may not be looked at.
    permit(bench.folder.path(), 0o644);
    let output = verify("latest");
    assert!(
        stderr(&output).contains("Permission denied"),
        "{}",
        stderr(&output)
    );
    permit(bench.folder.path(), 0o755);
    assert_eq!(bench.succeed(&["--keep-last=1"])["count"], 1);
    assert_eq!(bench.states(), [1, 0, 0]);
}
