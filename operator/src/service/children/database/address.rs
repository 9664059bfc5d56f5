//! How pods learn the address of the database: a file with the URI, and others beside it.

use k8s_openapi::api::core::v1::{EnvVar, Volume, VolumeMount};

use super::super::pod;
use crate::object::names::{Component, key};

/// Where the volume with the address is mounted.
pub const DIRECTORY: &str = "/etc/hello/database";
/// Name of the volume.
pub const VOLUME: &str = "database";
/// File with the URI.
pub const URI: &str = "uri";

/// A file in the volume with the address.
pub fn file(name: &str) -> String {
    format!("{DIRECTORY}/{name}")
}

/// What a pod needs to reach the database.
pub struct Address {
    /// The volume with the files.
    pub volume: Volume,
    /// Its mount.
    pub mount: VolumeMount,
    /// Variables that name the files.
    pub variables: Vec<EnvVar>,
}

impl Address {
    /// An address in the file [`URI`] of a volume.
    pub fn in_volume(volume: Volume) -> Self {
        Self {
            mount: pod::mount(&volume.name, DIRECTORY, true),
            volume,
            variables: vec![pod::env("DATABASE_URL_FILE", file(URI))],
        }
    }
}

/// Keys of the credentials Secret that one part of the service reads, and the files for them.
pub fn credentials(part: Component) -> &'static [(&'static str, &'static str)] {
    match part {
        Component::Migration | Component::Database => &[
            (key::OWNER_URI, URI),
            (key::APP_PASSWORD, key::APP_PASSWORD),
            (key::BACKUP_PASSWORD, key::BACKUP_PASSWORD),
        ],
        Component::Restore => &[(key::OWNER_URI, URI)],
        Component::Backup => &[(key::BACKUP_URI, URI)],
        // The application tries the second one when the server refuses the first.
        Component::App => &[(key::APP_URI, URI), (key::PREVIOUS_APP_URI, "uri.previous")],
    }
}
