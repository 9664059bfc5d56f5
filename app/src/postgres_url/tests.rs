use super::*;

fn parse(url: &str) -> PostgresUrl {
    PostgresUrl::parse(url).unwrap()
}

fn first_program(url: &str) -> ProgramUrl {
    let url = parse(url);
    url.program_of(&url.servers()[0]).clone()
}

fn ssl_mode(url: &str) -> PgSslMode {
    parse(url).servers()[0].get_ssl_mode()
}

#[test]
fn remote_servers_are_verified_unless_the_url_gives_another_mode() {
    for url in [
        "postgres://user@localhost/db",
        "postgres://user@127.0.0.1/db",
        "postgres://user@[::1]/db",
        "postgres://user@hello-db/db",
        "postgres://user@hello-db.default.svc/db",
        "postgresql://user@hello-db.default.svc.cluster.local/db",
        "postgres://user@localhost/db?host=/run/postgresql",
    ] {
        assert!(matches!(ssl_mode(url), PgSslMode::Prefer), "{url}");
        assert!(!first_program(url).verified, "{url}");
    }
    for url in [
        "postgres://user@db.example.com/db",
        "postgres://user@192.0.2.7/db",
        "postgres://user@[2001:db8::7]/db",
    ] {
        assert!(matches!(ssl_mode(url), PgSslMode::VerifyFull), "{url}");
        assert!(first_program(url).verified, "{url}");
    }
    let given = "postgres://user@db.example.com/db?sslmode=require";
    assert!(matches!(ssl_mode(given), PgSslMode::Require));
    // Only a parameter gives the mode; this is a password.
    let password = "postgres://user:sslmode=disable@db.example.com/db";
    assert!(matches!(ssl_mode(password), PgSslMode::VerifyFull));
}

#[test]
fn modes_mean_what_they_mean_to_the_programs_of_postgresql() {
    let local = |query: &str| ssl_mode(&format!("postgres://user@localhost/db?{query}"));
    assert!(matches!(local("sslmode=require"), PgSslMode::Require));
    assert!(matches!(
        local("sslmode=require&sslrootcert=/ca"),
        PgSslMode::VerifyCa
    ));
    assert!(matches!(
        local("sslmode=verify-full&sslrootcert=/ca"),
        PgSslMode::VerifyFull
    ));
    assert!(matches!(local("sslmode=allow"), PgSslMode::Prefer));
    assert!(matches!(local("sslmode=disable"), PgSslMode::Disable));
}

#[test]
fn programs_get_the_password_apart() {
    let program = first_program(
        "postgres://hello_backup:p%40ss@db:5432/hello?statement-cache-capacity=0&sslmode=disable",
    );
    assert_eq!(
        program.url,
        "postgres://hello_backup@db:5432/hello?sslmode=disable"
    );
    assert_eq!(program.password.as_ref().unwrap().expose(), "p@ss");
    let bare = first_program("postgres://u@db/hello");
    assert_eq!(bare.url, "postgres://u@db/hello");
    assert!(bare.password.is_none());
}

#[test]
fn programs_get_their_own_spelling() {
    let url = "postgres://u@db.example.com/hello?ssl-mode=require&ssl-ca=/ca&ssl-key=/key";
    assert_eq!(
        first_program(url).url,
        "postgres://u@db.example.com/hello?sslmode=require&sslrootcert=%2Fca&sslkey=%2Fkey"
    );
}

#[test]
fn a_socket_needs_no_host() {
    let url = parse("postgres://u:p%40ss@/hello?host=/cloudsql/one:two:three");
    assert_eq!(
        url.servers()[0]
            .get_socket()
            .map(|path| path.to_str().unwrap()),
        Some("/cloudsql/one:two:three")
    );
    assert_eq!(
        url.program_of(&url.servers()[0])
            .password
            .as_ref()
            .unwrap()
            .expose(),
        "p@ss"
    );
}

#[test]
fn unknown_parameters_are_refused_by_name_only() {
    let error = |url: &str| PostgresUrl::parse(url).err().unwrap().to_string();
    assert!(error("postgres://u@h/d?sslpassword=s3cret").contains("sslpassword"));
    assert!(error("postgres://u@h/d?sslmode=require&channel_binding=s3cret").contains("not known"));
    for wrong in [
        "postgres://u@h/d?sslpassword=s3cret",
        "postgres://u@h/d?sslmode=require&channel_binding=s3cret",
        "postgres://u?s3cret@h/d",
        "postgres://u?s=s3cret@h/d",
        "postgres://u?hush-s3cret",
        "postgres://u@h/d?s3cret",
    ] {
        assert!(!error(wrong).contains("s3cret"), "{wrong}");
    }
}

#[test]
fn malformed_urls_are_refused_without_repeating_them() {
    for wrong in [
        "postgres://u:s3cret@h:port/d",
        "postgres://u:s3cret@h/d?sslmode=s3cure",
        "postgres://u:s3cret%ff@h/d",
        "s3cret",
    ] {
        let error = PostgresUrl::parse(wrong).err().unwrap();
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{wrong}");
    }
}

/// Host (or folder of the socket) and port of each server.
fn places(url: &str) -> Vec<(String, u16)> {
    let url = parse(url);
    let servers = url.servers().iter();
    let place = |server: &PgConnectOptions| {
        let socket = server.get_socket().map(|path| path.display().to_string());
        (
            socket.unwrap_or_else(|| server.get_host().to_owned()),
            server.get_port(),
        )
    };
    servers.map(place).collect()
}

