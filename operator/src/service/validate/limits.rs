//! What the administrator allows, whoever writes the resources.

use std::collections::BTreeMap;

use super::{Database, Image, Validated};
use crate::error::{Error, Result};

/// Annotations that an Ingress may have when the administrator names none: they choose the issuer of the certificate,
/// time limits, sizes and entry points. None holds configuration of the controller, a command, a script or an address
/// to which requests go.
pub const INGRESS_ANNOTATIONS: [&str; 18] = [
    "cert-manager.io/cluster-issuer",
    "cert-manager.io/duration",
    "cert-manager.io/issuer",
    "cert-manager.io/issuer-group",
    "cert-manager.io/issuer-kind",
    "cert-manager.io/renew-before",
    "external-dns.alpha.kubernetes.io/ttl",
    "kubernetes.io/tls-acme",
    "nginx.ingress.kubernetes.io/backend-protocol",
    "nginx.ingress.kubernetes.io/force-ssl-redirect",
    "nginx.ingress.kubernetes.io/limit-connections",
    "nginx.ingress.kubernetes.io/limit-rpm",
    "nginx.ingress.kubernetes.io/limit-rps",
    "nginx.ingress.kubernetes.io/proxy-body-size",
    "nginx.ingress.kubernetes.io/proxy-read-timeout",
    "nginx.ingress.kubernetes.io/ssl-redirect",
    "traefik.ingress.kubernetes.io/router.entrypoints",
    "traefik.ingress.kubernetes.io/router.tls",
];

/// Annotations that a Service may have when the administrator names none: they choose the kind of the load balancer and
/// names that lead to it. None names a certificate, a security group, an address or a place for logs of the cloud's account.
pub const SERVICE_ANNOTATIONS: [&str; 12] = [
    "cloud.google.com/l4-rbs",
    "external-dns.alpha.kubernetes.io/hostname",
    "external-dns.alpha.kubernetes.io/internal-hostname",
    "external-dns.alpha.kubernetes.io/ttl",
    "networking.gke.io/load-balancer-type",
    "service.beta.kubernetes.io/aws-load-balancer-internal",
    "service.beta.kubernetes.io/aws-load-balancer-nlb-target-type",
    "service.beta.kubernetes.io/aws-load-balancer-scheme",
    "service.beta.kubernetes.io/aws-load-balancer-type",
    "service.beta.kubernetes.io/azure-load-balancer-internal",
    "service.beta.kubernetes.io/openstack-internal-load-balancer",
    "service.kubernetes.io/topology-mode",
];

/// Annotations of a Service with host names that external-dns leads to it.
const HOST_ANNOTATIONS: [&str; 2] = [
    "external-dns.alpha.kubernetes.io/hostname",
    "external-dns.alpha.kubernetes.io/internal-hostname",
];

/// What the administrator allows in resources.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Registries and repositories of images beside the default images; empty: any.
    images: Vec<String>,
    /// Host names, or `*.` and a domain for all below it; empty: any.
    hosts: Vec<String>,
    /// Keys of an Ingress's annotations; `PREFIX/*` and `*` stand for many.
    ingress_annotations: Vec<String>,
    /// Those of a Service, likewise.
    service_annotations: Vec<String>,
}

impl Default for Limits {
    fn default() -> Self {
        Self::new([], [], [], [])
    }
}

impl Limits {
    /// Empty items are left out; without any, images and hosts are not limited, and annotations are those of
    /// [`INGRESS_ANNOTATIONS`] and [`SERVICE_ANNOTATIONS`].
    #[must_use]
    pub fn new(
        images: impl IntoIterator<Item = String>,
        hosts: impl IntoIterator<Item = String>,
        ingress_annotations: impl IntoIterator<Item = String>,
        service_annotations: impl IntoIterator<Item = String>,
    ) -> Self {
        fn given(items: impl IntoIterator<Item = String>) -> Vec<String> {
            let items = items.into_iter().map(|item| item.trim().to_owned());
            items.filter(|item| !item.is_empty()).collect()
        }
        fn or(given: Vec<String>, default: &[&str]) -> Vec<String> {
            match given.is_empty() {
                true => default.iter().map(|key| (*key).to_owned()).collect(),
                false => given,
            }
        }
        Self {
            images: given(images),
            hosts: given(hosts),
            ingress_annotations: or(given(ingress_annotations), &INGRESS_ANNOTATIONS),
            service_annotations: or(given(service_annotations), &SERVICE_ANNOTATIONS),
        }
    }

