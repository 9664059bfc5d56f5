//! The operator against a real API server and etcd, without nodes.
//!
//! Needs the programs that `e2e/kind/cluster kube-assets` builds; `KUBEBUILDER_ASSETS` names another folder.

mod conflict;
mod converge;
mod data;
mod drift;
mod input;
mod leader;
mod migration;
mod scaling;
mod server;
mod world;
