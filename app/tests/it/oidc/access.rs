//! Tokens of other issuers' habits, and who may read.

use serde_json::{Value, json};

use super::{BODY, Guarded, KeyRing, changed, claims, claims_of};
use crate::api::problem;
use crate::support::app::JSON;
use crate::support::signing::{SigningKey, shared_rsa};

#[test]
fn each_algorithm_that_is_listed_is_accepted() {
    let (rsa, ec) = (shared_rsa(), SigningKey::ec384());
    let without = |name: &str, mut key: Value| {
        key.as_object_mut().unwrap().remove(name);
        key
    };
    for algorithm in ["RS384", "RS512", "PS256", "PS384", "PS512"] {
        let mut named = rsa.jwk("named");
        named["alg"] = json!(algorithm);
        let unnamed = without("alg", rsa.jwk("unnamed"));
        let service = Guarded::start(
            vec![named, unnamed],
            &[("HELLO_OIDC_ALGORITHMS", &format!("{algorithm},RS256"))],
        );
        let good = claims(&service.issuer);
        for id in ["named", "unnamed"] {
            assert!(
                service.accepts(&rsa.rsa_token(algorithm, id, &good)),
                "{algorithm}"
            );
            // A key is for one algorithm, although the list has both.
            assert!(
                !service.accepts(&rsa.rsa_token("RS256", id, &good)),
                "{algorithm}"
            );
        }
    }
    let service = Guarded::start(vec![ec.jwk("ec")], &[("HELLO_OIDC_ALGORITHMS", "ES384")]);
    assert!(service.accepts(&ec.token("ec", &claims(&service.issuer))));
    let other = SigningKey::ec384().token("ec", &claims(&service.issuer));
    assert!(!service.accepts(&other));
}

#[test]
fn tokens_without_an_audience_are_known_by_their_client() {
    let keys = KeyRing::new();
    let service = Guarded::start(keys.public(), &[("HELLO_OIDC_CLIENT_ID", "web,phone")]);
    let accepts = |aud: Value, name: &str, client: Value| {
        let claims = changed(&claims(&service.issuer), "aud", aud);
        service.accepts(&keys.rsa.token("rsa", &changed(&claims, name, client)))
    };
    assert!(accepts(Value::Null, "client_id", json!("web")));
    assert!(accepts(Value::Null, "azp", json!("phone")));
    assert!(accepts(json!("hello"), "azp", json!("else")));
    assert!(!accepts(Value::Null, "client_id", json!("else")));
    assert!(!accepts(json!("else"), "client_id", json!("web")));
    assert!(!accepts(Value::Null, "x", json!("web")));
    let plain = Guarded::start(keys.public(), &[]);
    let claims = changed(&claims(&plain.issuer), "aud", Value::Null);
    let claims = changed(&claims, "client_id", json!("hello"));
    assert!(!plain.accepts(&keys.rsa.token("rsa", &claims)));
}

#[test]
fn an_admin_is_known_by_the_claim_that_is_configured() {
    let keys = KeyRing::new();
    let service = Guarded::start(
        keys.public(),
        &[
            ("HELLO_OIDC_ADMIN_SCOPE", "admin"),
            ("HELLO_OIDC_ADMIN_CLAIM", "realm_access.roles"),
        ],
    );
    let status = |claim: &str, value: Value| {
        let claims = changed(&claims_of(&service.issuer, "root"), claim, value);
        let token = keys.ec.token("ec", &claims);
        service.send("PUT", "/hello/alice", &token).status
    };
    assert_eq!(
        status("realm_access", json!({"roles": ["user", "admin"]})),
        204
    );
    assert_eq!(status("realm_access", json!({"roles": ["user"]})), 403);
    assert_eq!(status("roles", json!(["admin"])), 403);
    assert_eq!(status("scope", json!("admin")), 403);
}

