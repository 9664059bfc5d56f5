//! Which version of the data of a managed database serves, and how far a change to another one is.
//!
//! What serves is in the status, and the spec is a wish. While they differ, a change is in progress, and its phase is in the
//! status, too: each pass does what its phase allows, and the phase goes on only with what the pass has read.

use hello_crds::{FormerData, HelloService, UpgradePhase, UpgradeStatus};

use super::{Database, Image, Pods, deletion::Deletion};
use crate::{
    error::{Error, Result},
    object::{data_version::DataVersion, names::Component},
};

/// The versions of the data of a managed database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Data {
    /// The version that the spec wants.
    pub wanted: DataVersion,
    /// The version that serves, or is to serve when none has yet.
    pub serving: DataVersion,
    /// The version whose server runs, or is to run, in this pass.
    pub present: DataVersion,
    /// The change that is in progress, with the phase in which it is under this spec.
    pub upgrade: Option<UpgradeStatus>,
    /// The versions that have served.
    pub former: Vec<FormerData>,
    /// Image of the server that last served the data.
    pub served_by: Option<Image>,
    /// The image that the spec wants, while that of the data is kept: it is of another major version.
    pub held: Option<Image>,
}

impl Data {
    /// `had_data`: whether the status knows of data; `image`: the one that the spec wants.
    pub(super) fn read(
        service: &HelloService,
        database: &Database,
        had_data: bool,
        deletion: &Deletion,
        image: &Image,
    ) -> Self {
        let Database::Managed(managed) = database else {
            return Self::default();
        };
        let status = service.status.as_ref();
        let status = status.and_then(|status| status.database.as_ref());
        let status = status.filter(|status| status.kind == database.kind());
        let upgrade = status.and_then(|status| status.upgrade.clone());
        let wish = managed.data_version.clone();
        let serving = match (status, had_data || upgrade.is_some()) {
            (Some(status), true) => DataVersion(status.data_version.clone()),
            // Nothing has served yet, or nothing is known of it.
            _ => wish.clone(),
        };
        // A resource that goes takes what has served along.
        let wanted = match deletion.waits() {
            true => serving.clone(),
            false => wish,
        };
        let upgrade = upgrade.map(|known| UpgradeStatus {
            phase: phase(&known, &wanted),
            ..known
        });
        let present = match &upgrade {
            Some(upgrade) if upgrade.phase == UpgradePhase::Restoring => {
                DataVersion(upgrade.to.clone())
            }
            _ => serving.clone(),
        };
        let served_by = status.and_then(|status| status.image.as_ref());
        let mut data = Self {
            wanted,
            serving,
            present,
            upgrade,
            former: status
                .map(|status| status.former.clone())
                .unwrap_or_default(),
            served_by: served_by.and_then(|image| Image::parse("", image).ok()),
            held: None,
        };
        data.held = Some(image).filter(|image| data.holds(image)).cloned();
        data
    }

    /// Whether the server keeps its image, because the files of the data cannot be read by this one.
    fn holds(&self, image: &Image) -> bool {
        let major = |image: &Image| postgres_major(image.as_str());
        let served_by = self.served_by.as_ref().and_then(major);
        let serves = self.present == self.serving && !self.keeps_server();
        serves && served_by.is_some() && major(image).is_some() && served_by != major(image)
    }

    /// Whether the server stays as it was before the change began, whatever the spec wants of it.
    #[must_use]
    pub fn keeps_server(&self) -> bool {
        let phase = self.upgrade.as_ref().map(|upgrade| upgrade.phase);
        matches!(
            phase,
            Some(UpgradePhase::Stopping | UpgradePhase::BackingUp | UpgradePhase::Switching)
        )
    }

    /// Image of the server; `wanted`: that of the programs that back up and restore.
    #[must_use]
    pub fn image<'a>(&'a self, wanted: &'a Image) -> &'a Image {
        let kept = self.served_by.as_ref().filter(|_| self.keeps_server());
        kept.unwrap_or(wanted)
    }

