//! One writer at a time: two real processes, checked by their writes in the API server's audit log.

use std::{
    os::unix::process::ExitStatusExt,
    time::{Duration, Instant},
};

use hello_operator::leadership::{lease::Elector, times::LEASE};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use rustix::process::Signal;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    link::Link,
    process::Operator,
    server::{REPLICAS, server},
    world::{World, assert_within, eventually},
};

const FIRST: &str = REPLICAS[0];
const SECOND: &str = REPLICAS[1];

/// A write that succeeded.
struct Write {
    user: String,
    resource: String,
    received: Timestamp,
    answered: Timestamp,
}

/// What the two wrote in a namespace, in the order of the answers.
fn writes(namespace: &str) -> Vec<Write> {
    let place = format!("\"namespace\":\"{namespace}\"");
    let log = server().audit_log();
    // The last line may not be complete yet.
    let lines = log
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    let entries = lines
        .filter(|line| line.contains(&place))
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    entries
        .filter(|entry| entry["responseStatus"]["code"].as_u64().unwrap() < 300)
        .map(|entry| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            Write {
                user: text(&entry["user"]["username"]),
                resource: text(&entry["objectRef"]["resource"]),
                received: text(&entry["requestReceivedTimestamp"]).parse().unwrap(),
                answered: text(&entry["stageTimestamp"]).parse().unwrap(),
            }
        })
        .collect()
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

/// The holder of the Lease.
async fn holder(world: &World) -> String {
    let lease = leases(world).get_opt("hello-operator").await.unwrap();
    let spec = lease.and_then(|lease| lease.spec);
    spec.and_then(|spec| spec.holder_identity)
        .unwrap_or_default()
}

async fn leads(world: &World, user: &str) {
    eventually(&format!("{user} leads"), || async {
        holder(world).await.starts_with(user).then_some(())
    })
    .await;
}

/// Waits until a process has written objects and events since then.
async fn works(world: &World, user: &str, since: Timestamp) {
    for resource in ["deployments", "jobs", "helloservices", "events"] {
        eventually(&format!("{user} writes {resource}"), || async {
            let writes = writes(&world.namespace);
            let mut writes = writes.iter().filter(|write| write.received > since);
            writes
                .any(|write| write.user == user && write.resource == resource)
                .then_some(())
        })
        .await;
    }
}

