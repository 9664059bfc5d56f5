//! Which tokens are accepted, and what they allow.

use ring::hmac;
use serde_json::{Value, json};

use super::{BODY, Guarded, KeyRing, changed, claims, claims_of};
use crate::api::problem;
use crate::support::app::JSON;
use crate::support::signing::{SigningKey, base64, from_now, signed};

#[test]
fn users_write_themselves_and_reads_stay_open() {
    let keys = KeyRing::new();
    let service = Guarded::start(keys.public(), &[]);
    let token = |name: &str| keys.rsa.token("rsa", &claims_of(&service.issuer, name));
    let (alice, bob) = (token("alice"), token("bob"));
    assert_eq!(service.send("PUT", "/hello/alice", &alice).status, 204);
    assert_eq!(service.send("PUT", "/hello/bob", &bob).status, 204);
    assert_eq!(service.send("PUT", "/hello/%61lice", &alice).status, 204);
    let friendship = "/users/alice/friends/bob";
    assert_eq!(service.send("PUT", friendship, &alice).status, 201);
    for (method, target) in [
        ("PUT", "/hello/alice"),
        ("DELETE", "/hello/alice"),
        ("PUT", "/hello/Bob"),
        ("PUT", friendship),
        ("DELETE", friendship),
    ] {
        let answer = service.send(method, target, &bob);
        problem(&answer, 403, "forbidden");
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.contains("insufficient_scope"), "{challenge}");
        let answer = service.app.request(method, target, &[JSON], BODY);
        problem(&answer, 401, "unauthorized");
        let challenge = answer.header("www-authenticate").unwrap();
        assert_eq!(challenge, r#"Bearer realm="hello""#);
    }
    for target in [
        "/hello/alice",
        "/users",
        "/users/alice/friends",
        friendship,
        "/users/alice/friends/birthdays",
        "/openapi.json",
        "/docs",
        "/",
    ] {
        assert_eq!(service.app.get(target).status, 200, "{target}");
        // No token is checked where none is needed.
        assert_eq!(service.send("GET", target, "a.b.c").status, 200, "{target}");
        let options = service.app.request("OPTIONS", target, &[], b"");
        assert_eq!(options.status, 204, "{target}");
    }
    assert_eq!(
        service.send("PUT", "/users/bob/friends/alice", &bob).status,
        200
    );
    assert_eq!(service.send("DELETE", friendship, &alice).status, 204);
    assert_eq!(service.send("DELETE", "/hello/alice", &alice).status, 204);
    assert_eq!(service.app.get("/hello/alice").status, 404);
}

#[test]
fn wrong_requests_are_answered_as_without_tokens() {
    let keys = KeyRing::new();
    let service = Guarded::start(keys.public(), &[]);
    let token = keys.ed.token("ed", &claims(&service.issuer));
    problem(
        &service.send("PUT", "/hello/a1", &token),
        400,
        "invalid-username",
    );
    problem(&service.send("PUT", "/nowhere", "a.b.c"), 404, "not-found");
    let post = service.send("POST", "/hello/alice", "a.b.c");
    problem(&post, 405, "method-not-allowed");
    let me = "/users/alice/friends/alice";
    problem(&service.send("PUT", me, &token), 400, "self-friendship");
    let authorization = format!("Bearer {token}");
    let headers = [JSON, ("authorization", authorization.as_str())];
    let answer = service.app.request("PUT", "/hello/alice", &headers, b"{}");
    problem(&answer, 400, "invalid-body");
}

#[test]
fn accepts_each_algorithm_and_only_those_that_are_allowed() {
    let keys = KeyRing::new();
    let service = Guarded::start(keys.public(), &[]);
    let narrow = Guarded::start(keys.public(), &[("HELLO_OIDC_ALGORITHMS", "ES256")]);
    for (id, key, also_narrow) in [
        ("rsa", keys.rsa, false),
        ("ec", &keys.ec, true),
        ("ed", &keys.ed, false),
    ] {
        assert!(
            service.accepts(&key.token(id, &claims(&service.issuer))),
            "{id}"
        );
        let token = key.token(id, &claims(&narrow.issuer));
        assert_eq!(narrow.accepts(&token), also_narrow, "{id}");
    }
}

