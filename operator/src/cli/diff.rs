//! How a cluster differs from what HelloServices lead to: what a pass would decide, printed and not carried out.

use std::{error::Error, fmt::Write as _, path::Path, sync::Arc};

use hello_crds::HelloService;
use kube::ResourceExt;

use crate::{
    cli::manifest,
    kubernetes::{api::Cluster, connection, fence::Fence},
    service::{
        self,
        plan::{Decision, presence::Presence},
        validate::DefaultImages,
    },
    telemetry::metrics::Metrics,
};

/// How the cluster differs from what the HelloServices in a file lead to; empty when it does not.
///
/// # Errors
/// When the file is not usable or the cluster does not answer.
pub fn diff(file: &Path, images: &DefaultImages) -> Result<String, Box<dyn Error>> {
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
            text.push_str(&diff_one(&cluster, service, images).await?);
        }
        Ok(text)
    })
}

async fn diff_one(
    cluster: &Cluster,
    mut service: HelloService,
    images: &DefaultImages,
) -> Result<String, Box<dyn Error>> {
    let namespace = service.namespace().unwrap_or_else(|| "default".into());
    // The UID of the live one decides which objects are its own.
    let live = cluster.service(&namespace, &service.name_any()).await?;
    service.metadata.namespace = Some(namespace);
    service.metadata.uid = live.and_then(|live| live.uid());
    let now = jiff::Timestamp::now();
    let (_, decision) = service::decide(cluster, &service, images, now).await?;
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
