//! Both halves of a key, and how they hide the key of a file.

use std::fmt;
use std::str::FromStr;

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32, Hrp};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use ring::error::Unspecified;
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::rand::SystemRandom;
use x25519_dalek::{PublicKey, StaticSecret};

/// The length of keys, and of what a key of a file becomes.
pub(super) const LENGTH: usize = 32;
/// What texts of recipients and of identities begin with, before the digit 1.
const RECIPIENT: &str = "age";
const IDENTITY: &str = "age-secret-key-";
/// What the derived key is for.
const LABEL: &[u8] = b"age-encryption.org/v1/X25519";

/// The key of one file.
pub(super) type FileKey = [u8; 16];

/// Whom a file is encrypted to: the public half of a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Recipient([u8; LENGTH]);

/// What opens a file: the secret half of a key. It cannot be shown.
#[derive(Clone)]
pub struct Identity(StaticSecret);

/// Why a text is no half of a key. Texts are not repeated: they may be secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// The secret half, where the public one is wanted.
    #[error("is a secret key, which opens files: give its recipient, which `age-keygen -y` prints")]
    Secret,
    /// Not a recipient.
    #[error("is no recipient of the kind X25519, or is mistyped")]
    Recipient,
    /// Not an identity.
    #[error("is no identity of the kind X25519, or is mistyped")]
    Identity,
}

/// The bytes of a text with this beginning.
fn decode(text: &str, beginning: &str) -> Option<[u8; LENGTH]> {
    let decoded = CheckedHrpstring::new::<Bech32>(text).ok()?;
    let bytes: Vec<u8> = decoded.byte_iter().collect();
    let is_it = decoded.hrp() == Hrp::parse(beginning).ok()?;
    bytes.try_into().ok().filter(|_| is_it)
}

impl FromStr for Recipient {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        if text.to_ascii_lowercase().starts_with(IDENTITY) {
            return Err(InvalidKey::Secret);
        }
        // As other programs print it, and not in capitals.
        let bytes = decode(text, RECIPIENT).filter(|_| text.starts_with(RECIPIENT));
        bytes.map(Self).ok_or(InvalidKey::Recipient)
    }
}

impl FromStr for Identity {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let bytes = decode(text, IDENTITY).filter(|_| text.starts_with(char::is_uppercase));
        let secret = bytes.map(StaticSecret::from);
        secret.map(Self).ok_or(InvalidKey::Identity)
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let beginning = Hrp::parse(RECIPIENT).map_err(|_| fmt::Error)?;
        bech32::encode_to_fmt::<Bech32, _>(formatter, beginning, &self.0).map_err(|_| fmt::Error)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Identity(…)")
    }
}

impl Recipient {
    /// Hides the key of a file: a share for the identity, and what that opens.
    ///
    /// # Errors
    /// When there is no randomness, or nobody can have the identity.
    pub(super) fn wrap(&self, file_key: &FileKey) -> Result<([u8; LENGTH], Vec<u8>), Unspecified> {
        let secret = EphemeralPrivateKey::generate(&X25519, &SystemRandom::new())?;
        let share = secret.compute_public_key()?;
        let share: [u8; LENGTH] = share.as_ref().try_into().map_err(|_| Unspecified)?;
        let public = UnparsedPublicKey::new(&X25519, self.0);
        let wrapped = agree_ephemeral(secret, &public, |shared| {
            let mut wrapped = file_key.to_vec();
            cipher(&share, &self.0, shared)?.seal_in_place_append_tag(
                nonce(),
                Aad::empty(),
                &mut wrapped,
            )?;
            Ok::<_, Unspecified>(wrapped)
        })??;
        Ok((share, wrapped))
    }
}

impl Identity {
    /// The other half.
    pub fn recipient(&self) -> Recipient {
        Recipient(PublicKey::from(&self.0).to_bytes())
    }

    /// The key of the file, when it was hidden for this identity.
    ///
    /// # Errors
    /// When nobody can have made the share with a key of this kind.
    pub(super) fn unwrap(
        &self,
        share: [u8; LENGTH],
        wrapped: [u8; LENGTH],
    ) -> Result<Option<FileKey>, Unspecified> {
        let shared = self.0.diffie_hellman(&PublicKey::from(share));
        if !shared.was_contributory() {
            return Err(Unspecified);
        }
        let cipher = cipher(&share, &self.recipient().0, shared.as_bytes())?;
        let mut key = wrapped;
        let key = cipher.open_in_place(nonce(), Aad::empty(), &mut key);
        Ok(key.ok().and_then(|key| (*key).try_into().ok()))
    }
}

/// A derived key is used once, so its nonce may be this one.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

/// What hides the key of a file.
fn cipher(
    share: &[u8; LENGTH],
    recipient: &[u8; LENGTH],
    shared: &[u8],
) -> Result<LessSafeKey, Unspecified> {
    let salt = [*share, *recipient].concat();
    let key = derive(&salt, shared, LABEL)?;
    Ok(LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &key)?))
}

/// A key for one purpose.
pub(super) fn derive(
    salt: &[u8],
    secret: &[u8],
    label: &[u8],
) -> Result<[u8; LENGTH], Unspecified> {
    let mut key = [0; LENGTH];
    let extracted = Salt::new(HKDF_SHA256, salt).extract(secret);
    extracted.expand(&[label], HKDF_SHA256)?.fill(&mut key)?;
    Ok(key)
}
