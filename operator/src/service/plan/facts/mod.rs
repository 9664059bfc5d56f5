//! What the live objects mean for the decision: everything that the planner depends on.

use std::collections::{BTreeMap, BTreeSet};

use hello_crds::{DeletionPolicy, UpgradePhase};
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    autoscaling::v2::HorizontalPodAutoscaler,
    batch::v1::Job,
    core::v1::Pod,
};
use kube::{ResourceExt, api::DynamicObject};

use crate::{
    object::{
        child::{ChildId, Desired},
        kind::{Gate, Kind},
        live::{Live, TypedChild},
        names::{self, Component},
        pod::{self, SeenPod, is_owned_by},
        replicas,
    },
    service::{
        children::Prepared,
        dereference::{inputs::Inputs, observed::Observed},
        plan::{
            bootstrap::{self, Bootstrap},
            data,
            job_phase::JobPhase,
            leaving::{Finalizer, Leaving, Order},
            presence::{Presence, outdated},
            stuck_pod::stuck_pod,
            stuck_run::stuck_runs,
            upgrade::Upgrade,
            version,
        },
        validate::{Scaling, Validated},
    },
};

/// Everything that the planner depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Facts {
    /// Children that are there.
    pub present: BTreeMap<ChildId, Presence>,
    /// Phases of the migration Jobs among them.
    pub jobs: BTreeMap<ChildId, JobPhase>,
    /// Drifted children of which something else was wanted when they were written: no other writer changed them. The
    /// actions are the same; the reason of the write differs.
    pub outdated: BTreeSet<ChildId>,
    /// Whether other data is there in place of the service's own.
    pub data_replaced: bool,
    /// The claim of the managed database's data.
    pub data_claim: Option<ChildId>,
    /// Whether the server of the managed database has another version of the data than the present one.
    pub other_server: bool,
    /// Whether its data is not complete, or not there, and nothing is known of the change that was to bring it.
    pub incomplete: bool,
    /// The change of the data's version that is in progress.
    pub upgrade: Option<Upgrade>,
    /// Whether the database answers and runs what is wanted.
    pub database_ready: bool,
    /// Whether a migration may start: the database runs what is wanted, and answers or is about to.
    pub accepts_migration: bool,
    /// Why the address of the database or its passwords are not known, in words.
    pub unusable_address: Option<String>,
    /// Whether a pod of some migration may be at work, whatever became of its Job.
    pub migrating: bool,
    /// The pod of the managed database that its controller waits for in vain.
    pub stuck_pod: Option<SeenPod>,
    /// Runs of the backups that cannot start and keep corrected ones away.
    pub stuck_runs: BTreeSet<ChildId>,
    /// Whether some backup is at work.
    pub backing_up: bool,
    /// Whether some step of a restore is at work.
    pub restoring: bool,
    /// How far the data is that the service starts from.
    pub bootstrap: Bootstrap,
    /// The backup that a person requests.
    pub requested_backup: Option<ChildId>,
    /// The Jobs of backups before a deletion, which the service owns itself, and their phases.
    pub last_backups: BTreeMap<ChildId, JobPhase>,
    /// How far a deletion is that waits for the operator.
    pub leaving: Option<Leaving>,
    /// What the policy needs of the finalizer, while the resource is not being deleted.
    pub finalizer: Finalizer,
    /// The Deployment, and the migration that came before its template, as it was recorded there. No other one has begun
    /// since then, so the schema is the one that this migration left.
    pub recorded: Option<(ChildId, String)>,
    /// Replicas of the Deployment, when it exists.
    pub live_replicas: Option<i32>,
    /// Replicas wanted; `None` leaves them to the autoscaler.
    pub wanted_replicas: Option<i32>,
    /// Fewest replicas that the autoscaler may choose; `None` when there is none.
    pub least_replicas: Option<i32>,
    /// Replicas of a Deployment that is created now.
    pub initial_replicas: i32,
    /// Whether the operator holds the number of replicas although it is not the operator's to keep: the next update
    /// would remove it.
    pub holds_replicas: bool,
    /// Kinds that the cluster does not serve.
    pub missing: BTreeSet<Kind>,
    /// Whether children may be changed at all.
    pub paused: bool,
}