/// Keeps the operator writing: each new image causes a migration, a rollout and their events; the next image follows
/// when they are done.
fn keep_editing(world: &World) {
    for name in ["demo-0", "demo-1", "demo-2"] {
        let services = world.services();
        tokio::spawn(async move {
            for version in 2.. {
                let spec = json!({"spec": {"image": format!("hello-app:{version}")}});
                let (parameters, patch) = (PatchParams::default(), Patch::Merge(&spec));
                services.patch(name, &parameters, &patch).await.unwrap();
                let done = || async {
                    let live = services.get(name).await.ok()?;
                    (live.data["status"]["image"] == spec["spec"]["image"]).then_some(())
                };
                while done().await.is_none() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        });
    }
}

async fn eventually_ended(operator: &mut Operator) -> std::process::ExitStatus {
    let operator = std::cell::RefCell::new(operator);
    eventually("it ends", || async { operator.borrow_mut().ended() }).await
}

fn leases(world: &World) -> kube::Api<Lease> {
    kube::Api::namespaced(world.client.clone(), &world.namespace)
}

/// Leaves a Lease as an operator leaves it that ends: without one, the next operator waits for an earlier holder.
async fn release_lease(world: &World) {
    let lease = json!({"metadata": {"name": "hello-operator"},
        "spec": {"holderIdentity": "", "renewTime": "2026-01-01T00:00:00.000000Z"}});
    let lease = serde_json::from_value(lease).unwrap();
    leases(world)
        .create(&PostParams::default(), &lease)
        .await
        .unwrap();
}

/// Two processes, of which the first leads and works and the second waits.
struct Contest {
    world: World,
    first: Operator,
    _second: Operator,
}

impl Contest {
    /// `url` is the address at which the first one reaches the API server.
    async fn new(name: &str, url: &str) -> Self {
        let world = World::new(name).await;
        release_lease(&world).await;
        let first = Operator::start_replica(url, server(), FIRST, name);
        leads(&world, FIRST).await;
        let second = Operator::start_replica(&server().url, server(), SECOND, name);
        for name in ["demo-0", "demo-1", "demo-2"] {
            world.apply(name, json!({"image": "hello-app:1"})).await;
        }
        keep_editing(&world);
        eventually("the second one waits", || async {
            second.is_ready().then_some(())
        })
        .await;
        works(&world, FIRST, Timestamp::UNIX_EPOCH).await;
        Self {
            world,
            first,
            _second: second,
        }
    }

    /// Waits until the second one leads and works. Returns the seconds from `fault` until it held the Lease, and until
    /// it wrote an object. Fails when their writes interleave, or when the first one's lease was shortened but not
    /// `released`.
    async fn handed_over(&self, fault: Timestamp, released: bool) -> (f64, f64) {
        leads(&self.world, SECOND).await;
        works(&self.world, SECOND, fault).await;
        let writes = writes(&self.world.namespace);
        let (leases, work): (Vec<&Write>, Vec<&Write>) =
            writes.iter().partition(|write| write.resource == "leases");
        let by = |user: &'static str| move |write: &&&Write| write.user == user;
        let taken = leases.iter().find(by(SECOND)).unwrap().received;
        let last = work.iter().filter(by(FIRST)).map(|write| write.answered);
        let late = seconds(taken, last.max().unwrap());
        assert!(late < 0.0, "a write {late} s after another one took over");
        let renewed = leases.iter().rfind(by(FIRST)).unwrap();
        assert!(renewed.answered < taken, "two holders");
        let lasted = seconds(renewed.received, taken);
        assert!(
            released || lasted > LEASE.as_secs_f64(),
            "the lease was taken after {lasted} s"
        );
        let began = work.iter().filter(by(SECOND)).map(|write| write.received);
        (seconds(fault, taken), seconds(fault, began.min().unwrap()))
    }

    /// Waits for the takeover after the first one was lost at `fault`, and checks its duration.
    async fn taken_over(&self, fault: Timestamp) {
        let (_, began) = self.handed_over(fault, false).await;
        assert!(
            began < LEASE.as_secs_f64() + 2.0,
            "the first write came after {began} s"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_killed_is_replaced_within_its_lease_plus_2_seconds() {
    let contest = Contest::new("leader-killed", &server().url).await;
    let fault = Timestamp::now();
    contest.first.signal(Signal::KILL);
    contest.taken_over(fault).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_cut_off_is_replaced_and_ends_when_it_learns_of_it() {
    let link = Link::to(server()).await;
    let mut contest = Contest::new("leader-cut-off", &link.url).await;
    let fault = Timestamp::now();
    link.cut();
    leads(&contest.world, SECOND).await;
    link.mend();
    let ended = eventually_ended(&mut contest.first).await;
    assert_eq!(ended.code(), Some(2));
    contest.taken_over(fault).await;
}

/// A stopped process cannot check the clock, and its first action after that might be a write. It must end instead.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_stopped_past_its_lease_never_writes_again() {
    let mut contest = Contest::new("leader-stopped", &server().url).await;
    let fault = Timestamp::now();
    contest.first.signal(Signal::STOP);
    leads(&contest.world, SECOND).await;
    contest.first.signal(Signal::CONT);
    contest.taken_over(fault).await;
    let ended = contest.first.ended().expect("the kernel has ended it");
    assert_eq!(ended.signal(), Some(9));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planned_handover_takes_less_than_3_seconds() {
    let mut contest = Contest::new("leader-leaves", &server().url).await;
    let fault = Timestamp::now();
    contest.first.signal(Signal::TERM);
    let (taken, _) = contest.handed_over(fault, true).await;
    assert!(taken < 3.0, "the lease was taken after {taken} s");
    assert!(contest.first.ended().unwrap().success());
}

/// The first one learns of it at its next renewal, and writes until then.
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_is_deleted_leaves_one_writer() {
    let mut contest = Contest::new("leader-deleted", &server().url).await;
    let leases = leases(&contest.world);
    let fault = Timestamp::now();
    leases
        .delete("hello-operator", &DeleteParams::default())
        .await
        .unwrap();
    leads(&contest.world, SECOND).await;
    works(&contest.world, SECOND, fault).await;
    let writes = writes(&contest.world.namespace);
    let work = || writes.iter().filter(|write| write.resource != "leases");
    let by_first = work().filter(|write| write.user == FIRST);
    let last = by_first.map(|write| write.answered).max().unwrap();
    let by_second = work().filter(|write| write.user == SECOND);
    let began = by_second.map(|write| write.received).min().unwrap();
    let after = seconds(last, began);
    assert!(after > 0.0, "two wrote at once, for {} s", -after);
    let ended = eventually_ended(&mut contest.first).await;
    assert_eq!(ended.code(), Some(2));
}

/// No other process has led in between, so it continues without a restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_alone_goes_on_after_an_outage_longer_than_its_lease() {
    let link = Link::to(server()).await;
    let world = World::new("leader-alone").await;
    release_lease(&world).await;
    let mut only = Operator::start_replica(&link.url, server(), FIRST, "leader-alone");
    world.apply("demo", json!({})).await;
    world.ready("demo").await;
    link.cut();
    eventually("its lease runs out", || async {
        let metrics = only.metrics();
        let leads = metrics.sum("hello_operator_leader", &[]) > 0;
        (metrics.reconciles() > 0 && !leads).then_some(())
    })
    .await;
    world.apply("demo", json!({"image": "hello-app:2"})).await;
    link.mend();
    let start = Instant::now();
    world.ready("demo").await;
    assert_within(Duration::from_secs(10), start, "the change");
    assert!(only.ended().is_none(), "it was restarted");
}

/// The first process of a PID namespace ignores signals from within it, so its own watchdog could not kill it.
#[test]
fn in_its_pod_the_operator_is_not_the_first_process() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../manifests/base/deployment.yaml"
    );
    let text = std::fs::read_to_string(path).unwrap();
    let deployment = serde_yaml::Deserializer::from_str(&text).next().unwrap();
    let deployment = Value::deserialize(deployment).unwrap();
    assert_eq!(
        deployment["spec"]["template"]["spec"]["shareProcessNamespace"],
        true
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_cannot_renew_stops_writing_before_its_lease_ends() {
    let world = World::new("unrenewed").await;
    release_lease(&world).await;
    let mut elector = Elector::new(world.client.clone(), "unrenewed", "only".into());
    let start = Instant::now();
    elector.acquire().await;
    let operator = world.fenced_operator(world.client.clone(), elector.fence());
    world.apply("demo", json!({})).await;
    world.ready("demo").await;
    // The Lease is not renewed: the operator sees changes, but must not act on them.
    let fence = elector.fence();
    eventually("the lease runs out", || async {
        fence
            .remaining(tokio::time::Instant::now())
            .is_zero()
            .then_some(())
    })
    .await;
    assert!(start.elapsed() < LEASE, "{:?}", start.elapsed());
    let writes = operator.writes();
    world.apply("demo", json!({"replicas": 5})).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(operator.writes(), writes);
    // With the lease back, the work continues.
    assert!(elector.regain().await);
    world.ready("demo").await;
    assert!(holder(&world).await.starts_with("only"));
    operator.stop().await;
}
