//! The world of the restores: the HelloRestores, their Jobs, the service, and what the commands make of the database.

use std::{collections::BTreeMap, sync::Mutex};

use hello_crds::RestorePhase;
use hello_operator::object::restore_result::{Loss, RestoreResult};
use hello_operator::restore::{
    plan::{
        planner::{Facts, Next, Plan, Progress},
        step::{Run, Step},
        turn::{self, Place},
    },
    reason::Reason,
};
use serde_json::json;

/// How many restores there are.
pub const RESTORES: usize = 2;

/// Which of them.
pub type Who = usize;

/// A HelloRestore as the API server has it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Restore {
    pub deleting: bool,
    pub held: bool,
    pub consent: bool,
    pub undo: Option<bool>,
    pub drop: bool,
    pub status: Status,
}

/// What the operator remembers of it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Status {
    pub phase: RestorePhase,
    pub reason: Reason,
    pub lossy: bool,
    pub previous: bool,
    pub pinned: bool,
}

/// What a command has done, and is about to report.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Effect {
    /// Done, with a loss or without.
    Done(bool),
    LossNotAccepted,
    Refused,
}

/// The Job of a step.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Job {
    /// Its pod is at work; what it has done so far.
    Active(Option<Effect>),
    /// The same, and it is being deleted.
    Leaving(Option<Effect>),
    /// Its pod reported this.
    Ended(Effect),
    GaveUp,
    /// It succeeded, and its pod is gone.
    Lost,
}

/// What a restore has made in the database.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Made {
    #[default]
    Nothing,
    Staged,
    Swapped,
    Undone,
}

/// The database: what a command does is one transaction.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Database {
    pub made: [Made; RESTORES],
    /// Whether the data that does not serve is there.
    pub former: [bool; RESTORES],
    /// Whether the live data has a write that is nowhere else.
    pub written: bool,
}

/// What must never happen.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Breach {
    LostUnasked,
    DroppedUnasked,
    UndoneUnasked,
    Together,
    Beside,
    Again,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct State {
    pub restores: [Option<Restore>; RESTORES],
    pub jobs: BTreeMap<(Who, Step), Job>,
    /// Pods whose Job was deleted by another client.
    pub strays: Vec<(Who, Step)>,
    pub database: Database,
    pub migrating: bool,
    pub service: bool,
    /// What a pass has decided and not written yet: the status, then the write.
    pub pass: Option<(Who, Option<Status>, Next)>,
    pub breach: Option<Breach>,
    pub left: Budget,
}

/// What may still disturb.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Budget {
    pub faults: u8,
    pub edits: u8,
    pub deletions: u8,
    pub writes: u8,
    pub migrations: u8,
}

impl Restore {
    pub fn new() -> Self {
        Self {
            deleting: false,
            held: false,
            consent: false,
            undo: None,
            drop: false,
            status: Status {
                phase: RestorePhase::Pending,
                reason: Reason::Queued,
                lossy: false,
                previous: false,
                pinned: false,
            },
        }
    }

    pub fn progress(&self) -> Progress {
        match self.status.phase {
            RestorePhase::Pending | RestorePhase::Staging => Progress::New,
            RestorePhase::WaitingForConsent | RestorePhase::Swapping => {
                Progress::Staged(loss(self.status.lossy))
            }
            RestorePhase::Completed | RestorePhase::Undoing => Progress::Swapped,
            RestorePhase::Undone => Progress::Undone,
            phase @ (RestorePhase::Refused | RestorePhase::Failed) => {
                Progress::Ended(phase, self.status.reason)
            }
        }
    }
}

fn loss(lossy: bool) -> Loss {
    Loss {
        added: i64::from(lossy),
        ..Loss::default()
    }
}

/// What a container reports: each text is read once.
fn reported(reason: &str, lossy: bool) -> RestoreResult {
    static READ: Mutex<BTreeMap<(String, bool), RestoreResult>> = Mutex::new(BTreeMap::new());
    let mut read = READ.lock().unwrap();
    let result = read.entry((reason.to_owned(), lossy)).or_insert_with(|| {
        let text = json!({"reason": reason, "time": "2026-01-01T00:00:00Z", "loss": loss(lossy)});
        RestoreResult::parse(&text.to_string()).expect("it is a result")
    });
    result.clone()
}

/// How the operator sees a Job.
fn run(step: Step, job: Job) -> Run {
    let (reason, lossy) = match job {
        Job::Active(_) => return Run::Active,
        Job::Leaving(_) => return Run::Leaving,
        Job::GaveUp => return Run::GaveUp(None),
        Job::Lost => return Run::Lost,
        Job::Ended(Effect::Done(lossy)) => (format!("{:?}", step.deed()), lossy),
        Job::Ended(Effect::LossNotAccepted) => ("LossNotAccepted".to_owned(), true),
        Job::Ended(Effect::Refused) => ("Refused".to_owned(), true),
    };
    match reported(&reason, lossy) {
        RestoreResult::Done(done) => Run::Done(done),
        RestoreResult::Failed(failure) => Run::Refused(Some(failure)),
    }
}

impl State {
    /// What a pass over a restore reads.
    pub fn facts(&self, who: Who) -> Option<Facts> {
        let restore = self.restores[who].as_ref()?;
        let own = self.jobs.iter().filter(|((of, _), _)| *of == who);
        let runs: BTreeMap<Step, Run> = own
            .map(|((_, step), job)| (*step, run(*step, *job)))
            .collect();
        Some(Facts {
            deleting: restore.deleting,
            held: restore.held,
            pinned: restore.status.pinned,
            consent: restore.consent,
            undo: restore.undo,
            drop: restore.drop,
            progress: restore.progress(),
            has_previous: restore.status.previous,
            runs,
            service_gone: !self.service,
            hindrance: None,
        })
    }

    /// Why no step of it may start, as `dereference` finds it out.
    pub fn hindrance(&self, who: Who, stages: bool) -> Option<Reason> {
        let places = self
            .restores
            .iter()
            .enumerate()
            .filter_map(|(index, restore)| {
                let restore = restore.as_ref()?;
                Some(Place {
                    phase: restore.status.phase,
                    deleting: restore.deleting,
                    held: restore.held,
                    created: None,
                    name: index.to_string(),
                })
            });
        let first = turn::first(places);
        if !self.service {
            Some(Reason::ServiceMissing)
        } else if stages && first.is_some_and(|first| first.name != who.to_string()) {
            Some(Reason::Queued)
        } else if self.migrating {
            Some(Reason::MigrationWaiting)
        } else if self.is_at_work() {
            Some(Reason::StepRunning)
        } else {
            None
        }
    }

    /// Whether some pod of a step may be at work.
    pub fn is_at_work(&self) -> bool {
        self.at_work() > 0
    }

    pub fn at_work(&self) -> usize {
        let jobs = self.jobs.values();
        let active = jobs.filter(|job| matches!(job, Job::Active(_) | Job::Leaving(_)));
        active.count() + self.strays.len()
    }

    /// The status after a pass.
    pub fn status(&self, who: Who, plan: &Plan) -> Option<Status> {
        let old = &self.restores[who].as_ref()?.status;
        Some(Status {
            phase: plan.phase,
            reason: plan.reason,
            lossy: plan.loss.as_ref().map_or(old.lossy, |loss| !loss.is_none()),
            previous: plan.has_previous,
            pinned: old.pinned || (plan.phase != RestorePhase::Pending && self.service),
        })
    }
}
