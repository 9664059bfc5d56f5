//! Every finding, from live objects through the real steps of a pass: validate, build, decide, report.
//!
//! A fixture `NAME.yaml` has what exists for a service, `NAME.status.yaml` the status that is reported about it. After a
//! wanted change: `UPDATE_GOLDEN=1 cargo test -p hello-operator --lib report`, then read the diff.

mod patch;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    sync::LazyLock,
};

use hello_crds::{ConditionType, HelloService, HelloServiceStatus};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Secret};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use self::patch::{extend, merge};
use crate::{
    error::{Error, Result},
    object::{
        child::{ChildId, Desired},
        data_version::DataVersion,
        kind::Kind,
        live::Live,
        names,
        owner::Identity,
    },
    service::{
        apply::Applied,
        children,
        dereference::{
            Read,
            inputs::Inputs,
            observed::{Observed, Problem},
        },
        plan,
        report::{conditions::find, reason::Reason, status},
        validate::{DefaultImages, Validated, validate},
    },
};

/// The time of every fixture. What was reported earlier is from the day before.
const NOW: &str = "2026-01-02T00:00:00Z";

/// Reasons that are in no condition, and what reports them.
const ELSEWHERE: [(Reason, &str); 1] = [(
    Reason::DriftReverted,
    "an event, see the tests of report::events",
)];

/// What exists for the service `demo` in the namespace `ns`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Fixture {
    /// The fixture to start with.
    from: Option<String>,
    /// Whether the resource is being deleted, which waits for the operator.
    deleting: bool,
    /// Annotations of the resource.
    annotations: BTreeMap<String, String>,
    /// Merged over the spec of that one.
    spec: Map<String, Value>,
    /// Objects that are there: as wanted, with changes.
    live: Vec<LiveObject>,
    /// Objects of that fixture, by kind and name, that are not there.
    without: Vec<String>,
    /// Pods; those of that fixture are not there.
    pods: Option<Vec<Pod>>,
    /// Kinds that the cluster does not serve.
    missing: Vec<String>,
    /// Address in the Secret of an external database.
    address: Option<String>,
    /// What is wrong with objects that the spec names.
    unresolved: Vec<String>,
    /// The same of objects that only the backups need.
    unresolved_of_backups: Vec<String>,
    /// A write that the API server refuses.
    refused: Option<Refused>,
    /// Kinds of owners whose pods the API server refuses, with its words.
    refused_pods: BTreeMap<String, String>,
    /// Secrets for pulling images that do not exist.
    missing_pull_secrets: Vec<String>,
    /// The message of a panic.
    panic: Option<String>,
    /// The status that the resource has.
    before: Option<HelloServiceStatus>,
}

/// A live object: the wanted child of this kind (and name, when there are several), with a merge patch. One that is not
/// wanted is the patch alone.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LiveObject {
    kind: String,
    name: Option<String>,
    #[serde(default)]
    patch: Map<String, Value>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    /// Kind of the child; without one the whole pass is refused.
    kind: Option<String>,
    code: u16,
    message: String,
}

impl Refused {
    fn error(&self) -> Error {
        let status = kube::core::Status::failure(&self.message, "Forbidden").with_code(self.code);
        Error::Api {
            action: "create".into(),
            source: Box::new(kube::Error::Api(status.boxed())),
        }
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/report")
}

fn names() -> Vec<String> {
    let entries = fs::read_dir(folder()).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with(".status.yaml"))
        .map(|name| name.strip_suffix(".yaml").unwrap().to_owned())
        .collect();
    names.sort();
    assert!(names.len() > 30, "{names:?}");
    names
}

fn kind(name: &str) -> Kind {
    let mut all = Kind::ALL.into_iter();
    all.find(|kind| kind.to_string() == name)
        .unwrap_or_else(|| panic!("{name}"))
}

impl Fixture {
    /// Reads a fixture, with the one that it starts from.
    fn read(name: &str) -> Self {
        let path = folder().join(format!("{name}.yaml"));
        let text = fs::read_to_string(&path).unwrap();
        let own: Self =
            serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let Some(base) = &own.from else {
            return own;
        };
        let mut all = Self::read(base);
        merge(&mut all.spec, &own.spec);
        all.live
            .retain(|live| !own.without.contains(&live.to_string()));
        for live in own.live {
            match all.live.iter_mut().find(|old| old.is(&live)) {
                Some(old) => extend(&mut old.patch, &live.patch),
                None => all.live.push(live),
            }
        }
        Self {
            deleting: own.deleting,
            annotations: own.annotations,
            pods: own.pods.or(all.pods),
            missing: own.missing,
            address: own.address.or(all.address),
            unresolved: own.unresolved,
            unresolved_of_backups: own.unresolved_of_backups,
            refused: own.refused,
            refused_pods: own.refused_pods,
            missing_pull_secrets: own.missing_pull_secrets,
            panic: own.panic,
            before: own.before,
            ..all
        }
    }

