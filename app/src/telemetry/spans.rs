//! One span for each request, exported by OTLP. OpenTelemetry's environment variables configure it.

use std::env;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, Method, StatusCode};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceState,
    Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span};
use tokio::runtime::Handle;

use super::method::known_method;
use super::trace_context::{TraceId, TraceParent};
use crate::http_client::connector;

/// The longest time that the end of the program waits for the last export.
const LAST_EXPORT: Duration = Duration::from_secs(2);
/// The longest time of one export by default.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why spans cannot be exported as the environment configures it.
#[derive(Debug, thiserror::Error)]
pub enum SpansError {
    /// The protocol is not supported.
    #[error("OTEL_EXPORTER_OTLP_PROTOCOL: `{0}` is not `http/protobuf`")]
    Protocol(String),
    /// The collector's certificate authorities cannot be used.
    #[error("OTEL_EXPORTER_OTLP_CERTIFICATE: {0}")]
    Certificate(String),
    /// The endpoint or another setting cannot be used.
    #[error("{0}")]
    Exporter(#[from] ExporterBuildError),
}

/// Makes spans and exports them in the background.
#[derive(Debug)]
pub struct Spans {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Spans {
    /// From the environment; `None` when it names no collector, or turns tracing off.
    ///
    /// # Errors
    /// See [`SpansError`]. A collector that cannot be reached is no error.
    pub fn from_environment() -> Result<Option<Self>, SpansError> {
        let disabled = variable("OTEL_SDK_DISABLED")
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
            || variable("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none");
        if disabled || traces_setting("ENDPOINT").is_none() {
            return Ok(None);
        }
        if let Some(protocol) = traces_setting("PROTOCOL").filter(|name| name != "http/protobuf") {
            return Err(SpansError::Protocol(protocol));
        }
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(OnRuntime::new()?)
            .build()?;
        let provider = SdkTracerProvider::builder()
            .with_resource(resource())
            .with_batch_exporter(exporter)
            .build();
        let tracer = provider.tracer(env!("CARGO_PKG_NAME"));
        Ok(Some(Self { provider, tracer }))
    }

    /// Begins the span of a request, as part of its sender's trace. `route` is the path template.
    pub fn start(
        &self,
        method: &Method,
        route: Option<&'static str>,
        parent: Option<TraceParent>,
        headers: &HeaderMap,
    ) -> RequestSpan {
        let method = match known_method(method) {
            "OTHER" => "_OTHER",
            known => known,
        };
        let name = match (method, route) {
            ("_OTHER", _) => "HTTP".into(),
            (method, None) => method.into(),
            (method, Some(route)) => format!("{method} {route}").into(),
        };
        let mut attributes = vec![KeyValue::new("http.request.method", method)];
        // The path is left out: it holds names.
        if let Some(route) = route {
            attributes.push(KeyValue::new("http.route", route));
        }
        let builder = opentelemetry::trace::SpanBuilder::from_name::<std::borrow::Cow<_>>(name)
            .with_kind(SpanKind::Server)
            .with_attributes(attributes);
        let context = parent.map_or_else(Context::new, |parent| remote(parent, headers));
        RequestSpan {
            span: self.tracer.build_with_context(builder, &context),
            has_parent: parent.is_some(),
        }
    }

    /// Exports the last spans, and none after that.
    pub async fn close(&self) {
        let provider = self.provider.clone();
        let closed =
            tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(LAST_EXPORT));
        if let Ok(Err(error)) = closed.await {
            tracing::warn!(%error, "the last traces were not exported");
        }
    }
}

/// The span of one request. It ends at the latest when it is dropped, as when the client disconnects.
#[derive(Debug)]
pub struct RequestSpan {
    span: Span,
    has_parent: bool,
}

impl RequestSpan {
    /// The trace, when anything of it is recorded.
    pub fn trace_id(&self) -> Option<TraceId> {
        let context = self.span.span_context();
        (self.has_parent || context.is_sampled())
            .then(|| TraceId::from_bytes(context.trace_id().to_bytes()))
    }

    /// Ends the span with the status of the response.
    pub fn end(mut self, status: StatusCode) {
        let code = i64::from(status.as_u16());
        self.span
            .set_attribute(KeyValue::new("http.response.status_code", code));
        if status.is_server_error() {
            self.span
                .set_attribute(KeyValue::new("error.type", code.to_string()));
            self.span.set_status(Status::error(""));
        }
        self.span.end();
    }
}

/// The context of the sender's span.
fn remote(parent: TraceParent, headers: &HeaderMap) -> Context {
    let state = headers
        .get("tracestate")
        .and_then(|value| TraceState::from_str(value.to_str().ok()?).ok());
    let flags = TraceFlags::default().with_sampled(parent.sampled);
    Context::new().with_remote_span_context(SpanContext::new(
        opentelemetry::TraceId::from_bytes(parent.trace_id.to_bytes()),
        SpanId::from_bytes(parent.span_id.to_be_bytes()),
        flags,
        true,
        state.unwrap_or_default(),
    ))
}

/// The service of the spans: this program, unless the environment gives another name.
fn resource() -> Resource {
    const NAME: &str = "service.name";
    let detected = Resource::builder().build();
    let named = detected
        .get(&NAME.into())
        .is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    let mut builder = Resource::builder();
    if !named {
        builder = builder.with_service_name(env!("CARGO_PKG_NAME"));
    }
    builder
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build()
}

/// A variable that is set and not empty.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// A setting of the exporter: for traces, or else for all signals.
fn traces_setting(setting: &str) -> Option<String> {
    variable(&format!("OTEL_EXPORTER_OTLP_TRACES_{setting}"))
        .or_else(|| variable(&format!("OTEL_EXPORTER_OTLP_{setting}")))
}

/// Sends the exporter's requests on the program's runtime: the exporter's own thread has none.
#[derive(Debug)]
struct OnRuntime {
    client: Arc<HyperClient<HttpsConnector<HttpConnector>>>,
    runtime: Handle,
}

impl OnRuntime {
    fn new() -> Result<Self, SpansError> {
        let authorities = traces_setting("CERTIFICATE").map(PathBuf::from);
        let connector = connector(authorities.as_deref())
            .map_err(|error| SpansError::Certificate(error.to_string()))?;
        let timeout = traces_setting("TIMEOUT")
            .and_then(|millis| millis.parse().ok())
            .map_or(EXPORT_TIMEOUT, Duration::from_millis);
        Ok(Self {
            client: Arc::new(HyperClient::new(connector, timeout, None)),
            runtime: Handle::current(),
        })
    }
}

#[async_trait]
impl HttpClient for OnRuntime {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        self.runtime
            .spawn(async move { client.send_bytes(request).await })
            .await?
    }
}
