//! What the cluster of the model holds: resources and objects.

use std::hash::{Hash, Hasher};

use hello_operator::service::plan::job_phase::JobPhase;

/// Replicas that the spec asks for, at least.
pub const REPLICAS: u8 = 2;

/// Name of an object. Jobs are named by the version, the claim that they migrate, and the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    Credentials,
    Claim,
    Server,
    Job(u8, u8, u8),
    App,
    Autoscaler,
    BackupClaim,
    BackupJob,
    /// The Job of the backup that the spec requests.
    Run,
    Route,
    /// The HelloRestore of the backup that the service starts from.
    Restore,
    /// The server's pod, in worlds that have pods.
    Pod,
}

impl Name {
    pub fn is_job(self) -> bool {
        matches!(self, Self::Job(..))
    }

    /// Whether it is a Job: they are listed before all else.
    pub fn is_listed_first(self) -> bool {
        self.is_job() || self == Self::Run
    }

    /// Whether the object holds data, or data is deleted with it.
    pub fn is_data(self) -> bool {
        matches!(
            self,
            Self::Credentials | Self::Claim | Self::Server | Self::BackupClaim
        )
    }
}

/// The fields of the spec that the model edits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Spec {
    pub version: u8,
    pub retain: bool,
    pub paused: bool,
    pub autoscaled: bool,
    pub backup: bool,
    /// Whether a backup is requested, always by the same value.
    pub requested: bool,
    pub route: bool,
    /// A setting of the server with which it does not start.
    pub broken: bool,
    /// The backup that the service starts from: 1 does not exist, 2 does; 0: none.
    pub bootstrap: u8,
}

/// A `HelloService`; another one of the name has another UID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Resource {
    pub uid: u8,
    pub spec: Spec,
}

/// What the operator wrote: the hash of the body, and the fields that Kubernetes acts on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Body {
    pub hash: u64,
    /// UID of the resource that owns it; 0: none.
    pub owner: u8,
    /// Version that its pods run; 0: it has none.
    pub version: u8,
    /// Whether a StatefulSet deletes its claims with it.
    pub takes_claims: bool,
    /// Whether its pod cannot start, or its backup cannot be restored.
    pub broken: bool,
}

impl Hash for Body {
    /// The other fields follow from the hash, and hashing is most of the work.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// Which StatefulSet owns a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClaimOwner {
    None,
    /// The present one.
    Living,
    /// A deleted one.
    Gone,
}

/// The part of an object that the operator does not write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    Plain,
    /// A volume, and the version that its database was migrated to last; 0: never.
    Claim {
        uid: u8,
        owner: ClaimOwner,
        schema: u8,
    },
    Server {
        ready: bool,
    },
    /// Whether its pod runs.
    Job {
        phase: JobPhase,
        running: bool,
    },
    App {
        replicas: u8,
        holder: Holder,
        /// Whether its annotation still has the name of the migration.
        recorded: bool,
    },
    /// Whether a backup has ended.
    Run {
        ended: bool,
    },
    /// Whether the data of a restore has begun to serve.
    Restore {
        swapped: bool,
    },
    Pod(PodState),
    /// A foreign object.
    Foreign,
}

/// State of the server's pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PodState {
    Starting,
    Ready,
    /// The server runs and is not ready: it recovers from a crash.
    Recovering,
    /// Its container cannot start.
    Broken,
}

/// The field manager that the operator holds the number of pods with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    None,
    /// The manager of all other fields: an update without the number removes it.
    Main,
    /// The manager of the number only.
    Scale,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Object {
    pub body: Body,
    pub status: Status,
    /// Another writer changed a field of the operator.
    pub drifted: bool,
    pub deleting: bool,
    /// Data that a user gave up together with its resource.
    pub given_up: bool,
}

impl Object {
    /// Whether the StatefulSet controller has to change the owner of this claim. It keeps the owner when that is an earlier
    /// StatefulSet.
    pub fn is_wrongly_owned(&self, server: &Self) -> bool {
        match self.status {
            Status::Claim { owner, .. } => match owner {
                ClaimOwner::None => server.body.takes_claims,
                ClaimOwner::Living => !server.body.takes_claims,
                ClaimOwner::Gone => false,
            },
            _ => false,
        }
    }

    pub fn new(body: Body, status: Status) -> Self {
        Self {
            body,
            status,
            drifted: false,
            deleting: false,
            given_up: false,
        }
    }

    pub fn is_foreign(&self) -> bool {
        self.status == Status::Foreign
    }

    pub fn running(&self) -> bool {
        matches!(self.status, Status::Job { running: true, .. })
    }
}
