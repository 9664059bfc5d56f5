//! Reports as golden texts. `UPDATE_GOLDEN=1` writes them again.

use std::{fs, path::PathBuf};

use hello_crds::{HelloRestore, HelloService};
use k8s_openapi::api::{autoscaling::v2::HorizontalPodAutoscaler, core::v1::Pod};
use serde::Deserialize;

use super::{
    json, picture,
    report::{Observed, Report},
    tree,
};
use crate::cluster::Place;

/// What was read, as a fixture has it. `refused` stands for each answer that is an error.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixture {
    service: HelloService,
    #[serde(default)]
    pods: Vec<Pod>,
    autoscaler: Option<HorizontalPodAutoscaler>,
    #[serde(default)]
    restores: Vec<HelloRestore>,
    refused: Option<String>,
}

fn folder() -> PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/status").into()
}

fn report(name: &str) -> Report {
    let path = folder().join(format!("{name}.yaml"));
    let text = fs::read_to_string(&path).unwrap();
    let fixture: Fixture =
        serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let refused = fixture.refused.map_or(Ok(()), Err);
    let observed = Observed {
        service: fixture.service,
        pods: refused.clone().map(|()| fixture.pods),
        autoscaler: refused.clone().map(|()| fixture.autoscaler),
        restores: refused.map(|()| fixture.restores),
    };
    let place = Place {
        namespace: Some("team-a".into()),
        ..Default::default()
    };
    let now = "2026-01-01T05:00:00Z".parse().unwrap();
    Report::new(&observed, "team-a", &place, now)
}

#[test]
fn each_state_has_its_text() {
    let mut wrong = Vec::new();
    let mut found = 0;
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "yaml") {
            continue;
        }
        found += 1;
        let name = path.file_stem().unwrap().to_str().unwrap();
        let text = tree(&report(name), false);
        let golden = path.with_extension("txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &text).unwrap();
        }
        if fs::read_to_string(&golden).unwrap_or_default() != text {
            wrong.push(format!("{}:\n{text}", golden.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(found, 7);
}

/// The picture that the README shows.
#[test]
fn the_picture_is_that_of_a_status() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/pictures/status.svg");
    let shown = tree(&report("degraded"), true);
    let title = "What kubectl hello status shows of a service that is not well";
    let text = format!("$ kubectl hello status hello\n{shown}");
    let drawn = picture::draw(title, &text);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path, &drawn).unwrap();
    }
    assert_eq!(fs::read_to_string(path).unwrap_or_default(), drawn);
}

#[test]
fn only_a_service_that_is_ready_and_needs_nothing_is_well() {
    for (name, well) in [
        ("well", true),
        ("cloud-native-pg", true),
        ("degraded", false),
        ("unread", false),
        ("paused", false),
        ("hostile", false),
        ("forbidden", true),
    ] {
        assert_eq!(report(name).well, well, "{name}");
    }
}

#[test]
fn programs_get_the_same() {
    let text = json(&report("degraded"));
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["well"], false);
    assert_eq!(value["problems"][0]["reason"], "Unschedulable");
    assert_eq!(
        value["problems"][0]["next"],
        "kubectl describe nodes --namespace=team-a"
    );
    assert_eq!(value["parts"][0]["name"], "database");
}

#[test]
fn colours_are_only_where_they_are_understood() {
    let report = report("hostile");
    let plain = tree(&report, false);
    assert!(!plain.contains('\u{1b}'), "{plain}");
    let colored = tree(&report, true);
    assert!(colored.starts_with("\u{1b}[31m✗"), "{colored}");
    // Nothing of what others wrote is an escape sequence: each one is a colour of ours.
    for sequence in colored.split('\u{1b}').skip(1) {
        let code = sequence.split_once('m').unwrap().0;
        assert!(
            ["[0", "[1", "[31", "[32", "[33", "[35", "[36"].contains(&code),
            "{code:?}"
        );
    }
}
