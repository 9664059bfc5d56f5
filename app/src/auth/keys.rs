//! The issuer's public keys (RFC 7517).

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use serde::Deserialize;
use serde_json::Value;

/// The most keys that are kept of a set.
const MAX_KEYS: usize = 64;

/// The keys that signatures can be checked with.
#[derive(Debug)]
pub struct KeySet {
    keys: Vec<Key>,
}

/// A key, and the one algorithm that it is for: a token cannot choose how the key is used.
#[derive(Debug)]
struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    decoding: DecodingKey,
}

/// The key for the header of a token.
#[derive(Debug)]
pub enum Lookup<'a> {
    /// The key to check the signature with.
    Found(&'a DecodingKey),
    /// No key has the id: a newer set may.
    UnknownId,
    /// The key is for another algorithm, or no id is given and more than one key, or none, fits.
    Unusable,
}

/// Why a document is not a key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeySet {
    /// Not a JSON Web Key Set.
    #[error("the answer is not a key set")]
    Document,
    /// No key that a signature could be checked with.
    #[error("the key set holds no usable key")]
    Empty,
}

impl KeySet {
    /// Reads a JSON Web Key Set. Keys of other kinds and for other uses are skipped.
    ///
    /// # Errors
    /// See [`InvalidKeySet`].
    pub fn parse(document: &[u8]) -> Result<Self, InvalidKeySet> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }
        let document: Document =
            serde_json::from_slice(document).map_err(|_| InvalidKeySet::Document)?;
        let keys: Vec<_> = document
            .keys
            .into_iter()
            .filter_map(Key::read)
            .take(MAX_KEYS)
            .collect();
        if keys.is_empty() {
            return Err(InvalidKeySet::Empty);
        }
        Ok(Self { keys })
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// The key that a token with this header is signed with.
    pub fn find(&self, header: &Header) -> Lookup<'_> {
        let fits = |key: &&Key| key.algorithm == header.alg;
        let Some(id) = &header.kid else {
            let mut fitting = self.keys.iter().filter(fits);
            return match (fitting.next(), fitting.next()) {
                (Some(key), None) => Lookup::Found(&key.decoding),
                _ => Lookup::Unusable,
            };
        };
        let mut named = self.keys.iter().filter(|key| key.id.as_ref() == Some(id));
        match named.clone().find(fits) {
            Some(key) => Lookup::Found(&key.decoding),
            None if named.next().is_some() => Lookup::Unusable,
            None => Lookup::UnknownId,
        }
    }
}

impl Key {
    fn read(value: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => Algorithm::RS256,
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
                Algorithm::ES256
            }
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                Algorithm::EdDSA
            }
            _ => return None,
        };
        let common = &jwk.common;
        let signs = common
            .public_key_use
            .as_ref()
            .is_none_or(|purpose| *purpose == PublicKeyUse::Signature);
        let verifies = common
            .key_operations
            .as_ref()
            .is_none_or(|operations| operations.contains(&KeyOperations::Verify));
        let as_named = common
            .key_algorithm
            .is_none_or(|named| named == algorithm.into());
        if !(signs && verifies && as_named) {
            return None;
        }
        Some(Self {
            decoding: DecodingKey::from_jwk(&jwk).ok()?,
            id: jwk.common.key_id,
            algorithm,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn set(keys: &Value) -> Result<KeySet, InvalidKeySet> {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes())
    }

    fn rsa(id: &str) -> Value {
        json!({"kty": "RSA", "kid": id, "n": "AQAB", "e": "AQAB"})
    }

    fn ed(id: &str) -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": "AQAB"})
    }

    fn header(algorithm: Algorithm, id: Option<&str>) -> Header {
        let mut header = Header::new(algorithm);
        header.kid = id.map(Into::into);
        header
    }

    #[test]
    fn keys_are_found_by_id_and_algorithm() {
        let set = set(&json!([rsa("a"), ed("a"), ed("b")])).unwrap();
        let find = |algorithm, id| set.find(&header(algorithm, id));
        assert!(matches!(
            find(Algorithm::RS256, Some("a")),
            Lookup::Found(_)
        ));
        assert!(matches!(
            find(Algorithm::EdDSA, Some("a")),
            Lookup::Found(_)
        ));
        assert!(matches!(
            find(Algorithm::RS256, Some("b")),
            Lookup::Unusable
        ));
        assert!(matches!(
            find(Algorithm::RS256, Some("c")),
            Lookup::UnknownId
        ));
        assert!(matches!(
            find(Algorithm::RS256, Some("")),
            Lookup::UnknownId
        ));
    }

    #[test]
    fn without_an_id_there_must_be_no_choice() {
        let set = set(&json!([rsa("a"), ed("a"), ed("b")])).unwrap();
        let find = |algorithm| set.find(&header(algorithm, None));
        assert!(matches!(find(Algorithm::RS256), Lookup::Found(_)));
        assert!(matches!(find(Algorithm::EdDSA), Lookup::Unusable));
        assert!(matches!(find(Algorithm::ES256), Lookup::Unusable));
    }

    #[test]
    fn other_keys_are_skipped() {
        let with = |name: &str, value: Value| {
            let mut key = rsa("x");
            key[name] = value;
            key
        };
        let others = [
            json!({"kty": "oct", "kid": "x", "k": "AQAB"}),
            json!({"kty": "EC", "crv": "P-384", "kid": "x", "x": "AQAB", "y": "AQAB"}),
            json!({"kty": "EC", "crv": "secp256k1", "kid": "x", "x": "AQAB", "y": "AQAB"}),
            json!({"kty": "OKP", "crv": "X25519", "kid": "x", "x": "AQAB"}),
            json!({"kty": "AKP", "kid": "x", "pub": "AQAB"}),
            with("use", json!("enc")),
            with("key_ops", json!(["sign"])),
            with("alg", json!("RS512")),
            with("alg", json!("RSA-OAEP")),
            with("n", json!("not base64!")),
            with("n", json!(7)),
            json!("text"),
            Value::Null,
        ];
        for other in &others {
            assert_eq!(
                set(&json!([other])).unwrap_err(),
                InvalidKeySet::Empty,
                "{other}"
            );
        }
        let mut all = others.to_vec();
        all.push(rsa("good"));
        assert_eq!(set(&Value::from(all)).unwrap().len(), 1);
    }

    #[test]
    fn a_set_is_an_object_with_keys() {
        for text in ["", "[]", "{}", r#"{"keys":{}}"#, "<html>", "\u{feff}{}"] {
            assert!(KeySet::parse(text.as_bytes()).is_err(), "{text}");
        }
        let many: Vec<_> = (0..1000).map(|number| rsa(&number.to_string())).collect();
        assert_eq!(set(&many.into()).unwrap().len(), MAX_KEYS);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), text in ".{0,60}") {
            let _ = KeySet::parse(&bytes);
            let _ = set(&json!([{"kty": text, "n": text, "e": text, "kid": text}]));
            let _ = set(&json!([{"kty": "EC", "crv": "P-256", "x": text, "y": text}]));
        }
    }
}
