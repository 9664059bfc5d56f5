//! A namespace is deleted with everything in it. Services in another one start with the backups in the bucket: one by the
//! commands of the documentation, one from encrypted backups.

use std::time::{Duration, Instant};

use hello_crds::VerifiedBackup;
use hello_e2e::cluster::command;
use hello_e2e::cluster::pods::{address, ready_pods};
use hello_e2e::cluster::wait::{self, poll};
use hello_e2e::markdown::blocks;
use hello_e2e::scenario::documented;
use hello_e2e::scenario::visitor::Visitor;
use hello_e2e::{Context, Hello, Result, Scenario, Seen, bail, ensure};
use k8s_openapi::api::core::v1::{Namespace, PersistentVolume, Secret};
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::{Value, json};

use super::store::{self, Access, STORE};
use super::{ensure_filled, filled, stored};
use crate::repository;

/// The prefix of the documentation.
const PLAIN: &str = "production/hello";
const SEALED: &str = "production/sealed";
/// The Secret with the key that opens the encrypted backups.
const IDENTITY: &str = "backup-key";
/// The word that marks the blocks of the documentation about a lost cluster.
const MARK: &str = "lost-cluster";

pub async fn everything_comes_back(s: &Scenario, access: &Access) -> Result<()> {
    let key = Key::make().await?;
    let former = s.in_another_namespace("former").await?;
    access.hand_to(&former).await?;
    let (plain, sealed) = tokio::try_join!(
        filled(&former, "hello", spec(PLAIN, None)),
        filled(&former, "sealed", spec(SEALED, Some(&key))),
    )?;
    let (of_plain, of_sealed, ()) = tokio::try_join!(
        plain.back_up("before it is lost"),
        sealed.back_up("before it is lost"),
        only_documented_edges(&former, &plain),
    )?;
    s.progress("two services are backed up, one encrypted");
    lose(&former).await?;

    let began = Instant::now();
    let new = s.in_another_namespace("new").await?;
    access.trust(&new).await?;
    by_the_documentation(&new, access, &of_plain).await?;
    s.figure(format!(
        "by the documentation: everything back {:.1} s after the namespace was gone, its own backup included",
        began.elapsed().as_secs_f64()
    ));
    encrypted(&new, &key, &of_sealed).await
}

fn spec(prefix: &str, key: Option<&Key>) -> Value {
    let destination = store::destination(STORE, prefix);
    let mut backup = json!({"schedule": "0 2 * * *", "destination": destination});
    if let Some(key) = key {
        backup["encryption"] = json!({"recipients": [key.recipient]});
    }
    json!({"replicas": 1, "backup": backup})
}

/// A pod of the backups reaches the store and the app not: the policies are enforced, and leave open what is needed.
async fn only_documented_edges(s: &Scenario, hello: &Hello) -> Result<()> {
    let image = hello.postgres_image().await?;
    let labels = json!({
        "app.kubernetes.io/name": "hello",
        "app.kubernetes.io/instance": hello.name,
        "app.kubernetes.io/component": "restore",
    });
    let visitor = Visitor::start(s, &s.namespace, "as-a-restore", &image, labels, None).await?;
    let apps = hello.pods("app").await?;
    let app = ready_pods(&apps).first().and_then(|app| address(app));
    let app = app.context("no app is ready")?;
    visitor.must_be_refused_eventually(&app, 8080).await?;
    visitor.must_reach(&store::host(STORE), store::PORT).await
}

/// Deletes the namespace and waits until its volumes are gone, too.
async fn lose(former: &Scenario) -> Result<()> {
    let client = former.cluster.client.clone();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let volumes: Api<PersistentVolume> = Api::all(client);
    let before = of_namespace(&volumes, &former.namespace).await?;
    ensure!(before == 2, "{before} volumes, not one for each database");
    namespaces
        .delete(&former.namespace, &DeleteParams::default())
        .await?;
    wait::gone(&namespaces, &former.namespace, Duration::from_secs(90)).await?;
    poll(
        "the volumes to be gone",
        Duration::from_secs(60),
        async || {
            Ok(match of_namespace(&volumes, &former.namespace).await? {
                0 => Seen::Done(()),
                left => Seen::not_yet(left),
            })
        },
    )
    .await?;
    former.progress("the namespace is gone, with its volumes");
    Ok(())
}

