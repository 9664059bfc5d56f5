//! Passwords of the database roles, the URIs made from them, and their rotation.
//!
//! A rotation never leaves a client without a password that works:
//!
//! - the Secret gets the new passwords and keeps the previous ones; the application tries both;
//! - after [`PROPAGATION`] every pod has the new ones, and a migration gives them to the roles;
//! - the owner's password changes at once: the server's own pod sets it, and only migrations, which wait, use it.

use std::{collections::BTreeMap, fmt, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{ByteString, api::core::v1::Secret};

use super::{
    address::escape,
    given::{Given, password},
};
use crate::{
    error::{Error, Result},
    object::{
        child,
        names::{self, key},
        time::after,
    },
};

/// Time after which every pod has the new content of a Secret: kubelets need two minutes at most.
pub const PROPAGATION: Duration = Duration::from_secs(180);

/// Passwords of the three roles. Generated ones have letters and digits only; given ones have any characters.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// `None` where CloudNativePG keeps the owner's password.
    owner: Option<String>,
    roles: Roles,
    /// Before the last rotation.
    previous: Option<Roles>,
    /// When the last rotation began.
    rotated: Option<Timestamp>,
    /// The annotation's value of the last request that was fulfilled.
    fulfilled: Option<String>,
    /// Until when the roles keep their previous passwords.
    propagating_until: Option<Timestamp>,
}

/// Passwords that migrations give to the roles.
#[derive(Clone, PartialEq, Eq)]
struct Roles {
    app: String,
    backup: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

impl Credentials {
    /// Keeps the passwords of the Secret `existing` and generates the missing ones. Generates all of them when
    /// `requested`, the resource's annotation, has another value than the last request that was fulfilled.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn keep_or_generate(
        existing: Option<&Secret>,
        requested: Option<&str>,
        now: Timestamp,
    ) -> Result<Self> {
        let mut credentials = Self::kept(existing)?;
        if existing.is_none() {
            credentials.fulfilled = requested.map(str::to_owned);
        }
        credentials.propagate(now);
        // One rotation at a time: the roles still have the passwords that the next one would drop.
        let idle = credentials.propagating_until.is_none();
        if idle && requested.is_some() && requested != credentials.fulfilled.as_deref() {
            credentials.rotate(now)?;
            credentials.fulfilled = requested.map(str::to_owned);
        }
        Ok(credentials)
    }

    /// The passwords that a Secret of the user's has, in place of generated ones. Other values than before are a
    /// rotation; `is_new` says that no pod has the earlier ones.
    #[must_use]
    pub fn given(mut self, given: &Given, is_new: bool, now: Timestamp) -> Self {
        let roles = Roles {
            app: given.app.clone(),
            backup: given.backup.clone(),
        };
        self.owner = Some(given.owner.clone());
        if is_new {
            self.roles = roles;
        } else if self.propagating_until.is_none() && self.roles != roles {
            self.replace_roles(roles, now);
        }
        self
    }

    fn kept(existing: Option<&Secret>) -> Result<Self> {
        let data = existing.and_then(|secret| secret.data.as_ref());
        let kept = |key: &str| data.and_then(|data| password(data, key));
        let kept_or_new = |key: &str| kept(key).map_or_else(generate, Ok);
        let annotation = |key: &str| existing?.metadata.annotations.as_ref()?.get(key).cloned();
        let previous = kept(key::PREVIOUS_APP_PASSWORD).zip(kept(key::PREVIOUS_BACKUP_PASSWORD));
        Ok(Self {
            owner: Some(kept_or_new(key::OWNER_PASSWORD)?),
            roles: Roles {
                app: kept_or_new(key::APP_PASSWORD)?,
                backup: kept_or_new(key::BACKUP_PASSWORD)?,
            },
            previous: previous.map(|(app, backup)| Roles { app, backup }),
            rotated: annotation(names::ROTATED_ANNOTATION).and_then(|time| time.parse().ok()),
            fulfilled: annotation(names::ROTATE_ANNOTATION),
            propagating_until: None,
        })
    }

