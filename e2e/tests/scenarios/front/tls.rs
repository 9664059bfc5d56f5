//! What stands in front of a service: every manifest of docs/front.md, with Traefik and cert-manager.

use std::time::{Duration, Instant};

use hello_e2e::cluster::pods::{address, ready_pods};
use hello_e2e::cluster::{command, wait};
use hello_e2e::load::Load;
use hello_e2e::markdown::blocks;
use hello_e2e::scenario::visitor::Visitor;
use hello_e2e::service::greeting;
use hello_e2e::service::hello::READY_LIMIT;
use hello_e2e::service::http::{Connections, Failure, Http};
use hello_e2e::{Cluster, Context, Hello, Result, Scenario, Seen, bail, ensure, scenario};
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::api::networking::v1::Ingress;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::controller::Controller;
use crate::{addon, expect_greeting, next_image, repository};

const NAME: &str = "front";
/// What it installs, in this order.
const ADDONS: [&str; 3] = ["network_policy", "front/traefik", "front/cert_manager"];
/// Three databases start at once, and the add-ons beside them.
const MORE_TIME: Duration = Duration::from_secs(300);
/// The services of the page that are behind the controller, and their hosts.
const BEHIND: [(&str, &str); 2] = [
    ("hello", "hello.example.com"),
    ("greetings", "greetings.example.com"),
];
const HTTP: u16 = 8080;

#[tokio::test]
async fn tls_through_a_controller_loses_no_request_and_lets_nobody_past() -> Result<()> {
    if Cluster::connect().await?.is_existing() {
        return scenario::skip(NAME, "its owner decides what stands in front there");
    }
    scenario::run_longer(NAME, MORE_TIME, async |s| {
        for name in ADDONS {
            s.defer(&format!("remove {name}"), addon(name, "remove"));
            addon(name, "install").await?;
        }
        s.progress("the controllers run");
        apply_page(s).await?;
        let controller = Controller::connect(s).await?;
        for (name, host) in BEHIND {
            served(s, &controller, &Hello::named(s, name), host).await?;
        }
        only_this_name(s, &controller).await?;
        nobody_goes_past(s).await?;
        for (name, host) in BEHIND {
            rolled_out(s, &controller, &Hello::named(s, name), host).await?;
        }
        balanced(s).await?;
        forbidden_host(s, &controller).await
    })
    .await
}

/// Applies every manifest of the page, in its order: those that name no namespace in that of the scenario.
async fn apply_page(s: &Scenario) -> Result<()> {
    let text = std::fs::read_to_string(repository().join("docs/front.md"))?;
    let manifests = blocks(&text);
    let manifests = manifests.iter().filter(|block| block.language == "yaml");
    for block in manifests {
        let mut args = vec![
            "apply",
            "--server-side",
            "--validate=strict",
            "--filename=-",
        ];
        if !block.text.contains("\n  namespace: ") {
            args.extend(["--namespace", &s.namespace]);
        }
        let finished = command::kubectl_with(&args, &block.text).await?;
        ensure!(
            finished.ok,
            "docs/front.md:{}: {}",
            block.line,
            finished.stderr.trim()
        );
    }
    Ok(())
}

/// The service answers by https, with a certificate of the authority for its host.
async fn served(s: &Scenario, controller: &Controller, hello: &Hello, host: &str) -> Result<()> {
    let began = Instant::now();
    hello.ready(READY_LIMIT).await?;
    let ready = began.elapsed();
    let http = Http::new(controller.endpoint(host)?, Connections::Fresh);
    wait::poll(
        &format!("{host} to be served"),
        Duration::from_secs(60),
        async || {
            Ok(match http.get("nobody").await {
                // The controller's own 404 is plain text.
                Ok(answer) if answer.body.contains("problem") || answer.body.contains("title") => {
                    Seen::Done(())
                }
                other => Seen::not_yet(other),
            })
        },
    )
    .await?;
    s.figure(format!(
        "{host}: Ready, and {:.1} s later served by https with a certificate of the authority",
        (began.elapsed() - ready).as_secs_f64()
    ));
    let born = greeting::born_in(5);
    http.must_put("alice", born).await?;
    expect_greeting(&http, "alice", born).await
}

/// Clients that trust another authority, ask for another host or do without TLS get nothing from the service.
async fn only_this_name(s: &Scenario, controller: &Controller) -> Result<()> {
    let authorities: ConfigMap = s.api().get("kube-root-ca.crt").await?;
    let authorities = authorities.data.unwrap_or_default();
    let others = authorities.get("ca.crt").context("no ca.crt")?;
    for (_, host) in BEHIND {
        let trusts_others = controller.endpoint_trusting(host, others.as_bytes())?;
        refused(&Http::new(trusts_others, Connections::Fresh)).await?;
        let plain = controller.plain(host);
        let answer = Http::new(plain, Connections::Fresh).get("alice").await?;
        ensure!(
            answer.status == http::StatusCode::NOT_FOUND && !answer.body.contains("title"),
            "{host} is served without TLS: {answer:?}"
        );
    }
    let unknown = controller.endpoint("unknown.example.com")?;
    refused(&Http::new(unknown, Connections::Fresh)).await?;
    s.progress("another authority, another host and plain HTTP are refused");
    Ok(())
}

