//! Who may modify users: bearer tokens of an OpenID Connect issuer. Off unless an issuer is configured.
//!
//! A writer is the user that a claim of the token names, or has the admin scope. Signatures are checked
//! with the published keys of the issuer, which a background task keeps in memory.

mod algorithm;
mod authenticator;
mod bearer;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod issuer;
mod keys;
mod oidc;
mod refresh;
mod ring_provider;
mod token;

pub use algorithm::Algorithm;
pub use authenticator::Authenticator;
pub use bearer::MAX_TOKEN;
pub use issuer::transport_is_safe;
pub use oidc::{OidcConfig, Reads, Refusal};
pub use token::Writer;
