//! The ground floor: kinds, names and the comparison of objects. Knows no other folder.

pub mod child;
pub mod key;
pub mod kind;
pub mod names;
pub mod owner;
pub mod replicas;
pub mod subset;
