//! Upgrades from earlier releases, with their own programs, manifests and documentation. Only `make test-upgrade` runs these.

mod helm;
mod installation;
mod kubectl;
mod service;
mod state;
