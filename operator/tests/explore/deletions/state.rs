//! The world of a deletion: the resource, the objects that matter to it, and what became of the data.

use std::collections::BTreeMap;

use crate::deletions::Flaw;

/// What the resource asks for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Policy {
    Snapshot,
    Retain,
    Delete,
}

impl Policy {
    pub const ALL: [Self; 3] = [Self::Snapshot, Self::Retain, Self::Delete];
}

/// The resource as the API server has it. A write of its finalizer is for exactly this version.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Resource {
    pub policy: Policy,
    pub paused: bool,
    pub deleting: bool,
    pub held: bool,
}

/// The Deployment: its number of pods, and its generation.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct App {
    pub replicas: u8,
    pub generation: u8,
}

/// The Job of a last backup.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Job {
    /// Whether it has ended, and left a proof.
    pub end: Option<bool>,
    pub deleting: bool,
    /// Whether no pod of the application ran since it was made. The operator does not see that.
    pub clean: bool,
}

/// Generation of the Deployment for which a last backup is made; 0: there is none.
pub type Stop = u8;

/// The objects that hold data, or decide about it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Holder {
    Credentials,
    /// The StatefulSet, which deletes its claim or not.
    Server,
}

/// One write of the operator.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Write {
    /// The finalizer is set, or removed.
    Hold(bool),
    Scale(u8),
    Start(Stop),
    Remove(Stop),
    /// The object gets an owner, or loses it.
    Own(Holder, bool),
}

/// What the status knows: the last backup that is ordered, and whether it is proved.
pub type Known = Option<(Stop, bool)>;

/// What a pass does.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Pass {
    Idle,
    /// It has read the resource, what the status knows, and the Jobs.
    Read(Resource, Known, BTreeMap<Stop, Job>),
    /// These writes are left, and then the status.
    Writing(Resource, Vec<Write>, Known),
}

/// How often people and faults may still act.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Budget {
    pub edits: u8,
    pub faults: u8,
}

/// A promise that was broken.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Breach {
    /// Data was deleted that no proved backup has, and that nobody wanted to be deleted.
    Lost,
    /// The resource went, and its data did not become what the policy says.
    Left,
    /// The application was started for a resource that is being deleted.
    Started,
    /// Something was written in a pause.
    Paused,
}

/// Everything.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct State {
    pub left: Budget,
    pub exists: bool,
    pub resource: Resource,
    pub app: Option<App>,
    /// Whether pods of the application run.
    pub pods: bool,
    pub jobs: BTreeMap<Stop, Job>,
    pub known: Known,
    pub credentials_owned: bool,
    /// Whether the server deletes its claim.
    pub server_deletes: bool,
    pub claim_owned: bool,
    /// Whether a proved backup has all that was written.
    pub saved: bool,
    /// Whether some backup was ever proved.
    pub was_saved: bool,
    pub pass: Pass,
    pub breach: Option<Breach>,
}

impl State {
    pub fn new(left: Budget) -> Self {
        Self {
            left,
            exists: true,
            resource: Resource {
                policy: Policy::Snapshot,
                paused: false,
                deleting: false,
                held: false,
            },
            app: Some(App {
                replicas: 1,
                generation: 1,
            }),
            pods: true,
            jobs: BTreeMap::new(),
            known: None,
            credentials_owned: false,
            server_deletes: false,
            claim_owned: false,
            saved: false,
            was_saved: false,
            pass: Pass::Idle,
            breach: None,
        }
    }

    pub fn breach(&mut self, breach: Breach) {
        self.breach.get_or_insert(breach);
    }

    /// What the operator sees: not whether a backup is worth anything.
    pub fn visible(&self) -> BTreeMap<Stop, Job> {
        let mut jobs = self.jobs.clone();
        for job in jobs.values_mut() {
            job.clean = false;
        }
        jobs
    }

    /// Whether a pass is about to let the resource go: what it has read is a moment old.
    pub fn is_going(&self) -> bool {
        matches!(&self.pass, Pass::Writing(resource, writes, _)
            if resource.deleting && writes.first() == Some(&Write::Hold(false)))
    }

    /// The resource is gone, and the garbage collector does the rest. `by_hand`: somebody removed the finalizer.
    pub fn go(&mut self, by_hand: bool) {
        self.exists = false;
        // What the pass knows that lets it go: the status may be lost by now.
        let known = match std::mem::replace(&mut self.pass, Pass::Idle) {
            Pass::Writing(_, _, known) => known,
            Pass::Idle | Pass::Read(..) => self.known,
        };
        let policy = self.resource.policy;
        let claim_goes = self.server_deletes && self.claim_owned;
        let deleted = self.credentials_owned || claim_goes;
        // Whoever removes the finalizer after a first proof was told so by the documentation.
        let saved = self.saved || (by_hand && self.was_saved);
        if deleted && !saved && policy != Policy::Delete {
            self.breach(Breach::Lost);
        }
        let proved = known.is_some_and(|(_, proved)| proved);
        let goes = match policy {
            Policy::Snapshot => proved,
            Policy::Retain => false,
            Policy::Delete => true,
        };
        let all = [
            self.credentials_owned,
            self.server_deletes,
            self.claim_owned,
        ];
        if !by_hand && all.iter().any(|owned| *owned != goes) {
            self.breach(Breach::Left);
        }
        self.jobs.clear();
    }

    /// The API server's side of one write; `false` when it is refused, which ends the pass.
    pub fn write(&mut self, resource: Resource, write: Write, flaw: Option<Flaw>) -> bool {
        if resource.paused && !matches!(write, Write::Hold(_)) {
            self.breach(Breach::Paused);
        }
        match write {
            Write::Hold(held) => {
                if !self.exists || (self.resource != resource && flaw != Some(Flaw::LetsGoBlindly))
                {
                    return false;
                }
                self.resource.held = held;
                if self.resource.deleting && !held {
                    self.go(false);
                    return false;
                }
            }
            Write::Scale(replicas) => {
                let Some(app) = &mut self.app else {
                    return false;
                };
                app.generation += u8::from(app.replicas != replicas);
                app.replicas = replicas;
                if replicas != 0 && resource.deleting {
                    self.breach(Breach::Started);
                }
            }
            Write::Start(stop) => {
                if self.jobs.contains_key(&stop) {
                    return false;
                }
                let job = Job {
                    end: None,
                    deleting: false,
                    clean: !self.pods,
                };
                self.jobs.insert(stop, job);
            }
            Write::Remove(stop) => {
                if let Some(job) = self.jobs.get_mut(&stop) {
                    job.deleting = true;
                }
            }
            Write::Own(Holder::Credentials, owned) => self.credentials_owned = owned,
            Write::Own(Holder::Server, deletes) => self.server_deletes = deletes,
        }
        true
    }
}
