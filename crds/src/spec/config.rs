//! Settings of the API.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::patterns::TIME_ZONE;

/// Settings of the API. Each field sets an environment variable of the application.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AppConfig {
    /// IANA time zone of the current date, such as `Europe/Berlin`. Default: `UTC`.
    #[serde(default = "default_time_zone")]
    #[schemars(length(min = 1, max = 64), regex(pattern = TIME_ZONE))]
    pub time_zone: String,
    /// Birthday, in years without a 29 February, of users born on that day. Default: `feb28`.
    #[serde(default)]
    pub leap_day: LeapDay,
    /// Letters that are allowed in user names. Default: `unicode`.
    #[serde(default)]
    pub usernames: Usernames,
    /// Lowest severity of the log messages that are written. Default: `info`.
    #[serde(default)]
    pub log_level: LogLevel,
    /// Format of the log lines. Default: `json`.
    #[serde(default)]
    pub log_format: LogFormat,
    /// Limit on the requests of each client. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
}

impl Default for AppConfig {
    fn default() -> Self {
        Self {
            time_zone: default_time_zone(),
            leap_day: LeapDay::default(),
            usernames: Usernames::default(),
            log_level: LogLevel::default(),
            log_format: LogFormat::default(),
            rate_limit: None,
        }
    }
}

pub(super) fn default_time_zone() -> String {
    "UTC".into()
}

/// Birthday, in years without a 29 February, of users born on that day.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LeapDay {
    /// 28 February.
    #[default]
    Feb28,
    /// 1 March.
    Mar1,
}

impl LeapDay {
    /// The value of the application's option.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Feb28 => "feb28",
            Self::Mar1 => "mar1",
        }
    }
}

/// Letters that are allowed in user names.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Usernames {
    /// Letters of every script.
    #[default]
    Unicode,
    /// A to Z and a to z.
    Ascii,
}

impl Usernames {
    /// The value of the application's option.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unicode => "unicode",
            Self::Ascii => "ascii",
        }
    }
}

/// Lowest severity of the log messages that are written.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Everything.
    Trace,
    /// Details for finding faults.
    Debug,
    /// Normal operation.
    #[default]
    Info,
    /// Events that may need action.
    Warn,
    /// Failures only.
    Error,
}

impl LogLevel {
    /// The value of the application's option.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// Format of the log lines.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object per line.
    #[default]
    Json,
    /// Text, for a terminal.
    Text,
}

impl LogFormat {
    /// The value of the application's option.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Text => "text",
        }
    }
}

/// Limit on the requests of each client. Each pod counts separately.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    /// Requests per period, on average.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests: i32,
    /// Period of the rate. Default: `second`.
    #[serde(default)]
    pub per: Period,
    /// Requests that a client may send at once after a pause. Default: the value of `requests`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub burst: Option<i32>,
    /// Trusted proxies, whose forwarded-for header is honoured: IP addresses or networks such as `10.0.0.0/8`. Default:
    /// none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[x_kube(validation = Rule::new("self.all(proxy, isIP(proxy) || (isCIDR(proxy) && cidr(proxy) == cidr(proxy).masked()))")
        .message("spec.config.rateLimit.trustedProxies: use IP addresses, or networks such as 10.0.0.0/8 whose host bits are zero"))]
    #[schemars(length(max = 64), inner(length(min = 2, max = 43)))]
    pub trusted_proxies: Vec<String>,
    /// Header in which trusted proxies report the address of the client. Default: `x-forwarded-for`.
    #[serde(default)]
    pub forwarded_header: ForwardedHeader,
}

/// Period of a rate.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    /// One second.
    #[default]
    Second,
    /// One minute.
    Minute,
    /// One hour.
    Hour,
}

impl Period {
    /// The unit in the application's option.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Second => "s",
            Self::Minute => "m",
            Self::Hour => "h",
        }
    }
}

/// Header in which trusted proxies report the address of the client.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`, the most common one.
    #[default]
    XForwardedFor,
    /// `Forwarded`, RFC 7239.
    Forwarded,
}

impl ForwardedHeader {
    /// The value of the application's option.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
        }
    }
}
