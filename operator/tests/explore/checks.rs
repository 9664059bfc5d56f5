//! What a write must not do: each of these is a broken promise.

use hello_operator::service::plan::job_phase::JobPhase;

use crate::{
    cluster::{Breach, State, Verb, Write},
    objects::{Name, Resource, Status},
};

impl State {
    /// What is recorded needs no other migration. A Deployment of an earlier resource records nothing for this one.
    pub fn check_repetition(&mut self, resource: Resource, name: Name) {
        let Name::Job(version, claim, _) = name else {
            return;
        };
        let recorded = self.get(Name::App).is_some_and(|app| {
            app.body.version == version
                && app.body.owner == resource.uid
                && matches!(app.status, Status::App { recorded: true, .. })
        });
        if recorded && self.database() == (claim, version) {
            self.breach(Breach::MigratedAgain);
        }
    }

    /// A requested backup is made once, and not while the schema changes.
    pub fn check_backup(&mut self, name: Name) {
        let active = Status::Job {
            phase: JobPhase::Active,
            running: false,
        };
        let mut objects = self.objects.values();
        let begins = objects.any(|object| object.status == active && !object.deleting);
        if name == Name::Run && self.run_known {
            self.breach(Breach::BackedUpAgain);
        }
        if name == Name::Run && (begins || self.migrations() > 0) {
            self.breach(Breach::BackedUpBeside);
        }
    }

    /// The application comes after the data that the pass knows to be wanted, and no restore after the application.
    pub fn check_bootstrap(&mut self, resource: Resource, name: Name) {
        match name {
            Name::App => {
                if resource.spec.bootstrap != 0 && !self.brought && !self.served {
                    self.breach(Breach::ServedEmpty);
                }
                self.served = true;
            }
            Name::Restore if self.served => self.breach(Breach::RestoredOver),
            _ => {}
        }
    }

    /// Pods need exactly the schema of their version, also when the other one is newer. A late write for
    /// a resource that is gone creates garbage, which serves no client. A database that was removed since
    /// the pass read it cannot be too early either.
    pub fn check_rollout(&mut self, resource: Resource, write: Write) {
        let (Verb::Create(body, _) | Verb::Update(body)) = write.verb else {
            return;
        };
        let living = self.exists && self.resource.uid == resource.uid;
        let (claim, schema) = self.database();
        let replaced = write.claim != 0 && write.claim != claim;
        if write.name == Name::App && living && !replaced && schema != body.version {
            self.breach(Breach::RolledOutUnmigrated);
        }
    }
}
