//! `backup`, on real servers.

pub mod bench;
mod database;
mod destination;
mod interrupted;
mod proof;
mod sets;
