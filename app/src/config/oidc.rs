//! The issuer whose tokens allow to write.

use std::time::Duration;

use url::Url;

use super::ConfigErrors;
use super::errors::{non_empty, non_empty_path};
use crate::auth::{Algorithm, OidcConfig, transport_is_safe};
use crate::cli::OidcArgs;
use crate::http_client::check_ca_file;

/// The furthest that the issuer's clock may be off.
const MAX_LEEWAY: Duration = Duration::from_secs(300);

impl ConfigErrors {
    /// The issuer, when one is named. `None` also when a mistake was noted.
    pub(super) fn oidc(&mut self, args: &OidcArgs) -> Option<OidcConfig> {
        let audiences: Vec<_> = trimmed(&args.oidc_audience);
        let admin_scope = non_empty(args.oidc_admin_scope.as_deref());
        let ca_file = non_empty_path(args.oidc_ca_file.as_deref());
        let Some(issuer) = non_empty(args.oidc_issuer.as_deref()) else {
            for (name, present) in [
                ("HELLO_OIDC_AUDIENCE", !audiences.is_empty()),
                ("HELLO_OIDC_ADMIN_SCOPE", admin_scope.is_some()),
                ("HELLO_OIDC_CA_FILE", ca_file.is_some()),
            ] {
                if present {
                    self.note(format!("{name}: needs HELLO_OIDC_ISSUER"));
                }
            }
            return None;
        };
        let allow_http = self.parse("HELLO_OIDC_ALLOW_HTTP", &args.oidc_allow_http);
        let issuer_url = self.issuer_url(issuer, allow_http.unwrap_or(true));
        if audiences.is_empty() {
            self.note("HELLO_OIDC_AUDIENCE: is required with HELLO_OIDC_ISSUER");
        }
        if args.oidc_username_claim.is_empty() {
            self.note("HELLO_OIDC_USERNAME_CLAIM: is empty");
        }
        if admin_scope.is_some_and(|scope| scope.contains(' ')) {
            self.note("HELLO_OIDC_ADMIN_SCOPE: must be one word");
        }
        let algorithms = self.algorithms(&args.oidc_algorithms);
        let leeway = self.leeway(&args.oidc_leeway);
        if let Some(Err(error)) = ca_file.map(check_ca_file) {
            self.note(format!("HELLO_OIDC_CA_FILE: {error}"));
        }
        Some(OidcConfig {
            issuer: issuer.to_owned(),
            issuer_url: issuer_url?,
            audiences,
            username_claim: args.oidc_username_claim.clone(),
            admin_scope: admin_scope.map(Into::into),
            algorithms,
            leeway: leeway?,
            ca_file: ca_file.map(Into::into),
            allow_http: allow_http?,
        })
    }

    fn issuer_url(&mut self, issuer: &str, allow_http: bool) -> Option<Url> {
        const NAME: &str = "HELLO_OIDC_ISSUER";
        let url: Url = self.parse(NAME, issuer)?;
        if !transport_is_safe(&url, allow_http) {
            self.note(format!(
                "{NAME}: must be https, or http on this machine (or with HELLO_OIDC_ALLOW_HTTP=true)"
            ));
        } else if url.query().is_some() || url.fragment().is_some() {
            self.note(format!("{NAME}: must have neither query nor fragment"));
        } else if !url.username().is_empty() || url.password().is_some() {
            self.note(format!("{NAME}: must not hold a password"));
        } else {
            return Some(url);
        }
        None
    }

    fn algorithms(&mut self, texts: &[String]) -> Vec<Algorithm> {
        const NAME: &str = "HELLO_OIDC_ALGORITHMS";
        let mut algorithms = Vec::new();
        for text in trimmed(texts) {
            if let Some(algorithm) = self.parse(NAME, &text)
                && !algorithms.contains(&algorithm)
            {
                algorithms.push(algorithm);
            }
        }
        if algorithms.is_empty() {
            self.note(format!("{NAME}: names none"));
        }
        algorithms
    }

    fn leeway(&mut self, text: &str) -> Option<Duration> {
        const NAME: &str = "HELLO_OIDC_LEEWAY";
        let leeway = self.duration(NAME, text)?;
        if leeway > MAX_LEEWAY {
            self.note(format!("{NAME}: must be at most 5m"));
            return None;
        }
        Some(leeway)
    }
}

/// The entries of a list; an empty one does not count.
fn trimmed(texts: &[String]) -> Vec<String> {
    texts
        .iter()
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::{ConfigErrors, ServeConfig};
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn oidc(flags: &[&str]) -> Result<Option<OidcConfig>, ConfigErrors> {
        let command = ["hello-app", "serve", "--database-url", "sqlite::memory:"];
        let Command::Serve(args) = Cli::parse_from(command.iter().chain(flags)).command else {
            panic!("not serve");
        };
        ServeConfig::try_from(&*args).map(|config| config.oidc)
    }

    const ISSUER: &str = "--oidc-issuer=https://id.example/realms/a";

    #[test]
    fn off_unless_an_issuer_is_named() {
        assert!(oidc(&[]).unwrap().is_none());
        assert!(oidc(&["--oidc-issuer="]).unwrap().is_none());
        let error = oidc(&["--oidc-audience=a", "--oidc-admin-scope=b"]).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("HELLO_OIDC_AUDIENCE: needs"), "{error}");
        assert!(error.contains("HELLO_OIDC_ADMIN_SCOPE: needs"), "{error}");
    }

    #[test]
    fn has_safe_defaults() {
        let config = oidc(&[ISSUER, "--oidc-audience=a, b,"]).unwrap().unwrap();
        assert_eq!(config.issuer, "https://id.example/realms/a");
        assert_eq!(config.audiences, ["a", "b"]);
        assert_eq!(config.username_claim, "sub");
        assert_eq!(config.admin_scope, None);
        assert_eq!(config.leeway, Duration::from_secs(60));
        assert_eq!(config.algorithms.len(), 3);
        assert!(!config.allow_http);
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let error = oidc(&[
            "--oidc-issuer=http://id.example",
            "--oidc-username-claim=",
            "--oidc-admin-scope=two words",
            "--oidc-algorithms=RS256,HS256",
            "--oidc-leeway=6m",
            "--oidc-ca-file=/does/not/exist",
            "--oidc-allow-http=perhaps",
            "--time-zone=Mars/Base",
        ]);
        let error = error.unwrap_err().to_string();
        for name in [
            "HELLO_OIDC_AUDIENCE",
            "HELLO_OIDC_USERNAME_CLAIM",
            "HELLO_OIDC_ADMIN_SCOPE",
            "HELLO_OIDC_ALGORITHMS",
            "HELLO_OIDC_LEEWAY",
            "HELLO_OIDC_CA_FILE",
            "HELLO_OIDC_ALLOW_HTTP",
            "HELLO_TIME_ZONE",
        ] {
            assert!(error.contains(name), "{name} is not in {error}");
        }
    }

    #[test]
    fn the_issuer_is_reached_safely_and_holds_no_secret() {
        let with = |issuer: &str, flags: &[&str]| {
            let issuer = format!("--oidc-issuer={issuer}");
            let mut all = vec![issuer.as_str(), "--oidc-audience=a"];
            all.extend(flags);
            oidc(&all).map(|_| ()).map_err(|error| error.to_string())
        };
        assert!(with("http://127.0.0.1:8080", &[]).is_ok());
        assert!(with("http://id.example", &[]).is_err());
        assert!(with("http://id.example", &["--oidc-allow-http=true"]).is_ok());
        for refused in [
            "id.example",
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
        assert!(error.to_string().contains("holds no certificate"));
    }
}
