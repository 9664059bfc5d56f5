//! `docs/guarantees.md` names tests that exist, for every guarantee.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A panic is how a test fails.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// One row: where the test runs, its file, its name.
type Row = (String, PathBuf, String);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The rows below each numbered heading.
fn documented() -> BTreeMap<u8, Vec<Row>> {
    let text = std::fs::read_to_string(root().join("docs/guarantees.md")).unwrap();
    let mut guarantees: BTreeMap<u8, Vec<Row>> = BTreeMap::new();
    let mut number = 0;
    for line in text.lines() {
        if let Some((n, _)) = line.strip_prefix("## ").and_then(|l| l.split_once(". ")) {
            number = n.parse().unwrap();
            assert!(guarantees.insert(number, Vec::new()).is_none(), "{line}");
        } else if let Some((tier, test)) =
            line.strip_prefix("| ").and_then(|l| l.split_once(" | `"))
        {
            let (path, name) = test.trim_end_matches("` |").split_once("::").expect(line);
            let row = (tier.to_owned(), root().join(path), name.to_owned());
            guarantees.get_mut(&number).unwrap().push(row);
        }
    }
    guarantees
}

/// Whether the source has a function of this name that the test runner calls.
fn is_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let function = format!("fn {name}(");
    let found = lines.iter().position(|line| {
        let line = line.strip_prefix("async ").unwrap_or(line);
        line.starts_with(&function)
    });
    found.is_some_and(|at| {
        let attributes: Vec<&&str> = lines[..at]
            .iter()
            .rev()
            .take_while(|line| line.starts_with("#["))
            .collect();
        let has = |start: &str| attributes.iter().any(|line| line.starts_with(start));
        (has("#[test]") || has("#[tokio::test")) && !has("#[ignore")
    })
}

#[test]
fn every_guarantee_has_tests_and_every_test_exists() {
    let guarantees = documented();
    let numbers: BTreeSet<u8> = guarantees.keys().copied().collect();
    assert_eq!(numbers, (1..=12).collect::<BTreeSet<u8>>());
    for (number, rows) in guarantees {
        assert!(!rows.is_empty(), "guarantee {number} has no test");
        for (tier, path, name) in rows {
            let source = std::fs::read_to_string(&path)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert!(is_test(&source, &name), "{}::{name}", path.display());
            let path = path.strip_prefix(root()).unwrap();
            let runs_on = if path.starts_with("e2e") {
                "kind"
            } else if path.starts_with("operator/tests/cluster") {
                "api"
            } else if path.starts_with("app/tests") {
                "app"
            } else {
                "unit"
            };
            assert_eq!(tier, runs_on, "{}::{name}", path.display());
        }
    }
}

#[test]
fn every_fault_has_tests_that_exist() {
    let text = std::fs::read_to_string(root().join("docs/faults.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| "));
    let mut count = 0;
    for row in rows.skip(2) {
        let quoted = row.split('`').skip(1).step_by(2);
        let tests: Vec<_> = quoted.filter_map(|text| text.split_once("::")).collect();
        assert!(!tests.is_empty(), "{row}");
        for (path, name) in tests {
            let source = std::fs::read_to_string(root().join(path));
            let source = source.unwrap_or_else(|error| panic!("{path}: {error}"));
            assert!(is_test(&source, name), "{path}::{name}");
        }
        count += 1;
    }
    assert!(count > 30, "{count} faults");
}

#[test]
fn what_is_no_test_is_noticed() {
    let source = "#[test]\n#[ignore]\nfn ignored() {}\nfn helper() {}\n#[tokio::test(flavor = \"multi_thread\")]\nasync fn good() {}\n";
    assert!(is_test(source, "good"));
    for name in ["ignored", "helper", "goo", "absent"] {
        assert!(!is_test(source, name), "{name}");
    }
}

/// The paths in backticks on a page, from the top of the checkout.
fn paths_named(page: &str) -> BTreeSet<String> {
    const TOP: [&str; 6] = [
        "ansible/",
        "app/",
        "crds/",
        "e2e/",
        "manifests/",
        "operator/",
    ];
    let text = std::fs::read_to_string(root().join("docs").join(page)).unwrap();
    let quoted = text.split('`').skip(1).step_by(2);
    quoted
        .filter_map(|text| text.split([' ', ':']).next())
        .filter(|path| TOP.iter().any(|top| path.starts_with(top)) && !path.contains(['*', '{']))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_file_that_a_page_names_exists() {
    let mut count = 0;
    for page in std::fs::read_dir(root().join("docs")).unwrap() {
        let page = page.unwrap().file_name().into_string().unwrap();
        // Pictures, and what makes the site of the pages, are in folders.
        if !page.ends_with(".md") {
            continue;
        }
        for path in paths_named(&page) {
            assert!(root().join(&path).exists(), "docs/{page} names {path}");
            count += 1;
        }
    }
    assert!(count > 50, "{count} paths");
}
