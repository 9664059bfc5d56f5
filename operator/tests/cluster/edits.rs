//! Every field of the spec: changed, and changed back.

use futures::{StreamExt, future::join_all, stream};
use hello_operator::object::kind::Kind;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::{
    cnpg_stand_in::CnpgStandIn,
    data::{bind, make_class},
    effects::{Edit, groups, places, shows},
    field_bases::{NODE_PORT, base, changed, external_base, fields, other_base},
    field_changes::{Change, change, free_port},
    reference::make,
    server::{Server, server},
    state::{State, assert_same, liken, state},
    world::World,
};

/// The state of the children, without what depends on chance or history.
fn outcome(namespace: &str, name: &str, state: State, spec: &Value) -> State {
    let mut state = liken(namespace, name, state);
    for (id, content) in &mut state {
        let content = &mut content["spec"];
        match id.split(' ').next().unwrap() {
            // The autoscaler's.
            "Deployment" if spec.get("autoscaling").is_some() => {
                content.as_object_mut().unwrap().remove("replicas");
            }
            "Service" => {
                for port in content["ports"].as_array_mut().unwrap() {
                    if port["nodePort"] == spec["expose"]["service"]["nodePort"] {
                        port["nodePort"] = "as wanted".into();
                    }
                }
            }
            // A template cannot change; the claim made from it can.
            "StatefulSet" => {
                let claim = &mut content["volumeClaimTemplates"][0];
                claim["spec"]["resources"]["requests"]["storage"].take();
            }
            "PersistentVolumeClaim" => {
                content.as_object_mut().unwrap().remove("volumeName");
            }
            _ => {}
        }
    }
    state
}

/// A namespace with the objects that the specs name.
async fn furnished(name: &str) -> World {
    furnished_on(server(), name).await
}

/// The same on a server of its own.
pub async fn furnished_on(server: &Server, name: &str) -> World {
    let world = World::on(server, name).await;
    let uri = |host: &str| format!("postgres://owner:pw@{host}.example.com/hello");
    let data = json!({"tls.crt": "", "tls.key": "", "ca.crt": "", "uri": uri("a"), "other-uri": uri("b"),
        "host": "a.example.com", "port": "5433", "database": "hello", "user": "owner", "password": "p@ss", "other": "x"});
    for name in ["a", "b"] {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "stringData": data});
        make(&world, name, secret).await;
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": data});
        make(&world, name, map).await;
    }
    world
}