    fn rotate(&mut self, now: Timestamp) -> Result<()> {
        let roles = Roles {
            app: generate()?,
            backup: generate()?,
        };
        self.owner = Some(generate()?);
        self.replace_roles(roles, now);
        Ok(())
    }

    fn replace_roles(&mut self, roles: Roles, now: Timestamp) {
        self.previous = Some(std::mem::replace(&mut self.roles, roles));
        self.rotated = Timestamp::from_second(now.as_second()).ok();
        self.propagate(now);
    }

    /// The time of the rotation was read from the cluster, where anybody may have written it: one that this operator
    /// cannot have written, by a clock that is a little ahead of this one at most, is none.
    fn propagate(&mut self, now: Timestamp) {
        let until = |time| after(time, PROPAGATION);
        self.rotated = self.rotated.filter(|time| *time <= until(now));
        let end = self.rotated.map(until);
        self.propagating_until = end.filter(|end| self.previous.is_some() && *end > now);
    }

    /// When a rotation continues, if one is in progress.
    #[must_use]
    pub fn next_change(&self) -> Option<Timestamp> {
        self.propagating_until
    }

    /// What `render` prints in place of passwords, which exist only in a cluster.
    #[must_use]
    pub fn placeholder() -> Self {
        let text = "generated-in-the-cluster".to_owned();
        Self {
            owner: Some(text.clone()),
            roles: Roles {
                app: text.clone(),
                backup: text,
            },
            previous: None,
            rotated: None,
            fulfilled: None,
            propagating_until: None,
        }
    }

    /// The same without the owner's password, which CloudNativePG keeps.
    #[must_use]
    pub fn without_owner(self) -> Self {
        Self {
            owner: None,
            ..self
        }
    }

    /// The passwords that the roles have, or get from the next migration.
    fn effective(&self) -> &Roles {
        match (&self.previous, self.propagating_until) {
            (Some(previous), Some(_)) => previous,
            _ => &self.roles,
        }
    }

    /// Content of the Secret for the server at `host`. Clients verify the server by the authority in
    /// the file `trusted`.
    #[must_use]
    pub fn data(&self, host: &str, trusted: &str) -> BTreeMap<String, ByteString> {
        let uri = |role: &str, password: &str| {
            let password = escape(password);
            format!(
                "postgres://{role}:{password}@{host}:5432/{}?sslmode=verify-full&sslrootcert={trusted}",
                names::DATABASE
            )
        };
        let owner = self.owner.as_ref().map(|password| {
            [
                (key::OWNER_PASSWORD, password.clone()),
                (key::OWNER_URI, uri(names::OWNER_ROLE, password)),
            ]
        });
        let previous = self.previous.as_ref().map(|roles| {
            [
                (key::PREVIOUS_APP_PASSWORD, roles.app.clone()),
                (key::PREVIOUS_BACKUP_PASSWORD, roles.backup.clone()),
            ]
        });
        let earlier = self.previous.as_ref().unwrap_or(&self.roles);
        [
            (key::APP_PASSWORD, self.roles.app.clone()),
            (key::BACKUP_PASSWORD, self.roles.backup.clone()),
            (key::APP_URI, uri(names::APP_ROLE, &self.roles.app)),
            (key::PREVIOUS_APP_URI, uri(names::APP_ROLE, &earlier.app)),
            // A backup reads it once, when it starts, and tries no second one.
            (
                key::BACKUP_URI,
                uri(names::BACKUP_ROLE, &self.effective().backup),
            ),
        ]
        .into_iter()
        .chain(owner.into_iter().flatten())
        .chain(previous.into_iter().flatten())
        .map(|(key, value)| (key.to_owned(), ByteString(value.into_bytes())))
        .collect()
    }

