//! The format as the specification has it; programs of others are tried in the tests of backups.

use std::io::BufReader;

use ring::rand::{SecureRandom as _, SystemRandom};

use super::key::InvalidKey;
use super::*;

const RECIPIENT: &str = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";
const SECRET: &str = "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33";

/// A new identity.
pub fn identity() -> Identity {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).unwrap();
    let beginning = bech32::Hrp::parse("AGE-SECRET-KEY-").unwrap();
    let text = bech32::encode_upper::<bech32::Bech32>(beginning, &bytes).unwrap();
    text.parse().unwrap()
}

#[test]
fn the_halves_of_a_key_belong_together() {
    let identity: Identity = SECRET.parse().unwrap();
    assert_eq!(identity.recipient().to_string(), RECIPIENT);
    assert_eq!(RECIPIENT.parse(), Ok(identity.recipient()));
    assert!(!format!("{identity:?}").contains("GQ9778"));
}

#[test]
fn only_halves_of_keys_are_read() {
    let mistyped = RECIPIENT.replace("t7", "t8");
    let (short, capitals) = (&RECIPIENT[..40], RECIPIENT.to_uppercase());
    for wrong in ["", "age1", "ssh-ed25519 AAAA", &mistyped, short, &capitals] {
        let read = wrong.parse::<Recipient>();
        assert_eq!(read.unwrap_err(), InvalidKey::Recipient, "{wrong}");
    }
    for secret in [SECRET, &SECRET.to_lowercase(), &SECRET[..30]] {
        assert_eq!(secret.parse::<Recipient>(), Err(InvalidKey::Secret));
    }
    for wrong in [RECIPIENT, &SECRET[..50], &SECRET.to_lowercase(), ""] {
        let read = wrong.parse::<Identity>();
        assert_eq!(read.unwrap_err(), InvalidKey::Identity, "{wrong}");
    }
}

#[test]
fn nothing_is_encrypted_to_whom_nobody_can_be() {
    let beginning = bech32::Hrp::parse("age").unwrap();
    let text = bech32::encode_lower::<bech32::Bech32>(beginning, &[0; 32]).unwrap();
    assert!(begin(&[text.parse().unwrap()]).is_err());
}

#[test]
fn chunks_of_recipients_of_other_kinds_are_passed_over() {
    let (identity, another) = (identity(), identity());
    let (beginning, _) = begin(&[identity.recipient()]).unwrap();
    let open = |bytes: &[u8], identity: &Identity| {
        let mut source = BufReader::new(bytes);
        open(&mut source, std::slice::from_ref(identity)).map(drop)
    };
    assert!(open(&beginning, &identity).is_ok());
    let text = String::from_utf8_lossy(&beginning);
    let (version, rest) = text.split_once('\n').unwrap();
    // It is understood, and then seen not to have been there.
    let more = format!("{version}\n-> other a b\n\n{rest}");
    let refused = open(more.as_bytes(), &identity);
    assert!(matches!(refused, Err(OpenError::Invalid)), "{refused:?}");
    let others = open(&beginning, &another);
    assert!(matches!(others, Err(OpenError::NoMatch)), "{others:?}");
}
