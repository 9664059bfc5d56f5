use kube::api::GroupVersionKind;

use super::*;

#[test]
fn every_kind_is_called_as_the_api_calls_it() {
    for kind in Kind::ALL {
        let resource = kind.resource();
        assert_eq!(resource.kind, kind.to_string());
        let gvk = GroupVersionKind::gvk(&resource.group, &resource.version, &resource.kind);
        assert_eq!(resource, ApiResource::from_gvk(&gvk));
    }
}

#[test]
fn the_order_of_application_is_that_of_the_table() {
    assert!(Kind::ALL.is_sorted());
    for secret in [Kind::Secret, Kind::PersistentVolumeClaim] {
        for workload in Kind::ALL.into_iter().filter(|kind| {
            let row = kind.row();
            row.claim.is_some() || (row.needs_secrets() && *kind != Kind::Secret)
        }) {
            assert!(secret < workload, "{secret} {workload}");
        }
    }
}

/// A stale answer about one of these could start two migrations at once, or replace passwords that the data needs.
#[test]
fn kinds_that_decide_about_other_children_are_always_listed() {
    for kind in Kind::ALL {
        let row = kind.row();
        let decides = row.gate != Gate::Always || (row.holds_data && kind.provider().is_none());
        // Like a Cluster, it is looked up by its name.
        let decides = decides && kind != Kind::HelloRestore;
        assert!(!decides || row.always_listed, "{kind}");
    }
    assert!(Kind::StatefulSet.row().always_listed);
}

/// Data that is there must not meet new passwords, nor the parts of a Deployment that is foreign be created.
#[test]
fn kinds_that_decide_about_other_children_are_read_first() {
    let later: Vec<Kind> = Kind::ALL
        .into_iter()
        .filter(|kind| !kind.row().read_when_new)
        .collect();
    assert!(!later.is_empty());
    for kind in later {
        let row = kind.row();
        assert!(row.gate == Gate::Always && !row.holds_data, "{kind}");
        // A list also finds out whether the kind is served.
        assert!(kind.provider().is_none(), "{kind}");
    }
    assert!(Kind::StatefulSet.row().read_when_new);
}

/// Whoever acts on what has become foreign is deleted. That must not stop pods or lose data.
#[test]
fn what_acts_on_another_child_has_no_pods_and_no_data() {
    for kind in Kind::ALL {
        let row = kind.row();
        let mut needs = row.needs.iter();
        let acts = needs.any(|need| matches!(need, Need::ActsOn(..)));
        let runs = row
            .needs
            .contains(&Need::Uses(Kind::ServiceAccount, Of::Every));
        assert!(!acts || !(runs || row.holds_data), "{kind}");
        assert_eq!(runs, row.needs == CLIENT, "{kind}");
    }
}

#[test]
fn the_objects_that_hold_data_are_these() {
    let data: Vec<Kind> = Kind::ALL
        .into_iter()
        .filter(|kind| kind.row().holds_data)
        .collect();
    assert_eq!(
        data,
        [Kind::Secret, Kind::PersistentVolumeClaim, Kind::Cluster]
    );
}
