//! The keys that a provider publishes (RFC 7517), and the algorithms that are accepted with them.

use egress::Document;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;

use crate::error::{OidcError, Part};

/// More keys than this are not tried for a token that names none.
const MOST_TRIED: usize = 8;

/// What kind of key an algorithm needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// The algorithm of this name, if it is one that only the holder of a private key can sign with.
pub(crate) fn accepted(name: &str) -> Option<Algorithm> {
    match name {
        "RS256" => Some(Algorithm::RS256),
        "RS384" => Some(Algorithm::RS384),
        "RS512" => Some(Algorithm::RS512),
        "PS256" => Some(Algorithm::PS256),
        "PS384" => Some(Algorithm::PS384),
        "PS512" => Some(Algorithm::PS512),
        "ES256" => Some(Algorithm::ES256),
        "ES384" => Some(Algorithm::ES384),
        // RFC 9864 names the curve instead of the family.
        "EdDSA" | "Ed25519" => Some(Algorithm::EdDSA),
        _ => None,
    }
}

fn kind(algorithm: Algorithm) -> Option<Kind> {
    match algorithm {
        Algorithm::ES256 => Some(Kind::P256),
        Algorithm::ES384 => Some(Kind::P384),
        Algorithm::EdDSA => Some(Kind::Ed25519),
        Algorithm::RS256 | Algorithm::RS384 | Algorithm::RS512 => Some(Kind::Rsa),
        Algorithm::PS256 | Algorithm::PS384 | Algorithm::PS512 => Some(Kind::Rsa),
        _ => None,
    }
}

/// A key that signatures can be checked with.
#[derive(Debug)]
struct Key {
    id: Option<String>,
    kind: Kind,
    /// The only algorithm it is for, if it says so.
    algorithm: Option<Algorithm>,
    material: DecodingKey,
}

/// The keys of a provider that signatures can be checked with.
#[derive(Debug)]
pub(crate) struct KeySet(Vec<Key>);

#[derive(Deserialize)]
struct RawSet {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct RawKey {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    pub(crate) fn read(document: &Document) -> Result<Self, OidcError> {
        if document.status != 200 {
            return Err(OidcError::Status { part: Part::Keys, status: document.status });
        }
        let set: RawSet = serde_json::from_slice(&document.body)
            .map_err(|_| OidcError::malformed(Part::Keys, "it is not a set of JSON Web Keys"))?;
        // A set may hold keys for other purposes and of kinds yet unknown (RFC 7517, section 5).
        Ok(Self(
            set.keys.into_iter().filter_map(|key| Key::read(serde_json::from_value(key).ok()?)).collect(),
        ))
    }

