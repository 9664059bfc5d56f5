//! What is reported about a change of the data's version.

use hello_crds::{HelloRestore, UpgradePhase, UpgradeStatus};

use crate::{
    object::{child::ChildId, data_version::DataVersion, kind::Kind, live::TypedChild, names},
    service::{
        apply::Applied,
        plan::{data, phase, upgrade::Upgrade},
        report::{
            app,
            backup::Backups,
            finding::{Finding, no},
            hindrance::{self, Whose},
            reason::Reason,
        },
        validate::Validated,
    },
};

/// What keeps the application from running while a change is in progress.
pub fn finding(
    service: &Validated,
    applied: &Applied,
    (database, migrated): (&Finding, &Finding),
    backups: Option<&Backups<'_>>,
) -> Option<Finding> {
    let known = service.data.stopping()?;
    let upgrade = applied.facts().upgrade.as_ref()?;
    if service.paused {
        let words =
            "the version of the data is being changed, and spec.paused keeps the operator from it";
        return Some(no(Reason::Paused).with(words));
    }
    let parts = [database, migrated].into_iter();
    let mut stuck = parts.filter(|part| !part.holds && part.reason.needs_action());
    let failed = hindrance::finding(applied, Whose::Service).or_else(|| match upgrade.phase {
        UpgradePhase::BackingUp => {
            not_backed_up(applied, known, backups).or_else(|| stuck.next().cloned())
        }
        UpgradePhase::Restoring => {
            not_restored(service, applied, known, upgrade).or_else(|| stuck.next().cloned())
        }
        UpgradePhase::Stopping | UpgradePhase::Switching => None,
        UpgradePhase::Reverting | UpgradePhase::Starting => stuck.next().cloned(),
    });
    if let Some(failed) = failed {
        let from = DataVersion(known.from.clone());
        return Some(no(Reason::UpgradeFailed).with(format!(
            "{}: {} (the data {from} is as it was: correct this, or go back to {})",
            failed.reason,
            failed.message,
            from.field()
        )));
    }
    Some(no(Reason::Upgrading).with(progress(service, applied, known, database)))
}

/// The version, or the image, that is wanted and not used, while the service serves as before.
pub fn unused(service: &Validated, applied: &Applied) -> Option<Finding> {
    if let Some(words) = phase::obstacle(service, applied.live()) {
        let words = format!("spec.database.managed.dataVersion: {words}");
        return Some(no(Reason::UpgradeBlocked).with(words));
    }
    let data = &service.data;
    if data.upgrade.is_none() && data.wanted != data.serving {
        let words = format!("the change to the data {} begins", data.wanted);
        return Some(no(Reason::Upgrading).with(words));
    }
    let held = data.held.as_ref()?;
    Some(no(Reason::UpgradeBlocked).with(format!(
        "the data is of {}, whose files {} cannot read: the server keeps its image. Set spec.database.managed.dataVersion to \
         another name, such as the new major version, and the data comes there by a backup",
        service.postgres_image.as_str(),
        held.as_str()
    )))
}

/// The server has data of which nothing is known.
pub fn unknown(service: &Validated, applied: &Applied) -> Finding {
    let set = ChildId::new(Kind::StatefulSet, names::database(&service.identity.name));
    let live = applied.live().typed(&set.name);
    let version = live.and_then(DataVersion::from_stateful_set);
    let field = "spec.database.managed.dataVersion";
    no(Reason::UpgradeBlocked).with(match version {
        Some(version) if applied.facts().other_server => format!(
            "{set} has the data {version}, and the status that knows what serves is lost: set {field} to that version"
        ),
        _ => {
            let claim = names::data_claim(&service.identity.name, &service.data.present);
            format!(
                "the data of claim {claim} is not complete, and the status that knows which data serves is lost: set {field} to \
                 the version that has served, delete {set} if it exists, and then change the version again"
            )
        }
    })
}

/// Why the backup failed, or is not made.
fn not_backed_up(
    applied: &Applied,
    known: &UpgradeStatus,
    backups: Option<&Backups<'_>>,
) -> Option<Finding> {
    let since = known.since.parse().ok()?;
    let Some(backups) = backups else {
        return Some(no(Reason::Disabled));
    };
    hindrance::finding(applied, Whose::Backups)
        .or_else(|| backups.not_running())
        .or_else(|| backups.failed_since(since))
}

/// Why the new volume cannot become complete.
fn not_restored(
    service: &Validated,
    applied: &Applied,
    known: &UpgradeStatus,
    upgrade: &Upgrade,
) -> Option<Finding> {
    let current = data::current(service, applied.live());
    let other = |claim: &String| current.as_ref().is_some_and(|data| data.uid != *claim);
    if known.claim.as_ref().is_some_and(other) {
        return Some(no(Reason::DataReplaced).with("the claim is another one than before"));
    }
    if !upgrade.returns && !upgrade.same_state {
        let words = "the application may have written after the backup: its Deployment was changed";
        return Some(no(Reason::RolloutWaiting).with(words));
    }
    let (id, restore) = restore(applied, known)?;
    let status = restore.status.as_ref()?;
    let ready = status.ready()?;
    let stalled = status.is_stalled();
    stalled.then(|| no(Reason::BootstrapStalled).with(format!("{id}: {}", ready.message)))
}

fn restore<'a>(applied: &'a Applied, known: &UpgradeStatus) -> Option<(ChildId, &'a HelloRestore)> {
    let id = ChildId::new(Kind::HelloRestore, known.restore.as_ref()?);
    let restore = applied.live().get(&id).and_then(HelloRestore::from_live)?;
    Some((id, restore))
}

/// What is in progress.
fn progress(
    service: &Validated,
    applied: &Applied,
    known: &UpgradeStatus,
    database: &Finding,
) -> String {
    let (from, to) = (&known.from, &known.to);
    let (from, to) = (DataVersion(from.clone()), DataVersion(to.clone()));
    let claim = names::data_claim(&service.identity.name, &from);
    let backup = known.backup.as_deref().unwrap_or_default();
    match known.phase {
        UpgradePhase::Stopping => stopping(applied),
        UpgradePhase::BackingUp => format!("the data {from} is backed up and compared"),
        UpgradePhase::Switching => {
            format!("the server of the data {from} is being stopped; its claim {claim} is kept")
        }
        UpgradePhase::Restoring if !database.holds => {
            format!("the server of the data {to} starts: {}", database.message)
        }
        UpgradePhase::Restoring => match restore(applied, known) {
            Some((id, restore)) => {
                let status = restore.status.as_ref();
                let phase = status.and_then(|status| status.phase);
                let phase = phase.map_or("Pending", |phase| phase.as_str());
                format!("the data {to} comes from the backup {backup}: {id} is {phase}")
            }
            None => format!("the schema of the data {to} is prepared"),
        },
        UpgradePhase::Reverting => format!("the server of the data {from} starts again"),
        UpgradePhase::Starting => format!("the data {to} is complete"),
    }
}

fn stopping(applied: &Applied) -> String {
    match app::pods_left(applied) {
        None => "the application is stopped, and what else is at work has to end".into(),
        Some(left) => format!("the application is being stopped: {left}"),
    }
}
