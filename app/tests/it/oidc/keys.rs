//! How the issuer's keys are fetched, kept and replaced.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{BODY, Guarded, KeyRing, claims};
use crate::api::problem;
use crate::support::app::JSON;
use crate::support::eventually;
use crate::support::issuer::{Behaviour, Issuer};
use crate::support::signing::SigningKey;

/// Longest time until keys are loaded once the issuer is available.
const RECOVERY: Duration = crate::support::LONG;

#[test]
fn new_keys_are_used_at_once_and_old_ones_dropped() {
    let (old, new) = (SigningKey::ed(), SigningKey::ec());
    let service = Guarded::start(vec![old.jwk("1")], &[]);
    let claims = claims(&service.issuer);
    assert!(service.accepts(&old.token("1", &claims)));
    service.issuer.rotate(vec![new.jwk("2")]);
    assert!(service.accepts(&old.token("1", &claims)), "still in memory");
    assert!(service.accepts(&new.token("2", &claims)), "fetched");
    assert!(!service.accepts(&old.token("1", &claims)), "gone");
    assert_eq!(service.issuer.fetches(), 2);
}

#[test]
fn requests_that_come_while_new_keys_are_fetched_wait_for_them() {
    let (old, new) = (SigningKey::ed(), SigningKey::ed());
    let service = Guarded::start(vec![old.jwk("1")], &[]);
    service.issuer.rotate(vec![old.jwk("1"), new.jwk("2")]);
    let token = new.token("2", &claims(&service.issuer));
    std::thread::scope(|scope| {
        let write = || service.accepts(&token);
        let all: Vec<_> = (0..16).map(|_| scope.spawn(write)).collect();
        for one in all {
            assert!(one.join().unwrap());
        }
    });
    assert_eq!(service.issuer.fetches(), 2);
}

#[test]
fn unknown_key_ids_cause_one_fetch_a_minute() {
    let keys = KeyRing::new();
    let service = Guarded::start(keys.public(), &[]);
    let claims = claims(&service.issuer);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (service, keys, claims) = (&service, &keys, &claims);
            scope.spawn(move || {
                for number in 0..50 {
                    let id = format!("{thread}-{number}");
                    assert!(!service.accepts(&keys.ed.token(&id, claims)));
                }
            });
        }
    });
    assert_eq!(service.issuer.fetches(), 2, "one at the start, one for all");
    assert!(service.accepts(&keys.ed.token("ed", &claims)));
}

#[test]
fn without_an_id_the_only_key_that_fits_is_used() {
    let keys = KeyRing::new();
    let service = Guarded::start(keys.public(), &[]);
    let header = json!({"alg": "ES256"});
    let token = keys.ec.token_with(&header, &claims(&service.issuer));
    assert!(service.accepts(&token));
    let two = Guarded::start(vec![keys.ec.jwk("1"), SigningKey::ec().jwk("2")], &[]);
    let token = keys.ec.token_with(&header, &claims(&two.issuer));
    assert!(!two.accepts(&token));
    assert_eq!(two.issuer.fetches(), 1, "nothing to fetch");
}

#[test]
fn the_keys_of_an_issuer_that_is_down_at_the_start_are_fetched_later() {
    let keys = KeyRing::new();
    let issuer = Issuer::start(keys.public());
    issuer.behave(Behaviour::Down);
    let service = Guarded::with(issuer, &[]);
    let token = keys.rsa.token("rsa", &claims(&service.issuer));
    let answer = service.send("PUT", "/hello/alice", &token);
    problem(&answer, 503, "issuer-unavailable");
    assert!(answer.header("retry-after").is_some());
    let without = service.app.request("PUT", "/hello/alice", &[JSON], BODY);
    problem(&without, 401, "unauthorized");
    let nonsense = service.send("PUT", "/hello/alice", "a.b.c");
    problem(&nonsense, 401, "unauthorized");
    assert_eq!(service.app.get("/users").status, 200);
    assert_eq!(service.app.admin("/readyz").status, 200);
    service.issuer.behave(Behaviour::Well);
    eventually("writing works", RECOVERY, || {
        service.send("PUT", "/hello/alice", &token).status == 204
    });
}

