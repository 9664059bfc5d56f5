//! Step 4: the decision, as data. Nothing is read or written here.
//!
//! [`facts`] and [`presence`] turn live objects into what the [`planner`] depends on, [`readiness`] judges whether the
//! parts of the service are ready, and [`decide`] puts together what is to be written, with its bodies.

pub mod action;
pub mod cnpg_health;
pub mod facts;
pub mod planner;
pub mod presence;
pub mod readiness;
pub mod write_reason;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use crate::{
    object::{
        child::{ChildId, Desired},
        kind::Kind,
        live::LiveObjects,
        owner::Identity,
    },
    service::{
        children::Prepared,
        dereference::{Read, observed::Observed},
        plan::{
            action::{Action, Change, Write},
            facts::Facts,
            planner::{Plan, Wanted, plan},
            readiness::{Readiness, judge},
            write_reason::WriteReason,
        },
        validate::{Database, Validated},
    },
};

/// What a pass is going to do, and what it knows.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The service.
    pub identity: Identity,
    /// Where its data is.
    pub database: Database,
    /// Every wanted child.
    pub wanted: Vec<ChildId>,
    /// What the plan is based on.
    pub facts: Facts,
    /// The plan.
    pub plan: Plan,
    /// The writes of the plan with their bodies, in order.
    pub writes: Vec<Write>,
    /// Whether the parts of the service are ready, before the writes.
    pub readiness: Readiness,
    /// The live objects before the writes.
    pub live: LiveObjects,
    /// The service's pods.
    pub pods: Vec<Pod>,
    /// What is wrong with objects that the spec names, in words.
    pub unresolved: Vec<String>,
    /// When time alone makes another decision due.
    pub next_change: Option<Timestamp>,
}

/// Decides what to do about a service, given what is wanted and what was read.
#[must_use]
pub fn decide(service: &Validated, prepared: &Prepared, read: Read) -> Decision {
    let Read { observed, inputs } = read;
    let (facts, readiness) = look(service, prepared, &observed);
    let plan = plan(&wanted(prepared), &facts);
    Decision {
        identity: service.identity.clone(),
        database: service.database.clone(),
        wanted: prepared.ids().cloned().collect(),
        writes: writes(&plan, &facts, &prepared.children),
        facts,
        plan,
        readiness,
        live: observed.children,
        pods: observed.pods,
        unresolved: observed.unresolved,
        next_change: inputs.next_change(),
    }
}

/// What was read, in the planner's terms, and what it means for readiness.
#[must_use]
pub fn look(service: &Validated, prepared: &Prepared, observed: &Observed) -> (Facts, Readiness) {
    let mut facts = Facts::from_observed(service, prepared, observed);
    let readiness = judge(
        &service.identity,
        &service.database,
        &facts,
        &observed.children,
        &observed.pods,
    );
    facts.database_ready = readiness.database.is_ready();
    (facts, readiness)
}

/// The wanted children in the planner's terms.
#[must_use]
pub fn wanted(prepared: &Prepared) -> Vec<Wanted> {
    let children = prepared.children.iter().map(|child| Wanted {
        id: child.id.clone(),
        gate: child.gate,
    });
    children.collect()
}

/// The writes of a plan with their bodies.
#[must_use]
pub fn writes(plan: &Plan, facts: &Facts, children: &[Desired]) -> Vec<Write> {
    let body = |id: &ChildId| children.iter().find(|child| child.id == *id).cloned();
    let mut writes: Vec<Write> = Vec::new();
    for action in &plan.actions {
        let change = match action {
            Action::Create(id) => {
                body(id).map(|body| Change::Create(starting_with(body, facts.initial_replicas)))
            }
            Action::Update(id) => body(id).map(Change::Update),
            Action::Delete(id) => Some(Change::Delete(id.clone())),
            Action::Scale(id, replicas) => Some(Change::Scale(id.clone(), *replicas)),
            Action::Release(id) => Some(Change::Release(id.clone())),
        };
        // The planner creates and updates wanted children only, and each of these has a body.
        if let Some(change) = change {
            writes.push(Write {
                change,
                reason: WriteReason::from_action(action, facts),
                needs: needs(action, &writes),
            });
        }
    }
    writes
}

/// The Deployment with its number of pods: without one the API server starts it with one pod.
fn starting_with(mut desired: Desired, replicas: i32) -> Desired {
    if desired.id.kind == Kind::Deployment && replicas != 1 {
        desired.body["spec"]["replicas"] = replicas.into();
    }
    desired
}