/// How many volumes belong to claims of a namespace.
async fn of_namespace(volumes: &Api<PersistentVolume>, namespace: &str) -> Result<usize> {
    let all = volumes.list(&ListParams::default()).await?.items;
    let claims = all.into_iter().filter_map(|volume| volume.spec?.claim_ref);
    Ok(claims
        .filter(|claim| claim.namespace.as_deref() == Some(namespace))
        .count())
}

/// The steps of the documentation as they stand, but for the address of the store.
async fn by_the_documentation(
    new: &Scenario,
    access: &Access,
    former: &VerifiedBackup,
) -> Result<()> {
    let text = std::fs::read_to_string(repository().join("docs/recover.md"))?;
    let steps: Vec<_> = blocks(&text)
        .into_iter()
        .filter(|block| block.is_marked(MARK))
        .collect();
    ensure!(!steps.is_empty(), "docs/recover.md shows no lost cluster");
    let key = format!(
        "export ACCESS_KEY_ID={} SECRET_ACCESS_KEY={}",
        access.key_id, access.secret_key
    );
    let hello = Hello::named(new, "hello");
    for step in steps {
        match step.language.as_str() {
            "sh" => documented::run(new, &format!("{key}\n{}", step.text)).await?,
            "yaml" => {
                documented::apply(new, &in_our_store(&step.text)?).await?;
                let expose = json!({"expose": {"service": {"type": "NodePort"}}});
                hello.change(expose).await?;
            }
            other => bail!("a block of {other} cannot be run"),
        }
    }
    hello.serving().await?;
    ensure_filled(new, &hello).await?;
    followed(new, &hello, PLAIN, former).await
}

/// The manifest of the documentation, with the address of our store beside the region.
fn in_our_store(manifest: &str) -> Result<String> {
    let mut object: Value = serde_yaml::from_str(manifest)?;
    let bucket = object.pointer_mut("/spec/backup/destination/s3");
    let bucket = bucket
        .and_then(Value::as_object_mut)
        .context("the manifest of the documentation has no bucket")?;
    if let Value::Object(address) = store::address(STORE) {
        bucket.extend(address);
    }
    Ok(serde_json::to_string(&object)?)
}

/// From encrypted backups, with the key in a Secret that the former namespace never had.
async fn encrypted(new: &Scenario, key: &Key, former: &VerifiedBackup) -> Result<()> {
    let secret: Secret = serde_json::from_value(json!({
        "metadata": {"name": IDENTITY}, "stringData": {"identity": key.identity},
    }))?;
    new.api().create(&PostParams::default(), &secret).await?;
    let mut spec = spec(SEALED, Some(key));
    let source = json!({"backup": "latest", "identitySecretRef": {"name": IDENTITY}});
    spec["database"] = json!({"managed": {"bootstrap": {"fromBackup": source}}});
    let hello = Hello::apply(new, "sealed", spec).await?;
    hello.serving().await?;
    ensure_filled(new, &hello).await?;
    hello.back_up("after it was lost").await?;
    followed(new, &hello, SEALED, former).await?;
    stored(new, STORE, SEALED, |names| {
        let mut dumps = names.iter().filter(|name| name.contains(".dump"));
        names.len() >= 6 && dumps.all(|name| name.ends_with(".dump.age"))
    })
    .await
}

/// The service has a newer backup of its own, beside the one that it started from.
async fn followed(
    s: &Scenario,
    hello: &Hello,
    prefix: &str,
    former: &VerifiedBackup,
) -> Result<()> {
    let own = hello_e2e::service::backups::verified(&hello.get().await?);
    let own = own.context("the new service has no proved backup")?;
    ensure!(own.file > former.file, "{own:?} follows {former:?}");
    let manifests = [&former.file, &own.file].map(|set| format!("{set}.json"));
    stored(s, STORE, prefix, |names| {
        manifests.iter().all(|manifest| names.contains(manifest))
    })
    .await
}

/// A key of age, made by its own program.
struct Key {
    identity: String,
    recipient: String,
}

impl Key {
    async fn make() -> Result<Self> {
        let script = repository().join("app/tests/program");
        let script = script.to_str().context("the checkout's path is no text")?;
        let limit = Duration::from_secs(60);
        let keygen = command::output(script, &["age-keygen"], "", limit).await?;
        let keygen = keygen.trim_end();
        let identity = command::output(keygen, &[] as &[&str], "", limit).await?;
        let recipient = command::output(keygen, &["-y"], &identity, limit).await?;
        Ok(Self {
            recipient: recipient.trim_end().to_owned(),
            identity,
        })
    }
}
