//! Connections to the managed server: its certificates, who may connect, and the container that makes it read new
//! certificates without a restart.

use k8s_openapi::{
    ByteString,
    api::core::v1::{Container, Secret, Volume, VolumeMount},
};

use super::{
    super::{metadata::owned, pod},
    address, files,
};
use crate::{
    object::{
        names::{self, Component},
        volume_report,
    },
    service::{
        secrets::certificates::{self, Certificates, key},
        validate::Validated,
    },
};

/// File with [`ACCESS`]. It is in the Secret of the certificate, so that no server has one without the other.
const ACCESS_FILE: &str = "pg_hba.conf";

/// Who may connect. Over the network only with TLS; a client without it is refused, not answered in the clear.
const ACCESS: &str = "\
# Whoever is inside the pod runs as the user that owns the data.
local   all all      trust
hostssl all postgres all reject
hostssl all all      all scram-sha-256
";

/// File with [`OWNER`].
const OWNER_FILE: &str = "owner.sh";

/// Gives the owner's role its rights.
const OWNER: &str = include_str!("owner.sh");

/// Makes the server read what the kubelet put into the volumes: certificates and the owner's password. Exits when the
/// data volume becomes nearly full or has room again, because the termination message is how the operator learns of it.
///
/// It is a container of its own. The server is process 1 of its container and takes the exit of an unknown child for a
/// crash. A probe must not change anything.
const WATCH: &str = "trap 'exit 0' TERM INT
say() { echo \"$1\" >/tmp/volume; echo \"$1 $used\" >/dev/termination-log; exit 0; }
seen=
while :; do
  now=$(readlink \"$FILES/..data\" \"$PASSWORDS/..data\")
  if [ \"$now\" != \"$seen\" ] && pg_isready -q; then
    bash \"$FILES/owner.sh\" && seen=$now
  fi
  used=$(df --output=pcent \"$DATA\" | tr -dc 0-9)
  if [ \"$(cat /tmp/volume 2>/dev/null)\" = \"$SAYS_NEARLY_FULL\" ]; then
    [ \"$used\" -ge \"$ROOM\" ] || say \"$SAYS_ROOM\"
  else
    [ \"$used\" -lt \"$NEARLY_FULL\" ] || say \"$SAYS_NEARLY_FULL\"
  fi
  sleep 10 & wait $!
done";

/// The authority, with its key; nothing mounts it.
pub fn authority(service: &Validated, certificates: Option<&Certificates>) -> Secret {
    let name = names::authority(&service.identity.name);
    Secret {
        metadata: owned(service, name, Component::Database),
        data: Some(certificates.map_or_else(
            || certificates::placeholders(&[key::TRUSTED, key::AUTHORITY_KEY]),
            Certificates::authority_data,
        )),
        type_: Some("Opaque".into()),
        ..Secret::default()
    }
}

/// The server's certificate and key, its access rules, and the authorities that clients trust.
pub fn server_tls(service: &Validated, certificates: Option<&Certificates>) -> Secret {
    let name = names::server_tls(&service.identity.name);
    let mut data = certificates.map_or_else(
        || certificates::placeholders(&[key::TRUSTED, key::CERTIFICATE, key::KEY]),
        Certificates::server_data,
    );
    for (file, content) in [(ACCESS_FILE, ACCESS), (OWNER_FILE, OWNER)] {
        data.insert(file.into(), ByteString(content.into()));
    }
    Secret {
        metadata: owned(service, name, Component::Database),
        data: Some(data),
        type_: Some("kubernetes.io/tls".into()),
        ..Secret::default()
    }
}

/// The server's files. They include the authorities that clients trust, so the owner's URI works in this pod too.
pub fn files(instance: &str) -> Volume {
    let files = [
        key::TRUSTED,
        key::CERTIFICATE,
        key::KEY,
        ACCESS_FILE,
        OWNER_FILE,
    ];
    let files = files.map(|file| (file, file));
    pod::secret_volume("database", &names::server_tls(instance), &files)
}

/// Where the server's files are.
pub fn mount() -> VolumeMount {
    pod::mount("database", address::DIRECTORY, true)
}

/// Settings of the server. Those of the spec come later on its command line and take precedence.
pub fn settings() -> Vec<(String, String)> {
    [
        ("ssl_min_protocol_version", "TLSv1.2".to_owned()),
        ("ssl", "on".to_owned()),
        ("ssl_cert_file", address::file(key::CERTIFICATE)),
        ("ssl_key_file", address::file(key::KEY)),
        ("hba_file", address::file(ACCESS_FILE)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// Makes the server read changed files, and reports the use of its volume to the operator.
pub fn watch(service: &Validated, volume: &str) -> Container {
    Container {
        command: Some(vec!["/bin/bash".into(), "-c".into(), WATCH.into()]),
        env: Some(vec![
            pod::env("FILES", address::DIRECTORY),
            pod::env("PASSWORDS", files::PASSWORD_DIRECTORY),
            pod::env("DATA", files::DATA_ROOT),
            pod::env("NEARLY_FULL", volume_report::NEARLY_FULL.to_string()),
            pod::env("ROOM", volume_report::ROOM.to_string()),
            pod::env("SAYS_NEARLY_FULL", volume_report::REPORTS_NEARLY_FULL),
            pod::env("SAYS_ROOM", volume_report::REPORTS_ROOM),
            pod::env("POSTGRES_DB", names::DATABASE),
        ]),
        resources: Some(pod::helper_resources(service, Component::Database)),
        volume_mounts: Some(vec![
            pod::mount("run", files::SOCKET_DIRECTORY, false),
            pod::mount("tmp", "/tmp", false),
            pod::mount(volume, files::DATA_ROOT, true),
            pod::mount("credentials", files::PASSWORD_DIRECTORY, true),
            mount(),
        ]),
        ..pod::container(
            service,
            volume_report::CONTAINER,
            service.data.image(&service.postgres_image).as_str(),
        )
    }
}
