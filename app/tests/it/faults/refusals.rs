//! The server answers a statement with an error: it concerns this statement alone, or the connection.

use super::{IN_TIME, assert_unavailable, recovers};
use crate::support::app::{ANY_TIME, App};
use crate::support::postgres::{self, OWNER};
use crate::support::{LONG, eventually};

/// A service whose database fails with the error that the table `planted` names when it writes the user `bad`.
fn with_a_planted_error(deadline: (&str, &str)) -> (App, String) {
    let (server, database) = (postgres::shared(), postgres::database());
    let plant = "CREATE TABLE planted (code text); GRANT SELECT ON planted TO PUBLIC; \
         INSERT INTO planted VALUES ('P0001'); \
         CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN \
             RAISE EXCEPTION 'planted' USING ERRCODE = (SELECT code FROM planted); END$$; \
         CREATE TRIGGER fails BEFORE INSERT ON users FOR EACH ROW WHEN (NEW.username = 'bad') \
             EXECUTE FUNCTION fail()";
    server.sql(&database, plant);
    let app = App::ready(&[("DATABASE_URL", &server.url(OWNER, &database)), deadline]);
    (app, database)
}

/// From now on, the error is this one.
fn plant(database: &str, code: &str) {
    let plant = format!("UPDATE planted SET code = '{code}'");
    postgres::shared().sql(database, &plant);
}

/// Whether a connection was lost with that error. Others are lost when a busy machine does not answer a check in time.
fn lost_a_connection(app: &App) -> bool {
    let of_the_error =
        |line: &str| line.contains("lost a database connection") && line.contains("planted");
    app.log().lines().any(of_the_error)
}

#[test]
fn what_the_server_cannot_do_costs_no_connection_and_no_stranger() {
    let (app, database) = with_a_planted_error(ANY_TIME);
    let put = |name: &str| app.put_date(&format!("/hello/{name}"), "1990-01-01");
    for code in [
        // What the owner's own triggers and rules say.
        "P0001", "09000", "27000", "38000", "39000", "44000",
        // The disk and the memory are full, or limits are reached.
        "53100", "53200", "53400", "54000", // Objects in use, files, damaged pages.
        "55000", "55006", "58030", "XX000", "XX001",
    ] {
        plant(&database, code);
        std::thread::scope(|scope| {
            let strangers = ["amy", "zoe"].map(|name| scope.spawn(move || (name, put(name))));
            assert_unavailable(&put("bad"));
            for stranger in strangers {
                let (name, answer) = stranger.join().unwrap();
                assert_eq!(answer.status, 204, "{code} {name}: {}", answer.text());
            }
        });
        assert!(!lost_a_connection(&app), "{code}: {}", app.log());
    }
}

/// Another server may take the writes, or this one is about to end.
#[test]
fn what_may_mean_another_server_costs_the_connection() {
    for code in ["25006", "57P03"] {
        let (app, database) = with_a_planted_error(IN_TIME);
        plant(&database, code);
        assert_unavailable(&app.put_date("/hello/bad", "1990-01-01"));
        eventually("the connection is lost", LONG, || lost_a_connection(&app));
        recovers(&app);
    }
}