/// The state that a fresh apply of each spec leads to.
async fn fresh(namespace: &str, specs: &[Value]) -> Vec<State> {
    let world = furnished(namespace).await;
    let _cnpg = CnpgStandIn::start(&world);
    let operator = world.operator();
    let reach = async |(index, spec): (usize, &Value)| {
        let name = format!("fresh{index:02}");
        world.apply(&name, spec.clone()).await;
        world.ready(&name).await;
        outcome(&world.namespace, &name, state(&world, &name).await, spec)
    };
    // Several at a time: most of the time is spent waiting.
    let states = stream::iter(specs.iter().enumerate()).map(reach);
    let states = states.buffered(6).collect().await;
    operator.stop().await;
    states
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_can_be_changed_and_changed_back() {
    let fields: Vec<String> = fields().into_iter().filter(|path| is_first(path)).collect();
    let edited = edit_all("edits", base, &fields).await;
    assert!(edited > 50, "{edited} fields");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_of_the_other_choices_too() {
    let of = |beginning: &[&str]| -> Vec<String> {
        let is = |path: &String| beginning.iter().any(|start| path.starts_with(start));
        fields().into_iter().filter(is).collect()
    };
    let (other, external) = (of(&OTHER), of(&EXTERNAL));
    let (other, external) = tokio::join!(
        edit_all("edits-other", other_base, &other),
        edit_all("edits-external", external_base, &external)
    );
    assert_eq!((other, external), (8, 21));
}

const OTHER: [&str; 2] = ["/database/cloudNativePG/", "/auth/oidc/caConfigMapRef/"];
const EXTERNAL: [&str; 2] = ["/database/external/", "/backup/destination/s3/"];

fn is_first(path: &str) -> bool {
    let mut others = OTHER.iter().chain(&EXTERNAL);
    !others.any(|start| path.starts_with(start))
}

/// Edits each of the fields that may change, and reverts the edit: both lead to the state of a fresh apply. Returns
/// the number of these fields.
async fn edit_all(namespace: &str, base: fn(u16) -> Value, fields: &[String]) -> usize {
    let mut edits = Vec::new();
    let mut never = Vec::new();
    for path in fields {
        match change(path) {
            Change::To(value) => edits.push(Edit::new(base, path, value)),
            Change::Never(value) => never.push(Edit::new(base, path, value)),
            Change::Forth(_) | Change::Elsewhere => {}
        }
    }
    let count = edits.len();
    let groups = groups(edits);
    let mut specs = vec![base(free_port())];
    specs.extend(
        groups
            .iter()
            .map(|group| changed(base, &group.iter().collect::<Vec<_>>())),
    );
    let fresh = fresh(&format!("{namespace}-fresh"), &specs).await;

    let world = furnished(namespace).await;
    let _cnpg = CnpgStandIn::start(&world);
    let operator = world.operator();
    let groups: Vec<_> = groups.into_iter().zip(&fresh[1..]).collect();
    // Several resources share the edits: most of the time is spent waiting.
    let shares = groups.chunks(groups.len().div_ceil(LANES)).enumerate();
    let lanes = shares.map(|(lane, groups)| {
        let lane = Lane {
            world: &world,
            name: format!("demo{lane}"),
            base,
            plain: base(free_port()),
        };
        let fresh = &fresh[0];
        async move { lane.edit_each(fresh, groups).await }
    });
    join_all(lanes).await;
    for edit in &never {
        refused(&world, "demo0", &changed(base, &[edit]), &edit.path).await;
    }
    operator.stop().await;
    count
}

/// Resources that are edited side by side.
const LANES: usize = 4;

/// A resource that is edited, again and again.
struct Lane<'a> {
    world: &'a World,
    name: String,
    base: fn(u16) -> Value,
    /// The spec between the edits.
    plain: Value,
}

impl Lane<'_> {
    /// Makes the edits of each group and reverts them; both lead to the state of a fresh apply.
    async fn edit_each(&self, fresh: &State, groups: &[(Vec<Edit>, &State)]) {
        let before = self.reach(&self.plain).await;
        assert_same(&self.outcome(before.clone(), &self.plain), fresh, "fresh");
        for (edits, fresh) in groups {
            let paths: Vec<&str> = edits.iter().map(|edit| &*edit.path).collect();
            let mut spec = changed(self.base, &edits.iter().collect::<Vec<_>>());
            spec["expose"]["service"]["nodePort"] = match *paths {
                [NODE_PORT] => free_port().into(),
                _ => self.plain["expose"]["service"]["nodePort"].clone(),
            };
            let edited = self.reach(&spec).await;
            self.assert_each_shows(&before, &edited, edits);
            let reached = without_former_accounts(self.outcome(edited, &spec), fresh);
            assert_same(&reached, fresh, &format!("{paths:?}"));
            let mut reverted = self.reach(&self.plain).await;
            if matches!(*paths, ["/replicas" | "/autoscaling/minReplicas"]) {
                // The autoscaler, which nobody plays here, takes over from the number it finds.
                self.scale(2).await;
                reverted = state(self.world, &self.name).await;
            }
            let after = without_former_accounts(reverted, &before);
            assert_same(&after, &before, &format!("{paths:?} changed back"));
        }
    }

    /// Asserts that every edit of a group has led to changes, where it shows in the objects as they are built.
    fn assert_each_shows(&self, before: &State, after: &State, edits: &[Edit]) {
        let like = |state: &State| liken(&self.world.namespace, &self.name, state.clone());
        let found = places(&like(before), &like(after));
        for edit in edits {
            let missing = edit.places.iter().find(|place| !shows(&found, place));
            assert_eq!(missing, None, "{}: not changed", edit.path);
            assert_ne!(before, after, "{} changes nothing", edit.path);
        }
    }

    /// The state that the spec leads to.
    async fn reach(&self, spec: &Value) -> State {
        self.world.apply(&self.name, spec.clone()).await;
        self.world.ready(&self.name).await;
        state(self.world, &self.name).await
    }

    fn outcome(&self, state: State, spec: &Value) -> State {
        outcome(&self.world.namespace, &self.name, state, spec)
    }

    async fn scale(&self, replicas: i32) {
        let scale = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        let deployments = self.world.api(Kind::Deployment);
        deployments
            .patch_scale(&self.name, &PatchParams::default(), &scale)
            .await
            .unwrap();
        self.world.ready(&self.name).await;
    }
}

