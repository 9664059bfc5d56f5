//! Tokens that must never be valid. Those with real signatures are in the integration tests.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::json;
use std::time::Duration;

use super::*;

/// A configuration to vary.
pub fn config() -> OidcConfig {
    OidcConfig {
        issuer: "https://id.example".into(),
        issuer_url: "https://id.example".parse().unwrap(),
        audiences: vec!["hello".into()],
        username_claim: "sub".into(),
        clients: Vec::new(),
        admin_scope: Some("hello:admin".into()),
        admin_claim: None,
        reads: crate::auth::Reads::Everybody,
        algorithms: vec![Algorithm::Rs256, Algorithm::EdDsa],
        leeway: Duration::from_secs(60),
        ca_file: None,
        allow_http: false,
    }
}

fn with_header(header: &Value) -> String {
    let header = URL_SAFE_NO_PAD.encode(header.to_string());
    format!("{header}.e30.AA")
}

fn refusal(token: &str) -> String {
    match Rules::new(&config()).header(token) {
        Err(Refusal::InvalidToken(reason)) => reason.into_owned(),
        _ => panic!("{token} may be valid"),
    }
}

#[test]
fn takes_the_algorithms_of_the_list_alone() {
    let rules = Rules::new(&config());
    for allowed in ["RS256", "EdDSA"] {
        assert!(rules.header(&with_header(&json!({"alg": allowed}))).is_ok());
    }
    for known in ["HS256", "ES256", "RS512", "PS256"] {
        let reason = refusal(&with_header(&json!({"alg": known})));
        assert_eq!(
            reason, "The algorithm is not allowed; expected: RS256, EdDSA",
            "{known}"
        );
    }
    for unknown in ["none", "None", "rs256", "", "RS256 "] {
        let reason = refusal(&with_header(&json!({"alg": unknown})));
        assert_eq!(reason, NOT_A_TOKEN, "{unknown}");
    }
}

#[test]
fn refuses_what_it_does_not_understand() {
    for token in ["", ".", "..", "...", "a.b", "a.b.c.d", "e30.e30.AA"] {
        assert_eq!(refusal(token), NOT_A_TOKEN, "{token}");
    }
    for header in [
        json!({}),
        json!([]),
        json!("RS256"),
        json!({"alg": ["RS256"]}),
        json!({"alg": "RS256", "kid": 1}),
        json!({"alg": "RS256", "crit": "b64"}),
    ] {
        assert_eq!(refusal(&with_header(&header)), NOT_A_TOKEN, "{header}");
    }
    let critical = with_header(&json!({"alg": "RS256", "crit": ["b64"], "b64": false}));
    assert_eq!(refusal(&critical), "The token asks for an extension");
}

#[test]
fn deep_nesting_is_refused() {
    let header = format!(r#"{{"alg":"RS256","x":{}"#, "[".repeat(4000));
    let token = format!("{}.e30.AA", URL_SAFE_NO_PAD.encode(header));
    assert_eq!(refusal(&token), NOT_A_TOKEN);
}

#[test]
fn scopes_are_words_or_a_list() {
    let has = |claims: Value| has_scope(claims.as_object().unwrap(), None, "hello:admin");
    assert!(has(json!({"scope": "openid hello:admin"})));
    assert!(has(json!({"scp": ["openid", "hello:admin"]})));
    assert!(has(json!({"scp": "hello:admin"})));
    for without in [
        json!({}),
        json!({"scope": "hello:admins"}),
        json!({"scope": "hello: admin"}),
        json!({"scope": {"hello:admin": true}}),
        json!({"scp": [["hello:admin"]]}),
        json!({"scope": "Hello:admin"}),
    ] {
        assert!(!has(without.clone()), "{without}");
    }
}

#[test]
fn the_claim_with_the_scope_may_be_anywhere() {
    let claims = json!({
        "roles": ["writer", "hello:admin"],
        "realm_access": {"roles": ["hello:admin"], "other": {"deep": "a hello:admin"}},
        "permissions": "hello:admin",
        "https://hello.example/roles": ["hello:admin"],
        "resource_access": {"my.client": {"roles": ["hello:admin"]}},
        "spaced": ["a hello:admin"],
        "number": 7,
    });
    let has = |path| has_scope(claims.as_object().unwrap(), Some(path), "hello:admin");
    for path in [
        "roles",
        "realm_access.roles",
        "realm_access.other.deep",
        "permissions",
        "https://hello.example/roles",
    ] {
        assert!(has(path), "{path}");
    }
    for path in [
        "",
        ".",
        "roles.0",
        "realm_access",
        "realm_access.",
        "scope",
        "spaced",
        "number",
        "Roles",
    ] {
        assert!(!has(path), "{path}");
    }
    // `scope` does not count where another claim is named.
    let scoped = json!({"scope": "hello:admin"});
    assert!(!has_scope(
        scoped.as_object().unwrap(),
        Some("roles"),
        "hello:admin"
    ));
}

#[test]
fn only_tokens_that_give_access_are_read() {
    let rules = Rules::new(&config());
    for media in ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt"] {
        let token = with_header(&json!({"alg": "RS256", "typ": media}));
        assert!(rules.header(&token).is_ok(), "{media}");
    }
    for media in [
        "",
        "logout+jwt",
        "dpop+jwt",
        "secevent+jwt",
        "JOSE",
        "at",
        "at+jwt ",
    ] {
        let reason = refusal(&with_header(&json!({"alg": "RS256", "typ": media})));
        assert_eq!(
            reason, "The type of the token is neither JWT nor at+jwt",
            "{media}"
        );
    }
}