impl Facts {
    /// What was read, in the planner's terms. Whether the database accepts a migration is judged afterwards, from these facts.
    #[must_use]
    pub(super) fn from_observed(
        service: &Validated,
        prepared: &Prepared,
        observed: &Observed,
        inputs: &Inputs,
    ) -> Self {
        let mut facts = Self {
            unusable_address: inputs.unusable_address.clone(),
            data_claim: data::holder(service).filter(|id| id.kind == Kind::PersistentVolumeClaim),
            other_server: version::is_of_other_data(service, observed),
            incomplete: version::is_incomplete(service, observed),
            wanted_replicas: prepared.replicas,
            initial_replicas: initial_replicas(service, prepared, observed),
            least_replicas: least_replicas(service),
            missing: observed.missing.clone(),
            paused: service.paused,
            finalizer: finalizer(service),
            data_replaced: data::is_replaced(service, &observed.children),
            migrating: observed.pods.iter().any(migrates),
            backing_up: is_at_work(observed, Component::Backup),
            restoring: is_at_work(observed, Component::Restore),
            requested_backup: requested_backup(prepared),
            stuck_runs: stuck_runs(prepared, &observed.children, &observed.pods).collect(),
            ..Self::default()
        };
        let server = ChildId::new(Kind::StatefulSet, names::database(&service.identity.name));
        let server = observed.children.get(&server);
        for (id, live) in observed.children.iter() {
            let desired = prepared.children.iter().find(|child| child.id == *id);
            let identity = &service.identity;
            if let Some(presence) = Presence::from_live(identity, id, live, desired, server) {
                facts.add(prepared, &observed.pods, (id, live), desired, presence);
            }
        }
        let present = |id: &ChildId| facts.present.get(id);
        facts.bootstrap = bootstrap::state(service, &observed.children, present);
        let present = |id: &ChildId| facts.present.get(id).copied();
        let runs = observed.pods.iter().any(runs_migration);
        facts.leaving = Leaving::read(service, prepared, observed, inputs, runs, present);
        facts.upgrade = Upgrade::read(service, observed, inputs, runs, present);
        // What it wrote there would be lost.
        let starts = facts.live_replicas == Some(0);
        let stays = starts && version::former_pod_runs(service, observed);
        if facts.is_held() || stays {
            (facts.wanted_replicas, facts.least_replicas) = (None, None);
        }
        facts
    }

    /// What one object shows.
    fn add(
        &mut self,
        prepared: &Prepared,
        pods: &[Pod],
        (id, live): (&ChildId, &Live),
        desired: Option<&Desired>,
        presence: Presence,
    ) {
        let is_backup = |job: &Job| Component::from_labels(job.labels()) == Some(Component::Backup);
        let of_service =
            presence != Presence::Foreign && self.requested_backup.as_ref() != Some(id);
        if let Some(job) = Job::from_live(live).filter(|job| of_service && is_backup(job)) {
            self.last_backups
                .insert(id.clone(), JobPhase::from_job(job));
        } else if let Some(job) = Job::from_live(live).filter(|_| of_service) {
            let phase = phase(job, live.object(), desired, pods);
            self.jobs.insert(id.clone(), phase);
        }
        if let Some(deployment) = Deployment::from_live(live)
            && desired.is_some()
        {
            let spec = deployment.spec.as_ref();
            self.live_replicas = spec.and_then(|spec| spec.replicas);
            self.holds_replicas = holds_replicas(live.object(), prepared.replicas.is_none());
            self.recorded = recorded(live.object())
                .filter(|_| presence.is_ours())
                .map(|job| (id.clone(), job));
        }
        if let Some(set) = StatefulSet::from_live(live)
            && presence == Presence::Settled
            && desired.is_some()
        {
            self.stuck_pod = stuck_pod(set, pods);
        }
        if presence == Presence::Drifted
            && desired.is_some_and(|child| outdated(live.object(), child))
        {
            self.outdated.insert(id.clone());
        }
        self.present.insert(id.clone(), presence);
    }
}

impl Facts {
    /// Whether this is the Job of a migration, of the Jobs that the planner knows.
    #[must_use]
    pub fn is_migration(&self, id: &ChildId) -> bool {
        id.kind == Kind::Job
            && self.requested_backup.as_ref() != Some(id)
            && !self.is_last_backup(id)
    }

    /// Whether this is the Job of a backup before a deletion, or before a change of the data's version.
    #[must_use]
    pub fn is_last_backup(&self, id: &ChildId) -> bool {
        let order = self.ordered();
        order.is_some_and(|order| order.job == *id) || self.last_backups.contains_key(id)
    }

    /// The backup that comes before a deletion, or before a change of the data's version.
    #[must_use]
    pub fn ordered(&self) -> Option<&Order> {
        let leaving = self.leaving.as_ref().map(|leaving| &leaving.backup);
        let upgrade = self.upgrade.as_ref().map(|upgrade| &upgrade.backup);
        leaving.or(upgrade)?.as_ref()
    }

    /// Whether another volume gets the data of the service, which still has the former one.
    #[must_use]
    pub fn restores(&self) -> bool {
        let upgrade = self.upgrade.as_ref();
        upgrade.is_some_and(|upgrade| upgrade.phase == UpgradePhase::Restoring)
    }

    /// Whether nothing writes to the database, or is about to; `serving`: whether the application does.
    #[must_use]
    pub fn is_quiet(&self, serving: bool) -> bool {
        let mut jobs = self.jobs.values();
        let migrates = self.migrating || jobs.any(|job| *job == JobPhase::Active);
        !(serving || migrates || self.backing_up || self.restoring)
    }

    /// Whether the server has data of which nobody knows whether it may serve: the status was lost.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.upgrade.is_none() && (self.other_server || self.incomplete)
    }

    /// The backup that a person requests, once it is there, or still there.
    #[must_use]
    pub fn started_backup(&self) -> Option<&ChildId> {
        let request = self.requested_backup.as_ref()?;
        let presence = self.present.get(request)?;
        (presence.is_ours() || presence.is_leaving()).then_some(request)
    }
}

