//! The format of API keys: `sk_live_` or `sk_test_`, then 32 base62 characters, of which 26 are random (154 bits)
//! and 6 are a CRC-32 of all that precedes them.
//!
//! The checksum lets junk be refused before any I/O and lets secret scanners tell a key from a look-alike. Of a key two
//! digests are stored: a short one, by which its credential is found, and its hash under a pepper ([`Peppers`]), which the
//! write that admits a request compares. A [`PlainKey`] prints only its type name.

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest as _, Sha256};
use store::{Mode, Proof, Secret};

use crate::Grants;

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

    /// Where its credential is: the beginning of a digest, too short to tell this key from all others.
    #[must_use]
    pub fn locator(&self) -> String {
        let digest = Sha256::new().chain_update(LOCATOR).chain_update(self.text.expose_secret()).finalize();
        hex(digest.get(..LOCATOR_BYTES).unwrap_or_default())
    }

    /// What its credential is compared with: its hash under the pepper in force, and under the others that are honoured.
    #[must_use]
    pub fn proof(&self, peppers: &Peppers) -> Proof {
        let macs = peppers.macs(self.text.expose_secret().as_bytes());
        Proof { locator: self.locator(), macs }
    }

    /// What is stored of it, beside what it may do and how long what it is used for is kept.
    #[must_use]
    pub fn secret(&self, peppers: &Peppers, grants: Grants, kept_days: u64) -> Secret {
        let mac = peppers.current.mac(self.text.expose_secret().as_bytes());
        Secret { mac, grants: grants.bits(), kept_days }
    }
}

/// What separates the digest that locates a key from its hash.
const LOCATOR: &str = "artisan api key locator/";
/// 80 bits: no two keys meet, and a key can't be told by them.
const LOCATOR_BYTES: usize = 10;

/// How keys are hashed: HMAC-SHA-256 under a secret pepper, so that who can write to the table but has not the pepper can't
/// make a key; plain SHA-256 without one. (154 random bits need no slow hash.)
///
/// A pepper is rotated in two steps. First the new one is honoured everywhere beside the old one; then it is put in force,
/// and the old one honoured. Each key moves to it when it is next used.
#[derive(Clone)]
pub struct Peppers {
    current: Pepper,
    honoured: Vec<Pepper>,
}

#[derive(Clone)]
enum Pepper {
    Keyed(SecretString),
    None,
}

/// The text is not a secret for peppers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "holds neither a pepper of 32 characters or more nor a JSON object with `current`, `honoured` and `unpeppered`"
)]
pub struct InvalidPeppers;

/// Peppers as the secret holds them when there is more than one.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    /// New keys and keys in use are hashed under this one.
    current: SecretString,
    /// Keys hashed under these work as well.
    #[serde(default)]
    honoured: Vec<SecretString>,
    /// So do keys from before there was a pepper.
    #[serde(default)]
    unpeppered: bool,
}

impl std::fmt::Debug for Peppers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Peppers")
    }
}

impl Peppers {
    const SHORTEST: usize = 32;

    /// No pepper: keys are hashed plainly.
    #[must_use]
    pub fn none() -> Self {
        Self { current: Pepper::None, honoured: Vec::new() }
    }

    /// Reads a secret: a pepper, or a JSON object `{"current": "…", "honoured": ["…"], "unpeppered": false}`.
    ///
    /// # Errors
    /// [`InvalidPeppers`] when it is neither, or a pepper has fewer than 32 characters.
    pub fn parse(text: &str) -> Result<Self, InvalidPeppers> {
        let stored = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|_| InvalidPeppers)?
        } else {
            Stored { current: text.into(), honoured: Vec::new(), unpeppered: false }
        };
        let is_long = |pepper: &SecretString| pepper.expose_secret().len() >= Self::SHORTEST;
        if !is_long(&stored.current) || !stored.honoured.iter().all(is_long) {
            return Err(InvalidPeppers);
        }
        let mut honoured: Vec<_> = stored.honoured.into_iter().map(Pepper::Keyed).collect();
        honoured.extend(stored.unpeppered.then_some(Pepper::None));
        Ok(Self { current: Pepper::Keyed(stored.current), honoured })
    }

    fn macs(&self, key: &[u8]) -> Vec<[u8; 32]> {
        std::iter::once(&self.current).chain(&self.honoured).map(|pepper| pepper.mac(key)).collect()
    }
}

impl Pepper {
    fn mac(&self, key: &[u8]) -> [u8; 32] {
        match self {
            Self::None => Sha256::digest(key).into(),
            Self::Keyed(pepper) => match Hmac::<Sha256>::new_from_slice(pepper.expose_secret().as_bytes()) {
                Ok(mac) => mac.chain_update(key).finalize().into_bytes().into(),
                // HMAC takes keys of any length; what can't happen must not match anything.
                Err(_) => [0; 32],
            },
        }
    }
}

/// SHA-256 in hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
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
            assert_eq!((read.locator(), read.mode()), (key.locator(), mode));
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

    /// What is stored: a line that changes here makes every key worthless.
    #[test]
    fn digests_are_fixed() {
        let key = PlainKey::parse("sk_live_000000000000000000000000003CdOEy").unwrap();
        assert_eq!(key.locator(), "5c905ff97b11581815f3");
        let hash = |peppers: &Peppers| hex(&key.proof(peppers).macs[0]);
        assert_eq!(
            hash(&Peppers::none()),
            "bd59781a29b056545df146fc8de43c5a609b4e3076e8ad8804696cfa8b94c9b6"
        );
        assert_eq!(
            hash(&Peppers::parse(&"p".repeat(32)).unwrap()),
            "37dbeef0034080e9a29d7daaffeec04afc8728a3c4f5f4c15ada41037ba87d33"
        );
    }

    #[test]
    fn peppers_are_rotated_in_two_steps() {
        let key = PlainKey::generate(Mode::Live).unwrap();
        let (old, new) = ("o".repeat(32), "n".repeat(40));
        let peppers = |text: String| Peppers::parse(&text).unwrap();
        let before = peppers(old.clone());
        let announced = peppers(format!(r#"{{"current": "{old}", "honoured": ["{new}"]}}"#));
        let rotated = peppers(format!(r#"{{"current": "{new}", "honoured": ["{old}"]}}"#));
        let macs = |peppers: &Peppers| key.proof(peppers).macs;
        assert_eq!(macs(&before)[0], macs(&announced)[0]);
        assert_eq!(macs(&announced), [macs(&rotated)[1], macs(&rotated)[0]]);
        assert_eq!(key.secret(&rotated, Grants::default(), 90).mac, macs(&rotated)[0]);
        // From none to one, and a key of before.
        let first = peppers(format!(r#"{{"current": "{new}", "unpeppered": true}}"#));
        assert_eq!(macs(&first), [macs(&rotated)[0], macs(&Peppers::none())[0]]);
        assert_eq!(format!("{first:?}"), "Peppers");
        for bad in
            ["short", "{", "{}", r#"{"current": "short"}"#, &format!(r#"{{"current": "{new}", "x": 1}}"#)]
        {
            assert_eq!(Peppers::parse(bad).err(), Some(InvalidPeppers), "{bad}");
        }
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
