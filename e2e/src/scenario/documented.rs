//! Commands and manifests of the documentation, run as they stand.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::run::Scenario;
use crate::cluster::command;

/// Longer than the longest `kubectl wait` of the documentation.
const LIMIT: Duration = Duration::from_secs(600);

/// Runs a block of commands, with kubectl in the scenario's namespace.
///
/// # Errors
/// When one of them fails.
pub async fn run(scenario: &Scenario, commands: &str) -> Result<()> {
    let namespaced = format!(
        "kubectl() {{ command kubectl --namespace {} \"$@\"; }}\n{commands}",
        scenario.namespace
    );
    let args = ["-euo", "pipefail", "-c", &namespaced];
    command::output("bash", &args, "", LIMIT).await?;
    Ok(())
}

/// Applies a manifest in the scenario's namespace.
///
/// # Errors
/// When the API server refuses it.
pub async fn apply(scenario: &Scenario, manifest: &str) -> Result<()> {
    let args = ["--namespace", &scenario.namespace, "apply", "--filename=-"];
    let finished = command::kubectl_with(&args, manifest).await?;
    ensure!(finished.ok, "{}", finished.stderr.trim());
    Ok(())
}
