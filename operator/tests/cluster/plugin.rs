//! `kubectl hello` with the operator: its status, requests and restores, and what it says when something is missing.

use std::{ffi::OsString, io::BufRead, path::PathBuf};

use hello_plugin::{Exit, Terminal};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::{
    cnpg_stand_in::CnpgStandIn,
    controllers::Controllers,
    kubelet::{end_at_once, new_pod},
    restore::restores,
    server::{Server, server},
    world::{World, eventually},
};

/// A person with a kubeconfig for the namespace of a test.
struct Person {
    folder: tempfile::TempDir,
}

/// What a command has written, and how it ended.
#[derive(Debug)]
struct Ran {
    output: String,
    remarks: String,
    exit: Exit,
}

impl Person {
    fn new(server: &Server, namespace: &str) -> Self {
        Self::named(server, namespace, &json!({"token": server.token}))
    }

    fn named(server: &Server, namespace: &str, user: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let content = json!({"apiVersion": "v1", "kind": "Config", "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}],
            "clusters": [{"name": "test", "cluster": {"server": server.url, "insecure-skip-tls-verify": true}}],
            "users": [{"name": "test", "user": user}]});
        std::fs::write(folder.path().join("config"), content.to_string()).unwrap();
        Self { folder }
    }

    fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    async fn runs(&self, words: &[&str]) -> Ran {
        self.answers(words, None).await
    }

    /// Runs `kubectl hello`; who is asked types this.
    async fn answers(&self, words: &[&str], typed: Option<&'static str>) -> Ran {
        let mut arguments = vec![OsString::from("kubectl-hello")];
        arguments.extend(words.iter().map(OsString::from));
        arguments.extend(["--kubeconfig".into(), self.kubeconfig().into()]);
        let person = typed.map(|typed| Box::new(typed.as_bytes()) as Box<dyn BufRead + Send>);
        let (mut output, mut remarks) = (Vec::new(), Vec::new());
        let mut terminal = Terminal::plain(&mut output, &mut remarks, person);
        let exit = hello_plugin::run(arguments, &mut terminal).await;
        drop(terminal);
        Ran {
            output: String::from_utf8(output).unwrap(),
            remarks: String::from_utf8(remarks).unwrap(),
            exit,
        }
    }
}

