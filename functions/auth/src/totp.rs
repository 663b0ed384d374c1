//! One-time codes of authenticator apps: TOTP (RFC 6238) with SHA-1, six digits and 30 seconds, which is all that the
//! common apps understand.
//!
//! Written out here because a used code must be refused: that takes the time step a code belongs to, and the libraries only
//! say yes or no. HMAC is AWS-LC's; the tests are the RFC's own vectors.

use aws_lc_rs::hmac;
use clock::Timestamp;
use sealing::SealError;
use subtle::ConstantTimeEq as _;

/// As long as SHA-1's output, as RFC 4226 §4 recommends.
const SECRET_BYTES: usize = 20;
const STEP_SECONDS: i64 = 30;
const DIGITS: u32 = 6;
/// How many steps a clock may be off, either way (RFC 6238 §5.2 allows at most one for delays).
const SKEW: i64 = 1;

/// What app and we share.
pub(crate) struct Secret([u8; SECRET_BYTES]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// A new one.
    ///
    /// # Errors
    /// [`SealError`] when there is no randomness to be had.
    pub(crate) fn generate() -> Result<Self, SealError> {
        sealing::random().map(Self)
    }

    /// One that was kept.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// In base32 (RFC 4648 §6), as people type it into an app.
    pub(crate) fn base32(&self) -> String {
        base32(&self.0)
    }

    /// As apps read it from a picture:
    /// <https://github.com/google/google-authenticator/wiki/Key-Uri-Format>.
    pub(crate) fn url(&self, account: &str) -> String {
        let account: String = url::form_urlencoded::byte_serialize(account.as_bytes()).collect();
        let account = account.replace('+', "%20");
        format!(
            "otpauth://totp/Artisan:{account}?secret={}&issuer=Artisan&algorithm=SHA1&digits=6&period=30",
            self.base32()
        )
    }

    /// The time step that `code` belongs to, if it is near `now` and later than the last one that was accepted.
    pub(crate) fn accepts(&self, code: &str, now: Timestamp, last_step: Option<i64>) -> Option<i64> {
        let present = now.seconds().div_euclid(STEP_SECONDS);
        (present - SKEW..=present + SKEW).filter(|step| last_step.is_none_or(|last| *step > last)).find(
            |step| {
                let expected = self.code(u64::try_from(*step).unwrap_or_default());
                bool::from(expected.as_bytes().ct_eq(code.as_bytes()))
            },
        )
    }

    /// The code of a time step (RFC 4226 §5.3).
    fn code(&self, step: u64) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0);
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let bytes = tag.as_ref();
        let offset = usize::from(bytes.last().copied().unwrap_or_default() & 0x0f);
        // SHA-1 has 20 bytes, of which offset 15 takes the last but one.
        let chosen = bytes.get(offset..offset + 4).and_then(|four| <[u8; 4]>::try_from(four).ok());
        let number = u32::from_be_bytes(chosen.unwrap_or_default()) & 0x7fff_ffff;
        format!("{:06}", number % 10_u32.pow(DIGITS))
    }
}

fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = String::with_capacity(bytes.len() * 8 / 5 + 1);
    let (mut held, mut bits) = (0_u32, 0);
    for byte in bytes {
        held = held << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            let index = usize::try_from(held >> bits & 31).unwrap_or_default();
            text.push(ALPHABET.get(index).copied().map_or('A', char::from));
        }
    }
    if bits > 0 {
        let index = usize::try_from(held << (5 - bits) & 31).unwrap_or_default();
        text.push(ALPHABET.get(index).copied().map_or('A', char::from));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> Secret {
        Secret::from_bytes(b"12345678901234567890").unwrap()
    }

    /// RFC 6238, appendix B, the last six of its eight digits; RFC 4226, appendix D.
    #[test]
    fn codes_are_those_of_the_rfcs() {
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000_u64, "353130"),
        ] {
            assert_eq!(secret().code(seconds / 30), code, "{seconds}");
        }
        let counted: Vec<String> = (0..10).map(|count| secret().code(count)).collect();
        assert_eq!(
            counted,
            [
                "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871",
                "520489"
            ]
        );
    }

    #[test]
    fn a_code_is_good_a_step_early_or_late_and_once() {
        let at = |seconds| Timestamp::from_seconds(seconds);
        let (code, step) = (secret().code(100), 100);
        for seconds in [99 * 30, 100 * 30, 101 * 30 + 29] {
            assert_eq!(secret().accepts(&code, at(seconds), None), Some(step), "{seconds}");
        }
        for seconds in [98 * 30 + 29, 102 * 30] {
            assert_eq!(secret().accepts(&code, at(seconds), None), None, "{seconds}");
        }
        assert_eq!(secret().accepts(&code, at(3000), Some(99)), Some(step));
        assert_eq!(secret().accepts(&code, at(3000), Some(100)), None);
        for other in ["", "12345", "1234567", "aaaaaa"] {
            assert_eq!(secret().accepts(other, at(3000), None), None, "{other}");
        }
    }

    /// RFC 4648 §10, without padding.
    #[test]
    fn base32_is_that_of_the_rfc() {
        for (bytes, text) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
        ] {
            assert_eq!(base32(bytes.as_bytes()), text);
        }
        assert_eq!(secret().base32(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        let url = secret().url("ada+x@example.com");
        assert!(url.starts_with("otpauth://totp/Artisan:ada%2Bx%40example.com?secret=GEZD"), "{url}");
    }
}
