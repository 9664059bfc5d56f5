//! Friendships on both stores: which changes are allowed, and their effects.

use chrono::{Days, Utc};
use serde_json::{Value, json};

use crate::api::{on_both_stores, problem};
use crate::support::app::{App, status_at_last};
use crate::support::client::{Answer, Connection};

on_both_stores!(
    asks_and_accepts,
    asking_again_changes_nothing,
    either_side_may_end_it,
    a_friendship_with_oneself_is_refused,
    unknown_users_have_no_friends,
    a_deleted_user_has_no_friendships_left,
    lists_friends_in_pages,
    lists_friends_birthdays,
    racing_requests_become_one_friendship,
    refuses_wrong_requests,
    a_friend_may_have_the_name_birthdays,
);

fn put_users(app: &App, names: &[&str]) {
    for name in names {
        assert_eq!(
            app.put_date(&format!("/hello/{name}"), "1990-01-01").status,
            204,
            "{name}"
        );
    }
}

fn target(user: &str, friend: &str) -> String {
    format!("/users/{user}/friends/{friend}")
}

fn ask(app: &App, user: &str, friend: &str) -> Answer {
    app.request("PUT", &target(user, friend), &[], b"")
}

fn end(app: &App, user: &str, friend: &str) -> u16 {
    app.request("DELETE", &target(user, friend), &[], b"")
        .status
}

/// The relation of two users, the same whoever is named first.
fn between(app: &App, user: &str, friend: &str) -> Value {
    let answer = app.get(&target(user, friend));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json(), app.get(&target(friend, user)).json());
    answer.json()
}

fn pending(by: &str) -> Value {
    json!({"state": "pending", "requestedBy": by})
}

fn accepted(by: &str) -> Value {
    json!({"state": "accepted", "requestedBy": by})
}

fn asks_and_accepts(app: &App) {
    // In both orders of names.
    put_users(app, &["alice", "bob", "Jos%C3%A9"]);
    assert_eq!(between(app, "alice", "bob"), json!({"state": "none"}));
    let answer = ask(app, "alice", "bob");
    assert_eq!((answer.status, answer.json()), (201, pending("alice")));
    assert_eq!(between(app, "alice", "bob"), pending("alice"));
    let answer = ask(app, "bob", "alice");
    assert_eq!((answer.status, answer.json()), (200, accepted("alice")));
    assert_eq!(between(app, "alice", "bob"), accepted("alice"));

    let answer = ask(app, "bob", "Jose%CC%81");
    assert_eq!((answer.status, answer.json()), (201, pending("bob")));
    let answer = ask(app, "Jos%C3%A9", "bob");
    assert_eq!((answer.status, answer.json()), (200, accepted("bob")));
}

fn asking_again_changes_nothing(app: &App) {
    put_users(app, &["alice", "bob"]);
    assert_eq!(ask(app, "bob", "alice").status, 201);
    // Repeating a request does not accept it.
    for _ in 0..2 {
        let answer = ask(app, "bob", "alice");
        assert_eq!((answer.status, answer.json()), (200, pending("bob")));
    }
    ask(app, "alice", "bob");
    for (user, friend) in [("alice", "bob"), ("bob", "alice")] {
        let answer = ask(app, user, friend);
        assert_eq!((answer.status, answer.json()), (200, accepted("bob")));
    }
}

fn either_side_may_end_it(app: &App) {
    put_users(app, &["alice", "bob"]);
    assert_eq!(end(app, "alice", "bob"), 204, "nothing was there");
    // Withdrawn, declined, and ended by either.
    for (accepts, ends) in [
        (false, "alice"),
        (false, "bob"),
        (true, "alice"),
        (true, "bob"),
    ] {
        assert_eq!(ask(app, "alice", "bob").status, 201);
        if accepts {
            assert_eq!(ask(app, "bob", "alice").status, 200);
        }
        let other = if ends == "alice" { "bob" } else { "alice" };
        assert_eq!(end(app, ends, other), 204);
        assert_eq!(between(app, "alice", "bob"), json!({"state": "none"}));
        assert_eq!(end(app, ends, other), 204);
    }
}

