//! How the API behaves.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Behaviour of the API; each field is an environment variable of the application.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AppConfig {
    /// IANA time zone that decides which day is today.
    #[serde(default = "default_time_zone")]
    #[schemars(
        length(min = 1, max = 64),
        regex(pattern = r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$")
    )]
    pub time_zone: String,
    /// When somebody born on 29 February has their birthday in a common year.
    #[serde(default)]
    pub leap_day: LeapDay,
    /// Letters a username may have.
    #[serde(default)]
    pub usernames: Usernames,
    /// Least severe log messages to print.
    #[serde(default)]
    pub log_level: LogLevel,
    /// How log lines look.
    #[serde(default)]
    pub log_format: LogFormat,
    /// What each client may do; no limit when not given.
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

pub(crate) fn default_time_zone() -> String {
    "UTC".into()
}

/// Birthday of somebody born on 29 February, in a common year.
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
    /// The word the application takes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Feb28 => "feb28",
            Self::Mar1 => "mar1",
        }
    }
}

/// Letters a username may have.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Usernames {
    /// Letters of every script.
    #[default]
    Unicode,
    /// A to Z in both cases.
    Ascii,
}

impl Usernames {
    /// The word the application takes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unicode => "unicode",
            Self::Ascii => "ascii",
        }
    }
}

/// Least severe log messages to print.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Everything.
    Trace,
    /// For finding faults.
    Debug,
    /// What an administrator wants to read.
    #[default]
    Info,
    /// Only what may need action.
    Warn,
    /// Only what failed.
    Error,
}

impl LogLevel {
    /// The word the application takes.
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

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// For a person at a terminal.
    Text,
}

impl LogFormat {
    /// The word the application takes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Text => "text",
        }
    }
}

/// The most requests of one client. Each pod counts for itself.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    /// Requests in a period, in the long run.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests: i32,
    /// The period.
    #[serde(default)]
    pub per: Period,
    /// Requests that may come at once after a while of silence; as many as `requests` when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub burst: Option<i32>,
    /// Addresses, or blocks such as `10.0.0.0/8`, of proxies whose word is taken for whom they ask.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[x_kube(validation = Rule::new("self.all(proxy, isIP(proxy) || (isCIDR(proxy) && cidr(proxy) == cidr(proxy).masked()))")
        .message("spec.config.rateLimit.trustedProxies needs IP addresses, or blocks such as 10.0.0.0/8 with no bits set behind their length"))]
    #[schemars(length(max = 64), inner(length(min = 2, max = 43)))]
    pub trusted_proxies: Vec<String>,
    /// The header in which these proxies tell it.
    #[serde(default)]
    pub forwarded_header: ForwardedHeader,
}

/// Period of a rate.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    /// A second.
    #[default]
    Second,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
}

impl Period {
    /// The letter the application takes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Second => "s",
            Self::Minute => "m",
            Self::Hour => "h",
        }
    }
}

/// Header in which proxies tell for whom they ask.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// What most proxies send.
    #[default]
    XForwardedFor,
    /// The one of RFC 7239.
    Forwarded,
}

impl ForwardedHeader {
    /// The word the application takes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
        }
    }
}
