//! The options as a whole: each is checked, described and reported.

use std::collections::HashMap;

use super::*;
use crate::api::RateLimitOptions;
use crate::auth::OidcConfig;

/// Reads what a command runs with from flags.
fn read<C: CommandConfig>(flags: &[&str]) -> Result<C, ConfigErrors> {
    let command = C::arguments(clap::Command::new("test").no_binary_name(true));
    C::from_matches(&command.try_get_matches_from(flags).unwrap())
}

fn errors<C: CommandConfig>(flags: &[&str]) -> String {
    read::<C>(flags)
        .err()
        .map_or_else(String::new, |errors| errors.to_string())
}

/// Flags without which a command does not run.
const SERVE: &[&str] = &["--database-url=sqlite::memory:"];
const BACKUP: &[&str] = &["--database-url=sqlite::memory:", "--directory=/tmp"];

fn serve(flags: &[&str]) -> Result<ServeConfig, String> {
    read(&[SERVE, flags].concat()).map_err(|errors| errors.to_string())
}

fn oidc(flags: &[&str]) -> Result<Option<OidcConfig>, String> {
    serve(flags).map(|config| config.oidc)
}

fn limit(flags: &[&str]) -> Result<Option<RateLimitOptions>, String> {
    serve(flags).map(|config| config.rate_limit)
}

/// Calls `check` with each option of each command, and a function that reads the command with a value
/// for that option and returns the mistakes.
fn for_each_option(mut check: impl FnMut(&Entry, &dyn Fn(&str) -> String)) {
    fn visit<C: CommandConfig>(
        flags: &'static [&'static str],
        check: &mut impl FnMut(&Entry, &dyn Fn(&str) -> String),
    ) {
        for entry in C::sections().iter().flat_map(|section| &section.entries) {
            let option = format!("{}=", entry.flag());
            let others = flags.iter().filter(|flag| !flag.starts_with(&option));
            let mut others: Vec<_> = others.copied().collect();
            if let Some(needed) = entry.needs {
                others.push(match needed {
                    "oidc_issuer" => "--oidc-issuer=https://id.example",
                    "rate_limit" => "--rate-limit=1/s",
                    "s3_bucket" => "--s3-bucket=backups",
                    "tls_key_file" => "--tls-key-file=/key",
                    "tls_certificate_file" => "--tls-certificate-file=/certificate",
                    other => panic!("no value for {other}"),
                });
                if needed == "oidc_issuer" && entry.name != "oidc_audience" {
                    others.push("--oidc-audience=a");
                }
                if needed == "s3_bucket" {
                    others.extend(["--s3-access-key-id=a", "--s3-secret-access-key=a"]);
                }
            }
            let sections = C::sections();
            let all = sections.iter().flat_map(|section| &section.entries);
            let excluding = all.filter(|other| other.excludes == Some(entry.name));
            for other in excluding.map(|other| other.name).chain(entry.excludes) {
                let other = format!("--{}=", other.replace('_', "-"));
                others.retain(|flag| !flag.starts_with(&other));
            }
            check(entry, &|value| {
                let given = format!("{option}{value}");
                errors::<C>(&[others.as_slice(), &[given.as_str()]].concat())
            });
        }
    }
    visit::<ServeConfig>(SERVE, &mut check);
    visit::<MigrateConfig>(SERVE, &mut check);
    visit::<SeedConfig>(SERVE, &mut check);
    visit::<BackupConfig>(BACKUP, &mut check);
    visit::<ScratchServerConfig>(&["--directory=/tmp"], &mut check);
    visit::<AdminOptions>(&[], &mut check);
}

#[test]
fn an_empty_text_counts_as_none() {
    for_each_option(|entry, mistakes| {
        // Commands that need a database say that there is none.
        let is_needed = entry.required || entry.name.starts_with("database_url");
        let (mistakes, label) = (mistakes(""), format!("{}: ", entry.label()));
        assert!(is_needed || !mistakes.contains(&label), "{mistakes}");
    });
    let empty = serve(&[
        "--write-connections=",
        "--oidc-algorithms=",
        "--drain-delay=",
    ])
    .unwrap();
    let default = serve(&[]).unwrap();
    assert_eq!(
        empty.postgres.write_connections,
        default.postgres.write_connections
    );
    assert_eq!(empty.server.drain_delay, default.server.drain_delay);
}