fn a_friendship_with_oneself_is_refused(app: &App) {
    put_users(app, &["alice"]);
    for method in ["GET", "PUT", "DELETE"] {
        for friend in ["alice", "%61lice"] {
            let answer = app.request(method, &target("alice", friend), &[], b"");
            assert_eq!(problem(&answer, 400, "self-friendship"), "friend");
        }
    }
    assert_eq!(app.get("/users/alice/friends").text(), r#"{"friends":[]}"#);
}

fn unknown_users_have_no_friends(app: &App) {
    put_users(app, &["alice"]);
    for method in ["GET", "PUT"] {
        for (user, friend, unknown) in [
            ("alice", "bob", "friend"),
            ("bob", "alice", "username"),
            ("Bob", "alice", "username"),
        ] {
            let answer = app.request(method, &target(user, friend), &[], b"");
            assert_eq!(problem(&answer, 404, "unknown-user"), unknown, "{method}");
        }
        problem(
            &app.request(method, &target("x", "y"), &[], b""),
            404,
            "unknown-user",
        );
    }
    assert_eq!(end(app, "alice", "bob"), 204);
    for list in ["/users/bob/friends", "/users/bob/friends/birthdays"] {
        assert_eq!(problem(&app.get(list), 404, "unknown-user"), "username");
    }
}

fn a_deleted_user_has_no_friendships_left(app: &App) {
    put_users(app, &["alice", "bob", "carol"]);
    ask(app, "bob", "alice");
    ask(app, "alice", "bob");
    ask(app, "bob", "carol");
    assert_eq!(app.request("DELETE", "/hello/bob", &[], b"").status, 204);
    for other in ["alice", "carol"] {
        problem(&app.get(&target("bob", other)), 404, "unknown-user");
        let friends = app.get(&format!("/users/{other}/friends"));
        assert_eq!(friends.text(), r#"{"friends":[]}"#);
    }
    // A new user with the old name inherits nothing; a new date is no new user.
    put_users(app, &["bob"]);
    assert_eq!(between(app, "alice", "bob"), json!({"state": "none"}));
    ask(app, "alice", "bob");
    put_users(app, &["bob"]);
    assert_eq!(between(app, "alice", "bob"), pending("alice"));
}

fn lists_friends_in_pages(app: &App) {
    put_users(app, &["alice", "bob", "mary", "zoe", "Zed"]);
    for friend in ["alice", "bob", "zoe", "Zed"] {
        ask(app, "mary", friend);
    }
    ask(app, "alice", "mary");
    ask(app, "zoe", "mary");
    end(app, "mary", "bob");
    ask(app, "bob", "mary");
    let list = |query: &str| app.get(&format!("/users/mary/friends{query}")).json();
    let entry = |name: &str, state: &str, by: &str| json!({"username": name, "state": state, "requestedBy": by});
    let zed = entry("Zed", "pending", "mary");
    let alice = entry("alice", "accepted", "mary");
    let bob = entry("bob", "pending", "bob");
    let zoe = entry("zoe", "accepted", "mary");
    assert_eq!(list(""), json!({"friends": [zed, alice, bob, zoe]}));
    assert_eq!(list("?state=pending"), json!({"friends": [zed, bob]}));
    assert_eq!(list("?state=accepted"), json!({"friends": [alice, zoe]}));
    assert_eq!(
        app.get("/users/bob/friends").json(),
        json!({"friends": [entry("mary", "pending", "bob")]})
    );
    for state in ["", "&state=pending", "&state=accepted"] {
        let mut friends = Vec::new();
        let mut page = list(&format!("?limit=1{state}"));
        loop {
            friends.extend(page["friends"].as_array().unwrap().iter().cloned());
            let Some(cursor) = page["nextCursor"].as_str() else {
                break;
            };
            page = list(&format!("?limit=1{state}&cursor={cursor}"));
        }
        let all = list(&format!("?{state}"));
        assert_eq!(Value::from(friends), all["friends"], "{state}");
    }
}

fn lists_friends_birthdays(app: &App) {
    let in_days = |days: u64| (Utc::now().date_naive() + Days::new(days)).format("2000-%m-%d");
    for (name, days) in [("ann", 40), ("bob", 3), ("cid", 0), ("dan", 1), ("eve", 3)] {
        app.put_date(&format!("/hello/{name}"), &in_days(days).to_string());
    }
    put_users(app, &["me"]);
    for friend in ["ann", "bob", "cid", "eve"] {
        ask(app, "me", friend);
        ask(app, friend, "me");
    }
    ask(app, "dan", "me"); // not accepted
    let list = |query: &str| {
        let page = app
            .get(&format!("/users/me/friends/birthdays{query}"))
            .json();
        let users: Vec<(String, u64)> = page["users"]
            .as_array()
            .unwrap()
            .iter()
            .map(|user| {
                (
                    user["username"].as_str().unwrap().to_owned(),
                    user["daysUntilBirthday"].as_u64().unwrap(),
                )
            })
            .collect();
        (users, page["nextCursor"].as_str().map(str::to_owned))
    };
    let of = |people: &[(&str, u64)]| -> Vec<(String, u64)> {
        people
            .iter()
            .map(|(name, days)| ((*name).into(), *days))
            .collect()
    };
    let soon = of(&[("cid", 0), ("bob", 3), ("eve", 3)]);
    assert_eq!(
        list(""),
        (soon.clone(), None),
        "30 days unless asked otherwise"
    );
    assert_eq!(list("?within=3"), (soon, None));
    assert_eq!(list("?within=2").0, of(&[("cid", 0)]));
    assert_eq!(list("?within=366").0.len(), 4);
    let (first, cursor) = list("?within=366&limit=2");
    assert_eq!(first, of(&[("cid", 0), ("bob", 3)]));
    let (second, cursor) = list(&format!("?within=366&limit=2&cursor={}", cursor.unwrap()));
    assert_eq!((second, cursor), (of(&[("eve", 3), ("ann", 40)]), None));
}

fn racing_requests_become_one_friendship(app: &App) {
    put_users(app, &["alice", "bob"]);
    for _ in 0..20 {
        let start = std::sync::Barrier::new(4);
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let racers: Vec<_> = [("alice", "bob"), ("bob", "alice")]
                .into_iter()
                .cycle()
                .take(4)
                .map(|(user, friend)| {
                    let start = &start;
                    scope.spawn(move || {
                        let mut connection = Connection::open(app.api);
                        start.wait();
                        let target = target(user, friend);
                        status_at_last(|| connection.request("PUT", &target, &[], b""))
                    })
                })
                .collect();
            racers
                .into_iter()
                .map(|racer| racer.join().unwrap())
                .collect()
        });
        assert_eq!(
            statuses.iter().filter(|status| **status == 201).count(),
            1,
            "{statuses:?}"
        );
        assert!(
            statuses.iter().all(|status| [200, 201].contains(status)),
            "{statuses:?}"
        );
        assert_eq!(between(app, "alice", "bob")["state"], "accepted");
        let friends = app.get("/users/alice/friends").json();
        assert_eq!(friends["friends"].as_array().unwrap().len(), 1);
        end(app, "alice", "bob");
    }
}

