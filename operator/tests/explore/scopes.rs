//! The worlds that are explored.

use crate::{
    cluster::{Budget, Pass},
    model::{Edit, World},
    objects::{ClaimOwner, Name, Object, PodState, Spec, Status},
    scope::Scope,
    steps::SCALED,
};

const START: Spec = Spec {
    version: 1,
    retain: true,
    paused: false,
    autoscaled: false,
    backup: false,
    requested: false,
    route: false,
    broken: false,
    bootstrap: 0,
};

const QUIET: Budget = Budget {
    edits: 0,
    faults: 0,
    deletions: 0,
    foreign: 0,
};

/// Two versions, edited back and forth; migrations fail and are deleted, children are changed.
pub const MIGRATIONS: Scope = Scope {
    objects: &[Name::Claim, Name::Server, Name::App],
    start: START,
    budget: Budget {
        edits: 3,
        faults: 3,
        ..QUIET
    },
    edits: &[Edit::Version],
    disturbed: &[Name::Server, Name::App],
    foreign: &[],
    reached: &[
        ("a migration fails", World::is_failed),
        ("the second version serves", |world, state| {
            state.resource.spec.version == 2 && world.is_converged(state)
        }),
        ("the first version is back", |world, state| {
            let spec = state.resource.spec;
            state.left.edits == 1 && spec.version == 1 && world.is_converged(state)
        }),
        ("a pod outlives its Job", |_, state| {
            !state.strays.is_empty()
        }),
        ("a migration is recorded without its Job", |world, state| {
            !state.objects.keys().any(|name| name.is_job()) && world.is_converged(state)
        }),
        ("every fault is recovered from", |world, state| {
            state.left.faults == 0 && world.is_converged(state)
        }),
    ],
};

/// The resource is deleted under both policies, and created again.
pub const DELETION: Scope = Scope {
    objects: &[Name::Credentials, Name::Claim, Name::Server, Name::App],
    start: START,
    budget: Budget {
        edits: 1,
        faults: 1,
        deletions: 2,
        ..QUIET
    },
    edits: &[Edit::Policy, Edit::Version],
    disturbed: &[Name::Server, Name::App],
    foreign: &[],
    reached: &[
        ("data is adopted by a new resource", |world, state| {
            state.resource.uid == 2 && state.database().0 == 1 && world.is_converged(state)
        }),
        ("data is deleted with its resource", |world, state| {
            state.resource.uid == 2 && state.database().0 == 2 && world.is_converged(state)
        }),
        ("other data waits to be accepted", |world, state| {
            world.is_replaced(state)
        }),
        ("a claim outlives its server", |_, state| {
            matches!(
                state.get(Name::Claim).map(|claim| claim.status),
                Some(Status::Claim {
                    owner: ClaimOwner::Gone,
                    ..
                })
            )
        }),
        (
            "a pass writes for a resource that is gone",
            |_, state| matches!(&state.pass, Pass::Writing(resource, _) if resource.uid < state.resource.uid),
        ),
    ],
};

/// Foreign objects are created with wanted names, an API is installed and removed, and the resource is paused.
pub const CONFLICTS: Scope = Scope {
    objects: &[
        Name::Credentials,
        Name::Claim,
        Name::Server,
        Name::App,
        Name::BackupClaim,
        Name::BackupJob,
        Name::Route,
    ],
    start: Spec {
        backup: true,
        route: true,
        ..START
    },
    budget: Budget {
        edits: 1,
        faults: 1,
        foreign: 2,
        ..QUIET
    },
    edits: &[Edit::Backup, Edit::Pause, Edit::Version, Edit::Route],
    disturbed: &[Name::BackupJob],
    foreign: &[Name::Claim, Name::Server, Name::App, Name::BackupJob],
    reached: &[
        ("a name is taken", |world, state| {
            world.operator.decide(state.resource, state).conflicts
        }),
        ("a name is free again", |world, state| {
            state.left.foreign == 0 && state.routes_served && world.is_converged(state)
        }),
        ("an API is missing", |world, state| {
            !state.routes_served && world.is_converged(state)
        }),
        ("a backup volume is kept", |world, state| {
            !state.resource.spec.backup
                && state.get(Name::BackupClaim).is_some()
                && world.is_converged(state)
        }),
    ],
};

