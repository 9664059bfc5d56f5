//! The status as a whole: which finding comes first, and what each condition makes of it.

use hello_crds::{ConditionType, HelloServiceStatus};
use jiff::Timestamp;

use crate::{
    error::{Class, Error},
    object::{
        names::{self, Component},
        owner::Identity,
    },
    service::{
        apply::Applied,
        report::{
            app, autoscaler,
            backup::{self, Backups},
            bootstrap,
            conditions::conditions,
            data, database, deletion,
            finding::{Finding, no, yes},
            hindrance::{self, Whose},
            migration,
            reason::Reason,
            upgrade, volume, volume_fullness,
        },
        validate::{Image, Validated},
    },
};

/// The version of this operator.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Status after a pass that reached its end. `old` is the status that the resource has.
#[must_use]
pub fn from_applied(
    service: &Validated,
    applied: &Applied,
    old: Option<&HelloServiceStatus>,
    now: Timestamp,
) -> HelloServiceStatus {
    let identity = &service.identity;
    let backups = Backups::read(service, applied, old, now);
    let findings = findings(service, applied, backups.as_ref(), old, now);
    let running = app::running(service, applied);
    HelloServiceStatus {
        observed_generation: Some(identity.generation),
        operator_version: Some(VERSION.to_owned()),
        conditions: conditions(&findings, identity.generation, old, now),
        replicas: Some(running.replicas),
        ready_replicas: Some(running.ready_replicas),
        selector: Some(names::selector_text(&identity.name, Component::App)),
        endpoint: Some(app::endpoint(service)),
        version: running.image.as_deref().map(Image::version_of),
        image: running.image,
        database: Some(database::status(service, applied, now)),
        migration: migration::status(applied),
        backup: match backups {
            Some(backups) => Some(backups.status(old)),
            None => backup::kept(old),
        },
    }
}

/// A finding for each type of condition, in the order of the status.
fn findings(
    service: &Validated,
    applied: &Applied,
    backups: Option<&Backups<'_>>,
    old: Option<&HelloServiceStatus>,
    now: Timestamp,
) -> Vec<(ConditionType, Finding)> {
    let complete = |finding| with_pull_secrets(finding, applied);
    let database = complete(database::finding(service, applied, now));
    let migrated = complete(migration::finding(service, applied, now));
    let backup = match backups {
        Some(backups) => complete(backups.finding()),
        // What is left of earlier ones may not be deletable.
        None => hindrance::finding(applied, Whose::Backups).unwrap_or_else(|| no(Reason::Disabled)),
    };
    let leaving = deletion::finding(service, applied, &database, backups);
    let parts = (&database, &migrated);
    let upgrade = || upgrade::finding(service, applied, parts, backups);
    let ready = leaving
        .or_else(upgrade)
        .unwrap_or_else(|| ready(service, applied, parts, now));
    let needs_action = ready.reason.needs_action();
    let progressing = ready.repeated(!ready.holds && !needs_action && !service.paused);
    // What asks for action while the service is as wanted.
    let data = data::finding(service, applied).map(|found| found.repeated(true));
    let beside = || {
        let backup = Some(&backup).filter(|found| found.reason.needs_action());
        let volume = volume_fullness::finding(service, applied, old);
        data.or(volume)
            .or_else(|| autoscaler::finding(service, applied, now))
            .or_else(|| backup.map(|found| found.repeated(true)))
    };
    let degraded = match needs_action {
        true => ready.repeated(true),
        false => beside().unwrap_or_else(|| no(Reason::NoFault)),
    };
    let paused = if service.paused {
        yes(Reason::Paused).with("children are not changed while spec.paused is set")
    } else {
        no(Reason::Active)
    };
    let all = ConditionType::ALL.map(|type_| {
        let finding = match type_ {
            ConditionType::Ready => &ready,
            ConditionType::Progressing => &progressing,
            ConditionType::Degraded => &degraded,
            ConditionType::DatabaseReady => &database,
            ConditionType::Migrated => &migrated,
            ConditionType::BackupVerified => &backup,
            ConditionType::Paused => &paused,
        };
        (type_, finding.clone())
    });
    all.into()
}

/// The first finding that keeps the service from being ready.
fn ready(
    service: &Validated,
    applied: &Applied,
    (database, migrated): (&Finding, &Finding),
    now: Timestamp,
) -> Finding {
    if let Some(hindrance) = hindrance::finding(applied, Whose::Service) {
        return hindrance;
    }
    let component = [database, migrated]
        .into_iter()
        .find(|finding| !finding.holds)
        .cloned();
    let app = || {
        Some(with_pull_secrets(
            app::finding(service, applied, now)?,
            applied,
        ))
    };
    let first_data = || bootstrap::finding(service, applied);
    if let Some(missing) = component.or_else(first_data).or_else(app) {
        return missing;
    }
    if service.paused {
        return no(Reason::Paused);
    }
    if let Some(other) = upgrade::unused(service, applied) {
        return other;
    }
    let serving = yes(Reason::Serving);
    match volume::differences(service, applied) {
        Some(words) => serving.with(words),
        None => serving,
    }
}

/// An image that cannot be pulled, with the Secrets that are missing for it: the kubelet goes on without them, and the
/// registry only answers that it does not know the image.
fn with_pull_secrets(finding: Finding, applied: &Applied) -> Finding {
    let missing = applied.missing_pull_secrets();
    if finding.reason != Reason::ImagePullFailed || missing.is_empty() {
        return finding;
    }
    let message = format!(
        "{}; spec.imagePullSecrets: Secret {} does not exist",
        finding.message,
        missing.join(", ")
    );
    finding.with(message)
}

/// Status after a pass that an error ended; `None` when the error is transient, which is no news about the resource,
/// unless it lasts.
#[must_use]
pub fn from_error(
    identity: &Identity,
    error: &Error,
    lasts: bool,
    old: Option<&HelloServiceStatus>,
    now: Timestamp,
) -> Option<HelloServiceStatus> {
    let reason = match error.class() {
        Class::Transient | Class::Unanswered if !lasts => return None,
        Class::Transient | Class::Unanswered => Reason::ApiServerFailing,
        Class::Invalid => Reason::InvalidSpec,
        Class::Waiting => Reason::ReferenceMissing,
        Class::Conflict => Reason::Conflict,
        Class::Refused => Reason::Refused,
    };
    let finding = no(reason).with(error.to_string());
    Some(ended(identity, &finding, old, now))
}

/// Status after a pass that panicked with this message.
#[must_use]
pub fn from_panic(
    identity: &Identity,
    message: &str,
    old: Option<&HelloServiceStatus>,
    now: Timestamp,
) -> HelloServiceStatus {
    let reason = Reason::InternalError;
    let message = format!("{}: {message}; report a defect", reason.text());
    ended(identity, &no(reason).with(message), old, now)
}

/// The finding that ended a pass, and what was known of the components before.
fn ended(
    identity: &Identity,
    finding: &Finding,
    old: Option<&HelloServiceStatus>,
    now: Timestamp,
) -> HelloServiceStatus {
    let findings = [
        (ConditionType::Ready, finding.clone()),
        (ConditionType::Degraded, finding.repeated(true)),
        (ConditionType::Progressing, finding.clone()),
    ];
    let mut status = old.cloned().unwrap_or_default();
    let kept = status.conditions.into_iter().filter(|kept| {
        findings
            .iter()
            .all(|(type_, _)| kept.type_ != type_.as_str())
    });
    let mut conditions = conditions(&findings, identity.generation, old, now);
    conditions.extend(kept);
    status.conditions = conditions;
    status.observed_generation = Some(identity.generation);
    status
}
