//! Steps that are not the operator's: those of Kubernetes, of people and of faults.

use hello_operator::service::plan::facts::JobPhase;

use crate::{
    cluster::{Breach, Pass, State},
    model::Step,
    objects::{Body, ClaimOwner, Holder, Life, Name, Object},
};

/// Number of pods that the autoscaler or a person sets.
pub const SCALED: u8 = 9;

impl State {
    pub fn kubernetes_acts(&mut self, step: Step) -> Option<()> {
        match step {
            Step::MakeClaim => {
                self.last_claim += 1;
                let life = Life::Claim {
                    uid: self.last_claim,
                    owner: ClaimOwner::None,
                    schema: 0,
                };
                let mut claim = Object::new(Body::default(), life);
                // Nobody will miss what is made for a resource that is gone.
                claim.given_up = self.get(Name::Server)?.given_up;
                self.objects.insert(Name::Claim, claim);
            }
            Step::OwnClaim => {
                let takes_claims = self.get(Name::Server)?.body.takes_claims;
                if let Life::Claim { owner, .. } = &mut self.objects.get_mut(&Name::Claim)?.life {
                    *owner = match takes_claims {
                        true => ClaimOwner::Living,
                        false => ClaimOwner::None,
                    };
                }
            }
            Step::StartServer => self.start_server()?,
            Step::EndJob(name, good) => self.end_job(name, good)?,
            Step::StopJob(name) => {
                if let Life::Job { running, .. } = &mut self.objects.get_mut(&name)?.life {
                    *running = false;
                }
            }
            Step::EndStray(version, good) => {
                let at = self.strays.iter().position(|stray| *stray == version)?;
                self.strays.remove(at);
                if good {
                    self.migrated(version);
                }
            }
            Step::Vanish(name) => self.remove(name),
            Step::Collect(name) => self.collect(name),
            _ => return None,
        }
        Some(())
    }

    /// A server must not start on a volume that is foreign, or being deleted: what is
    /// written there is lost.
    fn start_server(&mut self) -> Option<()> {
        match self.get(Name::Claim)?.life {
            Life::Foreign => self.breach(Breach::ForeignTouched),
            Life::Claim {
                owner: ClaimOwner::Gone,
                ..
            } => self.breach(Breach::DataLost),
            _ => {}
        }
        self.objects.get_mut(&Name::Server)?.life = Life::Server { ready: true };
        Some(())
    }

    fn end_job(&mut self, name: Name, good: bool) -> Option<()> {
        let Name::Job(version, _) = name else {
            return None;
        };
        let phase = match good {
            true => JobPhase::Succeeded,
            false => JobPhase::Failed,
        };
        let ended = Life::Job {
            phase,
            running: false,
        };
        self.objects.get_mut(&name)?.life = ended;
        if good {
            self.migrated(version);
        } else {
            self.left.faults -= 1;
        }
        Some(())
    }

    pub fn people_act(&mut self, step: Step) -> Option<()> {
        match step {
            Step::Edit(edit) => {
                self.left.edits -= 1;
                edit.apply(&mut self.resource.spec);
                self.deletable |= !self.resource.spec.retain;
            }
            Step::DeleteResource => {
                self.left.deletions -= 1;
                self.exists = false;
                if self.deletable {
                    for object in self.objects.values_mut() {
                        object.given_up = true;
                    }
                }
            }
            Step::RecreateResource => {
                self.left.deletions -= 1;
                self.exists = true;
                self.resource.uid += 1;
            }
            Step::StrangerMakes(name) => {
                self.left.strangers -= 1;
                self.objects
                    .insert(name, Object::new(Body::default(), Life::Foreign));
            }
            Step::StrangerDeletes(name) => {
                self.left.strangers -= 1;
                self.remove(name);
            }
            Step::ServeRoutes(served) => {
                self.left.strangers -= 1;
                self.routes_served = served;
                self.remove(Name::Route);
            }
            fault => {
                self.left.faults -= 1;
                self.fault(fault)?;
            }
        }
        Some(())
    }

    fn fault(&mut self, fault: Step) -> Option<()> {
        match fault {
            Step::Crash => self.pass = Pass::Idle,
            // In the background, as `kubectl` does it: pods and claims follow later.
            Step::Delete(name) => {
                let claim = self.objects.get_mut(&Name::Claim);
                if let (Name::Server, true, Some(claim)) = (name, self.deletable, claim) {
                    claim.given_up = true;
                }
                self.remove(name);
            }
            Step::DeleteJobInForeground(name) => self.objects.get_mut(&name)?.deleting = true,
            Step::Change(name) => {
                let object = self.objects.get_mut(&name)?;
                object.drifted = true;
                if let Life::Server { ready } = &mut object.life {
                    *ready = false;
                }
            }
            Step::Scale => self.count(Name::App, Some(SCALED), Holder::None),
            _ => return None,
        }
        Some(())
    }
}