/// There is no connection, because the certificate is not trusted.
async fn refused(http: &Http) -> Result<()> {
    match http.get("alice").await {
        Err(Failure::NotSent(why)) if why.contains("certificate") => Ok(()),
        other => bail!("the certificate was accepted: {other:?}"),
    }
}

/// Where the spec names the clients, a pod of the namespace does not reach the API past the controller.
async fn nobody_goes_past(s: &Scenario) -> Result<()> {
    let image = Hello::named(s, "hello").postgres_image().await?;
    let stray = Visitor::start(
        s,
        &s.namespace,
        "stray",
        &image,
        json!({"role": "stray"}),
        None,
    )
    .await?;
    for (name, limited) in [("greetings", false), ("hello", true)] {
        let apps = Hello::named(s, name).pods("app").await?;
        let app = ready_pods(&apps)
            .first()
            .and_then(|app| address(app))
            .with_context(|| format!("no pod of {name} is ready"))?;
        if limited {
            stray.must_be_refused_eventually(&app, HTTP).await?;
        } else {
            stray.must_reach(&app, HTTP).await?;
        }
    }
    s.progress("a stray pod reaches the API only where the spec names no clients");
    Ok(())
}

/// New pods replace the old ones, and no request through the controller fails.
async fn rolled_out(
    s: &Scenario,
    controller: &Controller,
    hello: &Hello,
    host: &str,
) -> Result<()> {
    let load = Load::start(controller.endpoint(host)?, 4, Duration::from_millis(10));
    load.answered(20).await?;
    hello.change(json!({"image": next_image()?})).await?;
    hello.ready(READY_LIMIT).await?;
    load.answered(20).await?;
    let report = load.stop().await?;
    s.figure(format!(
        "{host}, while its pods were replaced: {}",
        report.summary()
    ));
    report.ensure_none_failed()
}

/// A load balancer gets the annotations, and the service waits for its address.
async fn balanced(s: &Scenario) -> Result<()> {
    let hello = Hello::named(s, "balanced");
    hello
        .condition("Ready", READY_LIMIT, |ready| {
            ready.status == "False" && ready.reason == "AddressPending"
        })
        .await?;
    let service: Service = hello.child("balanced").await?;
    let annotations = service.metadata.annotations.unwrap_or_default();
    let name = annotations.get("external-dns.alpha.kubernetes.io/hostname");
    ensure!(
        name.is_some_and(|name| name == "balanced.example.com"),
        "the Service has the annotations {annotations:?}"
    );
    // As the controller of a cloud does.
    let status =
        json!({"status": {"loadBalancer": {"ingress": [{"hostname": "nlb.example.com"}]}}});
    let services: Api<Service> = s.api();
    services
        .patch_status("balanced", &PatchParams::default(), &Patch::Merge(status))
        .await?;
    hello.ready(READY_LIMIT).await?;
    Ok(())
}

/// A host that the administrator does not allow is reported, and neither routed nor served.
async fn forbidden_host(s: &Scenario, controller: &Controller) -> Result<()> {
    s.defer("lift the limit on hosts", limit_hosts(None));
    limit_hosts(Some("*.example.com")).await?;
    let hello = Hello::named(s, "forbidden");
    let ingress = json!({
        "className": "traefik", "host": "hello.example.org", "tlsSecretName": "forbidden-tls",
        "annotations": {"cert-manager.io/cluster-issuer": "front"},
    });
    hello
        .apply_exactly(json!({"expose": {"ingress": ingress}}))
        .await?;
    hello
        .condition("Ready", READY_LIMIT, |ready| {
            ready.reason == "InvalidSpec" && ready.message.contains("spec.expose.ingress.host")
        })
        .await?;
    let made: Option<Ingress> = s.api().get_opt("forbidden").await?;
    ensure!(made.is_none(), "there is an Ingress for a forbidden host");
    let endpoint = controller.endpoint("hello.example.org")?;
    refused(&Http::new(endpoint, Connections::Fresh)).await?;
    for (name, host) in BEHIND {
        let allowed = Hello::named(s, name);
        allowed.ready(READY_LIMIT).await?;
        let http = Http::new(controller.endpoint(host)?, Connections::Fresh);
        http.must_get("alice").await?;
    }
    s.progress("a host that is not allowed is reported and not served; the others are");
    Ok(())
}

/// Sets the operator's limit on hosts, or removes it, and waits until it is in force.
async fn limit_hosts(hosts: Option<&'static str>) -> Result<()> {
    let operator = "deployment/hello-operator";
    let value = match hosts {
        Some(hosts) => format!("HELLO_ALLOW_HOST={hosts}"),
        None => "HELLO_ALLOW_HOST-".to_owned(),
    };
    let namespace = ["--namespace", "hello-system"];
    command::kubectl(&[&namespace[..], &["set", "env", operator, &value]].concat()).await?;
    let timeout = "--timeout=50s";
    command::kubectl(&[&namespace[..], &["rollout", "status", operator, timeout]].concat()).await?;
    Ok(())
}