#[test]
fn a_refusal_says_what_was_expected() {
    let keys = KeyRing::new();
    let service = Guarded::start(keys.public(), &[("HELLO_OIDC_ADMIN_SCOPE", "hello:admin")]);
    let good = claims(&service.issuer);
    let refusal = |token: &str| {
        let answer = service.send("PUT", "/hello/alice", token);
        problem(&answer, 401, "unauthorized");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        let challenge = answer.header("www-authenticate").unwrap().to_owned();
        let quoted = format!(r#", error="invalid_token", error_description="{detail}""#);
        assert!(challenge.ends_with(&quoted), "{challenge}");
        detail
    };
    let signed = |name: &str, value: Value| keys.rsa.token("rsa", &changed(&good, name, value));
    assert_eq!(
        refusal(&signed("aud", json!("other"))),
        "The token is for another audience; expected: hello"
    );
    assert_eq!(
        refusal(&signed("iss", json!("https://id.example"))),
        format!(
            "The token is of another issuer; expected: {}",
            service.issuer.url
        )
    );
    let header = json!({"alg": "RS512", "kid": "rsa"});
    assert_eq!(
        refusal(&keys.rsa.token_with(&header, &good)),
        "The algorithm is not allowed; expected: RS256, ES256, EdDSA"
    );
    let header = json!({"alg": "RS256", "kid": "rsa", "typ": "logout+jwt"});
    assert_eq!(
        refusal(&keys.rsa.token_with(&header, &good)),
        "The type of the token is neither JWT nor at+jwt"
    );
    let header = json!({"alg": "RS256", "kid": "rsa", "typ": "at+jwt"});
    assert!(service.accepts(&keys.rsa.token_with(&header, &good)));
    let bob = keys.rsa.token("rsa", &claims_of(&service.issuer, "bob"));
    let answer = service.send("PUT", "/hello/alice", &bob);
    problem(&answer, 403, "forbidden");
    assert_eq!(
        answer.header("www-authenticate").unwrap(),
        r#"Bearer realm="hello", error="insufficient_scope", scope="hello:admin""#
    );
    assert_eq!(
        answer.json()["detail"],
        "The token needs the user of the path in the claim sub, or the scope hello:admin."
    );
}

/// What shows something about users, with the user in its path.
const READS: [(&str, Option<&str>); 6] = [
    ("/hello/alice", Some("alice")),
    ("/users", None),
    ("/users?birthdayWithin=366", None),
    ("/users/alice/friends", Some("alice")),
    ("/users/alice/friends/birthdays", Some("alice")),
    ("/users/alice/friends/bob", Some("alice")),
];

#[test]
fn reads_are_for_whom_the_configuration_says() {
    let keys = KeyRing::new();
    for reads in ["everybody", "authenticated", "own"] {
        let service = Guarded::start(
            keys.public(),
            &[
                ("HELLO_OIDC_READS", reads),
                ("HELLO_OIDC_ADMIN_SCOPE", "admin"),
            ],
        );
        let token = |name: &str| keys.rsa.token("rsa", &claims_of(&service.issuer, name));
        let (alice, bob) = (token("alice"), token("bob"));
        let root = changed(&claims_of(&service.issuer, "root"), "scope", json!("admin"));
        let root = keys.rsa.token("rsa", &root);
        service.send("PUT", "/hello/alice", &alice);
        service.send("PUT", "/hello/bob", &bob);
        for (target, user) in READS {
            for method in ["GET", "HEAD"] {
                let status = |token: &str| service.send(method, target, token).status;
                let (anonymous, other, own) = match (reads, user) {
                    ("everybody", _) => (200, 200, 200),
                    ("authenticated", _) => (401, 200, 200),
                    (_, Some(_)) => (401, 403, 200),
                    (_, None) => (401, 403, 403),
                };
                let what = format!("{reads} {method} {target}");
                let without = service.app.request(method, target, &[], b"");
                assert_eq!(without.status, anonymous, "{what}");
                assert_eq!(status(&bob), other, "{what}");
                assert_eq!(status(&alice), own, "{what}");
                assert_eq!(status(&root), 200, "{what}");
                let forged = status("a.b.c");
                assert_eq!(
                    forged,
                    if reads == "everybody" { 200 } else { 401 },
                    "{what}"
                );
            }
        }
        // Pages, and what a browser asks first, show nothing about anybody.
        for target in ["/", "/docs", "/openapi.json", "/problems"] {
            assert_eq!(service.app.get(target).status, 200, "{target}");
        }
        let options = service.app.request("OPTIONS", "/hello/alice", &[], b"");
        assert_eq!(options.status, 204);
        // Writes are as ever.
        let write = service.app.request("PUT", "/hello/alice", &[JSON], BODY);
        assert_eq!(write.status, 401);
        assert_eq!(service.send("PUT", "/hello/alice", &bob).status, 403);
    }
}