/// A setting keeps the server from starting, and is corrected.
pub const SETTINGS: Scope = Scope {
    objects: &[Name::Claim, Name::Server, Name::Pod, Name::App],
    start: START,
    budget: Budget {
        edits: 3,
        faults: 2,
        ..QUIET
    },
    edits: &[Edit::Setting],
    disturbed: &[Name::Server],
    foreign: &[],
    reached: &[
        (
            "a pod cannot start",
            |_, state| matches!(state.get(Name::Pod), Some(pod) if pod.status == Status::Pod(PodState::Broken)),
        ),
        (
            "a server recovers",
            |_, state| matches!(state.get(Name::Pod), Some(pod) if pod.status == Status::Pod(PodState::Recovering)),
        ),
        ("the setting is corrected", |world, state| {
            state.left.edits == 1 && world.is_converged(state)
        }),
    ],
};

/// A foreign Deployment takes the place of ours, beside our autoscaler.
pub const LEANING: Scope = Scope {
    objects: &[Name::Claim, Name::Server, Name::App, Name::Autoscaler],
    start: Spec {
        autoscaled: true,
        ..START
    },
    budget: Budget {
        edits: 1,
        faults: 2,
        foreign: 2,
        ..QUIET
    },
    edits: &[Edit::Autoscaling],
    disturbed: &[Name::App, Name::Autoscaler],
    foreign: &[Name::App],
    reached: &[
        ("the Deployment is foreign", |_, state| {
            state.get(Name::App).is_some_and(Object::is_foreign)
        }),
        ("the name is free again", |world, state| {
            state.left.foreign == 0 && world.is_converged(state)
        }),
    ],
};

/// The number of pods goes from the spec to the autoscaler and back.
pub const SCALING: Scope = Scope {
    objects: &[Name::Claim, Name::Server, Name::App, Name::Autoscaler],
    start: START,
    budget: Budget {
        edits: 2,
        faults: 2,
        ..QUIET
    },
    edits: &[Edit::Autoscaling],
    disturbed: &[Name::App, Name::Autoscaler],
    foreign: &[],
    reached: &[
        ("the autoscaler's number stays", |world, state| {
            matches!(
                state.get(Name::App).map(|app| app.status),
                Some(Status::App {
                    replicas: SCALED,
                    ..
                })
            ) && world.is_converged(state)
        }),
        ("the spec's number is back", |world, state| {
            state.left.edits == 0 && !state.resource.spec.autoscaled && world.is_converged(state)
        }),
    ],
};

/// A backup is requested beside migrations and pauses; its Job and the schedule are deleted.
pub const REQUESTS: Scope = Scope {
    objects: &[
        Name::Claim,
        Name::Server,
        Name::App,
        Name::BackupClaim,
        Name::BackupJob,
    ],
    start: Spec {
        backup: true,
        ..START
    },
    budget: Budget {
        edits: 2,
        faults: 2,
        ..QUIET
    },
    edits: &[Edit::Request, Edit::Version, Edit::Pause],
    disturbed: &[Name::BackupJob],
    foreign: &[],
    reached: &[
        (
            "a requested backup is known when it is gone",
            |world, state| {
                state.run_known && state.get(Name::Run).is_none() && world.is_converged(state)
            },
        ),
        ("it is made with another version, too", |world, state| {
            state.run_known && state.resource.spec.version == 2 && world.is_converged(state)
        }),
    ],
};

/// A service starts from a backup. The backup is corrected, or not wanted any more; the restore, the application and the
/// status are lost.
pub const BOOTSTRAP: Scope = Scope {
    objects: &[Name::Claim, Name::Server, Name::Restore, Name::App],
    start: Spec {
        bootstrap: 1,
        ..START
    },
    budget: Budget {
        edits: 2,
        faults: 2,
        ..QUIET
    },
    edits: &[Edit::Bootstrap, Edit::Source],
    disturbed: &[Name::App, Name::Restore],
    foreign: &[],
    reached: &[
        ("the data of the backup serves", |world, state| {
            state.brought && world.is_converged(state)
        }),
        ("it starts empty after all", |world, state| {
            !state.brought && world.is_converged(state)
        }),
        (
            "the restore and the application are lost",
            |world, state| {
                state.left.faults == 0
                    && state.get(Name::Restore).is_none()
                    && world.is_converged(state)
            },
        ),
    ],
};
