//! Settings of the application: its environment, and the files that it names.

use hello_crds::RateLimit;
use k8s_openapi::api::core::v1::{EnvVar, Volume, VolumeMount};

use super::pod;
use crate::service::validate::{Issuer, Validated};

/// Where the API's certificate is mounted.
const TLS_DIRECTORY: &str = "/etc/hello/tls";
/// Where the issuer's certificates are mounted.
const ISSUER_DIRECTORY: &str = "/etc/hello/issuer";
/// The issuer's certificates there.
const ISSUER_FILE: &str = "ca.crt";

/// Parts of the application's pod.
#[derive(Default)]
pub struct Settings {
    /// Environment of the container.
    pub env: Vec<EnvVar>,
    /// Volumes of the pod.
    pub volumes: Vec<Volume>,
    /// Where the container has them.
    pub mounts: Vec<VolumeMount>,
}

/// All settings except the database's address.
pub fn settings(service: &Validated) -> Settings {
    let config = &service.config;
    let mut settings = Settings::default();
    settings.set("HELLO_TIME_ZONE", config.time_zone.as_str());
    settings.set("HELLO_LEAP_DAY", config.leap_day.as_str());
    settings.set("HELLO_USERNAMES", config.usernames.as_str());
    settings.set("HELLO_LOG_LEVEL", config.log_level.as_str());
    settings.set("HELLO_LOG_FORMAT", config.log_format.as_str());
    // Endpoints are withdrawn while the pod still serves.
    settings.set("HELLO_DRAIN_DELAY", "5s");
    settings.set("HELLO_DRAIN_TIMEOUT", "25s");
    if let Some(limit) = &config.rate_limit {
        settings.limit(limit);
    }
    if let Some(secret) = &service.tls {
        settings.serve_tls(secret.as_str());
    }
    if let Some(issuer) = &service.oidc {
        settings.require_tokens(issuer);
    }
    settings
}

impl Settings {
    fn set(&mut self, name: &str, value: impl Into<String>) {
        self.env.push(pod::env(name, value));
    }

    /// Read-only, and renewed in place when its source changes.
    fn mount(&mut self, volume: Volume, directory: &str) {
        self.mounts.push(pod::mount(&volume.name, directory, true));
        self.volumes.push(volume);
    }

    fn limit(&mut self, limit: &RateLimit) {
        let rate = format!("{}/{}", limit.requests, limit.per.as_str());
        self.set("HELLO_RATE_LIMIT", rate);
        if let Some(burst) = limit.burst {
            self.set("HELLO_RATE_LIMIT_BURST", burst.to_string());
        }
        if !limit.trusted_proxies.is_empty() {
            self.set("HELLO_TRUSTED_PROXIES", limit.trusted_proxies.join(","));
        }
        self.set("HELLO_FORWARDED_HEADER", limit.forwarded_header.as_str());
    }

    fn serve_tls(&mut self, secret: &str) {
        let files = [("tls.crt", "tls.crt"), ("tls.key", "tls.key")];
        self.mount(pod::secret_volume("tls", secret, &files), TLS_DIRECTORY);
        let file = |name| format!("{TLS_DIRECTORY}/{name}");
        self.set("HELLO_TLS_CERTIFICATE_FILE", file("tls.crt"));
        self.set("HELLO_TLS_KEY_FILE", file("tls.key"));
    }

    fn require_tokens(&mut self, issuer: &Issuer) {
        self.set("HELLO_OIDC_ISSUER", issuer.url.as_str());
        for (option, names) in [
            ("HELLO_OIDC_AUDIENCE", &issuer.audience),
            ("HELLO_OIDC_CLIENT_ID", &issuer.client_ids),
        ] {
            if !names.is_empty() {
                self.set(option, names.join(","));
            }
        }
        self.set("HELLO_OIDC_USERNAME_CLAIM", issuer.username_claim.as_str());
        if let Some(scope) = &issuer.admin_scope {
            self.set("HELLO_OIDC_ADMIN_SCOPE", scope.as_str());
        }
        if let Some(claim) = &issuer.admin_claim {
            self.set("HELLO_OIDC_ADMIN_CLAIM", claim.as_str());
        }
        if let Some(reads) = issuer.reads {
            self.set("HELLO_OIDC_READS", reads.as_str());
        }
        let algorithms: Vec<&str> = issuer.algorithms.iter().map(|one| one.as_str()).collect();
        self.set("HELLO_OIDC_ALGORITHMS", algorithms.join(","));
        self.set("HELLO_OIDC_LEEWAY", format!("{}s", issuer.leeway_seconds));
        let Some(authorities) = &issuer.authorities else {
            return;
        };
        let volume = pod::authorities_volume("issuer", authorities, ISSUER_FILE);
        self.mount(volume, ISSUER_DIRECTORY);
        let file = format!("{ISSUER_DIRECTORY}/{ISSUER_FILE}");
        self.set("HELLO_OIDC_CA_FILE", file);
    }
}
