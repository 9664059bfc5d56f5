//! The limit on each client's requests, as seen from outside.

use crate::api::problem;
use crate::support::app::App;
use crate::support::client::{Answer, Connection};

fn limited(variables: &[(&str, &str)]) -> App {
    let mut all = vec![
        ("DATABASE_URL", "sqlite::memory:"),
        ("HELLO_RATE_LIMIT", "3/h"),
    ];
    all.extend(variables);
    App::ready(&all)
}

fn from(app: &App, name: &str, value: &str) -> Answer {
    app.request("GET", "/hello/alice", &[(name, value)], b"")
}

#[test]
fn clients_are_not_limited_by_default() {
    let app = App::ready(&[("DATABASE_URL", "sqlite::memory:")]);
    let mut connection = Connection::open(app.api);
    for _ in 0..2000 {
        let answer = connection.request("GET", "/hello/alice", &[], b"");
        assert_eq!(answer.status, 404);
    }
}

#[test]
fn too_many_requests_are_refused_on_every_path_and_connection() {
    let app = limited(&[]);
    assert_eq!(app.put_date("/hello/alice", "1990-01-01").status, 204);
    assert_eq!(app.get("/docs").status, 200);
    let mut connection = Connection::open(app.api);
    let mut get = |target: &str| connection.request("GET", target, &[], b"");
    assert_eq!(get("/hello/alice").status, 200);
    for target in ["/hello/alice", "/docs", "/nowhere"] {
        let answer = get(target);
        problem(&answer, 429, "too-many-requests");
        let wait: u32 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1100..=1200).contains(&wait), "{wait}");
    }
    // A refused write changes nothing.
    let answer = app.put_date("/hello/bob", "1990-01-01");
    problem(&answer, 429, "too-many-requests");
    // The admin listener has no limit.
    for _ in 0..5 {
        assert_eq!(app.admin("/readyz").status, 200);
    }
    let metrics = app.admin("/metrics");
    assert!(metrics.text().contains("status=\"429\""));
}

#[test]
fn a_client_is_answered_again_after_retry_after() {
    let app = limited(&[
        ("HELLO_RATE_LIMIT", "60/m"),
        ("HELLO_RATE_LIMIT_BURST", "1"),
    ]);
    let refused = (0..100)
        .map(|_| app.get("/hello/alice"))
        .find(|answer| answer.status == 429)
        .unwrap();
    assert_eq!(refused.header("retry-after"), Some("1"));
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(app.get("/hello/alice").status, 404);
}

#[test]
fn forwarded_headers_of_untrusted_peers_are_ignored() {
    let app = limited(&[("HELLO_TRUSTED_PROXIES", "192.0.2.0/24")]);
    let mut statuses = Vec::new();
    for number in 0..6 {
        let address = format!("198.51.100.{number}");
        statuses.push(from(&app, "x-forwarded-for", &address).status);
    }
    assert_eq!(statuses, [404, 404, 404, 429, 429, 429]);
    let answer = from(&app, "forwarded", "for=198.51.100.9");
    problem(&answer, 429, "too-many-requests");
}

#[test]
fn clients_behind_a_trusted_proxy_differ_by_the_address_it_adds() {
    let app = limited(&[("HELLO_TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8")]);
    let status = |value: &str| from(&app, "x-forwarded-for", value).status;
    for number in 0..3 {
        // The client sends another false address each time; the proxies add the real ones.
        let value = format!("1.1.1.{number}, 198.51.100.1, 10.1.1.1");
        assert_eq!(status(&value), 404);
    }
    assert_eq!(status("1.1.1.9, 198.51.100.1, 10.1.1.1"), 429);
    assert_eq!(status("198.51.100.1:4711"), 429);
    assert_eq!(status("198.51.100.2"), 404);
    // One network of IPv6 is one client.
    for number in 1..=3 {
        assert_eq!(status(&format!("2001:db8::{number}")), 404);
    }
    assert_eq!(status("2001:db8::ffff"), 429);
    assert_eq!(status("2001:db8:0:1::1"), 404);
    // A header that the proxies do not write comes from the client.
    let mut statuses = Vec::new();
    for number in 0..4 {
        let value = format!("for=198.51.100.{number}");
        statuses.push(from(&app, "forwarded", &value).status);
    }
    assert_eq!(statuses, [404, 404, 404, 429]);
}

#[test]
fn the_standard_header_is_read_when_it_is_configured() {
    let app = limited(&[
        ("HELLO_TRUSTED_PROXIES", "127.0.0.1"),
        ("HELLO_FORWARDED_HEADER", "forwarded"),
    ]);
    for _ in 0..3 {
        assert_eq!(from(&app, "forwarded", "for=198.51.100.1").status, 404);
    }
    // An unclosed quote does not hide what the proxy has added.
    let answer = from(&app, "forwarded", "for=\"1.1.1.1, for=198.51.100.1");
    problem(&answer, 429, "too-many-requests");
    assert_eq!(
        from(&app, "forwarded", "for=\"[2001:db8::1]:80\"").status,
        404
    );
}
