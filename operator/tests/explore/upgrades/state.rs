//! The world of a change of the data's version: the resource, the objects that matter to it, and which writes are where.

use std::collections::BTreeMap;

/// A version of the data: the first one, or the new one.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Version {
    Old,
    New,
}

impl Version {
    /// The other one.
    pub const fn other(self) -> Self {
        match self {
            Self::Old => Self::New,
            Self::New => Self::Old,
        }
    }
}

/// Acknowledged writes, each with a bit of its own.
pub type Writes = u8;

/// The resource as the API server has it: the spec, the annotation, and the status as JSON.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Resource {
    pub wish: Version,
    /// Whether the loss is accepted of what the version that is wanted lacks.
    pub consent: bool,
    pub status: String,
}

/// The StatefulSet.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Server {
    /// Number of its body among all that were written.
    pub body: usize,
    pub version: Version,
    /// Whether its claims are noted as incomplete when they are made.
    pub notes: bool,
    /// Whether it keeps its claim when it is deleted, as it is written and as its controller knows it.
    pub retains: bool,
    pub seen: bool,
}

/// A claim.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Claim {
    /// Whether its server owns it.
    pub owned: bool,
    pub data: Writes,
    /// Whether its data was ever complete.
    pub complete: bool,
    /// What the operator has noted there about that.
    pub note: Option<bool>,
    /// Whether the application has served it.
    pub served: bool,
}

/// The Deployment: its number of pods, and its generation.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct App {
    pub replicas: u8,
    pub generation: u8,
}

/// The Job of a backup.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Job {
    /// What it backs up.
    pub data: Writes,
    pub end: Option<bool>,
    pub deleting: bool,
}

/// The HelloRestore.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Restore {
    pub name: String,
    pub data: Writes,
    /// Whether a step of it is at work.
    pub works: bool,
    pub done: bool,
    pub deleting: bool,
}

/// One write of the operator.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Write {
    Scale(u8),
    Server(Server),
    StopServer(Version),
    Note(Version),
    Start(String),
    Remove(String),
    Restore(String, Writes),
    Discard(String),
}

/// What a pass does.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Pass {
    Idle,
    /// It has read the resource.
    Read(Resource),
    /// These writes are left, and then this status.
    Writing(Vec<Write>, String),
}

/// How often people and faults may still act.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Budget {
    pub edits: u8,
    pub writes: u8,
    pub faults: u8,
}

/// A promise that was broken.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Breach {
    /// The application serves data without a write that was acknowledged, and nobody accepted that.
    Lost,
    /// The application serves a volume whose data was never complete.
    Incomplete,
    /// A claim was deleted whose data has served.
    Deleted,
}

/// Everything.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct State {
    pub left: Budget,
    pub resource: Resource,
    /// Seconds since the start: each change begins at another time.
    pub clock: u8,
    pub app: App,
    pub pods: bool,
    pub server: Option<Server>,
    /// The server's pod, and which data it has.
    pub server_pod: Option<Version>,
    pub claims: BTreeMap<Version, Claim>,
    pub jobs: BTreeMap<String, Job>,
    pub restore: Option<Restore>,
    pub acknowledged: Writes,
    /// The version of which the loss was accepted.
    pub forgiven: Option<Version>,
    /// Whether somebody deleted the status.
    pub wiped: bool,
    pub pass: Pass,
    pub breach: Option<Breach>,
}

impl State {
    pub fn breach(&mut self, breach: Breach) {
        self.breach.get_or_insert(breach);
    }

    /// The application answers from the data of the server that runs.
    pub fn serve(&mut self) {
        let (true, Some(version)) = (self.pods, self.server_pod) else {
            return;
        };
        let Some(claim) = self.claims.get_mut(&version) else {
            return;
        };
        claim.served = true;
        let (complete, data) = (claim.complete, claim.data);
        if !complete {
            self.breach(Breach::Incomplete);
        }
        if data & self.acknowledged != self.acknowledged {
            if self.forgiven != Some(version) {
                self.breach(Breach::Lost);
            }
            self.acknowledged &= data;
        }
        if self.forgiven == Some(version) {
            self.forgiven = None;
        }
    }

    /// The API server's side of one write; `false` when it is refused, which ends the pass.
    pub fn write(&mut self, write: Write) -> bool {
        match write {
            Write::Scale(replicas) => {
                self.app.generation += u8::from(self.app.replicas != replicas);
                self.app.replicas = replicas;
            }
            Write::Server(server) => match &mut self.server {
                None => self.server = Some(server),
                // The template of its claims cannot change.
                Some(live) if live.version != server.version => return false,
                Some(live) => (live.body, live.retains) = (server.body, server.retains),
            },
            Write::StopServer(version) => {
                let Some(server) = self.server.filter(|live| live.version == version) else {
                    return false;
                };
                self.server = None;
                let claim = self.claims.get(&version);
                // What its controller does not know yet, it does not respect.
                if claim.is_some_and(|claim| claim.owned || !server.seen)
                    && self
                        .claims
                        .remove(&version)
                        .is_some_and(|claim| claim.served)
                {
                    self.breach(Breach::Deleted);
                }
            }
            Write::Note(version) => {
                if let Some(claim) = self.claims.get_mut(&version) {
                    claim.note = Some(true);
                }
            }
            Write::Start(name) => {
                let Some(data) = self.server_pod.and_then(|of| self.claims.get(&of)) else {
                    return false;
                };
                let job = Job {
                    data: data.data,
                    end: None,
                    deleting: false,
                };
                if self.jobs.contains_key(&name) {
                    return false;
                }
                self.jobs.insert(name, job);
            }
            Write::Remove(name) => {
                if let Some(job) = self.jobs.get_mut(&name) {
                    job.deleting = true;
                }
            }
            Write::Restore(name, data) => {
                if self.restore.is_some() {
                    return false;
                }
                self.restore = Some(Restore {
                    name,
                    data,
                    works: false,
                    done: false,
                    deleting: false,
                });
            }
            Write::Discard(name) => {
                let restore = self.restore.as_mut();
                if let Some(restore) = restore.filter(|restore| restore.name == name) {
                    restore.deleting = true;
                }
            }
        }
        true
    }
}
