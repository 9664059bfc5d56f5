//! What must hold for any bytes sent as a token, or received as the keys of an issuer. The targets in
//! `fuzz` look for counter-examples.

use std::sync::LazyLock;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use jsonwebtoken::DecodingKey;

use super::algorithm::Algorithm;
use super::bearer::bearer_token;
use super::keys::KeySet;
use super::oidc::{OidcConfig, Reads};
use super::token::Rules;
use super::{MAX_TOKEN, ring_provider};

/// The public key of an example in RFC 8037.
const KEY: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

static RULES: LazyLock<Option<(Rules, DecodingKey)>> = LazyLock::new(|| {
    ring_provider::install();
    let rules = Rules::new(&OidcConfig {
        issuer: "https://id.example".into(),
        issuer_url: "https://id.example".parse().ok()?,
        audiences: vec!["hello".into()],
        username_claim: "sub".into(),
        clients: Vec::new(),
        admin_scope: Some("hello:admin".into()),
        admin_claim: Some("realm_access.roles".into()),
        reads: Reads::Own,
        algorithms: vec![Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa],
        leeway: Duration::from_secs(60),
        ca_file: None,
        allow_http: false,
    });
    Some((rules, DecodingKey::from_ed_components(KEY).ok()?))
});

/// A token: one that the key has not signed is never valid, and one that is too long is not checked.
pub fn token(bytes: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(bytes) else {
        return;
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, value);
    let Ok(token) = bearer_token(&headers) else {
        return;
    };
    assert!(token.len() <= MAX_TOKEN);
    let Some((rules, key)) = &*RULES else {
        panic!("the rules themselves are wrong");
    };
    if let Ok(header) = rules.header(token) {
        assert!(header.crit.is_none());
        assert!(
            rules.verify(token, &header, key).is_err(),
            "a forged token is valid"
        );
    }
}

/// A key set: one that is accepted holds keys.
pub fn keys(bytes: &[u8]) {
    if let Ok(keys) = KeySet::parse(bytes, &[Algorithm::Ps256, Algorithm::Es384]) {
        assert!(keys.len() > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_hold_of_good_and_bad_tokens() {
        for text in [
            "Bearer eyJhbGciOiJFZERTQSJ9.e30.AA",
            "Bearer eyJhbGciOiJub25lIn0.e30.",
            "Bearer",
            "Basic YTpi",
            "\n",
        ] {
            token(text.as_bytes());
        }
        keys(b"{\"keys\":[]}");
        keys(b"\xff");
        let own = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"{KEY}"}}]}}"#);
        assert!(KeySet::parse(own.as_bytes(), &[Algorithm::EdDsa]).is_ok());
        keys(own.as_bytes());
    }
}
