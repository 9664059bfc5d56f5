//! Steps of the surroundings: those of Kubernetes, of users, and faults.

use hello_operator::service::plan::job_phase::JobPhase;

use crate::{
    cluster::{Breach, Pass, State},
    model::Step,
    objects::{Body, ClaimOwner, Holder, Name, Object, PodState, Status},
};

/// Number of pods that the autoscaler or a person sets.
pub const SCALED: u8 = 9;

impl State {
    pub fn kubernetes_acts(&mut self, step: Step) -> Option<()> {
        match step {
            Step::MakeClaim => {
                self.last_claim += 1;
                let status = Status::Claim {
                    uid: self.last_claim,
                    owner: ClaimOwner::None,
                    schema: 0,
                };
                let mut claim = Object::new(Body::default(), status);
                // Data that is created for a deleted resource may be deleted.
                claim.given_up = self.get(Name::Server)?.given_up;
                self.objects.insert(Name::Claim, claim);
            }
            Step::OwnClaim => {
                let takes_claims = self.get(Name::Server)?.body.takes_claims;
                if let Status::Claim { owner, .. } = &mut self.objects.get_mut(&Name::Claim)?.status
                {
                    *owner = match takes_claims {
                        true => ClaimOwner::Living,
                        false => ClaimOwner::None,
                    };
                }
            }
            Step::StartServer => self.start_server()?,
            Step::StartJob(name) => {
                if let Status::Job { running, .. } = &mut self.objects.get_mut(&name)?.status {
                    *running = true;
                }
            }
            Step::Swap => {
                self.brought = true;
                self.objects.get_mut(&Name::Restore)?.status = Status::Restore { swapped: true };
            }
            Step::EndRun => self.objects.get_mut(&Name::Run)?.status = Status::Run { ended: true },
            Step::EndJob(name, phase) => self.end_job(name, phase)?,
            Step::MakePod => {
                let body = self.get(Name::Server)?.body;
                let pod = Object::new(body, Status::Pod(PodState::Starting));
                self.objects.insert(Name::Pod, pod);
            }
            Step::StartPod => self.start_pod()?,
            Step::RollPod => self.remove(Name::Pod),
            Step::StopJob(name) => {
                if let Status::Job { running, .. } = &mut self.objects.get_mut(&name)?.status {
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

    /// A server must not start on a volume that is foreign or being deleted: what it
    /// writes there is lost.
    fn start_server(&mut self) -> Option<()> {
        match self.get(Name::Claim)?.status {
            Status::Foreign => self.breach(Breach::ForeignTouched),
            Status::Claim {
                owner: ClaimOwner::Gone,
                ..
            } => self.breach(Breach::DataLost),
            _ => {}
        }
        self.objects.get_mut(&Name::Server)?.status = Status::Server { ready: true };
        Some(())
    }

    /// A pod that was ready once can start.
    fn start_pod(&mut self) -> Option<()> {
        let pod = self.objects.get_mut(&Name::Pod)?;
        let broken = pod.body.broken && pod.status == Status::Pod(PodState::Starting);
        pod.status = Status::Pod(match broken {
            true => PodState::Broken,
            false => PodState::Ready,
        });
        let hash = pod.body.hash;
        self.changed(Name::Pod);
        match !broken && self.get(Name::Server)?.body.hash == hash {
            true => self.start_server(),
            false => Some(()),
        }
    }

    fn end_job(&mut self, name: Name, phase: JobPhase) -> Option<()> {
        let Name::Job(version, ..) = name else {
            return None;
        };
        let ended = Status::Job {
            phase,
            running: false,
        };
        self.objects.get_mut(&name)?.status = ended;
        if phase == JobPhase::Succeeded {
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
                self.remembered = 0;
                self.run_known = false;
                self.bootstrap = None;
            }
            Step::CreateForeign(name) => {
                self.left.foreign -= 1;
                self.objects
                    .insert(name, Object::new(Body::default(), Status::Foreign));
            }
            Step::DeleteForeign(name) => {
                self.left.foreign -= 1;
                self.remove(name);
            }
            Step::ServeRoutes(served) => {
                self.left.foreign -= 1;
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
                if let Status::Server { ready } = &mut object.status {
                    *ready = false;
                }
            }
            Step::CrashServer => {
                self.objects.get_mut(&Name::Pod)?.status = Status::Pod(PodState::Recovering);
                self.changed(Name::Pod);
                self.objects.get_mut(&Name::Server)?.status = Status::Server { ready: false };
            }
            Step::Wipe => (self.remembered, self.run_known, self.bootstrap) = (0, false, None),
            Step::Scale(number) => self.count(Name::App, Some(number), Holder::None),
            _ => return None,
        }
        Some(())
    }
}
