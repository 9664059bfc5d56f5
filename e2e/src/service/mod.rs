//! A `HelloService` under test: the resource and its children, its API, its database.

pub mod backups;
pub mod endpoint;
pub mod greeting;
pub mod hello;
pub mod http;
pub mod psql;
pub mod timeline;

pub use hello::Hello;
