//! Limits the request rate of each client.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::client_address::TrustedProxies;
use super::problem::Problem;
use crate::serving::RequestHead;

/// The most clients that are remembered. A client that has its whole burst again can be forgotten
/// without loss.
const MAX_CLIENTS: usize = 1 << 16;
/// Parts of the table, each with a lock of its own.
const SHARDS: usize = 64;

/// A rate such as `20/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Requests in a period.
    pub requests: NonZeroU32,
    /// A second, a minute or an hour.
    pub period: Duration,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a rate such as 20/s, 600/m or 1000/h");
        let (requests, period) = text.split_once('/').ok_or_else(wrong)?;
        let seconds = match period {
            "s" => 1,
            "m" => 60,
            "h" => 60 * 60,
            _ => return Err(wrong()),
        };
        Ok(Self {
            requests: requests.parse().map_err(|_| wrong())?,
            period: Duration::from_secs(seconds),
        })
    }
}

/// The limit of each client.
#[derive(Debug, Clone)]
pub struct RateLimitOptions {
    /// The long-term rate.
    pub rate: Rate,
    /// Requests that may arrive at once after a pause.
    pub burst: NonZeroU32,
    /// Trusted proxies, whose forwarded-for header is honoured.
    pub proxies: TrustedProxies,
}

/// A client: an IPv4 address, or an IPv6 network of 64 bits, the least that one customer has.
type Key = u64;

/// Counts the requests of each client by the generic cell rate algorithm: the state of a client is
/// one instant, at which its whole burst is available again.
#[derive(Debug)]
pub struct RateLimit {
    proxies: TrustedProxies,
    /// The time that one request costs.
    interval: Duration,
    /// How far after now a client's instant may be.
    tolerance: Duration,
    start: Instant,
    hasher: RandomState,
    shards: Vec<Mutex<HashMap<Key, Duration>>>,
    shard_capacity: usize,
}

impl RateLimit {
    /// A limit that no client has used yet.
    pub fn new(options: RateLimitOptions) -> Self {
        Self::with_capacity(options, MAX_CLIENTS)
    }

    fn with_capacity(options: RateLimitOptions, clients: usize) -> Self {
        let interval = options.rate.period / options.rate.requests.get();
        Self {
            proxies: options.proxies,
            interval,
            tolerance: interval * (options.burst.get() - 1),
            start: Instant::now(),
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            shard_capacity: (clients / SHARDS).max(1),
        }
    }

    /// Counts a request.
    ///
    /// # Errors
    /// 429 when the client has no burst left; then the request does not count.
    pub fn check(&self, head: &RequestHead) -> Result<(), Problem> {
        let client = key(self.proxies.client(head.peer, &head.headers));
        self.count(client, self.start.elapsed())
            .map_err(Problem::too_many_requests)
    }

    /// Counts a request of `client` at `now`, or returns how long to wait.
    fn count(&self, client: Key, now: Duration) -> Result<(), Duration> {
        // The hash is keyed, so a client cannot choose its shard.
        let index = usize::try_from(self.hasher.hash_one(client) % SHARDS as u64).unwrap_or(0);
        let mut shard = self.shards[index]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let restored = shard.get(&client).copied().unwrap_or_default().max(now);
        if let Some(wait) = (restored - now).checked_sub(self.tolerance)
            && !wait.is_zero()
        {
            return Err(wait);
        }
        if shard.len() >= self.shard_capacity && !shard.contains_key(&client) {
            make_room(&mut shard, now);
        }
        shard.insert(client, restored + self.interval);
        Ok(())
    }
}

/// Forgets the clients that have their whole burst again. When there are none, forgets the one that
/// is nearest to it, and so gains least.
fn make_room(shard: &mut HashMap<Key, Duration>, now: Duration) {
    let before = shard.len();
    shard.retain(|_, restored| *restored > now);
    if shard.len() == before {
        let nearest = shard.iter().min_by_key(|(_, restored)| **restored);
        if let Some(client) = nearest.map(|(client, _)| *client) {
            shard.remove(&client);
        }
    }
}

fn key(address: IpAddr) -> Key {
    match address.to_canonical() {
        // No IPv6 network begins with 64 bits that are zero but for the last 33.
        IpAddr::V4(address) => u64::from(address.to_bits()) | 1 << 32,
        IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(rate: &str, burst: u32, clients: usize) -> RateLimit {
        let options = RateLimitOptions {
            rate: rate.parse().unwrap(),
            burst: NonZeroU32::new(burst).unwrap(),
            proxies: TrustedProxies::default(),
        };
        RateLimit::with_capacity(options, clients)
    }

    fn remembered(limit: &RateLimit) -> usize {
        let length = |shard: &Mutex<HashMap<Key, Duration>>| shard.lock().unwrap().len();
        limit.shards.iter().map(length).sum()
    }

    #[test]
    fn a_burst_then_the_rate() {
        // So many that the two clients never have to share the last place.
        let limit = limit("10/s", 3, 100_000);
        let at = Duration::from_millis;
        for _ in 0..3 {
            assert_eq!(limit.count(1, at(1000)), Ok(()));
        }
        assert_eq!(limit.count(1, at(1000)), Err(at(100)));
        assert_eq!(limit.count(1, at(1040)), Err(at(60)));
        assert_eq!(limit.count(2, at(1040)), Ok(()));
        assert_eq!(limit.count(1, at(1100)), Ok(()));
        assert_eq!(limit.count(1, at(1100)), Err(at(100)));
        // After a long silence the burst is whole, and not more.
        for _ in 0..3 {
            assert_eq!(limit.count(1, at(9000)), Ok(()));
        }
        assert_eq!(limit.count(1, at(9000)), Err(at(100)));
    }

    #[test]
    fn exactly_the_rate_over_a_minute() {
        let limit = limit("600/m", 1, 6400);
        let allowed = (0..60_000)
            .filter(|at| limit.count(1, Duration::from_millis(*at)).is_ok())
            .count();
        assert_eq!(allowed, 600);
    }

    #[test]
    fn memory_is_bounded_and_those_who_are_over_the_limit_stay_so() {
        let limit = limit("1/h", 2, 6400);
        let now = Duration::from_secs(1);
        let last = 1_000_000;
        for client in 0..50_000 {
            // One who has used up the burst is not forgotten for those who come once.
            let _ = limit.count(last, now);
            let _ = limit.count(client, now);
        }
        assert!(remembered(&limit) <= 6400, "{}", remembered(&limit));
        assert!(limit.count(last, now).is_err());
        // All have their burst again: they make room.
        let later = Duration::from_secs(10 * 60 * 60);
        for client in 0..10_000 {
            assert_eq!(limit.count(client, later), Ok(()));
        }
        assert!(remembered(&limit) <= 6400);
    }

    #[test]
    fn clients_differ_by_address_or_network() {
        let key = |text: &str| key(text.parse().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_ne!(key("0.0.0.0"), key("::1"));
    }

    #[test]
    fn reads_rates() {
        for (text, requests, seconds) in [("20/s", 20, 1), ("600/m", 600, 60), ("1/h", 1, 3600)] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!(rate.requests.get(), requests);
            assert_eq!(rate.period, Duration::from_secs(seconds));
        }
        for text in [
            "", "20", "0/s", "-1/s", "20/d", "20/", "/s", "1.5/s", "20/s ", "20 /s",
        ] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }
}
