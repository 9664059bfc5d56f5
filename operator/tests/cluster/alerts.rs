//! The operator's alerts, in a real Prometheus that scrapes the real program: none at rest, and each when what it is about has
//! happened.

use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use hello_operator::object::kind::Kind;
use kube::{
    ResourceExt,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::{
    controllers::Controllers,
    kubelet::{end_at_once, new_pod},
    process::Operator,
    restore::{order, reached},
    server::{Server, free_port, run_until_dropped},
    world::{Jobs, World, eventually},
};

/// A Prometheus with the operator's rules, which wait a second instead of minutes. It ends when this is dropped.
struct Prometheus {
    listen: SocketAddr,
    _keeper: mpsc::Sender<()>,
}

/// An alert that fires, and the service, or the phase, that it names.
type Alert = (String, String);

impl Prometheus {
    fn start(operator: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fs::write(path.join("rules.yaml"), rules()).unwrap();
        let configuration = json!({
            "global": {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "500ms"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": [{"job_name": "operator", "static_configs": [{"targets": [operator.to_string()]}]}],
        });
        fs::write(path.join("prometheus.yaml"), configuration.to_string()).unwrap();
        let listen = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let at = |name: &str| path.join(name).display().to_string();
        let arguments = vec![
            format!("--config.file={}", at("prometheus.yaml")),
            format!("--storage.tsdb.path={}", at("data")),
            format!("--web.listen-address={listen}"),
            "--log.level=error".into(),
        ];
        let (keeper, _) = run_until_dropped(vec![(program().into(), arguments)], folder.keep());
        Self {
            listen,
            _keeper: keeper,
        }
    }

    /// What it answers; nothing while it starts.
    fn ask(&self, path: &str) -> Option<Value> {
        let mut stream = TcpStream::connect(self.listen).ok()?;
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .ok()?;
        // In this version of HTTP an answer comes in one piece.
        write!(stream, "GET /api/v1/{path} HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        serde_json::from_str::<Value>(body).ok()
    }

    /// Whether this has a value now.
    fn has(&self, query: &str) -> bool {
        let answer = self.ask(&format!("query?query={query}"));
        answer.is_some_and(|answer| answer["data"]["result"].get(0).is_some())
    }

    fn firing(&self) -> BTreeSet<Alert> {
        let answer = self.ask("alerts").unwrap_or_default();
        let alerts = answer["data"]["alerts"].as_array().cloned();
        let alerts = alerts.unwrap_or_default().into_iter();
        let firing = alerts.filter(|alert| alert["state"] == "firing");
        let named = |alert: Value| {
            let label = |name: &str| alert["labels"][name].as_str().map(str::to_owned);
            let about = label("name").or_else(|| label("phase"));
            (label("alertname").unwrap(), about.unwrap_or_default())
        };
        firing.map(named).collect()
    }
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The program, which is fetched once.
fn program() -> String {
    let output = Command::new(root().join("e2e/tools/promtool"))
        .arg("prometheus")
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "there is no Prometheus");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The rules as they are installed, without their waits.
fn rules() -> String {
    let text = fs::read_to_string(root().join("manifests/components/alerts/alerts.yaml")).unwrap();
    let mut object: Value = serde_yaml::from_str(&text).unwrap();
    let groups = object["spec"]["groups"].as_array_mut().unwrap();
    for group in groups {
        for rule in group["rules"].as_array_mut().unwrap() {
            if rule["for"].is_string() {
                rule["for"] = "1s".into();
            }
        }
    }
    object["spec"].to_string()
}

fn alerts(expected: &[(&str, &str)]) -> BTreeSet<Alert> {
    let owned = |(alert, about): &(&str, &str)| ((*alert).to_owned(), (*about).to_owned());
    expected.iter().map(owned).collect()
}

/// What has to be repaired by a person, and what is on its way for long.
async fn trouble_services(world: &World) {
    let foreign = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "taken"},
        "spec": {"ports": [{"port": 80}]}});
    let foreign = serde_json::from_value(foreign).unwrap();
    let services = world.api(Kind::Service);
    services
        .create(&PostParams::default(), &foreign)
        .await
        .unwrap();
    world.apply("taken", json!({})).await;
    world
        .apply("suspended", json!({"backup": {"suspend": true}}))
        .await;
    world.ready("suspended").await;
    world.set_jobs(Jobs::Hang);
    world.apply("slow", json!({})).await;
}

/// A backup of `demo` that fails, and a restore whose swap does not end.
async fn trouble_data(world: &World) {
    let mut known = vec![];
    let request =
        json!({"metadata": {"annotations": {"hello.internal/backup-requested-at": "now"}}});
    let (parameters, request) = (PatchParams::default(), Patch::Merge(request));
    let services = world.services();
    services.patch("demo", &parameters, &request).await.unwrap();
    let pod = new_pod(world, "backup", &known).await;
    let failure = json!({"reason": "DumpFailed", "message": "no", "time": "2026-01-01T00:00:00Z"});
    end_at_once(world, &pod, 1, &failure.to_string()).await;
    world.condition("demo", "Degraded", "True").await;
    order(world, "back", true).await;
    let pod = new_pod(world, "restore", &known).await;
    known.push(pod.uid().unwrap());
    let staged = json!({"reason": "Staged", "set": "hello-20260101T000000Z", "rows": 5, "time": "2026-01-01T00:00:00Z",
        "loss": {"added": 0, "changed": 0, "removed": 0, "since": "2026-01-01T00:00:00Z"}});
    end_at_once(world, &pod, 0, &staged.to_string()).await;
    reached(world, "back", "Swapping", "Swapping").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_alert_fires_when_it_should_and_none_at_rest() {
    let server = Server::start();
    let world = World::on(&server, "alerts").await;
    let operator = Operator::start_with_names(&server);
    let prometheus = Prometheus::start(operator.address());
    world
        .apply("demo", json!({"backup": {"schedule": "@yearly"}}))
        .await;
    world.ready("demo").await;
    eventually(
        "the operator is scraped, and nothing is reported",
        || async {
            let scraped = prometheus.has("count_over_time(hello_operator_leader[1m])%3E=3");
            (scraped && prometheus.firing().is_empty()).then_some(())
        },
    )
    .await;

    trouble_services(&world).await;
    // From here on, Jobs have pods.
    let _controllers = Controllers::start(&server, &["job"]);
    trouble_data(&world).await;
    let expected = alerts(&[
        ("HelloServiceDegraded", "demo"),
        ("HelloServiceBackupFailed", "demo"),
        ("HelloRestoreStuck", "Swapping"),
        ("HelloServiceDegraded", "taken"),
        ("HelloServiceNotReady", "taken"),
        ("HelloServiceDegraded", "suspended"),
        ("HelloServiceBackupStale", "suspended"),
        ("HelloServiceNotReady", "slow"),
    ]);
    eventually("each is reported, and nothing else", || async {
        (prometheus.firing() == expected).then_some(())
    })
    .await;

    drop(operator);
    let gone = alerts(&[("HelloOperatorWithoutLeader", "")]);
    eventually("the operator is missed", || async {
        prometheus.firing().is_superset(&gone).then_some(())
    })
    .await;
}