#[test]
fn claims_are_verified() {
    let keys = KeyRing::new();
    let service = Guarded::start(keys.public(), &[]);
    let good = claims(&service.issuer);
    let accepts = |name: &str, value: Value| {
        service.accepts(&keys.rsa.token("rsa", &changed(&good, name, value)))
    };
    for (name, value) in [
        ("exp", json!(from_now(-30))),
        ("exp", json!(from_now(3600) as f64 + 0.5)),
        ("nbf", json!(from_now(30))),
        ("nbf", json!(from_now(-30))),
        ("aud", json!(["other", "hello"])),
        ("iat", json!(from_now(-30))),
    ] {
        assert!(accepts(name, value.clone()), "{name} {value}");
    }
    let url = &service.issuer.url;
    for (name, value) in [
        ("exp", json!(from_now(-90))),
        ("exp", json!("2099-01-01")),
        ("exp", json!(-1)),
        ("exp", json!(0)),
        ("exp", Value::Null),
        ("nbf", json!(from_now(90))),
        ("nbf", json!("soon")),
        ("aud", json!("other")),
        ("aud", json!("Hello")),
        ("aud", json!(["other"])),
        ("aud", json!([])),
        ("aud", json!({"hello": 1})),
        ("aud", Value::Null),
        ("iss", json!("https://id.example")),
        ("iss", json!(format!("{url}/"))),
        ("iss", json!([url])),
        ("iss", Value::Null),
    ] {
        assert!(!accepts(name, value.clone()), "{name} {value}");
    }
    let expired = changed(&good, "exp", json!(from_now(-90)));
    let answer = service.send("PUT", "/hello/alice", &keys.rsa.token("rsa", &expired));
    problem(&answer, 401, "unauthorized");
    let challenge = answer.header("www-authenticate").unwrap();
    assert_eq!(
        challenge,
        r#"Bearer realm="hello", error="invalid_token", error_description="The token has expired""#
    );
    let status = |name: Value| {
        let token = keys.rsa.token("rsa", &changed(&good, "sub", name));
        service.send("PUT", "/hello/alice", &token).status
    };
    for other in [Value::Null, json!(""), json!("a b"), json!("alic")] {
        assert_eq!(status(other.clone()), 403, "{other}");
    }
    for malformed in [json!(7), json!(["alice"])] {
        assert!(
            [401, 403].contains(&status(malformed.clone())),
            "{malformed}"
        );
    }
}

#[test]
fn signatures_are_verified() {
    let keys = KeyRing::new();
    let service = Guarded::start(keys.public(), &[]);
    let good = claims(&service.issuer);
    let token = keys.rsa.token("rsa", &good);
    assert!(service.accepts(&token));
    let parts: Vec<_> = token.split('.').collect();
    let header = |algorithm: &str, id: &str| json!({"alg": algorithm, "kid": id});
    let with_signature = |header: &Value, bytes: &[u8]| signed(header, &good, |_| bytes.into());
    let admin = changed(&good, "sub", json!("alice"));
    let mine = SigningKey::ed();
    let mut own_key = header("EdDSA", "ed");
    own_key["jwk"] = mine.jwk("ed");
    for (what, token) in [
        (
            "another payload",
            format!("{}.{}x.{}", parts[0], base64(admin.to_string()), parts[2]),
        ),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("no signature at all", format!("{}.{}", parts[0], parts[1])),
        ("a part too many", format!("{token}.{}", parts[2])),
        ("padding", format!("{token}==")),
        ("none", with_signature(&header("none", "rsa"), b"")),
        (
            "NONE, signed",
            keys.rsa.token_with(&header("NONE", "rsa"), &good),
        ),
        (
            "no algorithm",
            keys.rsa.token_with(&json!({"kid": "rsa"}), &good),
        ),
        ("zeroes", with_signature(&header("ES256", "ec"), &[0; 64])),
        ("another key of the same id", mine.token("ed", &good)),
        ("a key in the token", mine.token_with(&own_key, &good)),
        (
            "RS256 with the ES256 key",
            keys.ec.token_with(&header("RS256", "ec"), &good),
        ),
        (
            "ES256 with the RS256 key",
            keys.rsa.token_with(&header("ES256", "rsa"), &good),
        ),
        (
            "EdDSA with the ES256 key",
            keys.ec.token_with(&header("EdDSA", "ec"), &good),
        ),
        ("RS512", keys.rsa.token_with(&header("RS512", "rsa"), &good)),
        (
            "an extension",
            keys.rsa.token_with(
                &json!({"alg": "RS256", "kid": "rsa", "crit": ["exp"], "exp": 1}),
                &good,
            ),
        ),
    ] {
        assert!(!service.accepts(&token), "{what}");
    }
}

