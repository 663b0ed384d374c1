//! What an identity provider signs with.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// A signature algorithm of JSON Web Signatures (RFC 7518, section 3; RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256, what most providers use.
    Rs256,
    /// The same with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256.
    Es256,
    /// ECDSA on P-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Rs256, Self::Rs512, Self::Ps256, Self::Es256, Self::Es384, Self::EdDsa];

    /// Its registered name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    fn rsa(self) -> &'static dyn RsaEncoding {
        match self {
            Self::Rs512 => &RSA_PKCS1_SHA512,
            Self::Ps256 => &RSA_PSS_SHA256,
            _ => &RSA_PKCS1_SHA256,
        }
    }
}

#[derive(Debug, Clone)]
enum Pair {
    Rsa(Arc<RsaKeyPair>),
    Ec(Arc<EcdsaKeyPair>),
    Ed(Arc<Ed25519KeyPair>),
}

/// A key pair with its id.
#[derive(Debug, Clone)]
pub(crate) struct SigningKey {
    pub(crate) id: String,
    pub(crate) algorithm: Algorithm,
    pair: Pair,
}

/// Making an RSA key takes long; two are enough to change from one to the other.
static RSA: LazyLock<[Arc<RsaKeyPair>; 2]> =
    LazyLock::new(|| [(); 2].map(|()| Arc::new(RsaKeyPair::generate(KeySize::Rsa2048).expect("an RSA key"))));

impl SigningKey {
    /// The provider's `number`th key.
    pub(crate) fn new(algorithm: Algorithm, number: usize) -> Self {
        let ec = |curve| Pair::Ec(Arc::new(EcdsaKeyPair::generate(curve).expect("an EC key")));
        let pair = match algorithm {
            Algorithm::Rs256 | Algorithm::Rs512 | Algorithm::Ps256 => Pair::Rsa(Arc::clone(&RSA[number % 2])),
            Algorithm::Es256 => ec(&ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::Es384 => ec(&ECDSA_P384_SHA384_FIXED_SIGNING),
            Algorithm::EdDsa => Pair::Ed(Arc::new(Ed25519KeyPair::generate().expect("an Ed25519 key"))),
        };
        Self { id: format!("key-{number}"), algorithm, pair }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let random = SystemRandom::new();
                pair.sign(self.algorithm.rsa(), &random, message, &mut signature).expect("RSA signs");
                signature
            }
            Pair::Ec(pair) => {
                pair.sign(&SystemRandom::new(), message).expect("ECDSA signs").as_ref().to_vec()
            }
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// The public key in the form its algorithm has.
    pub(crate) fn public(&self) -> &[u8] {
        match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_ref(),
            Pair::Ec(pair) => pair.public_key().as_ref(),
            Pair::Ed(pair) => pair.public_key().as_ref(),
        }
    }

    /// The public key as a JSON Web Key.
    pub(crate) fn jwk(&self) -> Value {
        let mut key = json!({"kid": self.id, "alg": self.algorithm.name(), "use": "sig"});
        let public = self.public();
        let parts: &[(&str, String)] = &match self.algorithm {
            Algorithm::Rs256 | Algorithm::Rs512 | Algorithm::Ps256 => {
                let (n, e) = rsa_numbers(public);
                [("kty", "RSA".to_owned()), ("n", n), ("e", e), ("", String::new())]
            }
            Algorithm::Es256 | Algorithm::Es384 => {
                let curve = if self.algorithm == Algorithm::Es256 { "P-256" } else { "P-384" };
                let (x, y) = public[1..].split_at((public.len() - 1) / 2);
                [
                    ("kty", "EC".to_owned()),
                    ("crv", curve.to_owned()),
                    ("x", URL_SAFE_NO_PAD.encode(x)),
                    ("y", URL_SAFE_NO_PAD.encode(y)),
                ]
            }
            Algorithm::EdDsa => [
                ("kty", "OKP".to_owned()),
                ("crv", "Ed25519".to_owned()),
                ("x", URL_SAFE_NO_PAD.encode(public)),
                ("", String::new()),
            ],
        };
        for (name, value) in parts.iter().filter(|(name, _)| !name.is_empty()) {
            key[*name] = value.as_str().into();
        }
        key
    }
}

/// Modulus and exponent of a PKCS #1 public key: a DER sequence of two integers (RFC 8017, appendix A.1.1).
fn rsa_numbers(der: &[u8]) -> (String, String) {
    let (sequence, _) = der_content(der, 0x30);
    let (n, rest) = der_content(sequence, 0x02);
    let (e, _) = der_content(rest, 0x02);
    // A leading zero says that the number is positive; JSON Web Keys have none.
    let unsigned = |number: &[u8]| URL_SAFE_NO_PAD.encode(number.strip_prefix(&[0]).unwrap_or(number));
    (unsigned(n), unsigned(e))
}

/// The content of the first element, and what follows it.
fn der_content(der: &[u8], tag: u8) -> (&[u8], &[u8]) {
    assert_eq!(der[0], tag, "the DER element expected");
    let first = usize::from(der[1]);
    let (header, length) = if first < 0x80 {
        (2, first)
    } else {
        let bytes = first - 0x80;
        (2 + bytes, der[2..2 + bytes].iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
    };
    der[header..].split_at(length)
}
