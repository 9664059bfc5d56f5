//! Authorization of writes with a real issuer: which tokens are accepted, and how keys are handled.

mod access;
mod keys;
mod tokens;

use serde_json::{Value, json};

use crate::support::app::{App, JSON};
use crate::support::client::Answer;
use crate::support::issuer::Issuer;
use crate::support::signing::{SigningKey, from_now, shared_rsa};

/// Audience of the tokens.
const AUDIENCE: &str = "hello";

/// A service that trusts an issuer.
struct Guarded {
    app: App,
    issuer: Issuer,
    _folder: tempfile::TempDir,
}

impl Guarded {
    /// With the keys of the issuer in memory.
    fn start(keys: Vec<Value>, variables: &[(&str, &str)]) -> Self {
        let guarded = Self::with(Issuer::start(keys), variables);
        guarded.wait_for_keys();
        guarded
    }

    fn with(issuer: Issuer, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = format!("sqlite://{}", folder.path().join("hello.db").display());
        let mut all = vec![
            ("DATABASE_URL", database.as_str()),
            ("HELLO_OIDC_ISSUER", issuer.url.as_str()),
            ("HELLO_OIDC_AUDIENCE", AUDIENCE),
            ("HELLO_LOG_LEVEL", "trace"),
        ];
        all.extend(variables);
        Self {
            app: App::ready(&all),
            issuer,
            _folder: folder,
        }
    }

    fn wait_for_keys(&self) {
        let got = || self.metric("hello_oidc_keys") > 0;
        let deadline = crate::support::LONG;
        crate::support::eventually("the issuer's keys are there", deadline, got);
    }

    /// The value of the metric whose line begins with this.
    fn metric(&self, name: &str) -> u64 {
        let metrics = self.app.admin("/metrics");
        let value = |line: &str| line.strip_prefix(name)?.trim().parse().ok();
        metrics.text().lines().find_map(value).unwrap_or(0)
    }

    fn send(&self, method: &str, target: &str, token: &str) -> Answer {
        let authorization = format!("Bearer {token}");
        self.send_with(method, target, &authorization)
    }

    fn send_with(&self, method: &str, target: &str, authorization: &str) -> Answer {
        let headers = [JSON, ("authorization", authorization)];
        self.app.request(method, target, &headers, BODY)
    }

    /// Whether the token allows a write of alice.
    fn accepts(&self, token: &str) -> bool {
        let answer = self.send("PUT", "/hello/alice", token);
        assert!([204, 401].contains(&answer.status), "{answer:?}");
        answer.status == 204
    }
}

const BODY: &[u8] = br#"{"dateOfBirth":"1990-04-23"}"#;

/// The issuer's claims about alice, valid for an hour.
fn claims(issuer: &Issuer) -> Value {
    claims_of(issuer, "alice")
}

fn claims_of(issuer: &Issuer, name: &str) -> Value {
    json!({"iss": issuer.url, "aud": AUDIENCE, "sub": name, "exp": from_now(3600)})
}

/// Claims with one of them changed, or removed when it is null.
fn changed(claims: &Value, name: &str, value: Value) -> Value {
    let mut claims = claims.clone();
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(name);
    } else {
        claims[name] = value;
    }
    claims
}

/// One key of each kind.
struct KeyRing {
    rsa: &'static SigningKey,
    ec: SigningKey,
    ed: SigningKey,
}

impl KeyRing {
    fn new() -> Self {
        Self {
            rsa: shared_rsa(),
            ec: SigningKey::ec(),
            ed: SigningKey::ed(),
        }
    }

    fn public(&self) -> Vec<Value> {
        vec![self.rsa.jwk("rsa"), self.ec.jwk("ec"), self.ed.jwk("ed")]
    }
}
