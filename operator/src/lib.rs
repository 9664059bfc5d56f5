//! The operator behind `HelloService`.
//!
//! A reconcile is a pipeline with one file or folder for each step: [`dereference`] reads,
//! [`validate`] checks, [`build`] makes every object, [`apply`] carries out what [`plan`] decides,
//! and [`status`] reports. Only the first and the last two touch the API server.

pub mod api;
pub mod apply;
pub mod build;
pub mod cause;
pub mod census;
pub mod child;
pub mod cli;
pub mod client;
pub mod compare;
pub mod conditions;
pub mod controller;
pub mod credentials;
pub mod dereference;
pub mod engine;
pub mod error;
pub mod events;
pub mod facts;
pub mod fence;
pub mod health;
pub mod lease;
pub mod metrics;
pub mod names;
pub mod offline;
pub mod optional;
pub mod pace;
pub mod plan;
pub mod queue;
pub mod reason;
pub mod reconcile;
pub mod reference;
pub mod run;
pub mod status;
pub mod tls;
pub mod trouble;
pub mod validate;
pub mod volume;
pub mod watch;
pub mod watchdog;

/// The names in the first column of the table below `heading` on a page of the documentation.
#[cfg(test)]
fn documented(page: &str, heading: &str) -> std::collections::BTreeSet<String> {
    let path = format!("{}/../docs/{page}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let (_, below) = text.split_once(&format!("{heading}\n")).unwrap();
    let section = below
        .split_once("\n#")
        .map_or(below, |(section, _)| section);
    section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name.to_owned())
        .collect()
}