#[test]
fn a_token_is_for_an_audience_or_given_to_a_client() {
    let check = |audiences: &[&str], clients: &[&str], claims: Value| {
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
        let config = OidcConfig {
            audiences: names(audiences),
            clients: names(clients),
            ..config()
        };
        let outcome = Rules::new(&config).check_audience(claims.as_object().unwrap());
        outcome.err().map(|refusal| match refusal {
            Refusal::InvalidToken(reason) => reason.into_owned(),
            other => panic!("{other:?}"),
        })
    };
    for (audiences, clients, claims) in [
        (&["a", "b"][..], &[][..], json!({"aud": "b"})),
        (&["a"], &[], json!({"aud": ["x", "a"], "azp": "x"})),
        (&[], &["c"], json!({"client_id": "c"})),
        (&[], &["c"], json!({"azp": "c", "aud": "account"})),
        (&["a"], &["c"], json!({"client_id": "c"})),
        (&["a"], &["c"], json!({"aud": "a", "client_id": "x"})),
    ] {
        assert_eq!(check(audiences, clients, claims.clone()), None, "{claims}");
    }
    for (audiences, clients, claims) in [
        (&["a"][..], &[][..], json!({"client_id": "a"})),
        (&["a"], &[], json!({"aud": {"a": 1}})),
        (&["a"], &["c"], json!({"aud": "x", "client_id": "c"})),
        (&["a"], &["c"], json!({"aud": [], "azp": "c"})),
        (&["a"], &["c"], json!({"azp": "a"})),
        (&[], &["c"], json!({"aud": "c"})),
        (&[], &["c"], json!({"client_id": ["c"]})),
        (&[], &["c"], json!({"client_id": "x", "azp": "c"})),
        (&[], &["c"], json!({})),
    ] {
        let reason = check(audiences, clients, claims.clone()).unwrap_or_default();
        assert!(reason.contains("; expected: "), "{claims} {reason}");
    }
    assert_eq!(
        check(&["a\"b"], &["c"], json!({})).unwrap(),
        "The token is for another audience; expected: a?b, or the client c"
    );
}

#[test]
fn algorithms_are_named_as_in_tokens() {
    assert!("RS256".parse() == Ok(Algorithm::Rs256));
    assert!("ES256".parse() == Ok(Algorithm::Es256));
    assert!("EdDSA".parse() == Ok(Algorithm::EdDsa));
    for more in ["RS384", "RS512", "PS256", "PS384", "PS512", "ES384"] {
        let algorithm = jsonwebtoken::Algorithm::from(more.parse::<Algorithm>().unwrap());
        assert_eq!(format!("{algorithm:?}"), more);
    }
    for refused in ["HS256", "none", "", "rs256", "ES512", "ED", "EDDSA"] {
        assert!(refused.parse::<Algorithm>().is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn the_header_parser_never_panics(token in ".{0,200}") {
        prop_assert!(Rules::new(&config()).header(&token).is_err());
    }

    #[test]
    fn nor_on_bytes_in_the_right_shape(
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..5),
    ) {
        let parts: Vec<_> = parts.iter().map(|part| URL_SAFE_NO_PAD.encode(part)).collect();
        let _ = Rules::new(&config()).header(&parts.join("."));
    }

    #[test]
    fn nor_on_json(
        algorithm in "RS256|EdDSA|HS256|none|.{0,5}",
        name in "kid|crit|jwk|typ|x5c|zip|.{0,5}",
        value in prop_oneof![
            any::<i64>().prop_map(Value::from),
            ".{0,20}".prop_map(Value::from),
            prop::collection::vec(".{0,5}", 0..3).prop_map(Value::from),
            Just(Value::Null),
            Just(json!({"kty": "RSA"})),
        ],
    ) {
        let mut header = json!({ "alg": algorithm });
        header[name.as_str()] = value;
        if let Ok(header) = Rules::new(&config()).header(&with_header(&header)) {
            prop_assert!(matches!(
                header.alg,
                jsonwebtoken::Algorithm::RS256 | jsonwebtoken::Algorithm::EdDSA
            ));
            prop_assert!(header.crit.is_none());
        }
    }
}