#[test]
fn a_wrong_value_is_reported_with_its_option_and_what_it_accepts() {
    /// Options whose values are used as they are.
    const UNCHECKED: [&str; 16] = [
        "directory",
        "oidc_audience",
        "oidc_client_id",
        "oidc_username_claim",
        "pg_bin",
        "pg_bin",
        "report_file",
        "result_file",
        "s3_access_key_id",
        "s3_role_arn",
        "s3_secret_access_key",
        "s3_session_token",
        "s3_web_identity_token_file",
        "scratch",
        "tls_certificate_file",
        "tls_key_file",
    ];
    let mut unchecked = Vec::new();
    for_each_option(|entry, mistakes| {
        let wrong = ["not valid", "/nonexistent", ""];
        let label = format!("{}: ", entry.label());
        let reported: Vec<_> = wrong
            .map(mistakes)
            .into_iter()
            .filter(|mistakes| mistakes.contains(&label))
            .collect();
        if reported.is_empty() {
            unchecked.push(entry.name);
        }
        let advice = format!("; give {}", entry.accepts);
        for mistakes in reported {
            // The URL is checked by the store, which knows better what is wrong with it.
            let is_url = entry.name.starts_with("database_url");
            assert!(is_url || mistakes.contains(&advice), "{mistakes}");
        }
    });
    unchecked.sort_unstable();
    assert_eq!(unchecked, UNCHECKED);
}

#[test]
fn every_default_and_every_word_that_is_offered_is_accepted() {
    let mut words = 0;
    for_each_option(|entry, mistakes| {
        if let Some(default) = entry.default {
            assert_eq!(mistakes(default), "", "{}", entry.label());
        }
        for word in entry.accepts.split('`').skip(1).step_by(2) {
            if !word.contains("://") {
                assert_eq!(mistakes(word), "", "{}: {word}", entry.label());
                words += 1;
            }
        }
    });
    assert!(words > 20, "{words}");
}

#[test]
fn help_shows_the_variable_the_default_and_what_is_accepted() {
    let mut command = ServeConfig::arguments(clap::Command::new("test").term_width(10_000));
    let help = command.render_help().to_string();
    for entry in ServeConfig::sections()
        .iter()
        .flat_map(|section| &section.entries)
    {
        let line = help
            .lines()
            .find(|line| line.trim_start().starts_with(&format!("{} ", entry.flag())))
            .unwrap_or_else(|| panic!("{} has no help", entry.flag()));
        assert!(line.contains(entry.help), "{line}");
        assert!(line.contains(&format!("[accepts: {}]", entry.accepts)));
        assert!(line.contains(&format!("[env: {}", entry.variable)));
        let default = entry.default.map(|default| format!("[default: {default}]"));
        assert!(default.is_none_or(|default| line.contains(&default)));
    }
}

#[test]
fn a_variable_belongs_to_one_option() {
    let mut names = HashMap::new();
    for_each_option(|entry, _| {
        let name = *names.entry(entry.variable).or_insert(entry.name);
        assert_eq!(name, entry.name, "{}", entry.variable);
        assert!(entry.help.ends_with('.'), "{}", entry.help);
    });
    assert!(names.len() > 40, "{}", names.len());
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let error = serve(&[
        "--listen=nowhere",
        "--time-zone=Mars/Base",
        "--leap-day=mar2",
        "--drain-delay=5",
        "--read-connections=0",
        "--log-level=loud",
        "--rate-limit-burst=0",
        "--trusted-proxies=10.0.0.0/8,here,there",
        "--tls-key-file=/key",
        "--oidc-issuer=http://id.example",
        "--oidc-algorithms=RS256,HS256",
    ])
    .unwrap_err();
    for part in [
        "--listen (HELLO_LISTEN): ",
        "--time-zone (HELLO_TIME_ZONE): ",
        "--leap-day (HELLO_LEAP_DAY): `mar2` is not accepted; give `feb28` or `mar1`",
        "--drain-delay (HELLO_DRAIN_DELAY): ",
        "--read-connections (HELLO_READ_CONNECTIONS): ",
        "--log-level (HELLO_LOG_LEVEL): ",
        "--rate-limit-burst (HELLO_RATE_LIMIT_BURST): needs --rate-limit (HELLO_RATE_LIMIT)",
        "--rate-limit-burst (HELLO_RATE_LIMIT_BURST): number",
        "--tls-key-file (HELLO_TLS_KEY_FILE): needs --tls-certificate-file",
        "--oidc-issuer (HELLO_OIDC_ISSUER): needs --oidc-audience (HELLO_OIDC_AUDIENCE)",
        "--oidc-algorithms (HELLO_OIDC_ALGORITHMS): `HS256` is not accepted",
    ] {
        assert!(error.contains(part), "{part} is not in {error}");
    }
    assert_eq!(error.matches("(HELLO_TRUSTED_PROXIES): ").count(), 2);
}

#[test]
fn the_port_of_serverless_platforms_is_honoured_unless_an_address_is_given() {
    let listen = |flags: &[&str]| serve(flags).unwrap().server.address().to_string();
    assert_eq!(listen(&[]), "127.0.0.1:8080");
    assert_eq!(listen(&["--port=9999"]), "[::]:9999");
    assert_eq!(listen(&["--port=", "--listen="]), "127.0.0.1:8080");
    assert_eq!(
        listen(&["--port=9999", "--listen=127.0.0.1:1"]),
        "127.0.0.1:1"
    );
}