    fn service(&self) -> HelloService {
        let mut spec = self.spec.clone();
        // Most fixtures are about something else.
        let off = || json!({"enabled": false});
        spec.entry("backup").or_insert_with(off);
        let mut service = json!({
            "apiVersion": "hello.internal/v1alpha1", "kind": "HelloService",
            "metadata": {"name": "demo", "namespace": "ns", "uid": "u", "generation": 3,
                "annotations": self.annotations},
            "spec": spec, "status": self.before,
        });
        if self.deleting {
            service["metadata"]["deletionTimestamp"] = "2026-01-01T23:58:00Z".into();
            service["metadata"]["finalizers"] = json!([names::SNAPSHOT_FINALIZER]);
        }
        serde_json::from_value(service).unwrap()
    }

    /// The status that is reported about it.
    fn status(&self) -> HelloServiceStatus {
        let now: Timestamp = NOW.parse().unwrap();
        let old = self.before.as_ref();
        let identity = Identity {
            namespace: "ns".into(),
            name: "demo".into(),
            uid: "u".into(),
            generation: 3,
        };
        if let Some(message) = &self.panic {
            return status::from_panic(&identity, message, old, now);
        }
        let images = DefaultImages::of_tests();
        let applied = validate(&self.service(), &images)
            .and_then(|service| Ok((self.applied(&service, now)?, service)));
        match applied {
            Ok((applied, service)) => status::from_applied(&service, &applied, old, now),
            Err(error) => status::from_error(&identity, &error, true, old, now).unwrap(),
        }
    }

    fn applied(&self, service: &Validated, now: Timestamp) -> Result<Applied> {
        let observed = self.observed(service, now)?;
        let inputs = Inputs::from_observed(service, &observed, now)?;
        let prepared = children::build(service, &inputs).prepare()?;
        let decision = plan::decide(service, &prepared, Read { observed, inputs });
        let applied = Applied::without_writes(decision);
        let Some(refused) = &self.refused else {
            return Ok(applied);
        };
        let Some(child) = refused.kind.as_deref().map(kind) else {
            return Err(refused.error());
        };
        let left = applied.live().iter().map(|(id, _)| id);
        let id = prepared.ids().chain(left).find(|id| id.kind == child);
        let id = id.unwrap().clone();
        Ok(applied.refusing(id, refused.error()))
    }

    fn unresolved(&self) -> Vec<Problem> {
        let of = |all: &[String], of_backups: bool| {
            let all = all.iter().cloned();
            all.map(move |words| Problem { words, of_backups })
                .collect::<Vec<_>>()
        };
        let of_backups = of(&self.unresolved_of_backups, true);
        [of_backups, of(&self.unresolved, false)].concat()
    }

    /// What would have been read from the API server.
    fn observed(&self, service: &Validated, now: Timestamp) -> Result<Observed> {
        let mut observed = Observed {
            pods: self.pods.clone().unwrap_or_default(),
            missing: self.missing.iter().map(|name| kind(name)).collect(),
            database_secret: self.address.as_ref().map(|address| {
                let secret = json!({"metadata": {"name": "db"}, "stringData": {}});
                let mut secret: Secret = serde_json::from_value(secret).unwrap();
                let value = k8s_openapi::ByteString(address.clone().into_bytes());
                secret.data = Some([("uri".to_owned(), value)].into());
                secret
            }),
            unresolved: self.unresolved(),
            missing_pull_secrets: self.missing_pull_secrets.clone(),
            ..Observed::default()
        };
        // What holds the data names the migration, so it comes first.
        for kind in [Kind::PersistentVolumeClaim, Kind::Cluster] {
            let name = match kind {
                Kind::Cluster => names::database("demo"),
                _ => names::data_claim("demo", &DataVersion::default()),
            };
            if self.live.iter().any(|live| live.kind == kind.to_string()) {
                let body = json!({"metadata": {"name": name, "uid": uid(kind)}});
                let live = Live::parse(kind, serde_json::from_value(body).unwrap()).unwrap();
                observed.children.insert(ChildId::new(kind, name), live);
            }
        }
        let inputs = Inputs::from_observed(service, &observed, now)?;
        let wanted = children::build(service, &inputs).prepare()?.children;
        for object in &self.live {
            let (id, live) = object.live(&wanted);
            if let Some(words) = self.refused_pods.get(&id.kind.to_string()) {
                let refused = &mut observed.due_pods.refused;
                refused.insert(id.clone(), words.clone());
            }
            observed.children.insert(id, live);
        }
        Ok(observed)
    }
}

