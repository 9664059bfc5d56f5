//! Passwords of the database roles, and the URIs made from them.

use std::{collections::BTreeMap, fmt};

use k8s_openapi::{ByteString, api::core::v1::Secret};

use crate::{
    child,
    error::{Error, Result},
    names::{self, key},
};

/// Passwords of the three roles; letters and digits only, so they need no escaping anywhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// `None` where an engine keeps the owner's password.
    owner: Option<String>,
    app: String,
    backup: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

impl Credentials {
    /// Keeps the passwords that `existing` holds and draws the missing ones.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn keep_or_generate(existing: Option<&Secret>) -> Result<Self> {
        let data = existing.and_then(|secret| secret.data.as_ref());
        let password = |key: &str| match data.and_then(|data| read(data, key)) {
            Some(password) => Ok(password),
            None => generate(),
        };
        Ok(Self {
            owner: Some(password(key::OWNER_PASSWORD)?),
            app: password(key::APP_PASSWORD)?,
            backup: password(key::BACKUP_PASSWORD)?,
        })
    }

    /// What `render` shows in place of passwords, which exist only in a cluster.
    #[must_use]
    pub fn placeholder() -> Self {
        let text = "generated-in-the-cluster".to_owned();
        Self {
            owner: Some(text.clone()),
            app: text.clone(),
            backup: text,
        }
    }

    /// The same without the owner's password, which an engine keeps.
    #[must_use]
    pub fn without_owner(self) -> Self {
        Self {
            owner: None,
            ..self
        }
    }

    /// Content of the Secret for the server at `host`. Clients verify the server by the authority in
    /// the file `trusted`, when there is one.
    #[must_use]
    pub fn data(&self, host: &str, trusted: Option<&str>) -> BTreeMap<String, ByteString> {
        let verify = trusted.map_or_else(String::new, |file| {
            format!("?sslmode=verify-full&sslrootcert={file}")
        });
        let uri = |role: &str, password: &str| {
            format!(
                "postgres://{role}:{password}@{host}:5432/{}{verify}",
                names::DATABASE
            )
        };
        let owner = self.owner.as_ref().map(|password| {
            [
                (key::OWNER_PASSWORD, password.clone()),
                (key::OWNER_URI, uri(names::OWNER_ROLE, password)),
            ]
        });
        [
            (key::APP_PASSWORD, self.app.clone()),
            (key::BACKUP_PASSWORD, self.backup.clone()),
            (key::APP_URI, uri(names::APP_ROLE, &self.app)),
            (key::BACKUP_URI, uri(names::BACKUP_ROLE, &self.backup)),
        ]
        .into_iter()
        .chain(owner.into_iter().flatten())
        .map(|(key, value)| (key.to_owned(), ByteString(value.into_bytes())))
        .collect()
    }

    /// Fingerprint of the owner's password, which the server learns at its start.
    #[must_use]
    pub fn owner_fingerprint(&self) -> String {
        child::hash(&format!("owner:{}", self.owner()))
    }

    /// Fingerprint of the passwords that the migration sets and the application reads.
    #[must_use]
    pub fn roles_fingerprint(&self) -> String {
        child::hash(&format!(
            "roles:{}:{}:{}",
            self.owner(),
            self.app,
            self.backup
        ))
    }

    fn owner(&self) -> &str {
        self.owner.as_deref().unwrap_or_default()
    }
}

/// A password that is safe to use: one of the operator's own making, or a person's of the same alphabet.
fn read(data: &BTreeMap<String, ByteString>, key: &str) -> Option<String> {
    let text = std::str::from_utf8(&data.get(key)?.0).ok()?;
    let usable = text.len() >= 8 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    usable.then(|| text.to_owned())
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

    #[test]
    fn passwords_are_kept_and_only_missing_ones_are_drawn() {
        let first = Credentials::keep_or_generate(None).unwrap();
        let mut secret = Secret {
            data: Some(first.data("host", None)),
            ..Secret::default()
        };
        assert_eq!(Credentials::keep_or_generate(Some(&secret)).unwrap(), first);
        secret.data.as_mut().unwrap().remove(key::APP_PASSWORD);
        let second = Credentials::keep_or_generate(Some(&secret)).unwrap();
        assert_eq!(second.owner, first.owner);
        assert_ne!(second.app, first.app);
        assert_ne!(second.roles_fingerprint(), first.roles_fingerprint());
        assert_eq!(second.owner_fingerprint(), first.owner_fingerprint());
    }

    /// Else each pass would draw another one, and another migration would follow from it.
    #[test]
    fn without_the_owner_nothing_depends_on_its_password() {
        let first = Credentials::keep_or_generate(None).unwrap().without_owner();
        let secret = Secret {
            data: Some(first.data("host", None)),
            ..Secret::default()
        };
        assert!(
            !first
                .data("host", None)
                .keys()
                .any(|key| key.starts_with("owner"))
        );
        let second = Credentials::keep_or_generate(Some(&secret))
            .unwrap()
            .without_owner();
        assert_eq!(second, first);
        assert_eq!(second.roles_fingerprint(), first.roles_fingerprint());
    }

    #[test]
    fn debug_shows_no_password() {
        let credentials = Credentials::keep_or_generate(None).unwrap();
        assert_eq!(format!("{credentials:?}"), "Credentials(..)");
    }

    #[test]
    fn a_password_that_would_break_a_uri_is_replaced() {
        let data = BTreeMap::from([(
            key::OWNER_PASSWORD.to_owned(),
            ByteString(b"p@ss/word#1".to_vec()),
        )]);
        assert_eq!(read(&data, key::OWNER_PASSWORD), None);
    }
}
