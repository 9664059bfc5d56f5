//! From one resource to a greeting.

use std::time::{Duration, Instant};

use ::http::StatusCode;
use hello_e2e::scenario::script::Script;
use hello_e2e::service::hello::READY_LIMIT;
use hello_e2e::service::timeline::Moments;
use hello_e2e::service::{greeting, http};
use hello_e2e::{Hello, Result, ensure, scenario};
use serde_json::json;

use crate::expect_greeting;

#[tokio::test]
async fn a_clean_apply_serves_greetings() -> Result<()> {
    scenario::run("clean_apply", async |s| {
        let applied = Instant::now();
        let hello = Hello::apply(s, "hello", json!({})).await?;
        hello.ready(READY_LIMIT).await?;
        let took = applied.elapsed().as_secs_f64();
        s.figure(format!("apply to Ready {took:.1} s: {}", Moments::from_service(&hello).await?.parts()));
        let later = hello.serving().await?.as_secs_f64();
        s.figure(format!("NodePort reachable {later:.1} s after Ready"));

        let http = hello.http().await?;
        for (user, days) in [("alice", 5), ("bob", 0), ("carol", -1), ("José", 364)] {
            let (path, born) = (percent_encoded(user), greeting::born_in(days));
            http.must_put(&path, born).await?;
            let answer = http.get(&path).await?;
            let message = http::message(&answer.body)?;
            let today = greeting::utc_today();
            ensure!(message == greeting::text(user, born, today), "{user} born {born}: {message}");
        }
        let unknown = http.get("nobody").await?;
        ensure!(unknown.status == StatusCode::NOT_FOUND, "an unknown user is {}", unknown.status);
        s.progress("greeted through the NodePort");

        let inside = Script {
            name: "client",
            image: &hello.postgres_image().await?,
            script: "exec 3<>/dev/tcp/hello/80\n\
                     printf 'GET /hello/alice HTTP/1.1\\r\\nHost: hello\\r\\nConnection: close\\r\\n\\r\\n' >&3\n\
                     cat <&3",
            backups: None,
        };
        let answer = inside.run(s, Duration::from_secs(60)).await?;
        let body = answer.lines().last().unwrap_or_default();
        let wanted = greeting::text("alice", greeting::born_in(5), greeting::utc_today());
        ensure!(
            answer.starts_with("HTTP/1.1 200") && http::message(body)? == wanted,
            "through the Service, inside the cluster: {answer}"
        );
        s.progress("greeted through the Service");
        expect_greeting(&http, "alice", greeting::born_in(5)).await
    })
    .await
}

/// The user name as a path segment.
fn percent_encoded(name: &str) -> String {
    name.bytes().fold(String::new(), |mut path, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => path.push(char::from(byte)),
            other => path.push_str(&format!("%{other:02X}")),
        }
        path
    })
}
