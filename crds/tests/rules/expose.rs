//! Rules of `spec.expose`.

use serde_json::{Value, json};

use crate::{accepted, change, refused};

#[test]
fn a_node_port_needs_a_service_on_nodes() {
    accepted(json!({"expose": {"service": {"type": "NodePort", "nodePort": 30080}}}));
    accepted(json!({"expose": {"service": {"type": "LoadBalancer", "nodePort": 30080}}}));
    refused(
        json!({"expose": {"service": {"nodePort": 30080}}}),
        "spec.expose.service.nodePort",
    );
}

#[test]
fn settings_of_a_load_balancer_need_one() {
    let with = |service: Value| json!({"expose": {"service": service}});
    for field in [
        json!({"loadBalancerClass": "a.example.com/b"}),
        json!({"loadBalancerSourceRanges": ["10.0.0.0/8", "2001:db8::/32"]}),
        json!({"externalTrafficPolicy": "Local"}),
    ] {
        let of_type = |type_: &str| {
            let mut service = field.clone();
            service["type"] = type_.into();
            with(service)
        };
        accepted(of_type("LoadBalancer"));
        refused(of_type("ClusterIP"), "spec.expose.service");
    }
    accepted(with(
        json!({"type": "NodePort", "externalTrafficPolicy": "Cluster"}),
    ));
    for range in ["10.0.0.1/8", "10.0.0.1", "everybody"] {
        refused(
            with(json!({"type": "LoadBalancer", "loadBalancerSourceRanges": [range]})),
            "spec.expose.service.loadBalancerSourceRanges",
        );
    }
}

#[test]
fn the_class_of_a_load_balancer_changes_only_by_way_of_another_type() {
    let with = |type_: &str, class: Option<&str>| {
        let mut service = json!({"type": type_});
        if let Some(class) = class {
            service["loadBalancerClass"] = class.into();
        }
        json!({"expose": {"service": service}})
    };
    let balanced = |class| with("LoadBalancer", class);
    assert_eq!(change(balanced(Some("a")), balanced(Some("a"))), "");
    for (old, new) in [(Some("a"), Some("b")), (Some("a"), None), (None, Some("a"))] {
        let refusal = change(balanced(old), balanced(new));
        assert!(refusal.contains("loadBalancerClass"), "{old:?} {new:?}");
        assert_eq!(change(balanced(old), with("ClusterIP", None)), "");
        assert_eq!(change(with("NodePort", None), balanced(new)), "");
    }
}

#[test]
fn address_families_are_as_many_as_the_policy_says_and_the_first_one_stays() {
    let with = |policy: Option<&str>, families: &[&str]| {
        let mut service = json!({});
        if let Some(policy) = policy {
            service["ipFamilyPolicy"] = policy.into();
        }
        if !families.is_empty() {
            service["ipFamilies"] = families.into();
        }
        json!({"expose": {"service": service}})
    };
    let both = ["IPv6", "IPv4"];
    for policy in [None, Some("SingleStack")] {
        accepted(with(policy, &[]));
        accepted(with(policy, &["IPv6"]));
        refused(with(policy, &both), "spec.expose.service.ipFamilies");
    }
    for policy in [Some("PreferDualStack"), Some("RequireDualStack")] {
        accepted(with(policy, &[]));
        accepted(with(policy, &both));
        refused(with(policy, &["IPv6"]), "spec.expose.service.ipFamilies");
    }
    let dual = with(Some("PreferDualStack"), &both);
    assert_eq!(change(dual.clone(), with(None, &["IPv6"])), "");
    assert_eq!(change(dual.clone(), with(None, &[])), "");
    assert_eq!(change(with(None, &[]), dual.clone()), "");
    assert!(change(dual, with(None, &["IPv4"])).contains("first family"));
}
