//! The operator behind `HelloService`.
//!
//! A reconcile is a pipeline with one file or folder for each step: [`dereference`] reads,
//! [`validate`] checks, [`build`] makes every object, [`apply`] carries out what [`plan`] decides,
//! and [`status`] reports. Only the first and the last two touch the API server.

pub mod api;
pub mod apply;
pub mod build;
pub mod census;
pub mod child;
pub mod cli;
pub mod client;
pub mod compare;
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
