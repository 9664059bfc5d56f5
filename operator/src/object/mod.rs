//! What everything else builds on: kinds, children, names, and the comparison of objects. Imports no other folder.

pub mod backup_result;
pub mod child;
pub mod data_version;
pub mod key;
pub mod kind;
pub mod live;
pub mod names;
pub mod object_name;
pub mod owner;
pub mod pod;
pub mod replicas;
pub mod restore_result;
pub mod subset;
pub mod termination_message;
pub mod time;
pub mod volume_report;
pub mod words;

pub use hello_crds::quantity;