    /// The change that keeps the application from running.
    #[must_use]
    pub fn stopping(&self) -> Option<&UpgradeStatus> {
        let upgrade = self.upgrade.as_ref();
        upgrade.filter(|upgrade| upgrade.phase != UpgradePhase::Starting)
    }

    /// The change whose data is being restored.
    #[must_use]
    pub fn restoring(&self) -> Option<&UpgradeStatus> {
        let upgrade = self.upgrade.as_ref();
        upgrade.filter(|upgrade| upgrade.phase == UpgradePhase::Restoring)
    }

    /// Whether a change has just brought the data that serves from now on.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let upgrade = self.upgrade.as_ref();
        let starts = upgrade.filter(|upgrade| upgrade.phase == UpgradePhase::Starting);
        starts.is_some_and(|upgrade| upgrade.restore.is_some() && upgrade.to == self.present.0)
    }

    /// The version that a change goes to, or would.
    #[must_use]
    pub fn target(&self) -> DataVersion {
        match self.stopping() {
            Some(upgrade) => DataVersion(upgrade.to.clone()),
            None => self.wanted.clone(),
        }
    }

    /// What is known of a version that has served.
    #[must_use]
    pub fn former(&self, version: &DataVersion) -> Option<&FormerData> {
        let mut former = self.former.iter();
        former.find(|former| former.data_version == version.0)
    }

    /// No volume of the spec may have the name of that of the data.
    pub(super) fn check(&self, pods: &Pods) -> Result<()> {
        let own = [&self.present, &self.wanted].map(DataVersion::volume);
        let mut given = pods.of(Component::Database).volumes.iter();
        match given.find(|volume| own.contains(&volume.name)) {
            Some(volume) => Err(Error::invalid(
                "spec.database.managed.dataVersion",
                format!("a volume of spec.pods has the name {:?}", volume.name),
            )),
            None => Ok(()),
        }
    }
}

/// The phase of a change under a spec that wants this version. One that is not wanted any more goes back.
fn phase(known: &UpgradeStatus, wanted: &DataVersion) -> UpgradePhase {
    match known.phase {
        UpgradePhase::Reverting | UpgradePhase::Starting => known.phase,
        phase if known.to == wanted.0 => phase,
        _ => UpgradePhase::Reverting,
    }
}

