//! The id of a request, by which its sender, the answer and the log are brought together.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

/// Its header, in requests and answers.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id that is taken over from a sender.
const MAX_LENGTH: usize = 128;

/// Gives every request an id.
#[derive(Debug)]
pub struct RequestIds {
    /// Differs between processes, so that their ids do.
    process: u64,
    next: AtomicU64,
}

impl Default for RequestIds {
    fn default() -> Self {
        // The standard library has no other source of randomness.
        let random = RandomState::new();
        Self {
            process: random.hash_one(0),
            next: AtomicU64::new(0),
        }
    }
}

impl RequestIds {
    /// The id in these headers, when there is one and it is sound, or else a new one.
    pub fn for_headers(&self, headers: &HeaderMap) -> HeaderValue {
        let mut given = headers.get_all(&X_REQUEST_ID).iter();
        match (given.next(), given.next()) {
            (Some(id), None) if is_sound(id.as_bytes()) => id.clone(),
            _ => self.make(),
        }
    }

    fn make(&self) -> HeaderValue {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let id = format!("{:016x}{number:016x}", self.process);
        // It has hexadecimal digits alone.
        HeaderValue::from_maybe_shared(Bytes::from(id))
            .unwrap_or_else(|_| HeaderValue::from_static("-"))
    }
}

/// Whether an id can stand in logs and problems as it is.
fn is_sound(id: &[u8]) -> bool {
    let is_sound = |letter: &u8| letter.is_ascii_alphanumeric() || b"-._~:+/=@".contains(letter);
    (1..=MAX_LENGTH).contains(&id.len()) && id.iter().all(is_sound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sound_id_is_taken_over_and_all_others_are_new() {
        let ids = RequestIds::default();
        let of = |given: &[&[u8]]| {
            let value = |text: &&[u8]| (X_REQUEST_ID, HeaderValue::from_bytes(text).unwrap());
            ids.for_headers(&given.iter().map(value).collect())
        };
        for sound in [
            &b"a"[..],
            b"7f3c-42",
            b"Root=1-67891233-abcdef012345678912345678",
            &[b'x'; 128],
        ] {
            assert_eq!(of(&[sound]).as_bytes(), sound);
        }
        let mut made = std::collections::HashSet::new();
        let long = [b'x'; 129];
        let unsound: [&[&[u8]]; 8] = [
            &[],
            &[b""],
            &[b"a b"],
            &[b"\"}"],
            &[b"a,b"],
            &[b"\xc3\xa9"],
            &[&long],
            &[b"a", b"a"],
        ];
        for unsound in unsound {
            let id = of(unsound);
            assert!(
                id.as_bytes().iter().all(u8::is_ascii_hexdigit) && id.len() == 32,
                "{id:?}"
            );
            assert!(made.insert(id));
        }
        let other = RequestIds::default().make();
        assert!(
            !made
                .iter()
                .any(|id| id.as_bytes()[..16] == other.as_bytes()[..16])
        );
    }
}
