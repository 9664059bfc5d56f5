//! Whether a change of the data's version can begin.

use hello_crds::{UpgradePhase, UpgradeStatus};

use super::found::Found;
use crate::{
    object::{child::ChildId, kind::Kind, live::LiveObjects, names},
    service::{plan::bootstrap::Bootstrap, validate::Validated},
};

/// Why the version that is wanted is not used, in words that say what to do; `None` when nothing is in the way.
#[must_use]
pub fn obstacle(service: &Validated, live: &LiveObjects) -> Option<String> {
    let data = &service.data;
    if data.upgrade.is_some() || data.wanted == data.serving {
        return None;
    }
    let name = names::data_claim(&service.identity.name, &data.wanted);
    let id = ChildId::new(Kind::PersistentVolumeClaim, name);
    let Some(claim) = live.get(&id) else {
        return without_backup(service);
    };
    let Some(consent) = consent(service, &claim.uid()) else {
        return Some(format!(
            "{id} exists, and its data is not known to be complete: delete it, or use another dataVersion"
        ));
    };
    if service.known_data.accepted.as_ref() == Some(&consent) {
        return None;
    }
    let until = data.former(&data.wanted).map(|former| &*former.until);
    Some(format!(
        "{id} has the data as it was until {}: what was written since then is not in it. Go back to {}, or accept \
         the loss: annotate the resource with {}={consent}",
        until.unwrap_or_default(),
        data.serving.field(),
        names::ACCEPT_DATA_ANNOTATION,
    ))
}

/// The value of the annotation that accepts what this claim lacks: another one each time it stops serving.
fn consent(service: &Validated, claim: &str) -> Option<String> {
    let former = service.data.former(&service.data.wanted)?;
    (former.uid == claim).then(|| format!("{claim}@{}", former.until))
}

/// Why no backup can bring the data into a new volume.
fn without_backup(service: &Validated) -> Option<String> {
    match &service.backup {
        None => Some("another dataVersion needs spec.backup: the data comes there by a backup".into()),
        Some(backup) if !backup.recipients.is_empty() => Some(
            "another dataVersion needs a backup that the operator can read: remove spec.backup.encryption until it serves"
                .into(),
        ),
        Some(_) => None,
    }
}

/// The first phase, once the service is as it should be and nothing is in the way.
pub(super) fn begin(service: &Validated, found: &Found<'_>) -> Option<UpgradeStatus> {
    let (data, facts) = (&service.data, found.facts);
    let rests = found.ready && facts.bootstrap == Bootstrap::Over && !facts.data_replaced;
    let known = service.known_data.had.is_some() && data.served_by.is_some();
    let free = !service.paused && service.deletion.since.is_none() && !facts.is_held();
    if data.wanted == data.serving || !rests || !known || !free {
        return None;
    }
    if obstacle(service, found.live).is_some() {
        return None;
    }
    let name = names::data_claim(&service.identity.name, &data.wanted);
    let claim = found
        .live
        .get(&ChildId::new(Kind::PersistentVolumeClaim, name));
    Some(UpgradeStatus {
        from: data.serving.0.clone(),
        to: data.wanted.0.clone(),
        phase: UpgradePhase::Stopping,
        since: found.now.to_string(),
        job: None,
        backup: None,
        restore: None,
        claim: claim.map(|claim| claim.uid()),
    })
}