    /// Annotations of the Secret.
    #[must_use]
    pub fn annotations(&self) -> BTreeMap<String, String> {
        let rotated = self.rotated.map(|time| time.to_string());
        [
            (names::ROTATE_ANNOTATION, self.fulfilled.clone()),
            (names::ROTATED_ANNOTATION, rotated),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect()
    }

    /// Fingerprint of the passwords that the migration sets.
    #[must_use]
    pub fn roles_fingerprint(&self) -> String {
        let roles = self.effective();
        child::hash(&format!("roles:{}:{}", roles.app, roles.backup))
    }
}

/// 192 random bits from the operating system, in hexadecimal.
fn generate() -> Result<String> {
    let mut bytes = [0_u8; 24];
    getrandom::fill(&mut bytes).map_err(Error::Random)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

    fn stored(credentials: &Credentials) -> Secret {
        Secret {
            metadata: ObjectMeta {
                annotations: Some(credentials.annotations()),
                ..ObjectMeta::default()
            },
            data: Some(credentials.data("host", "ca.crt")),
            ..Secret::default()
        }
    }

    fn next(before: &Credentials, requested: Option<&str>, now: Timestamp) -> Credentials {
        Credentials::keep_or_generate(Some(&stored(before)), requested, now).unwrap()
    }

    fn first() -> Credentials {
        Credentials::keep_or_generate(None, None, NOW).unwrap()
    }

    #[test]
    fn passwords_are_kept_and_only_missing_ones_are_generated() {
        let first = first();
        assert_eq!(next(&first, None, NOW), first);
        let mut secret = stored(&first);
        secret.data.as_mut().unwrap().remove(key::APP_PASSWORD);
        let second = Credentials::keep_or_generate(Some(&secret), None, NOW).unwrap();
        assert_eq!(second.owner, first.owner);
        assert_eq!(second.roles.backup, first.roles.backup);
        assert_ne!(second.roles.app, first.roles.app);
        assert_ne!(second.roles_fingerprint(), first.roles_fingerprint());
    }

    /// Otherwise each pass would generate another one, and another migration would follow from it.
    #[test]
    fn without_the_owner_nothing_depends_on_its_password() {
        let first = first().without_owner();
        let data = first.data("host", "ca.crt");
        assert!(!data.keys().any(|key| key.starts_with("owner")));
        let second = next(&first, None, NOW).without_owner();
        assert_eq!(second, first);
        assert_eq!(second.roles_fingerprint(), first.roles_fingerprint());
    }

    #[test]
    fn a_rotation_replaces_all_but_the_roles_change_only_when_every_pod_has_them() {
        let before = first();
        let new = next(&before, Some("1"), NOW);
        assert_ne!(new.owner, before.owner);
        assert_ne!(new.roles.app, before.roles.app);
        assert_ne!(new.roles.backup, before.roles.backup);
        assert_eq!(new.next_change(), Some(NOW + PROPAGATION));
        assert_eq!(new.roles_fingerprint(), before.roles_fingerprint());
        let (old_data, data) = (before.data("h", "ca.crt"), new.data("h", "ca.crt"));
        assert_ne!(data[key::APP_URI], old_data[key::APP_URI]);
        assert_eq!(data[key::PREVIOUS_APP_URI], old_data[key::APP_URI]);
        assert_eq!(data[key::BACKUP_URI], old_data[key::BACKUP_URI]);

        // Nothing changes before the time, and a second request waits.
        let almost = NOW + PROPAGATION - Duration::from_secs(1);
        assert_eq!(next(&new, Some("1"), almost), new);
        assert_eq!(next(&new, Some("2"), almost), new);

        let done = next(&new, Some("1"), NOW + PROPAGATION);
        assert!(done.roles == new.roles);
        assert_eq!(done.next_change(), None);
        assert_ne!(done.roles_fingerprint(), before.roles_fingerprint());
        assert_ne!(
            done.data("h", "ca.crt")[key::BACKUP_URI],
            data[key::BACKUP_URI]
        );
        // The roles are still being changed: the application keeps both.
        assert_eq!(
            done.data("h", "ca.crt")[key::PREVIOUS_APP_URI],
            data[key::PREVIOUS_APP_URI]
        );
        assert_eq!(next(&done, Some("1"), NOW + PROPAGATION * 99), done);
        assert_eq!(next(&done, None, NOW + PROPAGATION * 99), done);
        assert_ne!(
            next(&done, Some("2"), NOW + PROPAGATION).roles.app,
            done.roles.app
        );
    }

    #[test]
    fn a_request_on_a_new_service_is_fulfilled_by_its_first_passwords() {
        let first = Credentials::keep_or_generate(None, Some("1"), NOW).unwrap();
        assert_eq!(first.next_change(), None);
        assert_eq!(next(&first, Some("1"), NOW), first);
    }

    /// The annotation is anybody's to write who may edit the Secret.
    #[test]
    fn a_time_that_no_rotation_can_have_blocks_none() {
        let rotated = next(&first(), Some("1"), NOW);
        let with = |time: &str| {
            let mut secret = stored(&rotated);
            let annotations = secret.metadata.annotations.as_mut().unwrap();
            annotations.insert(names::ROTATED_ANNOTATION.into(), time.into());
            secret
        };
        for time in [
            "9999-12-30T22:00:00Z",
            "9999-12-30T22:00:00.999999999Z",
            "3000-01-01T00:00:00Z",
            "-009999-01-02T01:59:59Z",
            "0000-00-00T00:00:00Z",
            "yesterday",
            "",
        ] {
            let read = |requested, now| {
                Credentials::keep_or_generate(Some(&with(time)), requested, now).unwrap()
            };
            assert_eq!(read(Some("1"), NOW).next_change(), None, "{time}");
            let again = read(Some("2"), NOW);
            assert_ne!(again.roles.app, rotated.roles.app, "{time}");
            assert_eq!(again.next_change(), Some(NOW + PROPAGATION), "{time}");
        }
        // The clock of the operator that began the rotation may be ahead of this one.
        let early = NOW - PROPAGATION / 2;
        assert_eq!(next(&rotated, Some("2"), early), rotated);
    }

    #[test]
    fn debug_shows_no_password() {
        assert_eq!(format!("{:?}", first()), "Credentials(..)");
    }

    fn given(text: &str) -> Given {
        Given {
            owner: format!("owner {text}"),
            app: format!("app {text}"),
            backup: format!("backup {text}"),
        }
    }

    #[test]
    fn given_passwords_are_kept_with_every_character_and_the_same_ones_change_nothing() {
        let odd = given("p@ss/w:rd#1'%");
        let new = first().given(&odd, true, NOW);
        assert_eq!(new.next_change(), None);
        let data = new.data("host", "ca.crt");
        assert_eq!(data[key::APP_PASSWORD].0, odd.app.as_bytes());
        assert_eq!(
            data[key::APP_URI].0,
            b"postgres://hello_app:app%20p%40ss%2Fw%3Ard%231%27%25@host:5432/hello?sslmode=verify-full&sslrootcert=ca.crt"
        );
        let later = NOW + PROPAGATION * 9;
        assert!(next(&new, None, later).given(&odd, false, later) == new);
    }

    #[test]
    fn other_given_passwords_are_a_rotation() {
        let before = first().given(&given("1"), true, NOW);
        let after = next(&before, None, NOW).given(&given("2"), false, NOW);
        assert_eq!(after.next_change(), Some(NOW + PROPAGATION));
        assert_eq!(after.roles_fingerprint(), before.roles_fingerprint());
        let (old, new) = (before.data("h", "ca.crt"), after.data("h", "ca.crt"));
        assert_eq!(new[key::PREVIOUS_APP_URI], old[key::APP_URI]);
        assert_ne!(new[key::APP_URI], old[key::APP_URI]);
        // A third one waits until the second one has reached everybody.
        let third = next(&after, None, NOW).given(&given("3"), false, NOW);
        assert!(third.roles == after.roles);
        let done = NOW + PROPAGATION;
        let third = next(&third, None, done).given(&given("3"), false, done);
        assert_ne!(third.data("h", "ca.crt")[key::APP_URI], new[key::APP_URI]);
    }
}
