//! The operator behind `HelloService`.
//!
//! A reconcile is a pipeline with one file or folder for each step: [`dereference`] reads,
//! [`validate`] checks, [`build`] makes every object, [`apply`] carries out what [`plan`] decides,
//! and [`status`] reports. Only the first and the last two touch the API server.

pub mod cli;
pub mod controller;
pub mod error;
pub mod kubernetes;
pub mod leadership;
pub mod object;
pub mod restore;
pub mod service;
pub mod telemetry;

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
