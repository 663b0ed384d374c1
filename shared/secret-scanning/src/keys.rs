//! The published keys.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// More keys than this are not read.
const MOST_KEYS: usize = 64;
const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

/// What is published: `{"public_keys": [{"key_identifier", "key", "is_current"}]}`. A key that is no longer current is still
/// good for as long as it is published: reports signed with it may be on their way.
#[derive(Deserialize)]
struct Published {
    public_keys: Vec<PublishedKey>,
}

#[derive(Deserialize)]
struct PublishedKey {
    key_identifier: String,
    key: String,
}

/// The published keys that signatures can be verified with.
pub(crate) struct KeySet(Vec<(String, ParsedPublicKey)>);

impl KeySet {
    /// Reads what is published; keys of other kinds are passed over. `None` when it is something else.
    pub(crate) fn read(document: &[u8]) -> Option<Self> {
        let published: Published = serde_json::from_slice(document).ok()?;
        let keys = published.public_keys.into_iter().take(MOST_KEYS);
        Some(Self(keys.filter_map(|it| Some((it.key_identifier, parse(&it.key)?))).collect()))
    }

    pub(crate) fn find(&self, identifier: &str) -> Option<&ParsedPublicKey> {
        self.0.iter().find(|(known, _)| known == identifier).map(|(_, key)| key)
    }
}

/// A P-256 key in PEM: a `SubjectPublicKeyInfo` in Base64 between two lines (RFC 7468, section 13).
fn parse(pem: &str) -> Option<ParsedPublicKey> {
    let body = pem.trim().strip_prefix(BEGIN)?.strip_suffix(END)?;
    let body: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, STANDARD.decode(body).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the program's documentation.
    const PEM: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE9MJJHnMfn2+H4xL4YaPDA4RpJqUq\nkCmRCBnYERxZanmcpzQSXs1X/AljlKkbJ8qpVIW4clayyef9gWhFbNHWAA==\n-----END PUBLIC KEY-----";
    /// A report and its signature by that key, also from there.
    const REPORT: &[u8] = br#"[{"token":"some_token","type":"some_type","url":"some_url"}]"#;
    const SIGNATURE: &str =
        "MEUCIQDKZokqnCjrRtw0tni+2Ltvl/uiMJ1EGumEsp1BsNr32AIgQY1YXD2nlj+XNfGK4rBfkMJ1JDOQcYXxa2sY8FNkrKc=";

    #[test]
    fn the_sample_of_the_documentation_is_verified() {
        let key = parse(PEM).unwrap();
        let signature = STANDARD.decode(SIGNATURE).unwrap();
        assert!(key.verify_sig(REPORT, &signature).is_ok());
        assert!(key.verify_sig(b"[]", &signature).is_err());
    }

    #[test]
    fn what_is_no_key_on_p256_is_passed_over() {
        let (_, rest) = PEM.split_once("MFkw").unwrap();
        for bad in ["", "key", BEGIN, &PEM.replace("PUBLIC", "PRIVATE"), &format!("{BEGIN}\nAAAA{rest}")] {
            assert!(parse(bad).is_none(), "{bad}");
        }
        let document = serde_json::json!({"public_keys": [
            {"key_identifier": "a", "key": "junk", "is_current": true},
            {"key_identifier": "b", "key": format!("{PEM}\n"), "is_current": false},
        ]});
        let keys = KeySet::read(document.to_string().as_bytes()).unwrap();
        assert!(keys.find("a").is_none() && keys.find("b").is_some());
        for other in ["", "[]", "{}", r#"{"public_keys":{}}"#, r#"{"public_keys":[{}]}"#] {
            assert!(KeySet::read(other.as_bytes()).is_none(), "{other}");
        }
    }
}
