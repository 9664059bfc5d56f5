//! What a user sees: the real binary and the real kubectl on a real API server.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
};

use hello_operator::{object::kind::Kind, service::plan::write_reason::WriteReason};
use kube::api::{DeleteParams, Patch, PatchParams};
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};

use crate::{
    server::{assets, server},
    world::{Jobs, World, eventually},
};

/// A folder with a kubeconfig for the shared server, in which programs are called.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        let (server, folder) = (server(), tempfile::tempdir().unwrap());
        let content = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "clusters": [{"name": "test",
                "cluster": {"server": server.url, "certificate-authority": server.certificate()}}],
            "users": [{"name": "test", "user": {"token": server.token}}],
        });
        fs::write(folder.path().join("kubeconfig"), content.to_string()).unwrap();
        Self(folder)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, program: impl Into<PathBuf>) -> Command {
        let mut command = Command::new(program.into());
        command
            .env_clear()
            .env("HOME", self.0.path())
            .env("KUBECONFIG", self.at("kubeconfig"));
        command
    }

    /// Calls kubectl in this namespace; blocks.
    fn kubectl(&self, world: &World, arguments: &[&str]) -> Output {
        self.command(assets().join("kubectl"))
            .args(["--namespace", &world.namespace])
            .args(arguments)
            .output()
            .unwrap()
    }

    /// Exit code of `hello-operator diff` with this spec, and its output.
    fn diff(&self, world: &World, spec: &Value) -> (i32, String) {
        let resource = json!({"apiVersion": "hello.internal/v1alpha1", "kind": "HelloService",
            "metadata": {"name": "demo", "namespace": world.namespace}, "spec": spec});
        self.diff_of(resource.to_string().as_bytes())
    }

    fn diff_of(&self, resource: &[u8]) -> (i32, String) {
        let mut child = self
            .command(env!("CARGO_BIN_EXE_hello-operator"))
            .args(["diff", "--app-image", "hello-app:1", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(resource).unwrap();
        drop(input);
        let output = child.wait_with_output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        let code = output.status.code().unwrap();
        (code, String::from_utf8(text).unwrap())
    }

    /// Starts the operator for this namespace, with its log in a file.
    fn operator(&self, world: &World, format: &str) -> Running {
        let log = self.at("log");
        let child = self
            .command(env!("CARGO_BIN_EXE_hello-operator"))
            .args([
                "run",
                "--listen",
                "127.0.0.1:0",
                "--app-image",
                "hello-app:1",
            ])
            .args(["--namespace", &world.namespace, "--log-format", format])
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Running { child, log }
    }
}

/// An operator; it ends when this is dropped.
struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until a line of the log contains all of these.
    async fn logs(&self, parts: &[&str]) {
        eventually(&format!("a line with {parts:?}"), || async {
            let log = self.log();
            let mut lines = log.lines();
            lines
                .any(|line| parts.iter().all(|part| line.contains(part)))
                .then_some(())
        })
        .await;
    }

    /// Stops it as Kubernetes does, and returns its log.
    fn stop(mut self) -> String {
        let process = Pid::from_child(&self.child);
        rustix::process::kill_process(process, Signal::TERM).unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), Some(0), "{}", self.log());
        self.log()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Causes every kind of write; returns the operator's log.
async fn log_with_every_cause(name: &str, format: &str) -> String {
    let world = World::new(name).await;
    let desk = Desk::new();
    let operator = desk.operator(&world, format);
    let spec =
        |image: &str, policy: bool| json!({"image": image, "networkPolicy": {"enabled": policy}});
    world.apply("demo", spec("hello-app:1", true)).await;
    world.ready("demo").await;
    let damage = json!({"spec": {"selector": {"app.kubernetes.io/name": "else"}}});
    world
        .api(Kind::Service)
        .patch("demo", &PatchParams::default(), &Patch::Merge(&damage))
        .await
        .unwrap();
    operator.logs(&["Service", "demo", "Drift"]).await;
    let budgets = world.api(Kind::PodDisruptionBudget);
    budgets
        .delete("demo", &DeleteParams::background())
        .await
        .unwrap();
    eventually("it is created again", || async {
        let again = |line: &&str| line.contains("PodDisruptionBudget") && line.contains("Missing");
        (operator.log().lines().filter(again).count() == 2).then_some(())
    })
    .await;
    let mut last = spec("hello-app:2", false);
    last["replicas"] = json!(3);
    world.apply("demo", last).await;
    world.ready("demo").await;
    operator.stop()
}

