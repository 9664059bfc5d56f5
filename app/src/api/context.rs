//! What the handlers of requests share.

use std::sync::Arc;
use std::time::Duration;

use super::cors::Cors;
use super::rate_limit::RateLimit;
use crate::auth::Authenticator;
use crate::domain::{Calendar, LeapDay, UsernameRule};
use crate::lifecycle::PhaseWatch;
use crate::store::Store;
use crate::telemetry::{AccessLog, HttpMetrics, RequestIds};

/// The API: everything that a request is answered with.
pub struct Api {
    /// The store of users and friendships.
    pub store: Arc<dyn Store>,
    /// Today's date.
    pub calendar: Calendar,
    /// When people born on 29 February celebrate.
    pub leap_day: LeapDay,
    /// Which letters a name may have.
    pub usernames: UsernameRule,
    /// Checks the tokens of writes; without it everybody may write.
    pub authenticator: Option<Authenticator>,
    /// The longest time that the body of a request may take to arrive.
    pub body_timeout: Duration,
    /// Limits the requests of each client, when configured.
    pub rate_limit: Option<RateLimit>,
    /// Which pages of other origins may use the API, if any may.
    pub cors: Option<Cors>,
    /// Gives requests their ids, unless they have none.
    pub request_ids: Option<RequestIds>,
    /// Counts requests.
    pub metrics: Arc<HttpMetrics>,
    /// Writes a line for each request, when the log level asks for it.
    pub access_log: Option<AccessLog>,
    /// Makes a span for each request, when there is a collector.
    #[cfg(feature = "otlp")]
    pub spans: Option<Arc<crate::telemetry::Spans>>,
    /// Whether the service is draining.
    pub phase: PhaseWatch,
}
