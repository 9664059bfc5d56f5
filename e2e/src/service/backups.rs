//! Backups of a service: requested as a person does it, and how they end.

use std::time::Duration;

use anyhow::Result;
use hello_crds::{BackupStatus, HelloService, VerifiedBackup};
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::hello::{Hello, conditions, describe};
use crate::cluster::wait::{self, Seen};

/// A Job that fails tries three times.
const LIMIT: Duration = Duration::from_secs(180);

impl Hello {
    /// Requests a backup, as `kubectl annotate` does. Each new value makes one.
    ///
    /// # Errors
    /// When the resource cannot be changed.
    pub async fn request_backup(&self, value: &str) -> Result<()> {
        let annotations = json!({"hello.internal/backup-requested-at": value});
        let patch = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
        let parameters = PatchParams::default();
        self.api().patch(&self.name, &parameters, &patch).await?;
        Ok(())
    }

    /// Waits until `BackupVerified` has this reason.
    ///
    /// # Errors
    /// When it does not within three minutes; the message shows every condition.
    pub async fn backups_reported(&self, reason: &str) -> Result<HelloService> {
        self.condition("BackupVerified", LIMIT, |condition| {
            condition.reason == reason
        })
        .await
    }

    /// Requests a backup and waits until it is proved.
    ///
    /// # Errors
    /// When it is not within three minutes; the message shows every condition.
    pub async fn back_up(&self, request: &str) -> Result<VerifiedBackup> {
        let before = verified(&self.get().await?);
        self.request_backup(request).await?;
        let what = format!("another proved backup of {}", self.name);
        wait::watch(&self.api(), &self.name, &what, LIMIT, |object| {
            let Some(object) = object else {
                return Seen::NotYet("no such resource".to_owned());
            };
            let proved = conditions(&object).iter().any(|condition| {
                condition.type_ == "BackupVerified" && condition.reason == "Verified"
            });
            match verified(&object) {
                Some(backup) if proved && before.as_ref() != Some(&backup) => Seen::Done(backup),
                _ => Seen::NotYet(describe(&object)),
            }
        })
        .await
    }
}

/// What the status reports of backups; nothing before the first one.
pub fn backup_status(object: &HelloService) -> Option<&BackupStatus> {
    object.status.as_ref()?.backup.as_ref()
}

/// The newest proved backup.
pub fn verified(object: &HelloService) -> Option<VerifiedBackup> {
    backup_status(object)?.last_verified.clone()
}