/// Every cause but those that need pods, which `backup.rs`, `snapshot.rs` and `stuck.rs` have.
fn every_cause() -> BTreeSet<String> {
    let elsewhere = [
        WriteReason::BackupRequested,
        WriteReason::BackupStuck,
        WriteReason::LastBackupDue,
        WriteReason::LastBackupRetried,
        WriteReason::MigrationRetried,
        WriteReason::PodStuck,
    ];
    let here = WriteReason::ALL
        .iter()
        .filter(|cause| !elsewhere.contains(cause));
    here.map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_json_log_names_the_object_and_the_reason_of_each_write() {
    let log = log_with_every_cause("log-json", "json").await;
    let mut causes = BTreeSet::new();
    for line in log.lines() {
        let entry: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        let text = |name: &str| {
            let value = entry[name].as_str();
            value
                .unwrap_or_else(|| panic!("no {name}: {line}"))
                .to_owned()
        };
        assert!(!text("timestamp").is_empty() && !text("level").is_empty());
        if text("message") != "applied" {
            continue;
        }
        assert_eq!((&*text("namespace"), &*text("name")), ("log-json", "demo"));
        let what = (text("write"), text("kind"), text("object"));
        if what.0 == "status" {
            assert_eq!(what.1, "HelloService", "{line}");
            assert!(entry["ready"].is_boolean(), "{line}");
        } else {
            assert!(
                Kind::ALL.iter().any(|kind| kind.to_string() == what.1),
                "{line}"
            );
            assert!(what.2.contains("demo"), "{line}");
        }
        assert_eq!(entry["replicas"].is_number(), what.0 == "scale", "{line}");
        causes.insert(text("reason"));
    }
    assert_eq!(causes, every_cause(), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_log_names_the_same() {
    let log = log_with_every_cause("log-text", "text").await;
    assert!(
        log.is_ascii() && !log.contains('\u{1b}'),
        "no colours in a file: {log}"
    );
    let mut causes = BTreeSet::new();
    for line in log.lines().filter(|line| line.contains(" applied ")) {
        for part in [
            "INFO",
            "namespace=\"log-text\"",
            "name=\"demo\"",
            "write=\"",
            "kind=",
            "object=\"",
        ] {
            assert!(line.contains(part), "no {part}: {line}");
        }
        let (_, reason) = line
            .split_once("reason=")
            .unwrap_or_else(|| panic!("{line}"));
        causes.insert(reason.split(' ').next().unwrap().to_owned());
    }
    assert_eq!(causes, every_cause(), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn diff_reports_the_difference_by_its_lines_and_its_exit_code() {
    let world = World::new("diff").await;
    let desk = Desk::new();
    let backup = json!({"enabled": false});
    let spec = json!({"networkPolicy": {"enabled": false}, "backup": backup});
    // An API server that has just started may not list every kind yet.
    let text = eventually("a difference", || async {
        let (code, text) = desk.diff(&world, &spec);
        (code == 1).then_some(text)
    })
    .await;
    for line in [
        "missing  diff/Deployment demo",
        "missing  diff/StatefulSet demo-db",
        "next     create StatefulSet demo-db",
    ] {
        assert!(text.lines().any(|found| found == line), "no {line}: {text}");
    }
    // The Deployment comes after its migration.
    assert!(!text.contains("create Deployment"), "{text}");
    assert!(world.children("demo").await.is_empty(), "diff wrote");

    let operator = world.operator();
    world.apply("demo", spec.clone()).await;
    world.ready("demo").await;
    world.settle(&operator).await;
    operator.stop().await;
    assert_eq!(desk.diff(&world, &spec), (0, String::new()));
    // The resource itself, as in the example of --help.
    let live = desk.kubectl(&world, &["get", "helloservice", "demo", "--output", "yaml"]);
    assert_eq!(desk.diff_of(&live.stdout), (0, String::new()));

    let damage = json!({"spec": {"selector": {"app.kubernetes.io/name": "else"}},
        "metadata": {"annotations": {"example.com/note": "mine"}}});
    world
        .api(Kind::Service)
        .patch("demo", &PatchParams::default(), &Patch::Merge(&damage))
        .await
        .unwrap();
    let expected = "differs  diff/Service demo\nnext     update Service demo\n";
    assert_eq!(desk.diff(&world, &spec), (1, expected.to_owned()));
    let more = json!({"networkPolicy": {"enabled": false}, "backup": backup, "replicas": 5});
    let expected = format!("{expected}next     scale Deployment demo to 5\n");
    assert_eq!(desk.diff(&world, &more), (1, expected));
    let (code, text) = desk.diff(&world, &json!({"config": {"timeZone": "Mars/Olympus"}}));
    assert_eq!(code, 2, "{text}");
    assert!(
        text.starts_with("hello-operator: spec.config.timeZone: "),
        "{text}"
    );
}

/// Header and row of `kubectl get helloservices demo`.
fn table(desk: &Desk, world: &World) -> Vec<Vec<String>> {
    let output = desk.kubectl(world, &["get", "helloservices", "demo"]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect();
    text.lines().map(words).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_get_shows_the_state() {
    let world = World::new("columns").await;
    let desk = Desk::new();
    world.set_jobs(Jobs::Fail);
    let operator = world.operator();
    world
        .apply(
            "demo",
            json!({"image": "registry.example.com/hello-app:1.2.3", "replicas": 3}),
        )
        .await;
    world.condition("demo", "Degraded", "True").await;
    let failed = table(&desk, &world);
    let header = [
        "NAME", "READY", "REASON", "VERSION", "REPLICAS", "DATABASE", "BACKUP", "AGE",
    ];
    assert_eq!(failed[0], header);
    // Nothing runs yet, so there is no version.
    assert_eq!(failed[1][..3], ["demo", "False", "MigrationFailed"]);
    assert_eq!(
        failed[1][failed[1].len() - 3..][..2],
        ["0", "True"],
        "{failed:?}"
    );
    let jobs = world.api(Kind::Job);
    world.set_jobs(Jobs::Succeed);
    let any = kube::api::ListParams::default();
    jobs.delete_collection(&DeleteParams::foreground(), &any)
        .await
        .unwrap();
    world.ready("demo").await;
    let ready = table(&desk, &world);
    assert_eq!(
        ready[1][..6],
        ["demo", "True", "Serving", "1.2.3", "3", "True"],
        "{ready:?}"
    );
    let short = desk.kubectl(&world, &["get", "hs", "--output", "name"]);
    assert_eq!(
        String::from_utf8(short.stdout).unwrap(),
        "helloservice.hello.internal/demo\n"
    );
    operator.stop().await;
}

/// The condition from before an edit does not end the wait, not even while no operator runs.
#[tokio::test(flavor = "multi_thread")]
async fn kubectl_wait_waits_for_the_edit() {
    let world = World::new("kubectl-wait").await;
    let desk = Desk::new();
    let ready = |seconds: &str| {
        let timeout = format!("--timeout={seconds}s");
        let arguments = [
            "wait",
            "--for=condition=Ready",
            &timeout,
            "helloservice/demo",
        ];
        desk.kubectl(&world, &arguments).status.success()
    };
    let operator = world.operator();
    world.apply("demo", json!({"image": "hello-app:1"})).await;
    assert!(ready("30"));
    operator.stop().await;

    world.apply("demo", json!({"image": "hello-app:2"})).await;
    let live = world.services().get("demo").await.unwrap();
    assert_eq!(
        live.data["status"]["conditions"][0]["status"], "True",
        "of the earlier spec"
    );
    assert!(!ready("1"), "the edit was not read yet");
    world.set_jobs(Jobs::Hang);
    let operator = world.operator();
    world.condition("demo", "Ready", "False").await;
    assert!(!ready("1"), "its migration runs");
    world.set_jobs(Jobs::Succeed);
    assert!(ready("30"));
    let live = world.services().get("demo").await.unwrap();
    assert_eq!(live.data["status"]["image"], "hello-app:2");
    operator.stop().await;
}