/// Fewest pods of the application. One that was stopped is not started by a scaler of the user's.
fn least_replicas(service: &Validated) -> Option<i32> {
    let upgrade = service.data.upgrade.as_ref();
    let starts = upgrade.is_some_and(|upgrade| upgrade.phase == UpgradePhase::Starting);
    match service.scaling {
        Scaling::Auto { min, .. } => Some(min),
        Scaling::External { initial } => starts.then_some(initial),
        Scaling::Fixed(_) => None,
    }
}

/// The phase of the Job of a migration, also while its own controller has not reported the end yet.
fn phase(job: &Job, live: &DynamicObject, desired: Option<&Desired>, pods: &[Pod]) -> JobPhase {
    match JobPhase::from_job(job) {
        JobPhase::Active if is_done(live, pods) => JobPhase::Succeeded,
        // Its pods are as it was created, and none of them is at work.
        JobPhase::Active if is_superseded(live, desired, pods) => JobPhase::Interrupted,
        phase => phase,
    }
}

/// What the policy needs of the finalizer. What is paused is left as it is.
fn finalizer(service: &Validated) -> Finalizer {
    let deletion = &service.deletion;
    let wanted = deletion.policy == DeletionPolicy::Snapshot;
    match (wanted, deletion.is_held()) {
        _ if deletion.since.is_some() || service.paused => Finalizer::Unchanged,
        (true, false) => Finalizer::Add,
        (false, true) => Finalizer::Remove,
        (true, true) | (false, false) => Finalizer::Unchanged,
    }
}

/// The migration that came before the template of the Deployment.
fn recorded(deployment: &DynamicObject) -> Option<String> {
    let annotations = deployment.annotations();
    annotations.get(names::MIGRATION_ANNOTATION).cloned()
}

fn requested_backup(prepared: &Prepared) -> Option<ChildId> {
    let mut children = prepared.children.iter();
    let request = children.find(|child| child.gate == Gate::Request);
    request.map(|child| child.id.clone())
}

/// Whether a Job of this part has not ended, or a pod of one is left.
fn is_at_work(observed: &Observed, part: Component) -> bool {
    let is_of_part = |labels| Component::from_labels(labels) == Some(part);
    let mut jobs = observed.children.all::<Job>();
    let mut pods = observed.pods.iter();
    jobs.any(|job| is_of_part(job.labels()) && JobPhase::from_job(job) == JobPhase::Active)
        || pods.any(|pod| is_of_part(pod.labels()) && pod::is_unfinished(pod))
}

/// Whether a manager of the operator holds the number of replicas that should not.
fn holds_replicas(deployment: &DynamicObject, autoscaled: bool) -> bool {
    replicas::holds(deployment, names::MANAGER)
        || (autoscaled && replicas::holds(deployment, names::SCALE_MANAGER))
}

/// Application pods to start with: a Deployment that was deleted comes back with the number that
/// the autoscaler chose last.
fn initial_replicas(service: &Validated, prepared: &Prepared, observed: &Observed) -> i32 {
    let name = names::app(&service.identity.name);
    let autoscaler = observed.children.typed::<HorizontalPodAutoscaler>(&name);
    let (Scaling::Auto { min, max, .. }, Some(autoscaler)) = (service.scaling, autoscaler) else {
        return prepared.initial_replicas;
    };
    let status = autoscaler.status.as_ref();
    let chosen = status.map_or(min, |status| status.desired_replicas);
    chosen.max(min).min(max)
}

/// Whether a Job that has not ended was made from another template than the wanted one, and no pod of a migration runs.
/// A Job cannot be changed, and what keeps its pods from starting may have been corrected.
fn is_superseded(job: &DynamicObject, desired: Option<&Desired>, pods: &[Pod]) -> bool {
    desired.is_some_and(|desired| outdated(job, desired)) && !pods.iter().any(runs_migration)
}

/// Whether a pod of the Job has done its work. The Job itself says so a second later, because its controller gathers
/// changes of pods that long.
fn is_done(job: &DynamicObject, pods: &[Pod]) -> bool {
    let uid = job.metadata.uid.as_deref();
    uid.is_some_and(|uid| {
        let mut pods = pods.iter().filter(|pod| is_owned_by(pod, uid));
        pods.any(|pod| pod::phase(pod) == Some("Succeeded"))
    })
}

fn is_of_migration(pod: &Pod) -> bool {
    Component::from_labels(pod.labels()) == Some(Component::Migration)
}

/// Whether a container of the pod of a migration runs.
fn runs_migration(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let mut containers = status
        .into_iter()
        .flat_map(|status| status.container_statuses.iter().flatten());
    is_of_migration(pod) && containers.any(pod::runs)
}

/// Whether this is the pod of a migration that may be changing the schema. Its Job may be gone: only
/// the operator waits for the pods when it deletes one.
fn migrates(pod: &Pod) -> bool {
    is_of_migration(pod) && pod::is_unfinished(pod)
}

#[cfg(test)]
mod job_tests;
#[cfg(test)]
mod tests;
