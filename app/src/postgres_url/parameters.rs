//! The parameters of a URL that are understood.

use url::Url;

/// Names of the parameter that gives the mode of encryption.
pub(super) const MODE: [&str; 2] = ["sslmode", "ssl-mode"];
/// Names of the parameter that gives the authorities of the server.
pub(super) const AUTHORITIES: [&str; 3] = ["sslrootcert", "ssl-root-cert", "ssl-ca"];

/// The parameter that says which of the servers will do.
pub(super) const ATTRIBUTES: &str = "target_session_attrs";

/// Names of all parameters that are understood.
const KNOWN: [&str; 19] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
    ATTRIBUTES,
];

/// Why a text is not a PostgreSQL URL. Never repeats the text.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidPostgresUrl(pub(super) String);

/// Refuses unknown parameters, which the driver would write into the log, value and all.
pub(super) fn check_parameters(url: &Url) -> Result<(), InvalidPostgresUrl> {
    let known =
        |key: &str| KNOWN.contains(&key) || (key.starts_with("options[") && key.ends_with(']'));
    let Some((key, _)) = url.query_pairs().find(|(key, _)| !known(key)) else {
        return Ok(());
    };
    let is_name = key
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || b"_-".contains(&byte));
    // Of a password with `?` in it, the rest looks like a parameter.
    let next = url
        .query()
        .and_then(|query| query.as_bytes().get(key.len()));
    Err(InvalidPostgresUrl(if is_name && next == Some(&b'=') {
        format!("the parameter {key} is not known")
    } else {
        "a parameter is not known; in a password, `?` has to be written as `%3F`".into()
    }))
}
