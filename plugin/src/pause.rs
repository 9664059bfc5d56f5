//! `kubectl hello pause` and `resume`: whether the operator changes anything about a service.

use serde_json::json;

use crate::{
    cluster::Cluster,
    error::{Exit, Result},
    terminal::Terminal,
};

/// A service.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The service
    pub name: String,
}

/// Pauses or continues.
pub async fn run(
    cluster: &Cluster,
    options: &Options,
    paused: bool,
    terminal: &mut Terminal<'_>,
) -> Result<Exit> {
    let name = &options.name;
    let service = cluster.service(name).await?;
    if service.spec.paused == paused {
        let state = if paused {
            "paused already"
        } else {
            "not paused"
        };
        terminal.print(&format!("{name} is {state}: nothing to do\n"))?;
        return Ok(Exit::Well);
    }
    cluster
        .patch_service(name, &json!({"spec": {"paused": paused}}))
        .await?;
    terminal.print(&match paused {
        true => format!(
            "{name} is paused: it goes on serving, and the operator changes nothing about it\n"
        ),
        false => format!("{name} is resumed\n"),
    })?;
    let next = match paused {
        true => format!("kubectl hello resume {name}"),
        false => format!("kubectl hello status {name}"),
    };
    terminal.report(&format!("next: {}", cluster.place.command(&next)));
    Ok(Exit::Well)
}
