//! The database: one file with one implementation of [`DatabaseKind`] for each kind.

pub mod address;
mod cnpg;
mod credentials;
mod external;
mod files;
pub mod kind;
pub mod server;
mod transport;

use self::kind::DatabaseKind;
use crate::service::{
    dereference::inputs::Inputs,
    validate::{Database, Validated},
};

/// The database of a service.
pub fn from_service<'a>(service: &'a Validated, inputs: &'a Inputs) -> Box<dyn DatabaseKind + 'a> {
    match &service.database {
        Database::Managed(database) => Box::new(server::Server {
            service,
            inputs,
            database,
        }),
        Database::External(database) => Box::new(external::External {
            service,
            inputs,
            database,
        }),
        Database::CloudNativePg(database) => Box::new(cnpg::Cluster {
            service,
            inputs,
            database,
        }),
    }
}
