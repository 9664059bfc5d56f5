//! How the parts of a service reach a database of the user's own.

use hello_operator::{
    object::kind::Kind,
    service::{children::build, dereference::inputs::Inputs},
};
use serde_json::{Value, json};

use crate::{
    pod_specs,
    specs::{objects, validated},
};

/// A pooler gives no session, which migrations and dumps need.
#[test]
fn only_the_application_goes_through_a_pooler() {
    let spec = json!({"backup": {"schedule": "@daily"}, "database": {"external": {"pooler": "transaction",
        "secretRef": {"name": "db", "key": "pooled", "directKey": "direct"}}}});
    let mut seen = 0;
    for object in objects(&spec) {
        let mut pods = Vec::new();
        pod_specs(&object, &mut pods);
        for pod in pods {
            let is_app = object["kind"] == "Deployment";
            let key = &pod["volumes"]
                .as_array()
                .unwrap()
                .iter()
                .find(|volume| volume["name"] == "database")
                .unwrap()["secret"]["items"][0]["key"];
            assert_eq!(key, if is_app { "pooled" } else { "direct" });
            let variables = pod["containers"][0]["env"].to_string();
            assert_eq!(variables.contains("HELLO_DATABASE_POOLER"), is_app);
            seen += 1;
        }
    }
    assert_eq!(seen, 3);
}

/// Without a port there is no rule: one without ports would open all of them.
#[test]
fn network_policies_let_each_part_reach_its_servers_only() {
    let spec = json!({"backup": {"schedule": "@daily"}, "database": {"external": {"secretRef": {"name": "db"}}}});
    let service = validated("demo", &spec).unwrap();
    let egress = |inputs: &Inputs, part: &str| -> Vec<Vec<Value>> {
        let prepared = build(&service, inputs).prepare().unwrap();
        let name = format!("demo-{part}");
        let mut policies = prepared
            .children
            .iter()
            .filter(|child| child.id.name == name);
        let policy = policies.find(|child| child.id.kind == Kind::NetworkPolicy);
        let rules = policy.unwrap().body["spec"]["egress"]
            .as_array()
            .unwrap()
            .iter();
        let ports = |rule: &Value| {
            rule["ports"]
                .as_array()
                .unwrap()
                .iter()
                .map(|port| port["port"].clone())
                .collect()
        };
        rules.map(ports).collect()
    };
    let name_lookup = vec![json!(53), json!(53)];
    let several = Inputs {
        database_ports: [6432, 7432].into(),
        direct_ports: [5432].into(),
        ..Inputs::offline()
    };
    let sockets = Inputs {
        database_ports: [].into(),
        direct_ports: [].into(),
        ..Inputs::offline()
    };
    for (part, ports) in [
        ("app", vec![6432, 7432]),
        ("migration", vec![5432]),
        ("backup", vec![5432]),
    ] {
        let ports = ports.into_iter().map(Value::from).collect();
        assert_eq!(
            egress(&several, part),
            [name_lookup.clone(), ports],
            "{part}"
        );
        assert_eq!(
            egress(&sockets, part),
            std::slice::from_ref(&name_lookup),
            "{part}"
        );
    }
}
