//! What limits each client's requests.

use super::ConfigErrors;
use super::errors::non_empty;
use crate::cli::ServeArgs;
use crate::http::{Network, Rate, RateLimitOptions, TrustedProxies};

impl ConfigErrors {
    /// The limit, when there is one and nothing is wrong with it.
    pub(super) fn rate_limit(&mut self, args: &ServeArgs) -> Option<RateLimitOptions> {
        let rate = non_empty(args.rate_limit.as_deref());
        let burst = non_empty(args.rate_limit_burst.as_deref());
        if burst.is_some() && rate.is_none() {
            self.note("HELLO_RATE_LIMIT_BURST needs HELLO_RATE_LIMIT");
        }
        let burst = burst.map(|burst| self.parse("HELLO_RATE_LIMIT_BURST", burst));
        let networks: Vec<Network> = args
            .trusted_proxies
            .iter()
            .map(|text| text.trim())
            .filter(|text| !text.is_empty())
            .filter_map(|text| self.parse("HELLO_TRUSTED_PROXIES", text))
            .collect();
        let header = self.parse("HELLO_FORWARDED_HEADER", &args.forwarded_header);
        let rate: Rate = self.parse("HELLO_RATE_LIMIT", rate?)?;
        Some(RateLimitOptions {
            rate,
            burst: burst.unwrap_or(Some(rate.requests))?,
            proxies: TrustedProxies {
                networks,
                header: header?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use crate::config::ServeConfig;
    use clap::Parser;

    fn limit(flags: &[&str]) -> Result<Option<RateLimitOptions>, String> {
        let command = ["hello-app", "serve", "--database-url", "sqlite::memory:"];
        let Command::Serve(args) = Cli::parse_from(command.iter().chain(flags)).command else {
            panic!("not serve");
        };
        ServeConfig::try_from(&*args)
            .map(|config| config.rate_limit)
            .map_err(|errors| errors.to_string())
    }

    #[test]
    fn there_is_no_limit_unless_it_is_asked_for() {
        assert!(limit(&[]).unwrap().is_none());
        assert!(limit(&["--rate-limit="]).unwrap().is_none());
        let given = limit(&["--rate-limit=600/m"]).unwrap().unwrap();
        assert_eq!(given.burst.get(), 600);
        let flags = ["--rate-limit=600/m", "--rate-limit-burst=5"];
        assert_eq!(limit(&flags).unwrap().unwrap().burst.get(), 5);
    }

    #[test]
    fn proxies_are_a_list() {
        let flags = ["--rate-limit=1/s", "--trusted-proxies=10.0.0.0/8, ::1,"];
        assert_eq!(limit(&flags).unwrap().unwrap().proxies.networks.len(), 2);
    }

    #[test]
    fn every_mistake_is_told() {
        let error = limit(&[
            "--rate-limit-burst=0",
            "--trusted-proxies=a",
            "--forwarded-header=x",
        ])
        .unwrap_err();
        for part in [
            "needs HELLO_RATE_LIMIT",
            "HELLO_RATE_LIMIT_BURST:",
            "HELLO_TRUSTED_PROXIES:",
            "HELLO_FORWARDED_HEADER:",
        ] {
            assert!(error.contains(part), "{part} is not in {error}");
        }
    }
}
