//! What requests are signed with: given keys, or keys that are issued for the token of a workload.

use std::path::PathBuf;
use std::sync::Mutex;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderMap, HeaderValue, Method, header};
use url::Url;

use super::answer;
use super::error::Failure;
use super::keys::Keys;
use super::wire::{Attempt, Wire};
use crate::secret::Secret;

/// Keys are replaced this long before they expire.
const MARGIN: TimeDelta = TimeDelta::minutes(5);
/// What the issuer calls the session; it is in the store's log.
const SESSION: &str = "hello-backup";

/// Where keys come from.
#[derive(Debug)]
pub enum Credentials {
    /// They are given.
    Given(Keys),
    /// They are issued.
    Issued(Issuer),
}

/// Issues keys for the token of a workload.
#[derive(Debug)]
pub struct Issuer {
    /// The role whose keys they are.
    pub role: String,
    /// The file with the token, which is replaced now and then.
    pub token_file: PathBuf,
    /// The address of the service.
    pub endpoint: Url,
    /// The keys that were issued last, and when they expire.
    pub issued: Mutex<Option<(Keys, DateTime<Utc>)>>,
}

impl Credentials {
    /// Keys that are valid now.
    ///
    /// # Errors
    /// When they cannot be got.
    pub async fn keys(&self, wire: &Wire) -> Result<Keys, Failure> {
        let issuer = match self {
            Self::Given(keys) => return Ok(keys.clone()),
            Self::Issued(issuer) => issuer,
        };
        if let Some(keys) = issuer.valid(Utc::now()) {
            return Ok(keys);
        }
        let (keys, expires) = issuer.issue(wire).await?;
        issuer.remember(Some((keys.clone(), expires)));
        Ok(keys)
    }

    /// Forgets keys that were refused; whether others can be got.
    pub fn renew(&self) -> bool {
        match self {
            Self::Given(_) => false,
            Self::Issued(issuer) => {
                issuer.remember(None);
                true
            }
        }
    }
}

impl Issuer {
    fn valid(&self, now: DateTime<Utc>) -> Option<Keys> {
        let issued = self.issued.lock().ok()?;
        let (keys, expires) = issued.as_ref()?;
        (now + MARGIN < *expires).then(|| keys.clone())
    }

    fn remember(&self, keys: Option<(Keys, DateTime<Utc>)>) {
        if let Ok(mut issued) = self.issued.lock() {
            *issued = keys;
        }
    }

    async fn issue(&self, wire: &Wire) -> Result<(Keys, DateTime<Utc>), Failure> {
        let token = Secret::read(&self.token_file).map_err(|error| {
            Failure::denied(format!(
                "the token of the workload cannot be read: {}: {error}",
                self.token_file.display()
            ))
        })?;
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", "AssumeRoleWithWebIdentity")
            .append_pair("Version", "2011-06-15")
            .append_pair("RoleArn", &self.role)
            .append_pair("RoleSessionName", SESSION)
            .append_pair("WebIdentityToken", token.expose())
            .finish();
        let mut headers = HeaderMap::new();
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(header::CONTENT_TYPE, form_type);
        let attempt = Attempt {
            method: Method::POST,
            url: self.endpoint.clone(),
            headers,
            body: Bytes::from(form),
        };
        let answer = wire.exchange(attempt).await.map_err(Failure::of_issuer)?;
        answer::issued_keys(answer.body()).ok_or_else(|| {
            let endpoint = self.endpoint.host_str().unwrap_or_default();
            Failure::denied(format!("{endpoint} answers a token with no keys"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_replaced_before_they_expire() {
        let now = Utc::now();
        let issuer = Issuer {
            role: "role".into(),
            token_file: "/nonexistent".into(),
            endpoint: Url::parse("https://sts.example").unwrap(),
            issued: Mutex::new(None),
        };
        assert!(issuer.valid(now).is_none());
        let keys = Keys {
            id: Secret::new("id"),
            secret: Secret::new("secret"),
            token: None,
        };
        issuer.remember(Some((keys, now + TimeDelta::minutes(6))));
        assert!(issuer.valid(now).is_some());
        assert!(issuer.valid(now + TimeDelta::minutes(2)).is_none());
        let credentials = Credentials::Issued(issuer);
        assert!(credentials.renew());
        let Credentials::Issued(issuer) = credentials else {
            return;
        };
        assert!(issuer.valid(now).is_none());
    }
}
