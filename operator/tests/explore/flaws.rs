//! Operators that are wrong in one place.

use hello_operator::{
    object::kind::Gate,
    service::{
        children::Prepared,
        plan::{
            action::Action, bootstrap::Bootstrap, facts::Facts, job_phase::JobPhase,
            presence::Presence,
        },
    },
};

use crate::{live::fixed_id, objects::Name};

/// A defect of the operator, to prove that the properties notice it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    RollsOutAtOnce,
    BelievesAnyMigration,
    ForgetsOtherJobs,
    ForgetsPodsWithoutJob,
    DeletesWhatTheSpecDropped,
    ForgetsRetain,
    UsesAnyVolume,
    TakesOver,
    WritesWithoutUid,
    IgnoresPause,
    FightsTheAutoscaler,
    WritesForever,
    NeverReleases,
    NeverRollsOut,
    ForgetsData,
    LeavesNoPods,
    ReadsPodsFirst,
    RetriesNothing,
    ForgetsTheRecord,
    KeepsTheRecord,
    LeavesStuckPods,
    ReplacesAnyPod,
    LeansOnForeign,
    ForgetsRequests,
    BacksUpAtOnce,
    NeverBacksUp,
    ServesEmpty,
    BootstrapsTwice,
    KeepsTheFirstOrder,
}

/// Does other things than were planned.
pub fn misact(flaw: Flaw, facts: &Facts, actions: &mut Vec<Action>) {
    let app = fixed_id(Name::App);
    match flaw {
        Flaw::WritesForever if facts.present.contains_key(&app) => {
            actions.push(Action::Update(app));
        }
        Flaw::NeverReleases => actions.retain(|action| *action != Action::Release(app.clone())),
        Flaw::KeepsTheRecord => actions.retain(|action| *action != Action::Forget(app.clone())),
        Flaw::LeavesStuckPods => actions.retain(|action| !matches!(action, Action::Replace(..))),
        Flaw::NeverBacksUp => actions.retain(|a| *a != Action::Create(fixed_id(Name::Run))),
        Flaw::KeepsTheFirstOrder => {
            actions.retain(|action| *action != Action::Delete(fixed_id(Name::Restore)));
        }
        Flaw::NeverRollsOut => actions.retain(|action| *action != Action::Update(app.clone())),
        _ => {}
    }
}

/// Shows the planner facts that differ from the real ones.
pub fn mislead(flaw: Flaw, prepared: &Prepared, facts: &mut Facts) {
    let jobs = prepared
        .children
        .iter()
        .filter(|child| child.gate == Gate::Migration);
    let job = jobs.map(|child| child.id.clone()).next();
    let instead = |facts: &mut Facts, was: &[Presence], seen: Presence| {
        for presence in facts
            .present
            .values_mut()
            .filter(|presence| was.contains(presence))
        {
            *presence = seen;
        }
    };
    match flaw {
        Flaw::BelievesAnyMigration => {
            let any = facts
                .jobs
                .values()
                .any(|phase| *phase == JobPhase::Succeeded);
            if let (true, Some(job)) = (any, job) {
                facts.present.insert(job.clone(), Presence::Settled);
                facts.jobs = [(job, JobPhase::Succeeded)].into();
            }
        }
        Flaw::ForgetsOtherJobs => {
            facts.jobs.retain(|id, _| Some(id) == job.as_ref());
            facts.migrating = false;
        }
        Flaw::ForgetsPodsWithoutJob => facts.migrating = false,
        Flaw::UsesAnyVolume => {
            if let Some(claim) = facts.present.get_mut(&fixed_id(Name::Claim)) {
                *claim = Presence::Settled;
            }
        }
        Flaw::TakesOver => instead(facts, &[Presence::Foreign], Presence::Drifted),
        Flaw::RetriesNothing => {
            let phases = facts.jobs.values_mut();
            for phase in phases.filter(|phase| **phase == JobPhase::Interrupted) {
                *phase = JobPhase::Failed;
            }
        }
        Flaw::ForgetsTheRecord => facts.recorded = None,
        Flaw::ServesEmpty => facts.bootstrap = Bootstrap::Over,
        Flaw::IgnoresPause => facts.paused = false,
        Flaw::LeavesNoPods => facts.least_replicas = None,
        Flaw::FightsTheAutoscaler => facts.wanted_replicas = Some(prepared.initial_replicas),
        _ => {}
    }
}
