//! Where backups are kept: a folder.
//!
//! A backup is a set of files, the last of which is its manifest: no manifest, no backup. What is being written, and what
//! is being deleted, is recognized by its name, so that whoever was killed leaves nothing that the next one cannot tell.

mod catalog;
mod folder;

pub use self::catalog::{Catalog, Entry, State};
pub use self::folder::{Folder, create_private, digest_of, sync, write_private, write_whole};
