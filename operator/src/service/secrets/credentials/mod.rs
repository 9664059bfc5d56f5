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

use crate::{
    error::{Error, Result},
    object::{
        child,
        names::{self, key},
        time::after,
    },
    service::secrets::{
        KUBELET,
        address::escape,
        given::{Given, password},
    },
};

/// Time after a rotation until the roles get the new passwords. A leaked password must not work for longer than it has to,
/// so this grants nothing to a kubelet that is cut off: its pods try both passwords, and go on when it has read the Secret.
pub const PROPAGATION: Duration = Duration::from_secs(KUBELET.as_secs() + 60);

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
mod tests;
