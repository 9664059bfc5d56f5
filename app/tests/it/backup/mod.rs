//! `backup`, on real servers.

pub mod bench;
pub mod bucket;
mod database;
mod destination;
mod interrupted;
mod proof;
mod sets;