#[test]
fn keys_are_kept_while_the_issuer_is_unavailable_or_faulty() {
    let keys = KeyRing::new();
    for behaviour in [
        Behaviour::Down,
        Behaviour::Fails,
        Behaviour::Babbles,
        Behaviour::Empty,
        Behaviour::Huge,
        Behaviour::Cut,
        Behaviour::Redirects,
        Behaviour::Impostor,
    ] {
        let service = Guarded::start(keys.public(), &[]);
        let claims = claims(&service.issuer);
        service.issuer.behave(behaviour);
        let unknown = keys.ed.token("unknown", &claims);
        assert!(!service.accepts(&unknown), "{behaviour:?}");
        let failed = service.metric(r#"hello_oidc_key_refreshes_total{result="failed"}"#);
        assert_eq!(failed, 1, "{behaviour:?}");
        assert!(
            service.accepts(&keys.ed.token("ed", &claims)),
            "{behaviour:?}"
        );
        eventually("it is logged", RECOVERY, || {
            service.app.log().contains("cannot get the issuer's keys")
        });
    }
}

#[test]
fn an_issuer_that_hangs_delays_no_request_for_long() {
    let keys = KeyRing::new();
    let service = Guarded::start(keys.public(), &[]);
    let claims = claims(&service.issuer);
    service.issuer.behave(Behaviour::Hangs);
    let started = Instant::now();
    std::thread::scope(|scope| {
        let unknown = scope.spawn(|| service.accepts(&keys.ed.token("unknown", &claims)));
        assert!(service.accepts(&keys.ed.token("ed", &claims)));
        assert!(!unknown.is_finished(), "it waits for the issuer");
        assert!(!unknown.join().unwrap());
    });
    // The issuer goes on to hang.
    assert!(started.elapsed() < Duration::from_secs(25));
    assert!(!service.accepts(&keys.ed.token("unknown", &claims)));
    let failed = service.metric(r#"hello_oidc_key_refreshes_total{result="failed"}"#);
    assert_eq!(failed, 1, "not fetched again");
}

#[test]
fn an_issuer_with_a_certificate_of_its_own_is_trusted_by_file() {
    let keys = KeyRing::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let issuer = Issuer::start_tls(keys.public(), &file);
    let service = Guarded::with(issuer, &[("HELLO_OIDC_CA_FILE", file.to_str().unwrap())]);
    service.wait_for_keys();
    assert!(service.accepts(&keys.rsa.token("rsa", &claims(&service.issuer))));
    let untrusted = Guarded::with(Issuer::start_tls(keys.public(), &file), &[]);
    eventually("the certificate is refused", RECOVERY, || {
        untrusted.metric(r#"hello_oidc_key_refreshes_total{result="failed"}"#) > 0
    });
    let token = keys.rsa.token("rsa", &claims(&untrusted.issuer));
    let answer = untrusted.send("PUT", "/hello/alice", &token);
    problem(&answer, 503, "issuer-unavailable");
    eventually("the reason is logged", RECOVERY, || {
        untrusted.app.log().contains("invalid peer certificate")
    });
    assert_eq!(untrusted.issuer.fetches(), 0);
}

#[test]
fn neither_tokens_nor_names_are_logged_or_counted() {
    let keys = KeyRing::new();
    let service = Guarded::start(keys.public(), &[]);
    let claims = super::claims_of(&service.issuer, "confidentialname");
    let good = keys.rsa.token("rsa", &claims);
    let bad = keys.rsa.token("confidentialkey", &claims);
    let target = "/hello/confidentialname";
    assert_eq!(service.send("PUT", target, &good).status, 204);
    assert_eq!(service.send("PUT", "/hello/alice", &good).status, 403);
    assert_eq!(service.send("PUT", target, &bad).status, 401);
    eventually("the requests are logged", RECOVERY, || {
        service.app.log().contains(r#""status":401"#)
    });
    let (log, metrics) = (service.app.log(), service.app.admin("/metrics"));
    assert!(metrics.text().contains(r#"status="403""#));
    for text in [&log, metrics.text()] {
        assert!(!text.contains("confidential"), "{text}");
        for part in good.split('.').chain(bad.split('.')) {
            assert!(!text.contains(part), "{text}");
        }
    }
}
