//! The format of API keys: `sk_live_` or `sk_test_`, then 32 base62 characters, of which 26 are random (154 bits)
//! and 6 are a CRC-32 of all that precedes them.
//!
//! The checksum lets junk be refused before any I/O and lets secret scanners tell a key from a look-alike. Only the
//! SHA-256 of a key is stored: 154 random bits need no slow hash. A [`PlainKey`] prints only its type name.

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest as _, Sha256};
use store::Mode;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM_LENGTH: usize = 26;
const CHECKSUM_LENGTH: usize = 6;
/// What keys of each mode begin with. Never changes: scanners know it.
const LIVE: &str = "sk_live_";
const TEST: &str = "sk_test_";

/// An API key in the clear, as it is shown once and as callers send it.
pub struct PlainKey {
    text: SecretString,
    mode: Mode,
}

impl std::fmt::Debug for PlainKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PlainKey")
    }
}

/// The text is no API key: prefix, length, alphabet or checksum is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an API key")]
pub struct NotAKey;

impl PlainKey {
    /// A new key.
    ///
    /// # Errors
    /// [`sealing::SealError`] when there is no randomness to be had.
    pub fn generate(mode: Mode) -> Result<Self, sealing::SealError> {
        let mut text = String::with_capacity(prefix(mode).len() + RANDOM_LENGTH + CHECKSUM_LENGTH);
        text.push_str(prefix(mode));
        let mut missing = RANDOM_LENGTH;
        while missing > 0 {
            // Bytes from 248 on are passed over, so that every character is equally likely.
            let random = sealing::random::<32>()?;
            for byte in random.into_iter().filter(|byte| *byte < 248).take(missing) {
                text.push(digit(u32::from(byte)));
                missing -= 1;
            }
        }
        let checksum = checksum(&text);
        text.push_str(&checksum);
        Ok(Self { text: SecretString::from(text), mode })
    }

    /// Reads a key without any I/O.
    ///
    /// # Errors
    /// [`NotAKey`] when it can't be one of ours.
    pub fn parse(text: &str) -> Result<Self, NotAKey> {
        let mode = match text {
            _ if text.starts_with(LIVE) => Mode::Live,
            _ if text.starts_with(TEST) => Mode::Test,
            _ => return Err(NotAKey),
        };
        if text.len() != prefix(mode).len() + RANDOM_LENGTH + CHECKSUM_LENGTH || !text.is_ascii() {
            return Err(NotAKey);
        }
        let (body, sum) = text.split_at(text.len() - CHECKSUM_LENGTH);
        // The checksum is no secret, so there is nothing that the time of this comparison could give away.
        if checksum(body) != sum
            || !body.bytes().skip(prefix(mode).len()).all(|byte| ALPHABET.contains(&byte))
        {
            return Err(NotAKey);
        }
        Ok(Self { text: SecretString::from(text), mode })
    }

    /// The key itself, to be shown once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.text.expose_secret()
    }

    /// Whether it is for test or live data.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// What it begins with, for listings.
    #[must_use]
    pub fn prefix(&self) -> &'static str {
        prefix(self.mode)
    }

    /// Its last four characters, for listings.
    #[must_use]
    pub fn last_four(&self) -> String {
        let text = self.text.expose_secret();
        text.get(text.len().saturating_sub(4)..).unwrap_or_default().to_owned()
    }

    /// SHA-256 in hex: what is stored and looked up.
    #[must_use]
    pub fn hash(&self) -> String {
        sha256_hex(self.text.expose_secret().as_bytes())
    }
}

/// SHA-256 in hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// A text with the prefix and the last four characters of each key in the key's place: for texts of others that may hold some.
#[must_use]
pub fn without_keys(mut text: String) -> String {
    const LENGTH: usize = LIVE.len() + RANDOM_LENGTH + CHECKSUM_LENGTH;
    let mut from = 0;
    let next = |text: &str, from: usize| {
        let rest = text.get(from..)?;
        Some(from + [LIVE, TEST].into_iter().filter_map(|prefix| rest.find(prefix)).min()?)
    };
    while let Some(start) = next(&text, from) {
        let end = start + LENGTH;
        if let Some(Ok(key)) = text.get(start..end).map(PlainKey::parse) {
            text.replace_range(start..end, &format!("{}...{}", key.prefix(), key.last_four()));
        }
        from = start + LIVE.len();
    }
    text
}

fn prefix(mode: Mode) -> &'static str {
    match mode {
        Mode::Live => LIVE,
        Mode::Test => TEST,
    }
}

fn digit(value: u32) -> char {
    let index = usize::try_from(value % 62).unwrap_or(0);
    char::from(ALPHABET.get(index).copied().unwrap_or(b'0'))
}

fn checksum(body: &str) -> String {
    let mut rest = crc32fast::hash(body.as_bytes());
    let mut digits = [' '; CHECKSUM_LENGTH];
    for slot in digits.iter_mut().rev() {
        *slot = digit(rest);
        rest /= 62;
    }
    digits.iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_key_has_the_shape_the_contract_gives_it() {
        for mode in [Mode::Live, Mode::Test] {
            let key = PlainKey::generate(mode).unwrap();
            assert_eq!(key.reveal().len(), 8 + 32);
            assert!(key.reveal().starts_with(key.prefix()) && key.reveal().ends_with(&key.last_four()));
            let read = PlainKey::parse(key.reveal()).unwrap();
            assert_eq!((read.hash(), read.mode()), (key.hash(), mode));
            assert_eq!(format!("{key:?}"), "PlainKey");
        }
    }

    /// Keys are in customers' hands: their format can't drift. The values are those of another CRC-32 (zlib's).
    #[test]
    fn the_checksum_is_fixed() {
        let body = "sk_live_00000000000000000000000000";
        assert_eq!(crc32fast::hash(body.as_bytes()), 0xaef2_1c28);
        assert_eq!(checksum(body), "3CdOEy");
    }

    #[test]
    fn a_text_without_its_keys_is_the_text() {
        let [one, other] = [Mode::Live, Mode::Test].map(|mode| PlainKey::generate(mode).unwrap());
        let (a, b) = (one.reveal(), other.reveal());
        let text = format!("ü/sk_live/{a}?k={b}{b}&sk_test_0#sk_live_{a}x sk_live_ü{}", &a[8..]);
        let (c, d) = (one.last_four(), other.last_four());
        let shown = format!(
            "ü/sk_live/sk_live_...{c}?k=sk_test_...{d}sk_test_...{d}&sk_test_0#sk_live_sk_live_...{c}x sk_live_ü{}",
            &a[8..]
        );
        assert_eq!(without_keys(text), shown);
        assert_eq!(without_keys(shown.clone()), shown);
    }

    proptest! {
        #[test]
        fn no_single_character_can_change_unnoticed(position in 0_usize..40, replacement in "[ -~]") {
            let key = PlainKey::generate(Mode::Live).unwrap();
            let mut text = key.reveal().to_owned();
            prop_assume!(text[position..=position] != replacement);
            text.replace_range(position..=position, &replacement);
            prop_assert!(PlainKey::parse(&text).is_err());
        }

        #[test]
        fn junk_is_refused_whatever_it_is(text in "\\PC{0,60}") {
            prop_assert!(PlainKey::parse(&text).is_err());
            let prefixed = format!("sk_live_{text}");
            prop_assert!(PlainKey::parse(&prefixed).is_err());
        }
    }
}
