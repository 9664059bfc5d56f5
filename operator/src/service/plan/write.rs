//! The writes of a plan with their bodies, so that carrying them out needs no decision.

use crate::{
    object::{
        child::{ChildId, Desired},
        kind::Kind,
        pod::SeenPod,
    },
    service::plan::{action::Action, facts::Facts, planner::Plan, write_reason::WriteReason},
};

/// What is sent to the API server for an action.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Create this object.
    Create(Desired),
    /// Change the object to this one.
    Update(Desired),
    /// Delete the object of this child.
    Delete(ChildId),
    /// Set the replicas of the object.
    Scale(ChildId, i32),
    /// Give up the replicas of the object.
    Release(ChildId),
    /// Delete this pod of the object.
    Replace(ChildId, SeenPod),
    /// Take the name of the last migration off the object.
    Forget(ChildId),
}

impl Change {
    /// The action that it carries out.
    #[must_use]
    pub fn action(&self) -> Action {
        match self {
            Self::Create(desired) => Action::Create(desired.id.clone()),
            Self::Update(desired) => Action::Update(desired.id.clone()),
            Self::Delete(id) => Action::Delete(id.clone()),
            Self::Scale(id, replicas) => Action::Scale(id.clone(), *replicas),
            Self::Release(id) => Action::Release(id.clone()),
            Self::Replace(id, pod) => Action::Replace(id.clone(), pod.clone()),
            Self::Forget(id) => Action::Forget(id.clone()),
        }
    }
}

/// One write of a decision, with everything that carrying it out needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// What is written.
    pub change: Change,
    /// Why.
    pub reason: WriteReason,
    /// Children whose earlier writes must have been made: without them this one is left to a later pass.
    pub needs: Vec<ChildId>,
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
            Action::Replace(id, pod) => Some(Change::Replace(id.clone(), pod.clone())),
            Action::Forget(id) => Some(Change::Forget(id.clone())),
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
        // Were it still recorded, going back to the earlier inputs would skip their migration.
        (Action::Create(id), Action::Forget(_)) => id.kind == Kind::Job,
        (
            Action::Create(id) | Action::Update(id),
            Action::Create(other) | Action::Update(other),
        ) => id.kind.row().needs_secrets() && other.kind == Kind::Secret,
        _ => false,
    });
    needed.map(|earlier| earlier.child().clone()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        object::kind::Gate,
        service::plan::{leaving::Finalizer, planner::Migration},
    };
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
            finalizer: Finalizer::Unchanged,
        };
        let facts = Facts {
            initial_replicas,
            ..Facts::default()
        };
        let kinds: BTreeSet<Kind> = actions.iter().map(|action| action.child().kind).collect();
        let children: Vec<Desired> = kinds.into_iter().map(desired).collect();
        writes(&plan, &facts, &children)
    }

    fn stuck() -> SeenPod {
        SeenPod {
            name: "demo-db-0".into(),
            uid: "u".into(),
            resource_version: "1".into(),
        }
    }

    #[test]
    fn every_action_becomes_the_write_that_carries_it_out() {
        let actions = [
            Action::Create(id(Kind::Service)),
            Action::Update(id(Kind::Secret)),
            Action::Delete(id(Kind::Ingress)),
            Action::Scale(id(Kind::Deployment), 3),
            Action::Release(id(Kind::Deployment)),
            Action::Replace(id(Kind::StatefulSet), stuck()),
            Action::Forget(id(Kind::Deployment)),
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
            let uses = kind.row().needs_secrets();
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
    fn a_migration_needs_that_the_last_one_is_forgotten() {
        let forget = Action::Forget(id(Kind::Deployment));
        let create = Action::Create(id(Kind::Job));
        assert_eq!(needed(&[forget, create]), [vec![], vec![Kind::Deployment]]);
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