#[test]
fn a_public_key_is_not_accepted_as_an_hmac_secret() {
    let keys = KeyRing::new();
    let service = Guarded::start(keys.public(), &[]);
    let good = claims(&service.issuer);
    let jwk = keys.rsa.jwk("rsa");
    let modulus = jwk["n"].as_str().unwrap();
    for secret in [
        keys.rsa.public(),
        modulus.as_bytes(),
        jwk.to_string().as_bytes(),
        keys.ec.public(),
        b"",
    ] {
        for id in ["rsa", "ec", "ed"] {
            let header = json!({"alg": "HS256", "kid": id});
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
            let token = signed(&header, &good, |message| {
                hmac::sign(&key, message).as_ref().into()
            });
            assert!(!service.accepts(&token));
        }
    }
}

#[test]
fn only_one_bearer_token_of_bounded_size_is_read() {
    let keys = KeyRing::new();
    let service = Guarded::start(keys.public(), &[]);
    let good = claims(&service.issuer);
    let token = keys.rsa.token("rsa", &good);
    let long = changed(&good, "padding", json!("x".repeat(11_500)));
    assert!(service.accepts(&keys.rsa.token("rsa", &long)));
    let oversized = changed(&good, "padding", json!("x".repeat(13_000)));
    assert!(!service.accepts(&keys.rsa.token("rsa", &oversized)));
    let lower = format!("bearer {token}");
    assert_eq!(service.send_with("PUT", "/hello/alice", &lower).status, 204);
    for authorization in ["Bearer", "Bearer ", "Basic YWxpY2U6", &token, "Bearer a b"] {
        let answer = service.send_with("PUT", "/hello/alice", authorization);
        problem(&answer, 401, "unauthorized");
    }
    let bearer = format!("Bearer {token}");
    let twice = [
        ("authorization", bearer.as_str()),
        ("authorization", &bearer),
        JSON,
    ];
    let answer = service.app.request("PUT", "/hello/alice", &twice, BODY);
    problem(&answer, 401, "unauthorized");
}

#[test]
fn an_admin_scope_may_modify_every_user() {
    let keys = KeyRing::new();
    let service = Guarded::start(keys.public(), &[("HELLO_OIDC_ADMIN_SCOPE", "hello:admin")]);
    let status = |claim: &str, scope: Value| {
        let claims = changed(&claims_of(&service.issuer, "root"), claim, scope);
        service
            .send("PUT", "/hello/alice", &keys.ec.token("ec", &claims))
            .status
    };
    assert_eq!(status("scope", json!("openid hello:admin")), 204);
    assert_eq!(status("scp", json!(["hello:admin"])), 204);
    assert_eq!(status("scope", json!("openid hello:administrator")), 403);
    assert_eq!(status("roles", json!("hello:admin")), 403);
    let nameless = changed(&claims(&service.issuer), "sub", Value::Null);
    let nameless = changed(&nameless, "scope", json!("hello:admin"));
    assert!(service.accepts(&keys.ec.token("ec", &nameless)));
    // Without a configured scope, none does.
    let plain = Guarded::start(keys.public(), &[]);
    let claims = changed(
        &claims_of(&plain.issuer, "root"),
        "scope",
        json!("hello:admin"),
    );
    let answer = plain.send("PUT", "/hello/alice", &keys.ec.token("ec", &claims));
    problem(&answer, 403, "forbidden");
}

#[test]
fn the_claim_with_the_name_is_configured() {
    let keys = KeyRing::new();
    let service = Guarded::start(
        keys.public(),
        &[("HELLO_OIDC_USERNAME_CLAIM", "preferred_username")],
    );
    let status = |name: &str, target: &str| {
        let claims = claims_of(&service.issuer, "7f3c-42");
        let claims = changed(&claims, "preferred_username", json!(name));
        service
            .send("PUT", target, &keys.ed.token("ed", &claims))
            .status
    };
    assert_eq!(status("alice", "/hello/alice"), 204);
    assert_eq!(status("Alice", "/hello/alice"), 403);
    // A path may be composed or decomposed: it names the same user.
    assert_eq!(status("Jos\u{e9}", "/hello/Jos%C3%A9"), 204);
    assert_eq!(status("Jos\u{e9}", "/hello/Jose%CC%81"), 204);
    // To the issuer, these are other accounts than that of the composed name.
    for other in ["Jose\u{301}", "Jos\u{e9} ", "jos\u{e9}", "Jos%C3%A9"] {
        assert_eq!(status(other, "/hello/Jos%C3%A9"), 403, "{other}");
        assert_eq!(status(other, "/hello/Jose%CC%81"), 403, "{other}");
    }
    // The sign for ångström is never in NFC.
    assert_eq!(status("\u{212b}", "/hello/%E2%84%AB"), 403);
    assert_eq!(status("\u{c5}", "/hello/%E2%84%AB"), 204);
    let token = keys.ed.token("ed", &claims(&service.issuer));
    problem(
        &service.send("PUT", "/hello/alice", &token),
        403,
        "forbidden",
    );
}
