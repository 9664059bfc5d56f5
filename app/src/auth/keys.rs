//! The issuer's public keys (RFC 7517).

use jsonwebtoken::jwk::{Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{DecodingKey, Header};
use serde::Deserialize;
use serde_json::Value;

use super::algorithm::Algorithm;

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
    algorithm: jsonwebtoken::Algorithm,
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
    /// Reads a JSON Web Key Set. Keys that none of these algorithms fits, and keys for other uses, are skipped. A key that
    /// names no algorithm is for the first that fits.
    ///
    /// # Errors
    /// See [`InvalidKeySet`].
    pub fn parse(document: &[u8], algorithms: &[Algorithm]) -> Result<Self, InvalidKeySet> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }
        let document: Document =
            serde_json::from_slice(document).map_err(|_| InvalidKeySet::Document)?;
        let keys: Vec<_> = document
            .keys
            .into_iter()
            .filter_map(|key| Key::read(key, algorithms))
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
    fn read(value: Value, algorithms: &[Algorithm]) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        let named = jwk.common.key_algorithm;
        let algorithm = algorithms.iter().copied().find(|algorithm| {
            let own = jsonwebtoken::Algorithm::from(*algorithm);
            algorithm.fits(&jwk.algorithm) && named.is_none_or(|named| named == own.into())
        })?;
        let common = &jwk.common;
        let signs = common
            .public_key_use
            .as_ref()
            .is_none_or(|purpose| *purpose == PublicKeyUse::Signature);
        let verifies = common
            .key_operations
            .as_ref()
            .is_none_or(|operations| operations.contains(&KeyOperations::Verify));
        if !(signs && verifies) {
            return None;
        }
        Some(Self {
            decoding: DecodingKey::from_jwk(&jwk).ok()?,
            id: jwk.common.key_id,
            algorithm: algorithm.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::Algorithm as Alg;
    use proptest::prelude::*;
    use serde_json::json;

    fn set(keys: &Value) -> Result<KeySet, InvalidKeySet> {
        let text = json!({ "keys": keys }).to_string();
        KeySet::parse(
            text.as_bytes(),
            &[Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa],
        )
    }

    fn rsa(id: &str) -> Value {
        json!({"kty": "RSA", "kid": id, "n": "AQAB", "e": "AQAB"})
    }

    fn ed(id: &str) -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": "AQAB"})
    }

    fn header(algorithm: Alg, id: Option<&str>) -> Header {
        let mut header = Header::new(algorithm);
        header.kid = id.map(Into::into);
        header
    }

    #[test]
    fn keys_are_found_by_id_and_algorithm() {
        let set = set(&json!([rsa("a"), ed("a"), ed("b")])).unwrap();
        let find = |algorithm, id| set.find(&header(algorithm, id));
        assert!(matches!(find(Alg::RS256, Some("a")), Lookup::Found(_)));
        assert!(matches!(find(Alg::EdDSA, Some("a")), Lookup::Found(_)));
        assert!(matches!(find(Alg::RS256, Some("b")), Lookup::Unusable));
        assert!(matches!(find(Alg::RS256, Some("c")), Lookup::UnknownId));
        assert!(matches!(find(Alg::RS256, Some("")), Lookup::UnknownId));
    }

    #[test]
    fn without_an_id_there_must_be_no_choice() {
        let set = set(&json!([rsa("a"), ed("a"), ed("b")])).unwrap();
        let find = |algorithm| set.find(&header(algorithm, None));
        assert!(matches!(find(Alg::RS256), Lookup::Found(_)));
        assert!(matches!(find(Alg::EdDSA), Lookup::Unusable));
        assert!(matches!(find(Alg::ES256), Lookup::Unusable));
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
    fn a_key_is_for_the_algorithm_that_it_names_or_else_for_the_first_that_fits() {
        let found = |key: &Value, algorithms: &[Algorithm], used: Alg| {
            let text = json!({ "keys": [key] }).to_string();
            let Ok(set) = KeySet::parse(text.as_bytes(), algorithms) else {
                return false;
            };
            matches!(set.find(&header(used, Some("a"))), Lookup::Found(_))
        };
        let mut named = rsa("a");
        named["alg"] = json!("PS256");
        let all = [Algorithm::Rs512, Algorithm::Rs256, Algorithm::Ps256];
        assert!(found(&named, &all, Alg::PS256));
        assert!(!found(&named, &all, Alg::RS512));
        assert!(!found(&named, &[Algorithm::Rs512], Alg::RS512));
        assert!(found(&rsa("a"), &all, Alg::RS512));
        assert!(!found(&rsa("a"), &all, Alg::PS256));
        let p384 = json!({"kty": "EC", "crv": "P-384", "kid": "a", "x": "AQAB", "y": "AQAB"});
        assert!(found(
            &p384,
            &[Algorithm::Es256, Algorithm::Es384],
            Alg::ES384
        ));
        assert!(!found(&p384, &[Algorithm::Es256], Alg::ES256));
    }

    #[test]
    fn a_set_is_an_object_with_keys() {
        for text in ["", "[]", "{}", r#"{"keys":{}}"#, "<html>", "\u{feff}{}"] {
            assert!(
                KeySet::parse(text.as_bytes(), &[Algorithm::Rs256]).is_err(),
                "{text}"
            );
        }
        let many: Vec<_> = (0..1000).map(|number| rsa(&number.to_string())).collect();
        assert_eq!(set(&many.into()).unwrap().len(), MAX_KEYS);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), text in ".{0,60}") {
            let _ = KeySet::parse(&bytes, &[Algorithm::Rs256]);
            let _ = set(&json!([{"kty": text, "n": text, "e": text, "kid": text}]));
            let _ = set(&json!([{"kty": "EC", "crv": "P-256", "x": text, "y": text}]));
        }
    }
}