fn refuses_wrong_requests(app: &App) {
    put_users(app, &["alice"]);
    for (path, parameter) in [
        ("/users/a1/friends/bob", "username"),
        ("/users/alice/friends/b1", "friend"),
        ("/users/alice/friends/%2F", "friend"),
        ("/users/%FF/friends", "username"),
        ("/users/a1/friends/birthdays", "username"),
    ] {
        let answer = app.get(path);
        assert_eq!(
            problem(&answer, 400, "invalid-username"),
            parameter,
            "{path}"
        );
    }
    for (query, parameter) in [
        ("friends?state=none", "state"),
        ("friends?state=", "state"),
        ("friends?state=Pending", "state"),
        ("friends?limit=101", "limit"),
        ("friends?cursor=x", "cursor"),
        ("friends?within=1", "within"),
        ("friends/birthdays?within=367", "within"),
        ("friends/birthdays?within=x", "within"),
        ("friends/birthdays?limit=0", "limit"),
        ("friends/birthdays?cursor=x", "cursor"),
        ("friends/birthdays?state=pending", "state"),
    ] {
        let answer = app.get(&format!("/users/alice/{query}"));
        assert_eq!(problem(&answer, 400, "invalid-query"), parameter, "{query}");
    }
    for (path, allow) in [
        ("/users/alice/friends", "GET, HEAD, OPTIONS"),
        ("/users/alice/friends/birthdays", "GET, HEAD, OPTIONS"),
        (
            "/users/alice/friends/bob",
            "GET, HEAD, PUT, DELETE, OPTIONS",
        ),
    ] {
        let answer = app.request("POST", path, &[], b"");
        problem(&answer, 405, "method-not-allowed");
        assert_eq!(answer.header("allow"), Some(allow));
    }
}

fn a_friend_may_have_the_name_birthdays(app: &App) {
    put_users(app, &["alice", "birthdays"]);
    assert_eq!(ask(app, "alice", "%62irthdays").status, 201);
    assert_eq!(ask(app, "birthdays", "alice").status, 200);
    assert_eq!(
        app.get("/users/alice/friends/%62irthdays").json(),
        accepted("alice")
    );
    let listed = app.get("/users/alice/friends/birthdays?within=366").json();
    assert_eq!(listed["users"][0]["username"], "birthdays");
}
