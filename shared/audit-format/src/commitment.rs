//! What stands in an entry for a value that may have to be forgotten.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use tlog::Hash;

/// Keeps these hashes apart from all others; its number would change with what is hashed.
const DOMAIN: &[u8] = b"artisan/audit/personal/1\0";

/// 16 random bytes, used for one value. Without it nobody can find the value by guessing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt([u8; 16]);

impl std::fmt::Debug for Salt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salt")
    }
}

impl Salt {
    /// A salt of bytes that must be random.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl Serialize for Salt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(self.0))
    }
}

impl<'de> Deserialize<'de> for Salt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| de::Error::custom("expected the base64 of 16 bytes"))
    }
}

/// `SHA-256("artisan/audit/personal/1" || 0x00 || salt || value)`, where `value` is compact JSON.
#[must_use]
pub fn commitment(salt: &Salt, value: &str) -> Hash {
    Hash::of(&[DOMAIN, &salt.0, value.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with `printf 'artisan/audit/personal/1\0AAAAAAAAAAAAAAAA"ada@example.com"' | sha256sum | xxd -r -p | base64`.
    #[test]
    fn anybody_can_compute_it() {
        let salt = Salt::from_bytes(*b"AAAAAAAAAAAAAAAA");
        assert_eq!(
            commitment(&salt, "\"ada@example.com\"").to_string(),
            "jm/JxHoOu6ZKS+5+M1+sTcBhjG+0Tpb1Ba9313JrVYo="
        );
        assert_ne!(commitment(&salt, "\"ada@example.com\""), commitment(&salt, "\"bob@example.com\""));
        assert_eq!(serde_json::to_string(&salt).unwrap(), "\"QUFBQUFBQUFBQUFBQUFBQQ==\"");
        assert!(serde_json::from_str::<Salt>("\"QUFB\"").is_err());
    }
}
