//! What is in a file after its header: chunks, each with its number and whether it is the last one, so that none can be cut off,
//! added or moved unnoticed.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::error::Unspecified;

use super::key::{FileKey, derive};

/// The length of every chunk but the last.
pub const CHUNK: usize = 64 << 10;
/// The same once it is encrypted.
pub const SEALED_CHUNK: usize = CHUNK + TAG;
/// By how much an encrypted chunk is longer.
const TAG: usize = 16;
/// The length of what makes the key of the chunks another one than that of the file.
pub(super) const SALT: usize = 16;

/// Encrypts or decrypts chunks, in their order.
pub struct Payload {
    key: LessSafeKey,
    chunks: u64,
}

impl Payload {
    pub(super) fn new(file_key: &FileKey, salt: &[u8; SALT]) -> Result<Self, Unspecified> {
        let key = derive(salt, file_key, b"payload")?;
        Ok(Self {
            key: LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &key)?),
            chunks: 0,
        })
    }

    /// Encrypts the next chunk in its place.
    ///
    /// # Errors
    /// None that can happen to chunks of the right length.
    pub fn seal(&mut self, chunk: &mut Vec<u8>, is_last: bool) -> Result<(), Unspecified> {
        let nonce = self.nonce(is_last);
        self.key
            .seal_in_place_append_tag(nonce, Aad::empty(), chunk)
    }

    /// Decrypts the next chunk in its place.
    ///
    /// # Errors
    /// When it is not this chunk of the file.
    pub fn open<'a>(
        &mut self,
        chunk: &'a mut [u8],
        is_last: bool,
    ) -> Result<&'a [u8], Unspecified> {
        let is_first = self.chunks == 0;
        let nonce = self.nonce(is_last);
        let opened = self.key.open_in_place(nonce, Aad::empty(), chunk)?;
        match opened.is_empty() && !is_first {
            true => Err(Unspecified),
            false => Ok(opened),
        }
    }

    fn nonce(&mut self, is_last: bool) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        nonce[3..11].copy_from_slice(&self.chunks.to_be_bytes());
        nonce[11] = u8::from(is_last);
        self.chunks += 1;
        Nonce::assume_unique_for_key(nonce)
    }
}
