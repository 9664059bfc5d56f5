//! Final states of the model: which are good, and whether every path leads to a good one.

use std::collections::HashMap;

use hello_operator::service::plan::job_phase::JobPhase;
use stateright::Model;

use crate::{
    cluster::{Pass, State},
    model::World,
    objects::{Body, ClaimOwner, Name, Object, REPLICAS, Status},
};

/// Whether an autoscaler of the operator sets the number of pods of a foreign Deployment.
fn leans_on_foreign(state: &State) -> bool {
    state.get(Name::App).is_some_and(Object::is_foreign) && state.get(Name::Autoscaler).is_some()
}

/// The backup that the service starts from does not exist, which a user has to correct.
fn is_without_backup(state: &State) -> bool {
    let restore = state.get(Name::Restore);
    state.resource.spec.bootstrap == 1
        && state.get(Name::App).is_none()
        && restore.is_some_and(|restore| restore.body.broken && !restore.deleting)
}

impl World {
    /// Notes when all objects match `Retain`: from here on no data may be deleted.
    pub fn protect(&self, state: &mut State) {
        let spec = state.resource.spec;
        let open = state.deletable || state.objects.values().any(|object| object.given_up);
        if !open || !state.exists || !spec.retain || spec.paused || state.pass != Pass::Idle {
            return;
        }
        let owned = state.objects.iter().any(|(name, object)| {
            let by_server =
                matches!(object.status, Status::Claim { owner, .. } if owner != ClaimOwner::None);
            name.is_data() && *name != Name::Server && (by_server || object.body.owner != 0)
        });
        let server_keeps = state
            .get(Name::Server)
            .is_none_or(|server| !server.body.takes_claims);
        if !owned
            && server_keeps
            && self
                .operator
                .decide(state.resource, state)
                .writes
                .is_empty()
        {
            state.deletable = false;
            for object in state.objects.values_mut() {
                object.given_up = false;
            }
        }
    }

    /// Whether every path from a state, without further disturbance, ends well.
    pub fn ends_well(&self, state: &State, calm: &mut HashMap<State, Option<bool>>) -> bool {
        match calm.get(state) {
            Some(Some(well)) => return *well,
            // The path is a circle.
            Some(None) => return false,
            None => {}
        }
        calm.insert(state.clone(), None);
        let mut steps = Vec::new();
        self.actions(state, &mut steps);
        let well = match steps.is_empty() {
            true => self.is_good_end(state),
            false => steps
                .into_iter()
                .filter_map(|step| self.next_state(state, step))
                .all(|next| self.ends_well(&next, calm)),
        };
        calm.insert(state.clone(), Some(well));
        well
    }

    fn is_good_end(&self, state: &State) -> bool {
        if !state.exists {
            // What is left is foreign, or kept for a later resource.
            let kept = |(name, object): (&Name, &Object)| name.is_data() || object.is_foreign();
            return state.objects.iter().all(kept) && state.strays.is_empty();
        }
        let decision = self.operator.decide(state.resource, state);
        state.resource.spec.paused
            || state.resource.spec.broken
            || (decision.conflicts && !leans_on_foreign(state))
            || self.is_replaced(state)
            || is_without_backup(state)
            || self.is_failed(state)
            || self.is_converged(state)
    }

    /// The claim is another one than that with the resource's data, which waits for a user.
    pub fn is_replaced(&self, state: &State) -> bool {
        let (claim, schema) = state.database();
        claim != 0 && schema == 0 && state.has_other_data(claim)
    }

    /// The migration failed: another state that waits for a user.
    pub fn is_failed(&self, state: &State) -> bool {
        let failed = |object: &Object| {
            matches!(
                object.status,
                Status::Job {
                    phase: JobPhase::Failed,
                    ..
                }
            )
        };
        let decision = self.operator.decide(state.resource, state);
        let mut wanted = decision.wanted.keys().filter(|name| name.is_job());
        state.exists && wanted.any(|job| state.get(*job).is_some_and(failed))
    }

    /// All wanted objects match the spec, only data is left besides, and the schema fits.
    pub fn is_converged(&self, state: &State) -> bool {
        let spec = state.resource.spec;
        let decision = self.operator.decide(state.resource, state);
        let as_wanted = |(name, body): (&Name, &Body)| match state.get(*name) {
            Some(live) => {
                let same = live.body.hash == body.hash || *name == Name::Claim;
                let good = match live.status {
                    Status::Server { ready } => ready,
                    Status::Job { phase, .. } => phase == JobPhase::Succeeded,
                    Status::App { replicas, .. } => {
                        replicas == REPLICAS || (spec.autoscaled && replicas != 0)
                    }
                    Status::Claim { .. } | Status::Plain => true,
                    // Once it is known, it is not wanted any more.
                    Status::Run { .. }
                    | Status::Restore { .. }
                    | Status::Foreign
                    | Status::Pod(_) => false,
                };
                same && good && !live.drifted && !live.deleting
            }
            // A migration that is recorded needs no Job.
            None => name.is_job() || (*name == Name::Route && !state.routes_served),
        };
        let expected = |(name, live): (&Name, &Object)| {
            decision.wanted.contains_key(name)
                || name.is_data()
                || live.status == (Status::Restore { swapped: true })
                || matches!(name, Name::Pod | Name::Run)
        };
        state.exists
            && !spec.paused
            && decision.wanted.keys().any(|name| name.is_job())
            && decision.wanted.iter().all(as_wanted)
            && state
                .objects
                .iter()
                .all(|(name, live)| expected((name, live)) || live.is_foreign())
            && state
                .get(Name::App)
                .is_some_and(|app| app.body.version == spec.version)
            && state.database().1 == spec.version
            && state.migrations() == 0
    }
}
