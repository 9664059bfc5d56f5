//! Certificates and passwords of the managed database, replaced while it serves.

use std::time::{Duration, Instant};

use hello_e2e::cluster::wait::poll;
use hello_e2e::load::Load;
use hello_e2e::service::psql::psql;
use hello_e2e::{Context, Hello, Result, Scenario, Seen, ensure, scenario};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

/// Kubelets give new files to pods within two minutes.
const NEW_FILES: Duration = Duration::from_secs(150);
/// Every pod has the new passwords before the roles change.
const NEW_PASSWORDS: Duration = Duration::from_secs(300);

#[tokio::test]
async fn certificates_and_passwords_are_replaced_without_a_failed_request() -> Result<()> {
    scenario::run("certificates", async |s| {
        let hello = Hello::apply(s, "hello", json!({"replicas": 2})).await?;
        hello.serving().await?;
        only_with_tls(s, &hello).await?;
        let before = hello.starts().await?;

        let load = Load::start(&hello.url().await?, 2, Duration::from_millis(50));
        tokio::try_join!(certificate(s, &hello), passwords(s, &hello))?;
        // The helper's own session verifies the server's certificate with the authority, as every client does.
        psql(s, &hello, "SELECT 1").await?;
        let report = load.stop().await?;
        s.figure(format!("while secrets changed: {}", report.summary()));
        report.ensure_none_failed()?;
        hello.ensure_not_started_again(&before).await
    })
    .await
}

/// Every session of the app is encrypted, and a client without TLS is refused.
async fn only_with_tls(s: &Scenario, hello: &Hello) -> Result<()> {
    let plain = psql(s, hello, "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE client_addr IS NOT NULL AND NOT ssl").await?;
    ensure!(plain == "0", "{plain} sessions are not encrypted");
    let script = "psql \"host=hello-db user=hello_owner dbname=hello sslmode=disable\" -c 'SELECT 1' 2>&1 || true";
    let printed = in_database(s, hello, script).await?;
    ensure!(
        printed.contains("no encryption"),
        "a client without TLS got {printed:?}"
    );
    Ok(())
}

/// The server reads a new certificate, and new sessions verify it.
async fn certificate(s: &Scenario, hello: &Hello) -> Result<()> {
    let secrets: Api<Secret> = s.api();
    let started = as_owner(s, hello, "SELECT clock_timestamp()").await?;
    let began = Instant::now();
    secrets
        .delete("hello-db-tls", &DeleteParams::default())
        .await?;
    poll(
        "the server to read its new certificate",
        NEW_FILES,
        async || {
            let asked = format!("SELECT pg_conf_load_time() > '{started}'");
            let read = as_owner(s, hello, &asked).await?;
            Ok(if read == "t" {
                Seen::Done(())
            } else {
                Seen::not_yet(read)
            })
        },
    )
    .await?;
    s.figure(format!(
        "new certificate in use after {:.1} s",
        began.elapsed().as_secs_f64()
    ));
    Ok(())
}

/// The roles get new passwords.
async fn passwords(s: &Scenario, hello: &Hello) -> Result<()> {
    let old = role(s, hello).await?;
    let began = Instant::now();
    let ask = json!({"metadata": {"annotations": {"hello.internal/rotate-credentials": "e2e"}}});
    hello
        .api()
        .patch(&hello.name, &PatchParams::default(), &Patch::Merge(&ask))
        .await?;
    poll(
        "the role to get its new password",
        NEW_PASSWORDS,
        async || {
            let now = role(s, hello).await?;
            Ok(if now == old {
                Seen::not_yet("the old one")
            } else {
                Seen::Done(())
            })
        },
    )
    .await?;
    s.figure(format!(
        "new passwords in use after {:.0} s",
        began.elapsed().as_secs_f64()
    ));
    hello.ready(Duration::from_secs(60)).await.map(drop)
}

/// The hash of the app's password in the server.
async fn role(s: &Scenario, hello: &Hello) -> Result<String> {
    let ask = "SELECT md5(rolpassword) FROM pg_authid WHERE rolname = 'hello_app'";
    as_owner(s, hello, ask).await
}

/// SQL through the server's own socket, which needs no password.
async fn as_owner(s: &Scenario, hello: &Hello, sql: &str) -> Result<String> {
    let script = format!("psql -qXAt -U postgres -d hello -c \"{sql}\"");
    Ok(in_database(s, hello, &script).await?.trim().to_owned())
}

async fn in_database(s: &Scenario, hello: &Hello, script: &str) -> Result<String> {
    let pod = hello.database_pod();
    let args = [
        "--namespace",
        &s.namespace,
        "exec",
        &pod,
        "--",
        "sh",
        "-c",
        script,
    ];
    hello_e2e::cluster::command::kubectl(&args)
        .await
        .context("a command in the database's pod")
}