    /// Checks a resource.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the first field with a value that is not allowed.
    pub fn check(&self, service: &Validated) -> Result<()> {
        self.check_image(service, "spec.image", &service.image)?;
        self.check_image(
            service,
            "spec.database.managed.image",
            &service.postgres_image,
        )?;
        if let Database::CloudNativePg(cluster) = &service.database
            && let Some(image) = &cluster.image
        {
            self.check_image(service, "spec.database.cloudNativePG.image", image)?;
        }
        if let Some(image) = service
            .backup
            .as_ref()
            .and_then(|backup| backup.image.as_ref())
        {
            self.check_image(service, "spec.backup.image", image)?;
        }
        const SERVICE: &str = "spec.expose.service.annotations";
        let annotations = &service.expose.service.annotations;
        check_annotations(SERVICE, annotations, &self.service_annotations)?;
        for key in HOST_ANNOTATIONS {
            let hosts = annotations.get(key).into_iter();
            hosts
                .flat_map(|hosts| hosts.split(','))
                .try_for_each(|host| self.check_host(SERVICE, host.trim()))?;
        }
        if let Some(ingress) = &service.expose.ingress {
            const INGRESS: &str = "spec.expose.ingress.annotations";
            self.check_host("spec.expose.ingress.host", &ingress.host)?;
            check_annotations(INGRESS, &ingress.annotations, &self.ingress_annotations)?;
        }
        let Some(route) = &service.expose.http_route else {
            return Ok(());
        };
        const HOSTNAMES: &str = "spec.expose.httpRoute.hostnames";
        if route.hostnames.is_empty() && !self.hosts.is_empty() {
            let allowed = self.hosts.join(", ");
            let message = format!("name the hosts: the administrator allows {allowed}");
            return Err(Error::invalid(HOSTNAMES, message));
        }
        let mut hosts = route.hostnames.iter();
        hosts.try_for_each(|host| self.check_host(HOSTNAMES, host))
    }

    fn check_image(&self, service: &Validated, field: &str, image: &Image) -> Result<()> {
        let image = image.as_str();
        let defaults = &service.default_images;
        let is_default = [&defaults.app, &defaults.postgres]
            .iter()
            .any(|own| *own == image);
        let allowed = |prefix: &String| is_below(image, prefix);
        if self.images.is_empty() || is_default || self.images.iter().any(allowed) {
            return Ok(());
        }
        Err(not_allowed(field, image, &self.images))
    }

    fn check_host(&self, field: &str, host: &str) -> Result<()> {
        let allowed = |allowed: &String| match allowed.strip_prefix('*') {
            Some(domain) => host.len() > domain.len() && host.ends_with(domain),
            None => host == allowed,
        };
        if self.hosts.is_empty() || self.hosts.iter().any(allowed) {
            return Ok(());
        }
        Err(not_allowed(field, host, &self.hosts))
    }
}

/// Checks the keys: each is allowed by its name, or by the beginning of one.
fn check_annotations(
    field: &str,
    annotations: &BTreeMap<String, String>,
    allowed: &[String],
) -> Result<()> {
    let is_allowed = |key: &String| {
        allowed
            .iter()
            .any(|allowed| match allowed.strip_suffix('*') {
                Some(prefix) => key.starts_with(prefix),
                None => key == allowed,
            })
    };
    match annotations.keys().find(|key| !is_allowed(key)) {
        Some(key) => Err(not_allowed(field, key, allowed)),
        None => Ok(()),
    }
}

