//! Deletes backups that the policy does not keep; never the newest one that was proved.

use chrono::Utc;

use super::destination::{Catalog, Entry, State, Writer};
use super::error::{BackupError, Reason};
use super::manifest::Manifest;
use super::retention::{Kept, Policy, expired};

/// A backup may be so many hundredths of the one before.
const GROWTH: u64 = 125;

/// Deletes what the policy will not keep once there is one more backup, oldest first: until there is room for one
/// of `size`, or all of it. What cannot be deleted is left.
pub async fn make_room(writer: &Writer, catalog: &Catalog, policy: Policy, size: Option<u64>) {
    let needed = size.map(|size| size.saturating_mul(GROWTH) / 100);
    for manifest in superfluous(catalog, policy) {
        if writer.has_room(needed) {
            return;
        }
        let set = &manifest.name;
        match writer.remove(manifest).await {
            Ok(()) => tracing::info!(set, "deleted a backup to make room for the next"),
            Err(error) => tracing::warn!(set, %error, "a backup cannot be deleted"),
        }
    }
}

/// What the policy will not keep once there is one more backup.
fn superfluous(catalog: &Catalog, policy: Policy) -> Vec<&Manifest> {
    let Some(newest) = catalog.verified().next_back() else {
        return Vec::new();
    };
    let mut sets = catalog.kept();
    sets.push(Kept {
        sequence: catalog.next_sequence(),
        time: Utc::now(),
    });
    let expired = expired(&sets, policy);
    let verified = catalog.verified().filter(|manifest| {
        manifest.sequence != newest.sequence && expired.contains(&manifest.sequence)
    });
    catalog.unproved().chain(verified).collect()
}

/// After the backup `new`: deletes those that the policy does not keep, and those before it that were not proved. How
/// many there are then that count, and what somebody should look at.
///
/// # Errors
/// When the destination cannot be read, or what was published is not there as a whole.
pub async fn prune(
    writer: &Writer,
    policy: Policy,
    new: &Manifest,
) -> Result<(usize, Vec<String>), BackupError> {
    let catalog = writer.catalog().await?;
    let is_there = |entry: &Entry| {
        let is_whole = matches!(entry.state, State::Verified | State::NotProved);
        entry.name == new.name && is_whole
    };
    if !catalog.entries.iter().any(is_there) {
        let message = format!("{} was changed by others while it was made", new.name);
        return Err(BackupError::found(Reason::Mismatch, message));
    }
    let mut warnings = Vec::new();
    let expired = match new.proof {
        Some(_) => expired(&catalog.kept(), policy),
        // It does not count, so it takes nobody's place.
        None => Vec::new(),
    };
    // Those that were begun later may have been published before: a bucket has no lock.
    let verified = catalog
        .verified()
        .filter(|manifest| expired.contains(&manifest.sequence) && manifest.name != new.name);
    let unproved = catalog
        .unproved()
        .filter(|manifest| manifest.sequence < new.sequence);
    let mut count = catalog.verified().count();
    for manifest in verified.chain(unproved) {
        let set = &manifest.name;
        match writer.remove(manifest).await {
            Ok(()) => {
                count -= usize::from(manifest.proof.is_some());
                tracing::info!(set, "deleted an old backup");
            }
            Err(error) => warnings.push(format!("the old backup {set} cannot be deleted: {error}")),
        }
    }
    warnings.extend(
        catalog
            .entries
            .iter()
            .filter_map(|entry| match entry.state {
                State::Damaged => Some(format!("the backup {} is damaged", entry.name)),
                State::Unreadable => Some(format!("the backup {}", entry.refused())),
                State::Verified | State::NotProved => None,
            }),
    );
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    Ok((count, warnings))
}