#[test]
fn one_database_only_and_tasks_need_one() {
    let error = serve(&["--database-url-file=/dev/null"]).unwrap_err();
    assert!(error.contains("cannot be used together"), "{error}");
    let error = errors::<MigrateConfig>(&["--wait-timeout=soon"]);
    assert!(error.contains("(DATABASE_URL_FILE): one of them is required"));
    assert!(error.contains("HELLO_WAIT_TIMEOUT"), "{error}");
}

#[test]
fn formats_are_a_list_without_repetition() {
    let formats = |flags: &[&str]| {
        let config: BackupConfig = read(&[BACKUP, flags].concat()).unwrap();
        config.options.format
    };
    assert_eq!(formats(&[]), [DumpFormat::Custom]);
    assert_eq!(
        formats(&["--format=plain, custom,", "--format=plain"]),
        [DumpFormat::Plain, DumpFormat::Custom]
    );
}

#[test]
fn there_is_no_rate_limit_unless_one_is_given() {
    assert!(limit(&[]).unwrap().is_none());
    assert!(limit(&["--rate-limit="]).unwrap().is_none());
    let given = limit(&["--rate-limit=600/m"]).unwrap().unwrap();
    assert_eq!(given.burst.get(), 600);
    let flags = ["--rate-limit=600/m", "--rate-limit-burst=5"];
    assert_eq!(limit(&flags).unwrap().unwrap().burst.get(), 5);
    let flags = ["--rate-limit=1/s", "--trusted-proxies=10.0.0.0/8, ::1,"];
    assert_eq!(limit(&flags).unwrap().unwrap().proxies.networks.len(), 2);
}

const ISSUER: &str = "--oidc-issuer=https://id.example/realms/a";

#[test]
fn tokens_are_not_needed_unless_an_issuer_is_named() {
    assert!(oidc(&[]).unwrap().is_none());
    assert!(oidc(&["--oidc-issuer="]).unwrap().is_none());
    let error = oidc(&["--oidc-audience=a", "--oidc-admin-scope=b"]).unwrap_err();
    assert!(error.contains("(HELLO_OIDC_AUDIENCE): needs"), "{error}");
    assert!(error.contains("(HELLO_OIDC_ADMIN_SCOPE): needs"), "{error}");
}

#[test]
fn the_rules_for_tokens_have_safe_defaults() {
    let config = oidc(&[ISSUER, "--oidc-audience=a, b,"]).unwrap().unwrap();
    assert_eq!(config.issuer, "https://id.example/realms/a");
    assert_eq!(config.audiences, ["a", "b"]);
    assert_eq!(config.username_claim, "sub");
    assert_eq!(config.admin_scope, None);
    assert_eq!(config.leeway.as_secs(), 60);
    assert_eq!(config.algorithms.len(), 3);
    assert!(!config.allow_http);
    let leeway = |text: &str| {
        let flag = format!("--oidc-leeway={text}");
        oidc(&[ISSUER, "--oidc-audience=a", &flag]).is_ok()
    };
    assert!(leeway("5m"));
    assert!(!leeway("301s"));
}

#[test]
fn the_issuer_is_reached_safely_and_holds_no_secret() {
    let with = |issuer: &str, flags: &[&str]| {
        let issuer = format!("--oidc-issuer={issuer}");
        oidc(&[&[issuer.as_str(), "--oidc-audience=a"], flags].concat()).map(drop)
    };
    assert!(with("http://127.0.0.1:8080", &[]).is_ok());
    let error = with("http://id.example", &[]).unwrap_err();
    assert!(error.contains("--oidc-allow-http"), "{error}");
    assert!(with("http://id.example", &["--oidc-allow-http=true"]).is_ok());
    for refused in [
        "id.example",
        "ftp://id.example",
        "https://id.example?a=b",
        "https://id.example#a",
        "https://user:hidden@id.example",
    ] {
        let error = with(refused, &[]).unwrap_err();
        assert!(error.contains("HELLO_OIDC_ISSUER"), "{error}");
        assert!(!error.contains("hidden"), "{error}");
    }
}

#[test]
fn a_file_without_certificates_is_a_mistake() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let flag = format!("--oidc-ca-file={}", file.path().display());
    let error = oidc(&[ISSUER, "--oidc-audience=a", &flag]).unwrap_err();
    assert!(error.contains("holds no certificate"), "{error}");
}

#[test]
fn no_mistake_shows_a_database_url() {
    for url in ["mysql://u:s3cret@h/d", "postgres://u:s3cret@h:port/d"] {
        let error = errors::<SeedConfig>(&[&format!("--database-url={url}")]);
        assert!(error.contains("--database-url (DATABASE_URL)"), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
}