/// An account that is no longer wanted stays until the resource is deleted: pods of a former template may need it.
fn without_former_accounts(mut state: State, wanted: &State) -> State {
    state.retain(|id, _| wanted.contains_key(id) || !id.starts_with("ServiceAccount "));
    state
}

/// Asserts that the API server refuses the spec and names the field.
async fn refused(world: &World, name: &str, spec: &Value, path: &str) {
    let body = json!({"apiVersion": "hello.internal/v1alpha1", "kind": "HelloService",
        "metadata": {"name": name}, "spec": spec});
    let parameters = PatchParams::apply("test").force();
    let services = world.services();
    let error = services
        .patch(name, &parameters, &Patch::Apply(&body))
        .await
        .unwrap_err()
        .to_string();
    let part = path.rsplit_once('/').unwrap().0.replace('/', ".");
    assert!(
        error.contains(&format!("spec{part}: Invalid value")),
        "{path}: {error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_size_grows_to_what_a_fresh_apply_gives() {
    let fields = fields().into_iter();
    let grows = fields.filter_map(|path| match change(&path) {
        Change::Forth(value) => Some((path, value)),
        _ => None,
    });
    let (first, other): (Vec<_>, Vec<_>) = grows.partition(|(path, _)| is_first(path));
    assert_eq!((first.len(), other.len()), (2, 1));
    tokio::join!(
        grow_all("grow-first", base, &first),
        grow_all("grow-other", other_base, &other)
    );
}

async fn grow_all(namespace: &str, base: fn(u16) -> Value, fields: &[(String, Value)]) {
    let mut specs = vec![base(free_port())];
    for (path, value) in fields {
        let mut spec = specs.last().unwrap().clone();
        spec["expose"]["service"]["nodePort"] = free_port().into();
        *spec.pointer_mut(path).unwrap() = value.clone();
        specs.push(spec);
    }
    let fresh = fresh(&format!("{namespace}-fresh"), &specs[1..]).await;
    let world = furnished(namespace).await;
    make_class(&world, "a").await;
    let _cnpg = CnpgStandIn::start(&world);
    let operator = world.operator();
    let port = free_port();
    for spec in &mut specs {
        spec["expose"]["service"]["nodePort"] = port.into();
    }
    world.apply("demo", specs[0].clone()).await;
    world.ready("demo").await;
    for (id, _) in world.children("demo").await {
        if id.kind == Kind::PersistentVolumeClaim {
            bind(&world, &id).await;
        }
    }
    for (index, (path, _)) in fields.iter().enumerate() {
        world.apply("demo", specs[index + 1].clone()).await;
        world.ready("demo").await;
        let grown = state(&world, "demo").await;
        let grown = outcome(&world.namespace, "demo", grown, &specs[index + 1]);
        assert_same(&grown, &fresh[index], path);
    }
    operator.stop().await;
}
