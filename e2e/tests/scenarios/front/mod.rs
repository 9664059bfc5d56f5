//! What stands in front of a service. Only `make test-front` runs these.

mod controller;
mod tls;
