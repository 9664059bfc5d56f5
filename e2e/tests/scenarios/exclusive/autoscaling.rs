//! The autoscaler on real CPU metrics.

use std::time::{Duration, Instant};

use hello_e2e::cluster::pods::{describe_pods, ready_pods};
use hello_e2e::cluster::wait::{poll, watch};
use hello_e2e::load::Load;
use hello_e2e::service::hello::READY_LIMIT;
use hello_e2e::{Hello, Result, Seen, scenario};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use serde_json::json;

#[tokio::test]
async fn the_service_scales_out_under_load_and_in_again() -> Result<()> {
    scenario::run("autoscaling", async |s| {
        let spec = json!({
            "autoscaling": {"minReplicas": 1, "maxReplicas": 3, "targetCPUUtilizationPercentage": 50},
            "resources": {"requests": {"cpu": "50m", "memory": "32Mi"}},
        });
        let hello = Hello::apply(s, "hello", spec).await?;
        hello.serving().await?;
        let url = hello.url().await?;
        // Few requests all the time: neither scaling out nor scaling in may lose one.
        let gentle = Load::start(&url, 2, Duration::from_millis(100));

        watch(&s.api::<HorizontalPodAutoscaler>(), &hello.name, "CPU metrics", Duration::from_secs(120), |hpa| {
            let Some(status) = hpa.and_then(|hpa| hpa.status) else { return Seen::NotYet("no status".to_owned()) };
            let metric = status.current_metrics.iter().flatten().find_map(|metric| metric.resource.as_ref());
            match metric.and_then(|resource| resource.current.average_utilization) {
                Some(percent) => Seen::Done(percent),
                None => Seen::not_yet(status.conditions),
            }
        })
        .await?;
        s.progress("the autoscaler reads CPU metrics");

        let began = Instant::now();
        let heavy = Load::start(&url, 8, Duration::from_millis(4));
        await_pods(&hello, Duration::from_secs(150), |ready| ready >= 2).await?;
        s.figure(format!("scaled out {:.0} s after the load began", began.elapsed().as_secs_f64()));
        let heavy = heavy.stop().await?;
        s.progress(&format!("heavy load: {}", heavy.summary()));
        heavy.ensure_none_failed()?;

        let ended = Instant::now();
        let limit = if s.cluster.is_existing() { 480 } else { 150 };
        await_pods(&hello, Duration::from_secs(limit), |ready| ready == 1).await?;
        s.figure(format!("scaled in {:.0} s after the load ended", ended.elapsed().as_secs_f64()));
        let gentle = gentle.stop().await?;
        s.figure(format!("while scaling: {}", gentle.summary()));
        gentle.ensure_none_failed()?;
        hello.ready(READY_LIMIT).await.map(drop)
    })
    .await
}

/// Waits for a number of ready pods.
async fn await_pods(hello: &Hello, limit: Duration, wanted: impl Fn(usize) -> bool) -> Result<()> {
    poll("the wanted number of ready pods", limit, async || {
        let pods = hello.pods("app").await?;
        Ok(if wanted(ready_pods(&pods).len()) {
            Seen::Done(())
        } else {
            Seen::NotYet(describe_pods(&pods))
        })
    })
    .await
}
