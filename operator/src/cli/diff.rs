//! How a cluster differs from what HelloServices lead to: what a pass would decide, printed and not carried out.

use std::{error::Error, fmt::Write as _, path::Path, sync::Arc};

use hello_crds::HelloService;
use kube::ResourceExt;

use crate::{
    cli::manifest,
    kubernetes::{api::Cluster, connection, fence::Fence},
    service::{
        self,
        dereference::Scope,
        plan::{Decision, presence::Presence},
        validate::{DefaultImages, Limits},
    },
    telemetry::metrics::Metrics,
};

/// How the cluster differs from what the HelloServices in a file lead to; empty when it does not.
///
/// # Errors
/// When the file is not usable or the cluster does not answer.
pub fn diff(
    file: &Path,
    images: &DefaultImages,
    limits: &Limits,
) -> Result<String, Box<dyn Error>> {
    let services = manifest::read(file)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let client = connection::infer()
            .await
            .map_err(|error| -> Box<dyn Error> { error })?;
        let cluster = Cluster::new(client, Arc::new(Metrics::default()), Fence::closed());
        let mut text = String::new();
        for service in services {
            text.push_str(&diff_one(&cluster, service, images, limits).await?);
        }
        Ok(text)
    })
}

async fn diff_one(
    cluster: &Cluster,
    mut service: HelloService,
    images: &DefaultImages,
    limits: &Limits,
) -> Result<String, Box<dyn Error>> {
    let namespace = service.namespace().unwrap_or_else(|| "default".into());
    // The UID of the live one decides which objects are its own.
    let live = cluster.service(&namespace, &service.name_any()).await?;
    service.metadata.namespace = Some(namespace);
    service.metadata.uid = live.and_then(|live| live.uid());
    let now = jiff::Timestamp::now();
    let (_, decision, _) =
        service::decide(cluster, &service, images, limits, Scope::All, now).await?;
    Ok(text(&decision))
}

/// A line for each wanted object that is not as wanted, for each unusable reference, and for each write.
fn text(decision: &Decision) -> String {
    let mut text = String::new();
    let mut line = |word: &str, what: &dyn std::fmt::Display| {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{word:8} {what}");
    };
    let namespace = &decision.identity.namespace;
    for id in &decision.wanted {
        let word = match decision.facts.present.get(id) {
            None => "missing",
            Some(Presence::Drifted) => "differs",
            Some(Presence::Foreign) => "foreign",
            Some(Presence::Deleting | Presence::Predecessor) => "leaving",
            Some(Presence::Settled) => continue,
        };
        line(word, &format!("{namespace}/{id}"));
    }
    for problem in &decision.unresolved {
        line("unusable", problem);
    }
    for action in &decision.plan.actions {
        line("next", action);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        object::{child::ChildId, kind::Kind},
        service::{
            children::build,
            dereference::{
                Read,
                inputs::Inputs,
                observed::{Observed, Problem},
            },
            plan::decide,
            validate::validate,
        },
    };

    fn decision() -> Decision {
        let service = json!({"apiVersion": "hello.internal/v1alpha1", "kind": "HelloService",
            "metadata": {"name": "demo", "namespace": "ns", "uid": "u"},
            "spec": {"database": {"external": {"secretRef": {"name": "cloud"}}}}});
        let images = DefaultImages::of_tests();
        let service = validate(&serde_json::from_value(service).unwrap(), &images).unwrap();
        let inputs = Inputs::offline();
        let prepared = build(&service, &inputs).prepare().unwrap();
        let observed = Observed::default();
        decide(&service, &prepared, Read { observed, inputs })
    }

    #[test]
    fn a_line_names_each_difference_and_a_settled_object_none() {
        let mut decision = decision();
        decision.plan.actions.truncate(1);
        for (presence, word) in [
            (None, "missing"),
            (Some(Presence::Drifted), "differs"),
            (Some(Presence::Foreign), "foreign"),
            (Some(Presence::Deleting), "leaving"),
            (Some(Presence::Predecessor), "leaving"),
            (Some(Presence::Settled), ""),
        ] {
            decision.wanted = vec![ChildId::new(Kind::Service, "demo")];
            decision.facts.present = presence
                .map(|presence| (decision.wanted[0].clone(), presence))
                .into_iter()
                .collect();
            let expected = match word {
                "" => String::new(),
                word => format!("{word}  ns/Service demo\n"),
            };
            let next = "next     create ServiceAccount demo-app\n";
            assert_eq!(text(&decision), format!("{expected}{next}"));
        }
    }

    #[test]
    fn an_unusable_reference_is_a_difference_too() {
        let mut decision = decision();
        decision.wanted.clear();
        decision.plan.actions.clear();
        assert_eq!(text(&decision), "");
        let problem = "spec.tls.secretName: Secret own does not exist";
        decision.unresolved = vec![Problem::of_service(problem)];
        assert_eq!(text(&decision), format!("unusable {problem}\n"));
    }
}
