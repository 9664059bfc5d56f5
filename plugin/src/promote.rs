//! `kubectl hello promote`: another server of a CloudNativePG cluster takes the writes.

use clap::Args;
use hello_crds::HelloService;
use jiff::Timestamp;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::{
    cluster::Cluster,
    error::{Error, Exit, Result},
    follow::{Limit, Step, follow},
    terminal::Terminal,
};

/// Options of `promote`.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The service
    pub name: String,
    /// Pod of the server that is to take the writes. Default: the first healthy one that does not
    #[arg(long, value_name = "POD")]
    pub to: Option<String>,
    #[command(flatten)]
    pub limit: Limit,
}

/// Asks CloudNativePG for the switchover, and waits for it.
pub async fn run(
    cluster: &Cluster,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Exit> {
    let name = &options.name;
    check(&cluster.service(name).await?)?;
    let live = cluster.database_cluster(name).await?;
    let servers = Servers::read(&live);
    let Some(to) = servers.successor(name, options.to.as_deref())? else {
        let primary = servers.primary.unwrap_or_default();
        terminal.print(&format!(
            "{primary} takes the writes already: nothing to do\n"
        ))?;
        return Ok(Exit::Well);
    };
    cluster
        .patch_database_status(name, &switchover(&live, &to))
        .await?;
    let what = format!("the switchover to {to}");
    let end = follow(&what, options.limit, terminal, async || {
        Ok(Servers::read(&cluster.database_cluster(name).await?).step(&to))
    });
    let primary = end.await?;
    if primary == to {
        terminal.print(&format!("{to} takes the writes\n"))?;
        return Ok(Exit::Well);
    }
    terminal.report(&format!(
        "CloudNativePG has chosen {primary} instead of {to}"
    ));
    let next = format!("kubectl describe clusters.postgresql.cnpg.io {name}-db");
    terminal.report(&format!("next: {}", cluster.place.command(&next)));
    Ok(Exit::Unwell)
}

/// Only CloudNativePG has several servers.
fn check(service: &HelloService) -> Result<()> {
    if service.spec.database.cloud_native_pg.is_some() {
        return Ok(());
    }
    Err(Error::Refused(
        "only a database of CloudNativePG has a second server: spec.database.cloudNativePG, docs/use.md".into(),
    ))
}

/// The change that CloudNativePG takes as the order: it carries out what its own status names. It is refused when anything
/// else has changed meanwhile.
fn switchover(live: &DynamicObject, to: &str) -> Value {
    json!({
        "metadata": {"resourceVersion": live.metadata.resource_version},
        "status": {
            "targetPrimary": to,
            "targetPrimaryTimestamp": format!("{:.6}", Timestamp::now()),
            "phase": "Switchover in progress",
            "phaseReason": format!("Switching over to {to}"),
        },
    })
}

/// The servers of a `Cluster`, by its status.
#[derive(Debug, Default, PartialEq)]
struct Servers {
    /// The one that takes the writes.
    primary: Option<String>,
    /// The one that is to take them.
    target: Option<String>,
    /// Those that can take over.
    healthy: Vec<String>,
    phase: String,
}

impl Servers {
    fn read(live: &DynamicObject) -> Self {
        let status = &live.data["status"];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let healthy = status["instancesStatus"]["healthy"].as_array();
        Self {
            primary: text(&status["currentPrimary"]),
            target: text(&status["targetPrimary"]),
            healthy: healthy.into_iter().flatten().filter_map(text).collect(),
            phase: text(&status["phase"]).unwrap_or_default(),
        }
    }

    /// The server that takes over; none when the wanted one takes the writes already.
    fn successor(&self, service: &str, wanted: Option<&str>) -> Result<Option<String>> {
        let refused =
            |text: String| Error::Refused(format!("{text}\nTry `kubectl hello status {service}`"));
        let Some(primary) = self
            .primary
            .as_ref()
            .filter(|_| self.target == self.primary)
        else {
            return Err(refused(format!(
                "a switchover is at work already: {}",
                self.phase
            )));
        };
        if wanted == Some(primary) {
            return Ok(None);
        }
        let mut others = self.healthy.iter().filter(|server| *server != primary);
        let found = match wanted {
            Some(wanted) => others.find(|server| *server == wanted),
            None => others.next(),
        };
        match (found, wanted) {
            (Some(server), _) => Ok(Some(server.clone())),
            (None, Some(wanted)) => Err(refused(format!(
                "{wanted} is not one of the healthy servers: {}",
                self.healthy.join(", ")
            ))),
            (None, None) => Err(refused(format!(
                "no other server than {primary} is healthy: spec.database.cloudNativePG.instances"
            ))),
        }
    }

    /// How far the switchover is.
    fn step(self, to: &str) -> Step<String> {
        match (self.primary, self.target) {
            (Some(primary), Some(target)) if primary == target => Step::Ended(primary),
            _ => Step::Going(format!("{} to {to}", self.phase)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(status: Value) -> DynamicObject {
        let object = json!({"apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster",
            "metadata": {"name": "demo-db", "resourceVersion": "7"}, "status": status});
        serde_json::from_value(object).unwrap()
    }

    fn servers(primary: &str, target: &str, healthy: &[&str]) -> Servers {
        Servers::read(&cluster(json!({
            "currentPrimary": primary, "targetPrimary": target, "phase": "p",
            "instancesStatus": {"healthy": healthy},
        })))
    }

    #[test]
    fn a_healthy_server_takes_over() {
        let three = servers("a", "a", &["a", "b", "c"]);
        let successor = |wanted| three.successor("demo", wanted).unwrap();
        assert_eq!(successor(None).as_deref(), Some("b"));
        assert_eq!(successor(Some("c")).as_deref(), Some("c"));
        assert_eq!(successor(Some("a")), None);
        for (servers, wanted, words) in [
            (
                &three,
                Some("d"),
                "d is not one of the healthy servers: a, b, c",
            ),
            (&servers("a", "a", &["a"]), None, "no other server than a"),
            (&servers("a", "a", &[]), None, "no other server than a"),
            (&servers("a", "b", &["a", "b"]), None, "at work already: p"),
            (&Servers::default(), None, "at work already"),
        ] {
            let error = servers.successor("demo", wanted).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
            assert!(error.contains("kubectl hello status demo"), "{error}");
        }
    }

    #[test]
    fn it_ends_when_somebody_takes_the_writes() {
        let end = |primary, target| match servers(primary, target, &[]).step("b") {
            Step::Going(text) => text,
            Step::Ended(primary) => format!("ended: {primary}"),
        };
        assert_eq!(end("a", "b"), "p to b");
        assert_eq!(end("b", "b"), "ended: b");
        // A failover meanwhile.
        assert_eq!(end("c", "c"), "ended: c");
    }

    #[test]
    fn the_order_is_for_the_status_that_was_read() {
        let order = switchover(&cluster(json!({})), "b");
        assert_eq!(order["metadata"]["resourceVersion"], "7");
        assert_eq!(order["status"]["targetPrimary"], "b");
        let time = order["status"]["targetPrimaryTimestamp"].as_str().unwrap();
        assert_eq!(time.len(), "2026-01-01T00:00:00.000000Z".len(), "{time}");
    }
}
