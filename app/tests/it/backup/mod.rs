//! `backup`, on real servers.

pub mod bench;
pub mod bucket;
mod database;
mod destination;
mod encryption;
mod interrupted;
mod proof;
mod sets;