/// The major version of PostgreSQL that an image names in its tag; `None` where nobody can know.
fn postgres_major(image: &str) -> Option<u32> {
    const FIRST: u32 = 10;
    let repository = Image::repository_of(image);
    let name = repository.rsplit('/').next().unwrap_or_default();
    let tagged = image.split_once('@').map_or(image, |(tagged, _)| tagged);
    let tag = tagged.strip_prefix(repository)?.strip_prefix(':')?;
    let digits = tag.find(|c: char| !c.is_ascii_digit());
    let major = tag.get(..digits.unwrap_or(tag.len()))?.parse().ok()?;
    (name.contains("postgres") && (FIRST..100).contains(&major)).then_some(major)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::service::validate::{DefaultImages, Validated, validate};

    fn service(managed: Value, status: Value) -> Validated {
        let service = json!({"metadata": {"name": "demo", "namespace": "ns", "uid": "u"},
            "spec": {"database": {"managed": managed}}, "status": {"database": status}});
        let images = DefaultImages::of_tests();
        validate(&serde_json::from_value(service).unwrap(), &images).unwrap()
    }

    fn version(name: Option<&str>) -> DataVersion {
        DataVersion(name.map(str::to_owned))
    }

    fn known(phase: Option<&str>) -> Value {
        let upgrade =
            phase.map(|phase| json!({"to": "18", "phase": phase, "since": "2026-01-01T00:00:00Z"}));
        json!({"kind": "managed", "data": {"uid": "a"}, "image": "postgres:16", "upgrade": upgrade})
    }

    #[test]
    fn what_serves_is_what_the_status_knows() {
        let new = json!({"dataVersion": "18"});
        for (managed, status, serving) in [
            (&new, json!({"kind": "managed"}), Some("18")),
            (&json!({}), json!({"kind": "managed"}), None),
            (&new, json!({"kind": "managed", "data": {"uid": "a"}}), None),
            (
                &json!({}),
                json!({"kind": "managed", "data": {"uid": "a"}, "dataVersion": "18"}),
                Some("18"),
            ),
            // Of another kind of database.
            (
                &new,
                json!({"kind": "external", "data": {"uid": "a"}}),
                Some("18"),
            ),
        ] {
            let data = service(managed.clone(), status.clone()).data;
            assert_eq!(data.serving, version(serving), "{managed} {status}");
            assert_eq!(data.present, data.serving);
        }
    }

    #[test]
    fn a_change_goes_back_when_it_is_not_wanted_any_more() {
        use UpgradePhase::{BackingUp, Restoring, Reverting, Starting, Stopping, Switching};
        for (phase, name) in UpgradePhase::ALL.map(|phase| (phase, format!("{phase:?}"))) {
            for (wish, expected) in [
                (Some("18"), phase),
                (
                    None,
                    match phase {
                        Stopping | BackingUp | Switching | Restoring | Reverting => Reverting,
                        Starting => Starting,
                    },
                ),
            ] {
                let managed = json!({"dataVersion": wish});
                let data = service(managed, known(Some(&name))).data;
                assert_eq!(data.upgrade.as_ref().unwrap().phase, expected, "{name}");
                let present = (expected == Restoring).then_some("18");
                assert_eq!(data.present, version(present), "{name}");
            }
        }
    }

    #[test]
    fn the_server_keeps_its_image_until_its_data_has_changed() {
        let new = json!({"dataVersion": "18", "image": "postgres:18"});
        let server = |phase: Option<&str>| {
            let service = service(new.clone(), known(phase));
            let image = service.data.image(&service.postgres_image);
            (
                image.as_str().to_owned(),
                service.postgres_image.as_str().to_owned(),
            )
        };
        let both = |server: &str, programs: &str| (server.to_owned(), programs.to_owned());
        assert_eq!(server(None), both("postgres:16", "postgres:16"));
        for phase in ["Stopping", "BackingUp", "Switching"] {
            assert_eq!(
                server(Some(phase)),
                both("postgres:16", "postgres:18"),
                "{phase}"
            );
        }
        assert_eq!(
            server(Some("Restoring")),
            both("postgres:18", "postgres:18")
        );
        assert_eq!(
            server(Some("Reverting")),
            both("postgres:16", "postgres:16")
        );
    }

    #[test]
    fn an_image_of_another_major_version_is_held_back_from_known_data() {
        for (served_by, wanted, held) in [
            ("postgres:16", "postgres:18", true),
            ("postgres:16", "postgres:16.4", false),
            (
                "postgres:16-alpine",
                "example.com:5000/my/postgres:16@sha256:0000000000000000000000000000000000000000000000000000000000000000",
                false,
            ),
            ("postgres:18", "registry.example.com/postgresql:17.2", true),
            // Nobody knows what these are.
            ("postgres:16", "postgres:latest", false),
            ("postgres:16", "postgres", false),
            ("postgres:16", "example.com/database:18", false),
            (
                "example.com/my-postgres:1.4",
                "example.com/my-postgres:2.0",
                false,
            ),
        ] {
            let mut status = known(None);
            status["image"] = served_by.into();
            let found = service(json!({"image": wanted}), status);
            assert_eq!(found.data.held.is_some(), held, "{served_by} {wanted}");
            let used = if held { served_by } else { wanted };
            assert_eq!(found.postgres_image.as_str(), used);
        }
    }
}
