//! What is reported about a claim: that its volume is not there yet, is being deleted, or is gone.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;

use crate::{
    object::{child::ChildId, kind::Kind, names, quantity::Quantity},
    service::{
        apply::Applied,
        dereference::inputs::volumes::{self, Existing},
        report::{
            finding::{Finding, no},
            pod_failure::PodFailure,
            reason::Reason,
        },
        validate::{Database, Validated, Volume},
    },
};

fn claim<'a>(applied: &'a Applied, name: &str) -> Option<&'a PersistentVolumeClaim> {
    applied.live().typed::<PersistentVolumeClaim>(name)
}

fn phase(claim: &PersistentVolumeClaim) -> Option<&str> {
    claim.status.as_ref()?.phase.as_deref()
}

/// The claim is being deleted while pods use it, or its volume is gone: what is on it is about to be lost, or is.
pub fn leaving(applied: &Applied, name: &str) -> Option<Finding> {
    let claim = claim(applied, name)?;
    if phase(claim) == Some("Lost") {
        let volume = claim
            .spec
            .as_ref()
            .and_then(|spec| spec.volume_name.as_deref());
        let message = format!(
            "the volume {} of claim {name} does not exist any more: restore it from a backup",
            volume.unwrap_or_default()
        );
        return Some(no(Reason::VolumeLost).with(message));
    }
    claim.metadata.deletion_timestamp.as_ref()?;
    let message = format!(
        "claim {name} is being deleted, and its data is gone as soon as its last pod stops: copy the data before any \
         pod is stopped"
    );
    Some(no(Reason::VolumeTerminating).with(message))
}

/// A claim, and what the spec wants of its volume.
pub struct Wanted<'a> {
    /// Name of the claim.
    pub claim: String,
    /// What is wanted.
    pub volume: &'a Volume,
    /// What makes the claim again when a person deletes it, and has to be deleted with it; `None` when that is the operator.
    pub maker: Option<ChildId>,
}

/// Why there is no volume yet, in the words of the controller that should make one.
pub fn unbound(applied: &Applied, wanted: &Wanted<'_>) -> Option<Finding> {
    let id = ChildId::new(Kind::PersistentVolumeClaim, wanted.claim.as_str());
    let words = applied.refused_pods(&id)?;
    Some(pending(wanted.pending(applied)?, wanted, words))
}

/// A pod that no node can run because its claim has no volume is about the claim, and because its volume is on another
/// node about that one.
pub fn explain(applied: &Applied, wanted: &Wanted<'_>, failure: PodFailure) -> Finding {
    if failure.reason != Reason::Unschedulable {
        return failure.finding();
    }
    if let Some(claim) = wanted.pending(applied) {
        let words = unbound(applied, wanted);
        return words.unwrap_or_else(|| pending(claim, wanted, &failure.message));
    }
    let finding = failure.finding();
    let node = claim(applied, &wanted.claim).and_then(node);
    match node.filter(|_| {
        ELSEWHERE
            .iter()
            .any(|words| finding.message.contains(words))
    }) {
        Some(node) => {
            let message = format!(
                "{}; the volume of claim {} is on node {node}: start that node, or uncordon it",
                finding.message, wanted.claim
            );
            finding.with(message)
        }
        None => finding,
    }
}

/// What schedulers say when a volume is on another node, by their version.
const ELSEWHERE: [&str; 2] = ["volume node affinity", "PersistentVolume's node affinity"];

/// The node for which the volume of a claim was made.
fn node(claim: &PersistentVolumeClaim) -> Option<&str> {
    let node = claim
        .annotations()
        .get("volume.kubernetes.io/selected-node")?;
    Some(node)
}

fn pending(claim: &PersistentVolumeClaim, wanted: &Wanted<'_>, words: &str) -> Finding {
    let spec = claim.spec.as_ref();
    let class = spec.and_then(|spec| spec.storage_class_name.as_deref());
    let hint = wanted.hint(claim).unwrap_or_default();
    no(Reason::VolumePending).with(format!(
        "claim {} is not bound (storage class {}): {words}{hint}",
        wanted.claim,
        class.unwrap_or("default"),
    ))
}

/// How the volumes differ from the spec, because they cannot become as it is; `None` when they do not.
pub fn differences(service: &Validated, applied: &Applied) -> Option<String> {
    let wanted = [wanted_data(service), wanted_backups(service)];
    let differences = wanted
        .iter()
        .flatten()
        .filter_map(|wanted| wanted.difference(applied));
    let differences: Vec<String> = differences.collect();
    (!differences.is_empty()).then(|| differences.join("; "))
}

/// The volume of the operator's own server.
pub fn wanted_data(service: &Validated) -> Option<Wanted<'_>> {
    let instance = &service.identity.name;
    let Database::Managed(managed) = &service.database else {
        return None;
    };
    Some(Wanted {
        claim: names::data_claim(instance, &managed.data_version),
        volume: &managed.storage,
        maker: Some(ChildId::new(Kind::StatefulSet, names::database(instance))),
    })
}

/// The volume of the backups, where they are not in a bucket.
pub fn wanted_backups(service: &Validated) -> Option<Wanted<'_>> {
    let backup = service.backup.as_ref()?;
    Some(Wanted {
        claim: names::backup(&service.identity.name),
        volume: backup.destination.volume()?,
        maker: None,
    })
}

impl Wanted<'_> {
    fn pending<'a>(&self, applied: &'a Applied) -> Option<&'a PersistentVolumeClaim> {
        claim(applied, &self.claim).filter(|claim| phase(claim) == Some("Pending"))
    }

    fn has_other_class(&self, existing: &Existing) -> bool {
        let wanted = self.volume.storage_class.as_ref();
        wanted.is_some() && wanted != existing.class.as_ref()
    }

    /// A claim without a volume cannot change, and only a person may delete one.
    fn hint(&self, claim: &PersistentVolumeClaim) -> Option<String> {
        let existing = Existing::from_claim(claim)?;
        if !self.has_other_class(&existing) && existing.asked == self.volume.size {
            return None;
        }
        let maker = self.maker.as_ref();
        let maker = maker.map_or_else(String::new, |id| format!("{id} and "));
        Some(format!(
            "; the claim was made for another {}, and cannot change before it is bound: delete {maker}the claim, on which \
             nothing is, and it is made anew",
            self.volume.field
        ))
    }

    /// How a volume that exists differs from the spec.
    fn difference(&self, applied: &Applied) -> Option<String> {
        let existing = claim(applied, &self.claim).and_then(Existing::from_claim)?;
        let (has, field) = (existing.has.as_ref()?, self.volume.field);
        let size = Quantity::parse(volumes::size(Some(&existing), self.volume))?;
        let mut words = Vec::new();
        if size != self.volume.size {
            let (asked, wanted) = (existing.asked.as_str(), self.volume.size.as_str());
            words.push(if existing.asked <= *has {
                format!("keeps {asked}: a volume cannot shrink to {field}.size {wanted}")
            } else {
                format!(
                    "has {} and keeps asking for {asked}: Kubernetes does not take that back to {field}.size {wanted}",
                    has.as_str()
                )
            });
        }
        if let Some(wanted) = &self.volume.storage_class
            && self.has_other_class(&existing)
        {
            let class = existing.class.as_deref().unwrap_or("(none)");
            words.push(format!(
                "keeps storage class {class}: the class of a volume cannot change to {field}.storageClassName {wanted}"
            ));
        }
        let words = words.join(", and ");
        (!words.is_empty()).then(|| format!("claim {} {words}", self.claim))
    }
}
