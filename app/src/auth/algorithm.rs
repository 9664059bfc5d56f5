//! The algorithms that tokens may be signed with.

use strum::EnumString;

/// An algorithm that tokens may be signed with. None takes a shared secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[strum(serialize = "RS256")]
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    #[strum(serialize = "ES256")]
    Es256,
    /// Ed25519.
    #[strum(serialize = "EdDSA")]
    EdDsa,
}

impl From<Algorithm> for jsonwebtoken::Algorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Rs256 => Self::RS256,
            Algorithm::Es256 => Self::ES256,
            Algorithm::EdDsa => Self::EdDSA,
        }
    }
}
