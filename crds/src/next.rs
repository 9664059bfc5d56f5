//! What to type next when something is wrong: one table, by the reasons of conditions.
//!
//! [docs/conditions.md](../../docs/conditions.md) explains what to do; a command here shows what the message names, or does it.
//! A test of the operator compares both tables with all its reasons.

/// Makes a lookup of its table: the reasons that share a command, and the command.
macro_rules! commands {
    ($(#[$meaning:meta])+ $all:ident, $find:ident: $($($reason:literal)|+ => $command:literal;)+) => {
        /// Every reason that has a command.
        pub const $all: &[&str] = &[$($($reason,)+)+];

        $(#[$meaning])+
        #[must_use]
        pub fn $find(reason: &str) -> Option<&'static str> {
            match reason {
                $($($reason)|+ => Some($command),)+
                _ => None,
            }
        }
    };
}

commands! {
    /// The next command for a reason of a condition of a `HelloService`, which `NAME` stands for.
    REASONS_WITH_A_COMMAND, next_command:
    "Paused" => "kubectl hello resume NAME";
    "InvalidSpec" | "VolumeNearlyFull" | "ImagePullFailed" | "BackupScheduleInvalid" | "DestinationFull" | "ToolTooOld"
        => "kubectl edit helloservice NAME";
    "ReferenceMissing" => "kubectl get secrets,configmaps";
    "Conflict" => "kubectl get all,secrets,persistentvolumeclaims,networkpolicies,ingresses --show-labels";
    "Refused" | "PodRefused" => "kubectl describe resourcequotas,limitranges";
    "ApiServerFailing" => "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations";
    "ApiMissing" => "kubectl get customresourcedefinitions";
    "InternalError" => "kubectl get pods --all-namespaces --selector=app.kubernetes.io/name=hello-operator";
    "DatabaseBlocked" => "kubectl describe clusters.postgresql.cnpg.io NAME-db";
    "DatabaseHibernated" => "kubectl annotate clusters.postgresql.cnpg.io NAME-db cnpg.io/hibernation-";
    "DataReplaced" | "VolumeLost" => "kubectl get persistentvolumeclaims,persistentvolumes";
    "CredentialsTerminating" => "kubectl patch secret NAME-credentials --type=merge -p '{\"metadata\":{\"finalizers\":null}}'";
    "VolumePending" => "kubectl describe persistentvolumeclaims,storageclasses";
    "PodStuck" | "SidecarRunning" => "kubectl get pods --output=wide --selector=app.kubernetes.io/instance=NAME";
    "NodeLost" => "kubectl get nodes";
    "Unschedulable" => "kubectl describe nodes";
    "ContainerNotStarted" => "kubectl describe pods --selector=app.kubernetes.io/instance=NAME";
    "ContainerFailed" => "kubectl hello logs NAME";
    "DatabaseUnreachable" | "MigrationFailed" => "kubectl hello logs NAME --part=migration";
    "UpgradeBlocked" | "UpgradeFailed" => "kubectl hello status NAME";
    "BootstrapStalled" => "kubectl describe hellorestores --selector=app.kubernetes.io/instance=NAME";
    "RolloutStuck" => "kubectl describe deployment NAME";
    "AutoscalerFailing" => "kubectl describe horizontalpodautoscaler NAME";
    "Suspended" => "kubectl patch helloservice NAME --type=merge -p '{\"spec\":{\"backup\":{\"suspend\":false}}}'";
    "Stale" => "kubectl describe cronjob NAME-backup";
    "BackupFailed" | "SnapshotFailed" | "DumpFailed" | "RestoreFailed" | "NotProved" | "DestinationDenied" | "DestinationUnreachable" | "Privileges"
        => "kubectl hello logs NAME --part=backup";
    "VolumeTerminating" | "BackupsLost" | "Mismatch" | "Locked" | "ClockSkew" | "Interrupted" => "kubectl hello backup NAME --wait";
}

commands! {
    /// The next command for a reason of a `HelloRestore`, which `RESTORE` stands for, of the `HelloService` `NAME`.
    RESTORE_REASONS_WITH_A_COMMAND, next_command_of_restore:
    "ServiceMissing" => "kubectl get helloservices";
    "ServicePaused" => "kubectl hello resume NAME";
    "ServiceInvalid" => "kubectl hello status NAME";
    "BackupsDisabled" | "DestinationFull" => "kubectl edit helloservice NAME";
    "SourceInvalid" => "kubectl describe hellorestore RESTORE";
    "WaitingForConsent" => "kubectl patch hellorestore RESTORE --type=merge -p '{\"spec\":{\"acceptDataLoss\":true}}'";
    "LossNotAccepted" => "kubectl annotate --overwrite hellorestore RESTORE hello.internal/undo=accept-data-loss";
    "RestoreFailed" | "Mismatch" => "kubectl hello backups NAME";
    "ServiceReplaced" | "NothingToUndo" | "Interrupted" => "kubectl hello restore NAME";
    "Refused" | "NotProved" | "Locked" | "Privileges" | "Failed" | "NoResult" => "kubectl hello logs NAME --part=restore";
    "JobRefused" => "kubectl describe resourcequotas,limitranges";
    "InternalError" => "kubectl get pods --all-namespaces --selector=app.kubernetes.io/name=hello-operator";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_reason_has_one_command() {
        for all in [REASONS_WITH_A_COMMAND, RESTORE_REASONS_WITH_A_COMMAND] {
            let once: BTreeSet<_> = all.iter().collect();
            assert_eq!(once.len(), all.len());
        }
        for reason in REASONS_WITH_A_COMMAND {
            let command = next_command(reason).unwrap();
            assert!(command.starts_with("kubectl "), "{reason}: {command}");
            assert!(!command.contains("RESTORE"), "{reason}: {command}");
        }
        for reason in RESTORE_REASONS_WITH_A_COMMAND {
            let command = next_command_of_restore(reason).unwrap();
            assert!(command.starts_with("kubectl "), "{reason}: {command}");
        }
        assert_eq!(next_command("Serving"), None);
        assert_eq!(next_command_of_restore("Completed"), None);
    }
}
