//! What the server keeps of a password. It is made here, because the server writes statements into its log: with
//! `log_statement`, with an error, with a slow statement.

use std::num::NonZeroU32;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac, pbkdf2};

use crate::secret::Secret;

/// As PostgreSQL itself does it.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).unwrap();
const SALT: usize = 16;

/// A verifier of `password` for SCRAM-SHA-256, with a new salt.
///
/// # Errors
/// When the system gives no random numbers.
pub fn verifier(password: &Secret) -> Result<String, ring::error::Unspecified> {
    let mut salt = [0; SALT];
    SystemRandom::new().fill(&mut salt)?;
    Ok(salted(password.expose(), &salt))
}

fn salted(password: &str, salt: &[u8]) -> String {
    // Servers and clients do the same, and use a password that it refuses as it is.
    let password = stringprep::saslprep(password).unwrap_or(password.into());
    let mut key = [0; digest::SHA256_OUTPUT_LEN];
    let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
    pbkdf2::derive(algorithm, ITERATIONS, salt, password.as_bytes(), &mut key);
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let client = digest::digest(&digest::SHA256, hmac::sign(&key, b"Client Key").as_ref());
    let server = hmac::sign(&key, b"Server Key");
    let text = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
    format!(
        "SCRAM-SHA-256${ITERATIONS}:{}${}:{}",
        text(salt),
        text(client.as_ref()),
        text(server.as_ref())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The password and salt of the example in RFC 7677, and what PostgreSQL 18 makes of them.
    #[test]
    fn is_what_the_server_makes_itself() {
        let salt = BASE64_STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        assert_eq!(
            salted("pencil", &salt),
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==\
             $WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
    }

    #[test]
    fn holds_nothing_that_needs_quoting_and_never_the_password() {
        for password in ["o'ne\\", "p\u{e4}ssw\u{f6}rd", "\u{7}", "$;--"] {
            let verifier = verifier(&Secret::new(password)).unwrap();
            assert!(
                verifier
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-$:+/=".contains(&byte)),
                "{verifier}"
            );
            assert!(!verifier.contains(password));
        }
    }
}
