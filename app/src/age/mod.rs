//! Encryption of files in the format of age (<https://c2sp.org/age>), which several other programs read and write: to any number
//! of keys of the kind X25519, each of which opens the file alone.
//!
//! Only the format is here; ciphers and curves are those of ring, and x25519-dalek's for keys that are kept.

mod header;
mod key;
mod payload;

pub use header::{OpenError, begin, open};
pub use key::{Identity, Recipient};
pub use payload::{CHUNK, SEALED_CHUNK};

#[cfg(test)]
pub mod tests;