    /// The keys that a token with this algorithm and key id may have been signed with.
    pub(crate) fn matching(&self, algorithm: Algorithm, id: Option<&str>) -> Vec<DecodingKey> {
        self.0
            .iter()
            .filter(|key| id.is_none() || key.id.as_deref() == id)
            .filter(|key| kind(algorithm) == Some(key.kind))
            .filter(|key| key.algorithm.is_none_or(|only| only == algorithm))
            .map(|key| key.material.clone())
            .take(MOST_TRIED)
            .collect()
    }
}

impl Key {
    fn read(raw: RawKey) -> Option<Self> {
        let for_signatures = raw.usage.as_deref().is_none_or(|usage| usage == "sig")
            && raw.key_ops.is_none_or(|operations| operations.iter().any(|operation| operation == "verify"));
        if !for_signatures {
            return None;
        }
        let algorithm = match &raw.alg {
            Some(name) => Some(accepted(name)?),
            None => None,
        };
        let (kind, material) = match (raw.kty.as_str(), raw.crv.as_deref()) {
            ("RSA", _) => (Kind::Rsa, DecodingKey::from_rsa_components(&raw.n?, &raw.e?)),
            ("EC", Some("P-256")) => (Kind::P256, DecodingKey::from_ec_components(&raw.x?, &raw.y?)),
            ("EC", Some("P-384")) => (Kind::P384, DecodingKey::from_ec_components(&raw.x?, &raw.y?)),
            ("OKP", Some("Ed25519")) => (Kind::Ed25519, DecodingKey::from_ed_components(&raw.x?)),
            _ => return None,
        };
        Some(Self { id: raw.kid, kind, algorithm, material: material.ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(keys: serde_json::Value) -> KeySet {
        let body = json!({"keys": keys}).to_string().into();
        KeySet::read(&Document { status: 200, body }).unwrap()
    }

    #[test]
    fn only_asymmetric_algorithms_are_accepted() {
        for name in [
            "none", "None", "NONE", "", "HS256", "HS384", "HS512", "ES256K", "RS1", "dir", "ECDH-ES", "es256",
        ] {
            assert_eq!(accepted(name), None, "{name}");
        }
        for name in
            ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "Ed25519"]
        {
            assert!(accepted(name).is_some_and(|algorithm| kind(algorithm).is_some()), "{name}");
        }
        assert_eq!(kind(Algorithm::HS256), None);
    }

    #[test]
    fn a_key_is_found_by_its_id_for_the_algorithms_it_is_for() {
        let keys = set(json!([
            {"kty": "RSA", "kid": "a", "alg": "RS256", "n": "AQAB", "e": "AQAB"},
            {"kty": "RSA", "kid": "b", "use": "sig", "key_ops": ["verify"], "n": "AQAB", "e": "AQAB"},
            {"kty": "EC", "kid": "c", "crv": "P-256", "x": "AAAA", "y": "AAAA"},
            {"kty": "OKP", "kid": "d", "crv": "Ed25519", "x": "AAAA"},
        ]));
        let found = |algorithm, id| keys.matching(algorithm, id).len();
        assert_eq!(found(Algorithm::RS256, Some("a")), 1);
        assert_eq!(found(Algorithm::PS256, Some("a")), 0, "it says what it is for");
        assert_eq!(found(Algorithm::PS256, Some("b")), 1);
        assert_eq!(found(Algorithm::RS256, None), 2);
        assert_eq!(found(Algorithm::ES256, Some("c")), 1);
        assert_eq!(found(Algorithm::ES384, Some("c")), 0, "another curve");
        assert_eq!(found(Algorithm::RS256, Some("c")), 0, "another kind");
        assert_eq!(found(Algorithm::EdDSA, Some("d")), 1);
        assert_eq!(found(Algorithm::EdDSA, Some("e")), 0);
        assert_eq!(found(Algorithm::HS256, None), 0);
    }

    #[test]
    fn keys_for_anything_else_are_passed_over() {
        let keys = set(json!([
            {"kty": "oct", "kid": "a", "k": "AAAA"},
            {"kty": "RSA", "kid": "a", "use": "enc", "n": "AQAB", "e": "AQAB"},
            {"kty": "RSA", "kid": "a", "key_ops": ["encrypt"], "n": "AQAB", "e": "AQAB"},
            {"kty": "RSA", "kid": "a", "alg": "RSA-OAEP", "n": "AQAB", "e": "AQAB"},
            {"kty": "RSA", "kid": "a", "alg": "HS256", "n": "AQAB", "e": "AQAB"},
            {"kty": "RSA", "kid": "a", "e": "AQAB"},
            {"kty": "RSA", "kid": "a", "n": "not base64!", "e": "AQAB"},
            {"kty": "EC", "kid": "a", "crv": "secp256k1", "x": "AAAA", "y": "AAAA"},
            {"kty": "OKP", "kid": "a", "crv": "X25519", "x": "AAAA"},
            {"kid": "a"},
            "key",
            null,
        ]));
        assert!(keys.0.is_empty());
    }

    #[test]
    fn what_is_no_set_of_keys_is_malformed() {
        for body in ["", "[]", "{}", r#"{"keys":{}}"#] {
            let document = Document { status: 200, body: body.into() };
            assert!(
                matches!(KeySet::read(&document), Err(OidcError::Malformed { part: Part::Keys, .. })),
                "{body}"
            );
        }
        let missing = Document { status: 404, body: "{}".into() };
        assert_eq!(KeySet::read(&missing).unwrap_err(), OidcError::Status { part: Part::Keys, status: 404 });
    }
}
