//! Scenarios that disrupt nodes or the operator, or that measure: each has the cluster to itself.

mod apply;
mod autoscaling;
mod chart;
mod cloudnative_pg;
mod database_changes;
mod drain;
mod kill;
mod migration;
mod network_policy;
mod object_storage;
mod operator_cut;
mod rest;
mod rollout;
