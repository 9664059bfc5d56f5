//! What the cluster of the model holds: resources and objects.

use std::hash::{Hash, Hasher};

use hello_operator::service::plan::facts::JobPhase;

/// Replicas that the spec asks for, at least.
pub const REPLICAS: u8 = 2;

/// An object. Jobs are named by what they migrate: a version and a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    Credentials,
    Claim,
    Server,
    Job(u8, u8),
    App,
    Autoscaler,
    BackupClaim,
    BackupJob,
    Route,
}

impl Name {
    pub fn is_job(self) -> bool {
        matches!(self, Self::Job(..))
    }

    /// What holds data, or takes data with it.
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
    pub route: bool,
}

/// A `HelloService`; another one of the name has another UID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Resource {
    pub uid: u8,
    pub spec: Spec,
}

/// What the operator wrote: the hash of the body, and what Kubernetes reads in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Body {
    pub hash: u64,
    /// UID of the resource that owns it; 0: none.
    pub owner: u8,
    /// Version that its pods run; 0: it has none.
    pub version: u8,
    /// Whether a StatefulSet takes its claims with it.
    pub takes_claims: bool,
}

impl Hash for Body {
    /// The rest follows from it, and hashing is most of the work.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// Which StatefulSet owns a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClaimOwner {
    None,
    /// The one that is there.
    Living,
    /// One that is gone.
    Gone,
}

/// What an object has beside what the operator wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Life {
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
    /// Whether its pod is at work.
    Job {
        phase: JobPhase,
        running: bool,
    },
    App {
        replicas: u8,
        holder: Holder,
    },
    /// A foreign object.
    Foreign,
}

/// As which field manager the operator holds the number of pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    None,
    /// The one of all other fields: an update without the number takes it away.
    Main,
    /// The one of the number alone.
    Scale,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Object {
    pub body: Body,
    pub life: Life,
    /// Another writer changed a field of the operator.
    pub drifted: bool,
    pub deleting: bool,
    /// Data that a person gave up together with its resource.
    pub given_up: bool,
}

impl Object {
    pub fn new(body: Body, life: Life) -> Self {
        Self {
            body,
            life,
            drifted: false,
            deleting: false,
            given_up: false,
        }
    }

    pub fn is_foreign(&self) -> bool {
        self.life == Life::Foreign
    }

    pub fn running(&self) -> bool {
        matches!(self.life, Life::Job { running: true, .. })
    }
}
