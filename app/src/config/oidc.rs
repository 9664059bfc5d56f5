//! The issuer whose tokens allow to modify users, and to read where that is not for everybody.

use std::path::PathBuf;
use std::time::Duration;

use clap::ArgMatches;
use url::Url;

use super::ConfigErrors;
use super::check::{choice, duration, non_empty, parse, word};
use super::group::{OptionGroup, option_group};
use super::option::{checked_path, filled_list, list, optional, value};
use crate::auth::{Algorithm, OidcConfig, Reads, transport_is_safe};
use crate::http_client::check_ca_file;

/// The largest difference allowed between the clocks of the issuer and of this machine.
const MAX_LEEWAY: Duration = Duration::from_secs(300);

/// An issuer: its name, and the same as the place of the discovery document.
#[derive(Debug, Clone)]
pub struct IssuerUrl {
    name: String,
    url: Url,
}

option_group! {
    /// Who may modify users: everybody, unless an issuer is named.
    "Authorization" => pub struct OidcOptions {
        /// OpenID Connect issuer. With it, modifying a user needs a token of this issuer; its `iss` must
        /// equal exactly this value. Unset: everybody may modify every user.
        oidc_issuer: Option<IssuerUrl> = optional(
            "HELLO_OIDC_ISSUER", "an https URL without query, fragment and password", issuer),
        /// Audiences: the `aud` of a token must hold one of them. Unset: clients are needed.
        oidc_audience: Vec<String> = list(
            "HELLO_OIDC_AUDIENCE", "names separated by commas", parse)
            .needs("oidc_issuer"),
        /// Clients: the `client_id` or `azp` of a token without `aud` must be one of them, also of one with `aud`
        /// where no audience is named.
        oidc_client_id: Vec<String> = list(
            "HELLO_OIDC_CLIENT_ID", "names separated by commas", parse)
            .needs("oidc_issuer"),
        /// Claim that holds the user name.
        oidc_username_claim: String = value(
            "HELLO_OIDC_USERNAME_CLAIM", "sub", "the name of a claim", non_empty),
        /// Scope, in `scope` or `scp`, that may modify any user. Unset: nobody.
        oidc_admin_scope: Option<String> = optional("HELLO_OIDC_ADMIN_SCOPE", "one word", word)
            .needs("oidc_issuer"),
        /// Claim that holds that scope, as a word, as words or in a list; dots lead into objects. Unset: `scope`
        /// and `scp`.
        oidc_admin_claim: Option<String> = optional(
            "HELLO_OIDC_ADMIN_CLAIM", "the path of a claim, such as roles or realm_access.roles", word)
            .needs("oidc_issuer"),
        /// Who may read: `everybody`, `authenticated` (whoever has a valid token), or `own` (users their own, and
        /// the admin scope everything, also the list of all users).
        oidc_reads: Reads = value(
            "HELLO_OIDC_READS", "everybody", "`everybody`, `authenticated` or `own`", choice)
            .needs("oidc_issuer"),
        /// Algorithms that tokens may be signed with. A shorter list is stricter. A key that names no algorithm
        /// is for the first that fits.
        oidc_algorithms: Vec<Algorithm> = filled_list(
            "HELLO_OIDC_ALGORITHMS", "RS256,ES256,EdDSA",
            "some of `RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512`, `ES256`, `ES384` and `EdDSA`, separated by commas",
            choice),
        /// Largest difference allowed between the clocks of the issuer and of this machine.
        oidc_leeway: Duration = value(
            "HELLO_OIDC_LEEWAY", "60s", "a duration of at most 5m, such as 60s", leeway),
        /// Certificates of the authorities that the issuer is verified with. Unset: those of the
        /// system, or Mozilla's where the system has none.
        oidc_ca_file: Option<PathBuf> = checked_path(
            "HELLO_OIDC_CA_FILE", "the path of a PEM file", check_ca_file)
            .needs("oidc_issuer"),
        /// Whether an issuer without TLS is allowed on another machine. For tests only.
        oidc_allow_http: bool = value("HELLO_OIDC_ALLOW_HTTP", "false", "`true` or `false`", choice),
    }
}

impl OidcOptions {
    /// The issuer, if one is named. The outer `None` means that a mistake was recorded.
    pub(super) fn oidc(
        matches: &ArgMatches,
        errors: &mut ConfigErrors,
    ) -> Option<Option<OidcConfig>> {
        let entries = Self::entries();
        let given = |name| {
            let mut entries = entries.iter();
            entries.any(|entry| entry.name == name && entry.is_given(matches))
        };
        if given("oidc_issuer") && !given("oidc_audience") && !given("oidc_client_id") {
            let [audience, client] = ["oidc_audience", "oidc_client_id"].map(Self::label);
            let mistake = format!("needs {audience} or {client}");
            errors.record(&Self::label("oidc_issuer"), mistake);
        }
        let options = Self::read_group(matches, errors)?;
        let Some(issuer) = options.oidc_issuer else {
            return Some(None);
        };
        if !transport_is_safe(&issuer.url, options.oidc_allow_http) {
            let allow = Self::label("oidc_allow_http");
            let mistake = format!("is not on this machine; give an https URL, or set {allow}");
            errors.record(&Self::label("oidc_issuer"), mistake);
            return None;
        }
        Some(Some(OidcConfig {
            issuer: issuer.name,
            issuer_url: issuer.url,
            audiences: options.oidc_audience,
            clients: options.oidc_client_id,
            username_claim: options.oidc_username_claim,
            admin_scope: options.oidc_admin_scope,
            admin_claim: options.oidc_admin_claim,
            reads: options.oidc_reads,
            algorithms: options.oidc_algorithms,
            leeway: options.oidc_leeway,
            ca_file: options.oidc_ca_file,
            allow_http: options.oidc_allow_http,
        }))
    }
}

/// Checks the form alone: whether http is allowed depends on another option.
fn issuer(text: &str) -> Result<IssuerUrl, String> {
    let url: Url = parse(text)?;
    if !transport_is_safe(&url, true) {
        return Err("is neither an https nor an http URL".into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a query or a fragment".into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user name or a password".into());
    }
    Ok(IssuerUrl {
        name: text.to_owned(),
        url,
    })
}

fn leeway(text: &str) -> Result<Duration, String> {
    let leeway = duration(text)?;
    if leeway > MAX_LEEWAY {
        return Err("is too long".into());
    }
    Ok(leeway)
}