impl Ran {
    fn says(&self, exit: Exit, words: &[&str]) {
        assert_eq!(self.exit, exit, "{self:?}");
        for words in words {
            let found = self.output.contains(words) || self.remarks.contains(words);
            assert!(found, "{words}: {self:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plugin_shows_a_service_and_pauses_it() {
    let world = World::new("plugin").await;
    let person = Person::new(server(), "plugin");
    let nothing = ["there is no HelloService in namespace plugin"];
    person.runs(&["status"]).await.says(Exit::Unable, &nothing);
    for verb in [
        "status", "backup", "backups", "restore", "pause", "resume", "logs", "psql", "top",
        "promote",
    ] {
        let ran = person.runs(&[verb, "demo"]).await;
        ran.says(
            Exit::Unable,
            &["HelloService demo in namespace plugin does not exist"],
        );
    }
    world.apply("demo", json!({})).await;
    let ran = person.runs(&["status", "demo"]).await;
    ran.says(Exit::Unwell, &["NotObserved", "name=hello-operator"]);

    let operator = world.operator();
    world.ready("demo").await;
    let ran = person.runs(&["status", "demo"]).await;
    ran.says(
        Exit::Well,
        &["✓ demo  Ready", "DatabaseServing", "MigrationSucceeded"],
    );
    let ran = person.runs(&["status", "-o", "json"]).await;
    let all: Value = serde_json::from_str(&ran.output).unwrap();
    assert_eq!(
        (&all[0]["name"], &all[0]["well"]),
        (&json!("demo"), &json!(true))
    );
    for verb in ["backup", "backups", "restore"] {
        person
            .runs(&[verb, "demo"])
            .await
            .says(Exit::Unable, &["spec.backup"]);
    }
    let ran = person.runs(&["logs", "demo"]).await;
    ran.says(Exit::Unable, &["no logs of demo can be read"]);
    let ran = person.runs(&["top", "demo"]).await;
    ran.says(Exit::Unable, &["install metrics-server"]);
    let ran = person.runs(&["promote", "demo"]).await;
    ran.says(Exit::Unable, &["only a database of CloudNativePG"]);

    person
        .runs(&["pause", "demo"])
        .await
        .says(Exit::Well, &["demo is paused", "kubectl hello resume demo"]);
    world.condition("demo", "Paused", "True").await;
    person
        .runs(&["pause", "demo"])
        .await
        .says(Exit::Well, &["paused already"]);
    let ran = person.runs(&["status", "demo", "--namespace=plugin"]).await;
    ran.says(
        Exit::Unwell,
        &[
            "Paused",
            "kubectl hello resume demo --kubeconfig=",
            " --namespace=plugin",
        ],
    );
    person
        .runs(&["resume", "demo"])
        .await
        .says(Exit::Well, &["demo is resumed"]);
    let live = world.services().get("demo").await.unwrap();
    assert_eq!(live.data["spec"]["paused"], false);
    world.ready("demo").await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plugin_promotes_a_server() {
    let world = World::new("plugin-promote").await;
    let cnpg = CnpgStandIn::start(&world);
    let operator = world.operator();
    let spec = json!({"database": {"cloudNativePG": {}}});
    world.apply("demo", spec).await;
    world.ready("demo").await;
    let person = Person::new(server(), "plugin-promote");
    for (words, expected) in [
        (&["promote", "demo"][..], "demo-db-2 takes the writes\n"),
        (
            &["promote", "demo", "--to=demo-db-3"],
            "demo-db-3 takes the writes\n",
        ),
        (&["promote", "demo", "--to=demo-db-3"], "nothing to do"),
    ] {
        person.runs(words).await.says(Exit::Well, &[expected]);
    }
    let wrong = person.runs(&["promote", "demo", "--to=demo-db-9"]).await;
    wrong.says(
        Exit::Unable,
        &["demo-db-9 is not one of the healthy servers"],
    );
    cnpg.twist(json!({"targetPrimary": "demo-db-1", "phase": "Failing over"}));
    world.condition("demo", "DatabaseReady", "False").await;
    let busy = person.runs(&["promote", "demo"]).await;
    busy.says(Exit::Unable, &["at work already: Failing over"]);
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plugin_says_what_a_person_may_not_do() {
    let world = World::new("plugin-rights").await;
    world.apply("demo", json!({})).await;
    let user = json!({"token": server().token, "as": "ann"});
    let person = Person::named(server(), "plugin-rights", &user);
    for words in [
        &["status", "demo"][..],
        &["status"],
        &["backup", "demo"],
        &["pause", "demo"],
    ] {
        let ran = person.runs(words).await;
        ran.says(Exit::Unable, &["ann", "cannot", "docs/tenancy.md"]);
    }
    let stranger = Person::named(server(), "plugin-rights", &json!({"token": "wrong"}));
    stranger
        .runs(&["status"])
        .await
        .says(Exit::Unable, &["log in again"]);
    let ran = person.runs(&["status", "--context=other"]).await;
    ran.says(Exit::Unable, &["other", "kubectl config get-contexts"]);
}

/// Ends the only container of a pod that does work with this result. Its Job does not try again.
async fn end(world: &World, pod: &Pod, result: Value) {
    let code = i32::from(result["reason"].as_str().unwrap().ends_with("Failed"));
    let mut result = result;
    result["time"] = "2026-01-01T00:00:00Z".into();
    end_at_once(world, pod, code, &result.to_string()).await;
}

/// The next pod of this part.
async fn next(world: &World, part: &str, known: &mut Vec<String>) -> Pod {
    let pod = new_pod(world, part, known).await;
    known.push(pod.uid().unwrap());
    pod
}

fn staged() -> Value {
    json!({"reason": "Staged", "set": "hello-20260101T000000Z", "rows": 5,
        "loss": {"added": 3, "changed": 1, "removed": 2, "since": "2026-01-01T00:00:00Z"}})
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plugin_follows_backups_and_restores_to_their_ends() {
    let server = Server::start();
    let world = World::on(&server, "plugin-data").await;
    let operator = world.operator();
    world
        .apply("demo", json!({"backup": {"schedule": "@yearly"}}))
        .await;
    world.ready("demo").await;
    let _controllers = Controllers::start(&server, &["job"]);
    let (person, mut known) = (Person::new(&server, "plugin-data"), Vec::new());

    let backup = ["backup", "demo", "--wait", "--timeout=2m"];
    let (ran, ()) = tokio::join!(person.runs(&backup), async {
        let proof = json!({"reason": "Verified", "set": "hello-20260101T000000Z", "sequence": 1, "sizeBytes": 123,
            "rows": 1000, "schemaVersion": 7, "restoreSeconds": 1.8, "count": 1, "warnings": []});
        end(&world, &next(&world, "backup", &mut known).await, proof).await;
    });
    ran.says(
        Exit::Well,
        &[
            "last proved: hello-20260101T000000Z",
            "1000 rows",
            "Job demo-backup-now-",
        ],
    );
    let (ran, ()) = tokio::join!(person.runs(&backup), async {
        let failure = json!({"reason": "DumpFailed", "message": "no space left"});
        end(&world, &next(&world, "backup", &mut known).await, failure).await;
    });
    ran.says(
        Exit::Unwell,
        &[
            "DumpFailed",
            "no space left",
            "kubectl hello logs demo --part=backup",
        ],
    );
    let ran = person.runs(&["backups", "demo"]).await;
    ran.says(
        Exit::Well,
        &[
            "hello-20260101T000000Z",
            "claim demo-backup",
            "failed: BackoffLimitExceeded",
        ],
    );

    // Nobody can be asked: it waits. The set's name is checked by the API server.
    let restore = ["restore", "demo", "--timeout=2m"];
    let wrong = [&restore[..], &["--from=../x"]].concat();
    person
        .runs(&wrong)
        .await
        .says(Exit::Unable, &["spec.source.backup"]);
    let (ran, ()) = tokio::join!(person.runs(&restore), async {
        end(&world, &next(&world, "restore", &mut known).await, staged()).await;
    });
    ran.says(
        Exit::Unwell,
        &[
            "3 rows added, 1 changed since",
            "come back: 2 rows",
            "acceptDataLoss",
            "kubectl delete hellorestore restore-",
        ],
    );
    let waiting = restores(&world)
        .list(&Default::default())
        .await
        .unwrap()
        .items
        .remove(0);
    assert_eq!(waiting.data["spec"]["acceptDataLoss"], false);
    let ran = person.runs(&["status", "demo"]).await;
    assert!(ran.output.contains("WaitingForConsent"), "{ran:?}");
    restores(&world)
        .delete(&waiting.name_any(), &Default::default())
        .await
        .unwrap();
    let pod = next(&world, "restore", &mut known).await;
    end(&world, &pod, json!({"reason": "Discarded"})).await;
    gone(&world).await;

    // Who says no keeps the data, and who says yes gets that of the backup.
    let (ran, ()) = tokio::join!(person.answers(&restore, Some("no\n")), async {
        end(&world, &next(&world, "restore", &mut known).await, staged()).await;
        let pod = next(&world, "restore", &mut known).await;
        end(&world, &pod, json!({"reason": "Discarded"})).await;
    });
    ran.says(
        Exit::Unwell,
        &["Replace the live data?", "the live data stays"],
    );
    gone(&world).await;
    let (ran, ()) = tokio::join!(person.answers(&restore, Some("yes\n")), async {
        end(&world, &next(&world, "restore", &mut known).await, staged()).await;
        let swapped = json!({"reason": "Swapped", "previous": "hello_previous_1",
            "loss": {"added": 4, "changed": 1, "removed": 2}});
        end(&world, &next(&world, "restore", &mut known).await, swapped).await;
    });
    ran.says(
        Exit::Well,
        &[
            "serves, with 5 rows",
            "4 rows added",
            "hello.internal/undo=true",
        ],
    );
    operator.stop().await;
}

/// Waits until no restore is left.
async fn gone(world: &World) {
    eventually("no restore is left", || async {
        let all = restores(world).list(&Default::default()).await.unwrap();
        all.items.is_empty().then_some(())
    })
    .await;
}