fn named(places: &[(&str, u16)]) -> Vec<(String, u16)> {
    let places = places.iter();
    places
        .map(|(host, port)| ((*host).to_owned(), *port))
        .collect()
}

#[test]
fn every_server_of_a_list_has_its_host_and_port() {
    for (url, expected) in [
        ("postgres://u:p@h1:1,h2:2/d", &[("h1", 1), ("h2", 2)][..]),
        ("postgres://u:p@h1,h2:2/d", &[("h1", 5432), ("h2", 2)]),
        (
            "postgres://h1,h2,h3",
            &[("h1", 5432), ("h2", 5432), ("h3", 5432)],
        ),
        (
            "postgres://u@[::1]:1,[2001:db8::1]/d",
            &[("::1", 1), ("2001:db8::1", 5432)],
        ),
        (
            "postgres://u:a,b%2Cc@h1,h2/d",
            &[("h1", 5432), ("h2", 5432)],
        ),
        ("postgres://u@/d?host=a,b&port=1,2", &[("a", 1), ("b", 2)]),
        ("postgres://u@/d?host=a,b&port=7", &[("a", 7), ("b", 7)]),
        ("postgres://u@/d?host=a,b", &[("a", 5432), ("b", 5432)]),
        ("postgres://u@/d?host=a,b&port=,2", &[("a", 5432), ("b", 2)]),
        ("postgres://u@h:9/d?host=a,b", &[("a", 9), ("b", 9)]),
        ("postgres://u@h1,h2/d?port=1,2", &[("h1", 1), ("h2", 2)]),
        (
            "postgres://u@/d?host=/run/a,b",
            &[("/run/a", 5432), ("b", 5432)],
        ),
        (
            "postgres://u@/d?hostaddr=192.0.2.1,192.0.2.2",
            &[("192.0.2.1", 5432), ("192.0.2.2", 5432)],
        ),
    ] {
        assert_eq!(places(url), named(expected), "{url}");
    }
    let url = parse("postgres://u:p%40@h1,h2/d?statement-cache-capacity=0&application_name=a%20b");
    for server in url.servers() {
        assert_eq!(server.get_username(), "u");
        assert_eq!(server.get_database(), Some("d"));
        assert_eq!(server.get_application_name(), Some("a b"));
    }
}

#[test]
fn each_server_of_a_list_is_encrypted_as_it_would_be_alone() {
    let url = parse("postgres://u@hello-db,db.example.com/d");
    let modes: Vec<_> = url
        .servers()
        .iter()
        .map(PgConnectOptions::get_ssl_mode)
        .collect();
    assert!(matches!(
        modes[..],
        [PgSslMode::Prefer, PgSslMode::VerifyFull]
    ));
    let verified = url
        .servers()
        .iter()
        .map(|server| url.program_of(server).verified);
    assert_eq!(verified.collect::<Vec<_>>(), [false, true]);
}

#[test]
fn a_list_that_cannot_be_read_is_refused() {
    for wrong in [
        "postgres://u:s3cret@h1,,h2/d",
        "postgres://u:s3cret@h1,:5432/d",
        "postgres://u:s3cret@,h2/d",
        "postgres://u:s3cret@h1:1,h2:no/d",
        "postgres://u:s3cret@/d?host=a,,b",
        "postgres://u:s3cret@/d?host=a,b&port=1,2,3",
        "postgres://u:s3cret@h1,h2/d?port=1,2,3",
        "postgres://u:s3cret@h1,h2/d?port=1,no",
        "postgres://u:s3cret@/d?host=a,b&hostaddr=s3cret,b",
    ] {
        let error = PostgresUrl::parse(wrong)
            .err()
            .unwrap_or_else(|| panic!("{wrong}"));
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
    }
}

#[test]
fn only_a_server_that_can_do_the_work_may_be_asked_for() {
    let wants = |value: &str| {
        let url = PostgresUrl::parse(&format!(
            "postgres://u@h1,h2/d?target_session_attrs={value}"
        ));
        url.map(|url| url.wants_writes()).ok()
    };
    assert!(!parse("postgres://u@h1,h2/d").wants_writes());
    for (value, expected) in [("any", false), ("primary", false), ("read-write", true)] {
        assert_eq!(wants(value), Some(expected), "{value}");
    }
    for value in [
        "read-only",
        "standby",
        "prefer-standby",
        "",
        "any,any",
        "s3cret",
    ] {
        assert_eq!(wants(value), None, "{value}");
    }
}

#[test]
fn programs_get_the_server_that_was_chosen() {
    for (url, programs) in [
        (
            "postgres://u:p@h1:1,[::1]/d?target_session_attrs=read-write&ssl-mode=disable",
            [
                "postgres://u@h1:1/d?sslmode=disable",
                "postgres://u@[::1]/d?sslmode=disable",
            ],
        ),
        (
            "postgres://u:p@/d?host=a,b&port=1,2",
            [
                "postgres://u@localhost/d?host=a&port=1",
                "postgres://u@localhost/d?host=b&port=2",
            ],
        ),
    ] {
        let url = parse(url);
        let found = url
            .servers()
            .iter()
            .map(|server| &*url.program_of(server).url);
        assert_eq!(found.collect::<Vec<_>>(), programs);
    }
}
