//! The operator against a real API server and etcd, without nodes.
//!
//! Needs the programs that `e2e/kind/cluster kube-assets` builds; `KUBEBUILDER_ASSETS` names another folder.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A panic is how a test fails.

mod admission;
mod alerts;
mod backup;
mod bootstrap;
mod certificates;
mod cnpg;
mod cnpg_stand_in;
mod conflict;
mod controllers;
mod converge;
mod crash;
mod credentials;
mod data;
mod definitions;
mod drift;
mod edits;
mod effects;
mod entry;
mod events;
mod faults;
mod field_bases;
mod field_changes;
mod forbidden;
mod held;
mod history;
mod injected;
mod injector;
mod input;
mod kstatus;
mod kubelet;
mod labels;
mod leader;
mod link;
mod metrics_access;
mod migration;
mod names;
mod namespace;
mod neighbours;
mod operator;
mod outage;
mod panic;
mod plugin;
#[allow(dead_code)] // The benchmark uses more of it.
mod process;
mod quantity;
mod reference;
mod refused;
mod refused_pods;
mod restore;
mod rights;
mod rounds;
mod samples;
mod scaling;
mod server;
mod snapshot;
mod stand_in;
mod state;
mod stuck;
mod terminal;
mod upgrade;
mod versions;
mod volumes;
mod waiting;
mod world;
