//! What is reported when the data, or what is needed to use it, is going or gone.

use k8s_openapi::api::core::v1::Secret;

use crate::{
    object::{kind::Kind, names},
    service::{
        apply::Applied,
        plan::data,
        report::{
            finding::{Finding, no},
            reason::Reason,
            volume,
        },
        validate::Validated,
    },
};

/// What takes the data away, while the database serves or not.
pub fn finding(service: &Validated, applied: &Applied) -> Option<Finding> {
    going(service, applied).or_else(|| credentials(service, applied))
}

/// Other data is there in place of the service's own.
pub fn replaced(service: &Validated, applied: &Applied) -> Finding {
    let finding = no(Reason::DataReplaced);
    let (Some(id), Some(had), Some(now)) = (
        data::holder(service),
        service.known_data.had.as_ref(),
        data::current(service, applied.live()),
    ) else {
        return finding;
    };
    let volume = had.volume.as_deref();
    let volume = volume.map_or_else(String::new, |volume| format!(", volume {volume}"));
    finding.with(format!(
        "{id} is a new one and has no data: that of the service was in the one with the UID {}{volume}. Nothing is started \
         until it is back, or until you accept the new one: annotate the resource with {}={}",
        had.uid,
        names::ACCEPT_DATA_ANNOTATION,
        now.uid
    ))
}

/// The data itself is going or gone.
pub fn going(service: &Validated, applied: &Applied) -> Option<Finding> {
    let id = data::holder(service)?;
    let had = service.known_data.had.as_ref()?;
    let Some(live) = applied.live().get(&id) else {
        return Some(no(Reason::VolumeLost).with(format!(
            "{id} does not exist any more: while a server still runs, copy its data before any pod is stopped"
        )));
    };
    // An earlier one that is still being deleted is not the service's.
    if live.uid() != had.uid {
        return None;
    }
    match id.kind {
        Kind::PersistentVolumeClaim => volume::leaving(applied, &id.name),
        _ => live.is_deleting().then(|| {
            no(Reason::VolumeTerminating).with(format!(
                "{id} is being deleted, and its data with it: copy the data before its servers stop"
            ))
        }),
    }
}

/// Without its Secret the data can be used by nobody, until the operator has made new passwords.
fn credentials(service: &Validated, applied: &Applied) -> Option<Finding> {
    let name = names::credentials(&service.identity.name);
    let secret = applied.live().typed::<Secret>(&name)?;
    secret.metadata.deletion_timestamp.as_ref()?;
    let holders = secret.metadata.finalizers.iter().flatten();
    let holders: Vec<&str> = holders.map(String::as_str).collect();
    Some(no(Reason::CredentialsTerminating).with(format!(
        "Secret {name} is being deleted and waits for its finalizers ({}): remove them, and the operator makes new passwords",
        holders.join(", ")
    )))
}
