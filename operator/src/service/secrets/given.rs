//! Passwords that a Secret of the user's has.

use std::{collections::BTreeMap, fmt};

use k8s_openapi::{ByteString, api::core::v1::Secret};

use crate::object::names::key;

/// Longest password that is used.
const LONGEST: usize = 1000;

/// Passwords of the three roles.
#[derive(Clone, PartialEq, Eq)]
pub struct Given {
    /// The owner's.
    pub owner: String,
    /// The application's.
    pub app: String,
    /// That of the backups.
    pub backup: String,
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Given(..)")
    }
}

impl Given {
    /// The passwords in a Secret.
    ///
    /// # Errors
    /// What is wrong with it: a sentence that goes on after its name.
    pub fn parse(secret: Option<&Secret>) -> Result<Self, String> {
        let secret = secret.ok_or("does not exist")?;
        let none = BTreeMap::new();
        let data = secret.data.as_ref().unwrap_or(&none);
        let password = |key: &str| {
            if !data.contains_key(key) {
                return Err(format!("has no key {key}"));
            }
            let problem = || {
                format!(
                    "has no password in its key {key}: use 1 to {LONGEST} characters, none of them a control character"
                )
            };
            password(data, key).ok_or_else(problem)
        };
        Ok(Self {
            owner: password(key::OWNER_PASSWORD)?,
            app: password(key::APP_PASSWORD)?,
            backup: password(key::BACKUP_PASSWORD)?,
        })
    }
}

/// The password in a key of a Secret; `None` when there is none. A line break at its end, as editors write it, is not part
/// of it.
#[must_use]
pub fn password(data: &BTreeMap<String, ByteString>, key: &str) -> Option<String> {
    let text = std::str::from_utf8(&data.get(key)?.0).ok()?;
    let text = text.trim_end_matches(['\r', '\n']);
    let usable =
        (1..=LONGEST).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    usable.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(data: &[(&str, &[u8])]) -> Secret {
        let data = data
            .iter()
            .map(|(key, value)| ((*key).to_owned(), ByteString(value.to_vec())));
        Secret {
            data: Some(data.collect()),
            ..Secret::default()
        }
    }

    #[test]
    fn every_character_but_those_of_control_is_kept() {
        let odd = "p@ss/w:rd#%?é '\"\\$(x)`;🦀";
        let all = |value: &[u8]| {
            let keys = [key::OWNER_PASSWORD, key::APP_PASSWORD, key::BACKUP_PASSWORD];
            secret(&keys.map(|key| (key, value)))
        };
        assert_eq!(Given::parse(Some(&all(odd.as_bytes()))).unwrap().app, odd);
        let line = format!("{odd}\r\n");
        assert_eq!(
            Given::parse(Some(&all(line.as_bytes()))).unwrap().owner,
            odd
        );
        let long = "x".repeat(LONGEST + 1);
        for wrong in [&b""[..], b"\n", b"a\nb", b"a\0b", &[0xff], long.as_bytes()] {
            let problem = Given::parse(Some(&all(wrong))).unwrap_err();
            assert!(
                problem.starts_with("has no password in its key owner-password"),
                "{problem}"
            );
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(Given::parse(None).unwrap_err(), "does not exist");
        let some = secret(&[(key::OWNER_PASSWORD, b"a"), (key::BACKUP_PASSWORD, b"a")]);
        assert_eq!(
            Given::parse(Some(&some)).unwrap_err(),
            "has no key app-password"
        );
        assert_eq!(
            Given::parse(Some(&Secret::default())).unwrap_err(),
            "has no key owner-password"
        );
    }

    #[test]
    fn debug_shows_no_password() {
        let all = [key::OWNER_PASSWORD, key::APP_PASSWORD, key::BACKUP_PASSWORD]
            .map(|key| (key, &b"x"[..]));
        assert_eq!(
            format!("{:?}", Given::parse(Some(&secret(&all))).unwrap()),
            "Given(..)"
        );
    }
}
