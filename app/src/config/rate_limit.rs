//! What limits each client's requests.

use std::num::NonZeroU32;

use super::check::{FROM_ONE, choice, parse};
use super::group::option_group;
use super::option::{list, optional, value};
use crate::api::{ForwardedHeader, Network, Rate, RateLimitOptions, TrustedProxies};

option_group! {
    /// What limits each client's requests.
    "Rate limit" => pub struct ClientLimitOptions {
        /// Most requests of one client. After that the answer is 429. Unset: no limit.
        rate_limit: Option<Rate> = optional(
            "HELLO_RATE_LIMIT", "a rate such as 20/s, 600/m or 1000/h", choice),
        /// Requests that one client may send at once. Unset: the number in the rate limit.
        rate_limit_burst: Option<NonZeroU32> = optional("HELLO_RATE_LIMIT_BURST", FROM_ONE, parse)
            .needs("rate_limit"),
        /// Trusted proxies, whose forwarded-for header is honoured. Unset: none.
        trusted_proxies: Vec<Network> = list(
            "HELLO_TRUSTED_PROXIES", "addresses, or blocks such as 10.0.0.0/8, separated by commas", parse),
        /// Header in which trusted proxies name the client.
        forwarded_header: ForwardedHeader = value(
            "HELLO_FORWARDED_HEADER", "x-forwarded-for", "`x-forwarded-for` or `forwarded`", choice),
    }
}

impl ClientLimitOptions {
    /// The limit, when there is one.
    pub(super) fn limit(self) -> Option<RateLimitOptions> {
        let rate = self.rate_limit?;
        Some(RateLimitOptions {
            burst: self.rate_limit_burst.unwrap_or(rate.requests),
            rate,
            proxies: TrustedProxies {
                networks: self.trusted_proxies,
                header: self.forwarded_header,
            },
        })
    }
}
