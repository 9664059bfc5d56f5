//! A URL that lists several servers.

use std::process::Command;

use crate::support::app::{App, command};
use crate::support::postgres::{OWNER, Server, database, shared};
use crate::support::proxy::{Mode, Proxy};
use crate::support::{LONG, eventually, succeed};

/// Connections of the service: for reads, writes, lists and changes.
const CONNECTIONS: &str = "7";

/// A database of the owner's on a server of its own.
fn server(name: &str) -> Server {
    let server = Server::start(name, &[]);
    server.sql("postgres", &format!("CREATE DATABASE hello OWNER {OWNER}"));
    server
}

/// The address of the servers at these ports, in this order.
fn listed(ports: [u16; 2], database: &str) -> String {
    let [first, second] = ports;
    format!(
        "postgres://{OWNER}:secret@127.0.0.1:{first},127.0.0.1:{second}/{database}?sslmode=disable"
    )
}

fn succeeds(command: &mut Command, url: &str) {
    succeed(command.env("DATABASE_URL", url));
}

fn people(server: &Server, name: &str) -> String {
    let count = format!("SELECT count(*) FROM users WHERE username = '{name}'");
    server.sql("hello", &count)
}

fn takes_writes(app: &App) {
    eventually("writes are taken", LONG, || {
        app.put_date("/hello/zoe", "1990-01-01").status == 204
    });
}

#[test]
fn a_standby_is_passed_over_until_it_is_promoted() {
    let primary = server("listed-primary");
    let standby = primary.standby("listed-standby");
    let url = listed([standby.port, primary.port], "hello");
    succeeds(&mut command(&["migrate"]), &url);
    succeeds(&mut command(&["seed", "--count=5"]), &url);
    let app = App::ready(&[("DATABASE_URL", &url)]);
    assert_eq!(app.put_date("/hello/alice", "1990-01-01").status, 204);
    assert_eq!(app.get("/hello/alice").status, 200);
    assert_eq!(people(&primary, "alice"), "1");
    eventually("the standby has it", LONG, || {
        people(&standby, "alice") == "1"
    });
    drop(primary);
    standby.sql("postgres", "SELECT pg_promote()");
    takes_writes(&app);
    assert_eq!(app.get("/hello/alice").status, 200);
    assert_eq!(people(&standby, "zoe"), "1");
}

/// Otherwise what is read would not be what was written.
#[test]
fn connections_that_read_and_connections_that_write_use_the_same_server() {
    let [first, second] = ["listed-read-only", "listed-writable"].map(server);
    for server in [&first, &second] {
        succeeds(&mut command(&["migrate"]), &server.url(OWNER, "hello"));
    }
    first.sql(
        "postgres",
        "ALTER DATABASE hello SET default_transaction_read_only = on",
    );
    let url = listed([first.port, second.port], "hello");
    // On a busy machine a connection takes seconds, and with a short deadline the next server is asked.
    let app = App::start(&[("DATABASE_URL", &url)]);
    eventually("it reads", LONG, || app.get("/hello/zoe").status == 404);
    assert_eq!(app.put_date("/hello/zoe", "1990-01-01").status, 503);
    assert_eq!(people(&second, "zoe"), "0");

    let parameters = format!(
        "postgres://{OWNER}:secret@/hello?sslmode=disable&host=127.0.0.1,127.0.0.1&port={},{}",
        first.port, second.port
    );
    for url in [url, parameters] {
        let url = format!("{url}&target_session_attrs=read-write");
        let app = App::ready(&[("DATABASE_URL", &url)]);
        takes_writes(&app);
        assert_eq!(app.get("/hello/zoe").status, 200);
        assert_eq!(people(&second, "zoe"), "1");
        succeeds(&mut command(&["seed", "--count=5"]), &url);
    }
}

#[test]
fn a_server_that_does_not_answer_costs_its_own_deadline_and_is_asked_first_again() {
    let proxies = [(); 2].map(|()| Proxy::start(shared().port));
    let [first, second] = &proxies;
    first.set(Mode::BlackHole);
    let ports = [first, second].map(|proxy| proxy.address.port());
    let database = database();
    let url = listed(ports, &database);
    let app = App::ready(&[("DATABASE_URL", &url), ("HELLO_DATABASE_DEADLINE", "1s")]);
    takes_writes(&app);

    first.set(Mode::Pass);
    let all_begin_with_the_first = || {
        let since = shared().sql("postgres", "SELECT clock_timestamp()");
        let (before, since) = (second.count(), format!("backend_start > '{since}'"));
        let count = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND {since}"
        );
        proxies.iter().for_each(Proxy::cut);
        eventually("all connections are open again", LONG, || {
            shared().sql("postgres", &count) == CONNECTIONS
        });
        second.count() == before
    };
    // On a busy machine, one may come too late and go on to the second.
    eventually(
        "all connections are to the first",
        LONG,
        all_begin_with_the_first,
    );
    second.set(Mode::BlackHole);
    assert_eq!(app.put_date("/hello/zoe", "1990-01-01").status, 204);
    assert_eq!(app.get("/hello/zoe").status, 200);
}

/// As behind a virtual address: it moves to a standby that was promoted, while the former primary lives on and does not
/// know. Whichever connection moves first, what is acknowledged is read.
#[test]
fn what_was_acknowledged_after_a_failover_is_read_although_the_former_primary_is_alive() {
    let primary = server("alive-primary");
    succeeds(&mut command(&["migrate"]), &primary.url(OWNER, "hello"));
    let standby = primary.standby("alive-standby");
    let address = Proxy::start(primary.port);
    let url = primary.url_at(OWNER, "hello", address.address.port());
    let app = App::ready(&[("DATABASE_URL", &url)]);
    assert_eq!(app.put_date("/hello/zoe", "1990-01-01").status, 204);
    eventually("the standby has it", LONG, || {
        people(&standby, "zoe") == "1"
    });

    standby.sql("postgres", "SELECT pg_promote()");
    address.redirect(standby.port);
    // The connections move one by one, those that read last, until one that writes has moved.
    let lose_one = || {
        let lose = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE application_name = 'hello-app' ORDER BY backend_start DESC LIMIT 1";
        primary.sql("postgres", lose)
    };
    let answered = |target: &str| {
        let mut answer = app.get(target);
        eventually("reads are answered", LONG, || {
            answer = app.get(target);
            answer.status != 503
        });
        answer
    };
    let (mut moved, mut number) = (0, 0);
    while moved < 20 {
        assert!(number < 1000, "nothing is written to the new primary");
        number += 1;
        let letters = format!("{number:04}")
            .bytes()
            .map(|digit| char::from(digit + b'a' - b'0'))
            .collect::<String>();
        let name = format!("new{letters}");
        let target = format!("/hello/{name}");
        eventually("it is written", LONG, || {
            app.put_date(&target, "1990-01-01").status == 204
        });
        // What the former primary takes until the first connection has moved is lost with it.
        if people(&standby, &name) == "0" {
            assert_eq!(moved, 0, "writes never go back");
            lose_one();
            continue;
        }
        moved += 1;
        assert_eq!(answered(&target).status, 200, "{name}");
        let list = answered(&format!("/users?prefix={name}"));
        assert!(list.text().contains(&name), "{}", list.text());
    }
}
