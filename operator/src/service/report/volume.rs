//! What is reported about a claim: that its volume is not there yet, is being deleted, or is gone.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use crate::{
    object::{child::ChildId, kind::Kind},
    service::{
        apply::Applied,
        report::{
            finding::{Finding, no},
            pod_failure::PodFailure,
            reason::Reason,
        },
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

/// Why there is no volume yet, in the words of the controller that should make one.
pub fn unbound(applied: &Applied, name: &str) -> Option<Finding> {
    let id = ChildId::new(Kind::PersistentVolumeClaim, name);
    let words = applied.refused_pods(&id)?;
    let claim = claim(applied, name).filter(|claim| phase(claim) == Some("Pending"))?;
    Some(pending(name, claim, words))
}

/// A pod that no node can run because its claim has no volume is about the claim.
pub fn explain(applied: &Applied, name: &str, failure: PodFailure) -> Finding {
    let pending_claim = claim(applied, name).filter(|claim| phase(claim) == Some("Pending"));
    match pending_claim {
        Some(claim) if failure.reason == Reason::Unschedulable => {
            pending(name, claim, &failure.message)
        }
        _ => failure.finding(),
    }
}

fn pending(name: &str, claim: &PersistentVolumeClaim, words: &str) -> Finding {
    let spec = claim.spec.as_ref();
    let class = spec.and_then(|spec| spec.storage_class_name.as_deref());
    no(Reason::VolumePending).with(format!(
        "claim {name} is not bound (storage class {}): {words}",
        class.unwrap_or("default"),
    ))
}
