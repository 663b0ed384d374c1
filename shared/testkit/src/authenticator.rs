//! An authenticator app, written from RFC 6238 and not from the code that checks it.

use aws_lc_rs::hmac;
use clock::Timestamp;

/// An authenticator app that holds one secret.
#[derive(Debug)]
pub struct Authenticator(Vec<u8>);

impl Authenticator {
    /// One that was given a secret, in base32.
    #[must_use]
    pub fn new(base32: &str) -> Self {
        let values = base32.bytes().map(|c| match c {
            b'A'..=b'Z' => c - b'A',
            _ => c - b'2' + 26,
        });
        let bits: Vec<u8> = values.flat_map(|value| (0..5).rev().map(move |bit| value >> bit & 1)).collect();
        Self(bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | bit)).collect())
    }

    /// The code it shows at a certain time.
    #[must_use]
    pub fn code(&self, at: Timestamp) -> String {
        let step = u64::try_from(at.seconds() / 30).unwrap();
        let tag =
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0), &step.to_be_bytes());
        let tag = tag.as_ref();
        let offset = usize::from(tag[19] & 15);
        let number = u32::from_be_bytes(tag[offset..offset + 4].try_into().unwrap()) & 0x7fff_ffff;
        format!("{:06}", number % 1_000_000)
    }
}
