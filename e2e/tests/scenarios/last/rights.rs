//! The operator's rights, compared with its requests in the whole run: no request was refused, and no right was unused.

use std::collections::BTreeSet;

use hello_e2e::cluster::audit::{self, LOG, Right};
use hello_e2e::cluster::{OPERATOR, OPERATOR_NAMESPACE};
use hello_e2e::{Cluster, Result, Scenario, ensure, scenario};
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};
use kube::Api;

const NAME: &str = "rights";

#[tokio::test]
async fn the_operator_has_the_rights_that_it_used_and_no_others() -> Result<()> {
    if Cluster::connect().await?.is_existing() {
        return scenario::skip(NAME, "the audit log lies on kind's control-plane node");
    }
    scenario::run(NAME, async |s| {
        let granted = granted(s).await?;
        let seen = seen(s).await?;
        ensure!(seen.refused.is_empty(), "refused: {:#?}", seen.refused);
        let idle: Vec<_> = granted.difference(&seen.used).collect();
        s.figure(format!(
            "{} rights granted, {} of them used",
            granted.len(),
            granted.len() - idle.len()
        ));
        // Some scenarios are the only ones that need a right.
        if std::env::var_os("HELLO_E2E_WHOLE").is_some() {
            ensure!(idle.is_empty(), "granted and never used: {idle:#?}");
        }
        let besides: Vec<_> = seen.used.difference(&granted).collect();
        ensure!(
            besides.is_empty(),
            "used without being granted here: {besides:#?}"
        );
        Ok(())
    })
    .await
}

/// What the manifests' roles grant, as the cluster has them.
async fn granted(s: &Scenario) -> Result<BTreeSet<Right>> {
    let client = s.cluster.client.clone();
    let everywhere: ClusterRole = Api::all(client.clone()).get(OPERATOR).await?;
    let election: Role = Api::namespaced(client, OPERATOR_NAMESPACE)
        .get(&format!("{OPERATOR}-leader"))
        .await?;
    let rules = [everywhere.rules, election.rules].into_iter().flatten();
    Ok(rules.flatten().flat_map(|rule| rights(&rule)).collect())
}

fn rights(rule: &PolicyRule) -> Vec<Right> {
    let mut rights = Vec::new();
    for group in rule.api_groups.iter().flatten() {
        for resource in rule.resources.iter().flatten() {
            for verb in &rule.verbs {
                rights.push((group.clone(), resource.clone(), verb.clone()));
            }
        }
    }
    rights
}

async fn seen(s: &Scenario) -> Result<audit::Rights> {
    let user = format!("system:serviceaccount:{OPERATOR_NAMESPACE}:{OPERATOR}");
    let node = s.cluster.control_plane().await?;
    let script = format!("grep -hF {user} {LOG} || true");
    let log = s.cluster.in_node(&node, &["sh", "-c", &script]).await?;
    audit::rights(&log, &user)
}
