//! The rules of `spec.database`.

use serde_json::{Value, json};

use crate::{accepted, change, refused};

#[test]
fn there_is_exactly_one_database() {
    accepted(json!({"database": {"managed": {}}}));
    accepted(json!({"database": {"external": {"secretRef": {"name": "db"}}}}));
    accepted(json!({"database": {"cloudNativePG": {}}}));
    refused(json!({"database": {}}), "spec.database");
    let external = json!({"secretRef": {"name": "db"}});
    for both in [
        json!({"managed": {}, "external": external}),
        json!({"managed": {}, "cloudNativePG": {}}),
        json!({"external": external, "cloudNativePG": {}}),
        json!({"managed": {}, "external": external, "cloudNativePG": {}}),
    ] {
        refused(json!({"database": both}), "spec.database");
    }
}

#[test]
fn a_last_backup_needs_backups() {
    let snapshot = |mut spec: Value| {
        spec["deletionPolicy"] = "Snapshot".into();
        spec
    };
    let external = json!({"external": {"secretRef": {"name": "db"}}});
    let daily = json!({"schedule": "@daily"});
    accepted(snapshot(json!({})));
    accepted(snapshot(json!({"database": external, "backup": daily})));
    accepted(snapshot(
        json!({"database": {"cloudNativePG": {}}, "backup": daily}),
    ));
    for spec in [
        json!({"backup": {"enabled": false}}),
        json!({"database": external}),
        json!({"database": {"cloudNativePG": {}}}),
        json!({"database": {"cloudNativePG": {}}, "backup": {"enabled": false}}),
    ] {
        refused(snapshot(spec.clone()), "spec.deletionPolicy");
    }
}

#[test]
fn parameters_are_those_that_run_nothing_and_read_no_file() {
    let with = |parameters: Value| json!({"database": {"managed": {"parameters": parameters}}});
    // The others take half a minute here: an API server is asked about all of them, in the operator's tests of names.
    for name in [
        hello_crds::PARAMETERS.first(),
        hello_crds::PARAMETERS.last(),
    ] {
        accepted(with(json!({*name.unwrap(): "1"})));
    }
    for name in [
        "",
        "a;b",
        "archive_command",
        "auto_explain.log_min_duration",
        "data_directory",
        "fsync",
        "listen_addresses",
        "log_directory",
        "Max Connections",
        "MAX_CONNECTIONS",
        "max_connections ",
        "port",
        "restore_command",
        "shared_preload_libraries",
        "ssl",
        "ssl_passphrase_command",
        "ssl_ca_file",
    ] {
        refused(with(json!({name: "1"})), "spec.database.managed.parameters");
    }
}

#[test]
fn the_kind_of_database_cannot_change() {
    let kinds = [
        json!({"database": {"managed": {}}}),
        json!({"database": {"external": {"secretRef": {"name": "db"}}}}),
        json!({"database": {"cloudNativePG": {}}}),
    ];
    for old in &kinds {
        for new in &kinds {
            let refusal = change(old.clone(), new.clone());
            assert_eq!(refusal.contains("spec.database"), old != new, "{old} {new}");
        }
    }
    // A resource that names no database has a managed one.
    let cnpg = json!({"database": {"cloudNativePG": {}}});
    assert!(change(json!({}), cnpg).contains("spec.database"));
}

/// What a volume has is not in the resource: the operator compares with that, and says so.
#[test]
fn sizes_and_classes_can_be_edited_at_any_time() {
    for at in ["managed", "cnpg", "backup"] {
        let with = |volume: Value| match at {
            "cnpg" => json!({"database": {"cloudNativePG": {"storage": volume}}}),
            "managed" => json!({"database": {"managed": {"storage": volume}}}),
            _ => json!({"backup": {"schedule": "@daily", "destination": {"volume": volume}}}),
        };
        let volumes = [
            json!({"size": "1Gi"}),
            json!({"size": "2Gi"}),
            json!({"size": "2Gi", "storageClassName": "fast"}),
            json!({"size": "2Gi", "storageClassName": "slow"}),
        ];
        for (old, new) in volumes.iter().zip(&volumes[1..]) {
            assert_eq!(change(with(old.clone()), with(new.clone())), "", "{at}");
            assert_eq!(change(with(new.clone()), with(old.clone())), "", "{at}");
        }
    }
}

#[test]
fn an_external_address_is_a_uri_or_parts_and_a_pooler_has_a_way_past_it() {
    let with = |fields: Value, pooled: bool| {
        let mut reference = fields;
        reference["name"] = "db".into();
        let mut external = json!({"secretRef": reference});
        if pooled {
            external["pooler"] = "transaction".into();
        }
        json!({"database": {"external": external}})
    };
    accepted(with(json!({}), false));
    accepted(with(json!({"keys": {}}), false));
    accepted(with(
        json!({"keys": {"host": "endpoint", "user": "username"}}),
        false,
    ));
    accepted(with(json!({"key": "pooled", "directKey": "direct"}), true));
    for (fields, pooled) in [
        (json!({}), true),
        (json!({"directKey": "direct"}), false),
        (json!({"keys": {}}), true),
        (json!({"keys": {}, "directKey": "direct"}), true),
        (json!({"keys": {}, "key": "other"}), false),
    ] {
        refused(with(fields, pooled), "spec.database.external");
    }
}
