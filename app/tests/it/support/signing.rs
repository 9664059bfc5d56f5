//! Real keys, and tokens signed with them.

use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384,
    RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use serde_json::{Value, json};

pub fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A private key of one of the kinds that issuers use.
pub enum SigningKey {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ec384(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl SigningKey {
    /// ring makes no RSA keys.
    pub fn rsa() -> Self {
        let output = Command::new("openssl")
            .args(["genpkey", "-algorithm", "RSA", "-outform", "DER"])
            .args(["-pkeyopt", "rsa_keygen_bits:2048"])
            .output()
            .unwrap_or_else(|error| panic!("openssl is needed to make an RSA key: {error}"));
        assert!(output.status.success());
        // PKCS #8 or PKCS #1, by openssl's version.
        let der = &output.stdout;
        let key = RsaKeyPair::from_pkcs8(der).or_else(|_| RsaKeyPair::from_der(der));
        Self::Rsa(key.unwrap())
    }

    pub fn ec() -> Self {
        Self::Ec(ec_key(&ECDSA_P256_SHA256_FIXED_SIGNING))
    }

    pub fn ec384() -> Self {
        Self::Ec384(ec_key(&ECDSA_P384_SHA384_FIXED_SIGNING))
    }

    pub fn ed() -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed(Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap())
    }

    /// The public key's bytes: as DER for RSA, as a point otherwise.
    pub fn public(&self) -> &[u8] {
        match self {
            Self::Rsa(key) => key.public().as_ref(),
            Self::Ec(key) | Self::Ec384(key) => key.public_key().as_ref(),
            Self::Ed(key) => key.public_key().as_ref(),
        }
    }

    /// The public key as issuers publish it.
    pub fn jwk(&self, id: &str) -> Value {
        match self {
            Self::Rsa(key) => {
                let PublicKeyComponents::<Vec<u8>> { n, e } = key.public().into();
                json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": id,
                    "n": base64(n), "e": base64(e)})
            }
            Self::Ec(_) => {
                let (x, y) = self.public()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "kid": id, "x": base64(x), "y": base64(y)})
            }
            Self::Ec384(_) => {
                let (x, y) = self.public()[1..].split_at(48);
                json!({"kty": "EC", "crv": "P-384", "kid": id, "x": base64(x), "y": base64(y)})
            }
            Self::Ed(_) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": base64(self.public())})
            }
        }
    }

    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::Ec(_) => "ES256",
            Self::Ec384(_) => "ES384",
            Self::Ed(_) => "EdDSA",
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(key) => rsa_signature(key, &RSA_PKCS1_SHA256, message),
            Self::Ec(key) | Self::Ec384(key) => key.sign(&random, message).unwrap().as_ref().into(),
            Self::Ed(key) => key.sign(message).as_ref().into(),
        }
    }

    /// A token with this key's own algorithm.
    pub fn token(&self, id: &str, claims: &Value) -> String {
        self.token_with(
            &json!({"alg": self.algorithm(), "kid": id, "typ": "JWT"}),
            claims,
        )
    }

    /// A token with one of the algorithms of an RSA key.
    pub fn rsa_token(&self, algorithm: &str, id: &str, claims: &Value) -> String {
        let Self::Rsa(key) = self else {
            panic!("not an RSA key")
        };
        let encoding: &'static dyn RsaEncoding = match algorithm {
            "RS256" => &RSA_PKCS1_SHA256,
            "RS384" => &RSA_PKCS1_SHA384,
            "RS512" => &RSA_PKCS1_SHA512,
            "PS256" => &RSA_PSS_SHA256,
            "PS384" => &RSA_PSS_SHA384,
            "PS512" => &RSA_PSS_SHA512,
            other => panic!("{other} is not for RSA"),
        };
        let header = json!({"alg": algorithm, "kid": id});
        signed(&header, claims, |message| {
            rsa_signature(key, encoding, message)
        })
    }

    /// A token with any header.
    pub fn token_with(&self, header: &Value, claims: &Value) -> String {
        signed(header, claims, |message| self.sign(message))
    }
}

fn ec_key(algorithm: &'static EcdsaSigningAlgorithm) -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap()
}

fn rsa_signature(key: &RsaKeyPair, encoding: &'static dyn RsaEncoding, message: &[u8]) -> Vec<u8> {
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(encoding, &SystemRandom::new(), message, &mut signature)
        .unwrap();
    signature
}

/// A token with any header, claims and signature.
pub fn signed(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let message = format!(
        "{}.{}",
        base64(header.to_string()),
        base64(claims.to_string())
    );
    let signature = sign(message.as_bytes());
    format!("{message}.{}", base64(signature))
}

/// The RSA key that most tests share: generating one takes long.
pub fn shared_rsa() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(SigningKey::rsa)
}

/// The time this many seconds from now, in seconds since 1970.
pub fn from_now(seconds: i64) -> i64 {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    i64::try_from(now).unwrap() + seconds
}