fn uid(kind: Kind) -> String {
    format!("uid-{kind}")
}

impl std::fmt::Display for LiveObject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{} {name}", self.kind),
            None => f.write_str(&self.kind),
        }
    }
}

impl LiveObject {
    fn is(&self, other: &Self) -> bool {
        (&self.kind, &self.name) == (&other.kind, &other.name)
    }

    fn live(&self, wanted: &[Desired]) -> (ChildId, Live) {
        let kind = kind(&self.kind);
        let mut same = wanted.iter().filter(|child| {
            let name = self.name.as_ref();
            child.id.kind == kind && name.is_none_or(|name| child.id.name == *name)
        });
        let (mut body, name) = match same.next() {
            Some(child) => (child.body.clone(), child.id.name.clone()),
            // It must say itself whose it is.
            None => {
                assert!(!self.patch.is_empty(), "{self} is not wanted");
                (json!({}), self.name.clone().unwrap())
            }
        };
        assert_eq!(same.next().map(|child| &child.id), None, "{self}: which?");
        body["metadata"]["name"] = name.clone().into();
        body["metadata"]["uid"] = uid(kind).into();
        merge(body.as_object_mut().unwrap(), &self.patch);
        let object = serde_json::from_value(body).unwrap();
        let live = Live::parse(kind, object).unwrap_or_else(|error| panic!("{self}: {error}"));
        (ChildId::new(kind, name), live)
    }
}

/// The statuses of all fixtures by name, computed once.
static STATUSES: LazyLock<BTreeMap<String, HelloServiceStatus>> = LazyLock::new(|| {
    let status = |name: String| {
        let status = Fixture::read(&name).status();
        (name, status)
    };
    names().into_iter().map(status).collect()
});

#[test]
fn every_situation_is_reported_as_recorded() {
    for (name, status) in &*STATUSES {
        // Each release has another version.
        let status = HelloServiceStatus {
            operator_version: None,
            ..status.clone()
        };
        let mut reported = serde_yaml::to_string(&status).unwrap();
        // The name depends on the passwords, which are random.
        if let Some(migration) = &status.migration {
            reported = reported.replace(&migration.job, "demo-migrate-HASH");
        }
        let path = folder().join(format!("{name}.status.yaml"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &reported).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap();
        assert_eq!(reported, expected, "{name}");
    }
}

#[test]
fn every_reason_has_a_situation() {
    let mut found: BTreeSet<Reason> = ELSEWHERE.iter().map(|(reason, _)| *reason).collect();
    for (name, status) in &*STATUSES {
        for condition in &status.conditions {
            let reason = Reason::from_name(&condition.reason);
            found.insert(reason.unwrap_or_else(|| panic!("{name}: {}", condition.reason)));
        }
    }
    let all: BTreeSet<Reason> = Reason::ALL.iter().copied().collect();
    assert_eq!(found, all);
}

#[test]
fn every_condition_is_complete() {
    for (name, status) in &*STATUSES {
        assert_eq!(status.observed_generation, Some(3), "{name}");
        for condition in &status.conditions {
            assert!(!condition.message.is_empty(), "{name}: {condition:?}");
        }
        let ready = find(status, ConditionType::Ready).unwrap();
        let degraded = find(status, ConditionType::Degraded).unwrap();
        let progressing = find(status, ConditionType::Progressing).unwrap();
        let needs_action = Reason::from_name(&ready.reason).unwrap().needs_action();
        assert!(!needs_action || degraded.status == "True", "{name}");
        assert!(!needs_action || progressing.status == "False", "{name}");
        assert!(
            ready.status == "False" || progressing.status == "False",
            "{name}"
        );
    }
}
