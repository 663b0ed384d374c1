//! Secrets and passwords from the operating system's randomness.

/// Sixty-two characters that survive every shell, form and e-mail.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A text of `length` letters and digits, each equally likely; `None` when there is no randomness to be had.
pub(crate) fn alphanumeric(length: usize) -> Option<String> {
    let mut text = String::with_capacity(length);
    let mut bytes = [0_u8; 64];
    while text.len() < length {
        aws_lc_rs::rand::fill(&mut bytes).ok()?;
        // Six bits choose one of 64; the two that name no character are skipped, so that none is favoured.
        let characters = bytes.iter().filter_map(|byte| ALPHABET.get(usize::from(byte & 63)));
        text.extend(characters.take(length - text.len()).map(|byte| char::from(*byte)));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_their_length_and_differ() {
        let (one, other) = (alphanumeric(64).unwrap(), alphanumeric(64).unwrap());
        assert_eq!(one.len(), 64);
        assert!(one.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(one, other);
    }
}