/// Whether an image is in a registry or repository: `team` is not a prefix of `team-b/x`.
fn is_below(image: &str, prefix: &str) -> bool {
    image.strip_prefix(prefix).is_some_and(|rest| {
        prefix.ends_with('/') || rest.is_empty() || rest.starts_with(['/', ':', '@'])
    })
}

fn not_allowed(field: &str, value: &str, allowed: &[String]) -> Error {
    let allowed = allowed.join(", ");
    let message = format!("{value:?} is not among what the administrator allows: {allowed}");
    Error::invalid(field, message)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::service::validate::{DefaultImages, validate};

    fn limits(images: &[&str], hosts: &[&str], annotations: &[&str]) -> Limits {
        let owned = |items: &[&str]| {
            items
                .iter()
                .map(|item| (*item).to_owned())
                .collect::<Vec<_>>()
        };
        let annotations = owned(annotations);
        Limits::new(
            owned(images),
            owned(hosts),
            annotations.clone(),
            annotations,
        )
    }

    /// The field that is refused, or nothing.
    fn refused(limits: &Limits, spec: &Value) -> String {
        let service = json!({"apiVersion": "hello.internal/v1alpha1", "kind": "HelloService",
            "metadata": {"name": "demo", "namespace": "ns"}, "spec": spec});
        let images = DefaultImages::of_tests();
        let service = validate(&serde_json::from_value(service).unwrap(), &images).unwrap();
        let message = limits.check(&service).err().map(|error| error.to_string());
        let message = message.unwrap_or_default();
        message.split(':').next().unwrap_or_default().to_owned()
    }

    #[test]
    fn without_limits_only_annotations_are_limited() {
        let any = limits(&[], &[""], &[" "]);
        let spec = |part: &str, key: &str| {
            let mut expose = json!({"httpRoute": {"parentRefs": [{"name": "a"}]},
                "ingress": {"host": "bank.example.com"}, "service": {}});
            expose[part]["annotations"] = json!({key: "x"});
            json!({"image": "evil.example.com/x", "expose": expose})
        };
        let ingress = [
            "nginx.ingress.kubernetes.io/configuration-snippet",
            "nginx.ingress.kubernetes.io/auth-url",
            "external-dns.alpha.kubernetes.io/hostname",
            "cert-manager.io/issuer/x",
        ];
        let service = [
            "service.beta.kubernetes.io/aws-load-balancer-security-groups",
            "service.beta.kubernetes.io/aws-load-balancer-access-log-s3-bucket-name",
            "metallb.io/loadBalancerIPs",
            "kubectl.kubernetes.io/last-applied-configuration",
        ];
        for (part, harmless, other) in [
            ("ingress", &INGRESS_ANNOTATIONS[..], ingress),
            ("service", &SERVICE_ANNOTATIONS[..], service),
        ] {
            for key in harmless {
                assert_eq!(refused(&any, &spec(part, key)), "", "{part} {key}");
            }
            let field = format!("spec.expose.{part}.annotations");
            for key in other {
                assert_eq!(refused(&any, &spec(part, key)), field, "{key}");
            }
        }
    }

    #[test]
    fn the_documentation_lists_exactly_these_annotations() {
        let heading = "## Limits that the administrator sets";
        let documented = crate::documented("tenancy.md", heading);
        let options = [
            "--allow-host",
            "--allow-image-prefix",
            "--allow-ingress-annotation",
            "--allow-service-annotation",
        ];
        let lists = INGRESS_ANNOTATIONS.iter().chain(&SERVICE_ANNOTATIONS);
        let known = lists.chain(&options);
        assert_eq!(documented, known.map(|name| (*name).to_owned()).collect());
    }

    #[test]
    fn images_are_those_of_the_registries_and_the_defaults() {
        let limits = limits(&["r.example.com/team", "hub/", "r:5000/x/app"], &[], &[]);
        let managed = |image: &str| json!({"database": {"managed": {"image": image}}});
        let cluster = |image: &str| json!({"database": {"cloudNativePG": {"image": image}}});
        let backup = |image: &str| json!({"backup": {"schedule": "@daily", "image": image}});
        for image in [
            "hello-app:1",
            "postgres:18",
            "r.example.com/team/app:2",
            "r.example.com/team:1",
            "hub/a@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "r:5000/x/app:1",
        ] {
            assert_eq!(refused(&limits, &json!({"image": image})), "", "{image}");
            assert_eq!(refused(&limits, &managed(image)), "", "{image}");
            assert_eq!(refused(&limits, &cluster(image)), "", "{image}");
            assert_eq!(refused(&limits, &backup(image)), "", "{image}");
        }
        for image in [
            "hello-app:2",
            "r.example.com/team-b/app",
            "r.example.com/app",
            "hubs/a",
        ] {
            assert_eq!(refused(&limits, &json!({"image": image})), "spec.image");
            assert_eq!(refused(&limits, &backup(image)), "spec.backup.image");
            assert_eq!(
                refused(&limits, &managed(image)),
                "spec.database.managed.image"
            );
            let field = "spec.database.cloudNativePG.image";
            assert_eq!(refused(&limits, &cluster(image)), field);
        }
    }

    #[test]
    fn hosts_are_those_that_are_named_or_below_a_domain() {
        let limits = limits(&[], &["a.example.com", "*.team.example.com"], &[]);
        let ingress = |host: &str| json!({"expose": {"ingress": {"host": host}}});
        let route = |hosts: Value| {
            json!({"expose": {"httpRoute":
            {"parentRefs": [{"name": "a"}], "hostnames": hosts}}})
        };
        // Whoever reads this annotation leads the name to the Service.
        let service = |host: &str| {
            let hosts = format!("a.example.com, {host}");
            json!({"expose": {"service": {"annotations": {HOST_ANNOTATIONS[0]: hosts}}}})
        };
        for host in [
            "a.example.com",
            "x.team.example.com",
            "x.y.team.example.com",
            "*.team.example.com",
        ] {
            assert_eq!(refused(&limits, &ingress(host)), "", "{host}");
            assert_eq!(refused(&limits, &service(host)), "", "{host}");
            assert_eq!(refused(&limits, &route(json!([host]))), "", "{host}");
        }
        let field = "spec.expose.httpRoute.hostnames";
        for host in [
            "b.example.com",
            "team.example.com",
            "xteam.example.com",
            "*.example.com",
            "a-longer-name.example.com",
        ] {
            assert_eq!(refused(&limits, &ingress(host)), "spec.expose.ingress.host");
            assert_eq!(
                refused(&limits, &service(host)),
                "spec.expose.service.annotations"
            );
            assert_eq!(
                refused(&limits, &route(json!(["a.example.com", host]))),
                field
            );
        }
        assert_eq!(refused(&limits, &route(json!([]))), field);
        assert_ne!(refused(&limits, &service(".team.example.com")), "");
    }

    #[test]
    fn annotations_that_are_named_replace_the_list() {
        let ingress =
            |key: &str| json!({"expose": {"ingress": {"host": "a", "annotations": {key: "x"}}}});
        let service = |key: &str| json!({"expose": {"service": {"annotations": {key: "x"}}}});
        let some = limits(&[], &[], &["example.com/*", "b.example.com/one"]);
        for key in ["example.com/x", "b.example.com/one"] {
            assert_eq!(refused(&some, &ingress(key)), "", "{key}");
            assert_eq!(refused(&some, &service(key)), "", "{key}");
        }
        for key in [INGRESS_ANNOTATIONS[0], "b.example.com/two", "example.com"] {
            assert_ne!(refused(&some, &ingress(key)), "", "{key}");
        }
        for key in [SERVICE_ANNOTATIONS[0], "b.example.com/two", "example.com"] {
            assert_ne!(refused(&some, &service(key)), "", "{key}");
        }
        let any = limits(&[], &[], &["*"]);
        assert_eq!(refused(&any, &ingress("any")), "");
        assert_eq!(refused(&any, &service("any")), "");
    }
}