/// Children whose earlier writes an action builds on.
fn needs(action: &Action, earlier: &[Write]) -> Vec<ChildId> {
    let needed = earlier.iter().map(|write| write.change.action());
    let needed = needed.filter(|earlier| match (action, earlier) {
        // The replicas of what was not created cannot be released, and an update before the release would remove them.
        (Action::Release(id), Action::Create(other))
        | (Action::Update(id), Action::Release(other)) => id == other,
        (
            Action::Create(id) | Action::Update(id),
            Action::Create(other) | Action::Update(other),
        ) => id.kind.row().needs_secrets && other.kind == Kind::Secret,
        _ => false,
    });
    needed.map(|earlier| earlier.child().clone()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{object::kind::Gate, service::plan::planner::Migration};
    use serde_json::json;

    fn id(kind: Kind) -> ChildId {
        ChildId::new(kind, "demo")
    }

    fn desired(kind: Kind) -> Desired {
        Desired::from_body(kind, Gate::Always, json!({"metadata": {"name": "demo"}}))
    }

    fn planned(actions: &[Action], initial_replicas: i32) -> Vec<Write> {
        let plan = Plan {
            actions: actions.to_vec(),
            migration: Migration::Pending,
            conflicts: vec![],
            leaving: vec![],
            unavailable: vec![],
        };
        let facts = Facts {
            initial_replicas,
            ..Facts::default()
        };
        let kinds: BTreeSet<Kind> = actions.iter().map(|action| action.child().kind).collect();
        let children: Vec<Desired> = kinds.into_iter().map(desired).collect();
        writes(&plan, &facts, &children)
    }

    #[test]
    fn every_action_becomes_the_write_that_carries_it_out() {
        let actions = [
            Action::Create(id(Kind::Service)),
            Action::Update(id(Kind::Secret)),
            Action::Delete(id(Kind::Ingress)),
            Action::Scale(id(Kind::Deployment), 3),
            Action::Release(id(Kind::Deployment)),
        ];
        let writes = planned(&actions, 1);
        let carried_out: Vec<Action> = writes.iter().map(|write| write.change.action()).collect();
        assert_eq!(carried_out, actions);
        assert_eq!(writes[0].change, Change::Create(desired(Kind::Service)));
        assert_eq!(writes[0].reason, WriteReason::Missing);
        assert_eq!(writes[2].reason, WriteReason::Unwanted);
    }

    #[test]
    fn only_a_new_deployment_starts_with_a_number_and_one_is_the_default() {
        for (kind, initial, expected) in [
            (Kind::Deployment, 3, json!(3)),
            (Kind::Deployment, 0, json!(0)),
            (Kind::Deployment, 1, json!(null)),
            (Kind::Service, 3, json!(null)),
        ] {
            let writes = planned(&[Action::Create(id(kind))], initial);
            let Change::Create(created) = &writes[0].change else {
                panic!("{writes:?}")
            };
            assert_eq!(
                created.body["spec"]["replicas"], expected,
                "{kind} {initial}"
            );
        }
        let updated = planned(&[Action::Update(id(Kind::Deployment))], 3);
        let expected = Change::Update(desired(Kind::Deployment));
        assert_eq!(updated[0].change, expected);
    }

    /// What each write of a plan needs, as kinds.
    fn needed(actions: &[Action]) -> Vec<Vec<Kind>> {
        let writes = planned(actions, 2);
        let kinds = |write: &Write| write.needs.iter().map(|id| id.kind).collect();
        writes.iter().map(kinds).collect()
    }

    #[test]
    fn what_uses_secrets_needs_those_that_are_written_before() {
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Secret) {
            let uses = kind.row().needs_secrets;
            let expected: Vec<Kind> = if uses { vec![Kind::Secret] } else { vec![] };
            for secret in [
                Action::Create(id(Kind::Secret)),
                Action::Update(id(Kind::Secret)),
            ] {
                for action in [Action::Create(id(kind)), Action::Update(id(kind))] {
                    let needed = needed(&[secret.clone(), action]);
                    assert_eq!(needed, [vec![], expected.clone()], "{kind}");
                }
                let others = [Action::Delete(id(kind)), Action::Scale(id(kind), 2)];
                let needed = needed(&[&[secret], &others[..]].concat());
                assert_eq!(needed, [vec![], vec![], vec![]], "{kind}");
            }
        }
    }

    #[test]
    fn a_release_and_what_it_prepares_need_each_other_in_order() {
        let deployment = id(Kind::Deployment);
        let create = Action::Create(deployment.clone());
        let release = Action::Release(deployment.clone());
        let update = Action::Update(deployment.clone());
        let own = vec![Kind::Deployment];
        assert_eq!(needed(&[create, release.clone()]), [vec![], own.clone()]);
        assert_eq!(needed(&[release.clone(), update]), [vec![], own]);
        let scale = Action::Scale(deployment, 2);
        assert_eq!(needed(&[release, scale]), [vec![], vec![]]);
    }
}
