//! Signed notes: a text, a blank line, and a line for each signature. C2SP `signed-note`.
//!
//! The text must not be used before [`Note::verify`] has found a signature by a key that is trusted.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::key::{NoteSigner, SigningFailed, VerifierKey, is_name};

/// Longer notes are refused unread, in bytes.
pub const MAX_NOTE: usize = 1_000_000;
/// Notes with more signatures are refused. The specification asks for at least 16.
pub const MAX_SIGNATURES: usize = 100;

/// A text with signatures that have yet to be verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

/// A signature line: `— <name> <base64 of key id and signature>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    name: String,
    id: [u8; 4],
    signature: Vec<u8>,
}

/// Why a text is no note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNote {
    /// More than [`MAX_NOTE`] bytes or [`MAX_SIGNATURES`] signatures.
    #[error("the note is too long")]
    Length,
    /// A control character other than a line feed.
    #[error("the note has control characters in it")]
    Control,
    /// No text that ends in a line feed, a blank line and signatures after it.
    #[error("a note is a text, a blank line, and lines with signatures")]
    Structure,
    /// A line below the blank one is not a signature.
    #[error("a signature line of the note cannot be read")]
    Signature,
}

/// Why a note is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// None of the signatures is by a key that is trusted.
    #[error("the note has no signature by a key that is trusted")]
    NoKnownKey,
    /// A signature says that a trusted key made it, and it did not. The note was changed.
    #[error("the note has a false signature of {0}")]
    False(String),
}

/// Why a text could not be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The text would not be read as a note again.
    #[error("the text cannot be signed")]
    Text(#[source] InvalidNote),
    /// The cryptographic library refused.
    #[error(transparent)]
    Failed(#[from] SigningFailed),
}

impl Note {
    /// A note that all of `signers` signed: several, while one key takes over from another.
    ///
    /// # Errors
    /// [`SignError::Text`] if the text does not end in a line feed, or nobody signs it, or it is too long or has control
    /// characters in it.
    pub fn sign(text: &str, signers: &[&NoteSigner]) -> Result<Self, SignError> {
        let checked = if !text.ends_with('\n') || signers.is_empty() {
            Err(InvalidNote::Structure)
        } else if text.len() > MAX_NOTE || signers.len() > MAX_SIGNATURES {
            Err(InvalidNote::Length)
        } else {
            no_control(text)
        };
        checked.map_err(SignError::Text)?;
        let sign = |signer: &&NoteSigner| {
            let verifier = signer.verifier();
            let signature = signer.sign(text)?;
            Ok(Signature { name: verifier.name().to_owned(), id: verifier.id(), signature })
        };
        let signatures = signers.iter().map(sign).collect::<Result<_, SigningFailed>>()?;
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// The text, which ends in a line feed. Not to be trusted before [`Note::verify`].
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Finds signatures by keys of `trusted`; those by others are passed over. Returns the keys that did sign, at least one.
    ///
    /// # Errors
    /// [`Unverified::NoKnownKey`] if there are none; [`Unverified::False`] if any does not hold, even beside others that do.
    pub fn verify<'k>(
        &self,
        trusted: impl IntoIterator<Item = &'k VerifierKey>,
    ) -> Result<Vec<&'k VerifierKey>, Unverified> {
        let mut signed_by = Vec::new();
        for key in trusted {
            let mut theirs =
                self.signatures.iter().filter(|s| s.name == key.name() && s.id == key.id()).peekable();
            if theirs.peek().is_none() {
                continue;
            }
            if !theirs.all(|signature| key.verifies(&self.text, &signature.signature)) {
                return Err(Unverified::False(key.name().to_owned()));
            }
            signed_by.push(key);
        }
        if signed_by.is_empty() { Err(Unverified::NoKnownKey) } else { Ok(signed_by) }
    }
}

fn no_control(text: &str) -> Result<(), InvalidNote> {
    if text.bytes().any(|byte| byte < b' ' && byte != b'\n') { Err(InvalidNote::Control) } else { Ok(()) }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        for Signature { name, id, signature } in &self.signatures {
            let bytes = [id.as_slice(), signature].concat();
            writeln!(f, "— {name} {}", STANDARD.encode(bytes))?;
        }
        Ok(())
    }
}

impl FromStr for Note {
    type Err = InvalidNote;

    fn from_str(note: &str) -> Result<Self, InvalidNote> {
        if note.len() > MAX_NOTE {
            return Err(InvalidNote::Length);
        }
        no_control(note)?;
        let (text, signatures) = note.rsplit_once("\n\n").ok_or(InvalidNote::Structure)?;
        let lines = signatures.strip_suffix('\n').ok_or(InvalidNote::Structure)?;
        if lines.split('\n').count() > MAX_SIGNATURES {
            return Err(InvalidNote::Length);
        }
        let signatures = lines.split('\n').map(str::parse).collect::<Result<_, _>>()?;
        Ok(Self { text: format!("{text}\n"), signatures })
    }
}

impl FromStr for Signature {
    type Err = InvalidNote;

    fn from_str(line: &str) -> Result<Self, InvalidNote> {
        let parse = || {
            let (name, base64) = line.strip_prefix("— ")?.split_once(' ')?;
            let bytes = STANDARD.decode(base64).ok()?;
            let (id, signature) = bytes.split_first_chunk()?;
            (is_name(name) && !signature.is_empty()).then(|| Self {
                name: name.to_owned(),
                id: *id,
                signature: signature.to_vec(),
            })
        };
        parse().ok_or(InvalidNote::Signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example in the specification.
    const PUBLISHED: &str = "This is an example message.\n\n\
        — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
    const PUBLISHED_KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";

    #[test]
    fn the_published_note_verifies() {
        let key: VerifierKey = PUBLISHED_KEY.parse().unwrap();
        let note: Note = PUBLISHED.parse().unwrap();
        assert_eq!(note.text(), "This is an example message.\n");
        assert_eq!(note.verify([&key]), Ok(vec![&key]));
        assert_eq!(note.to_string(), PUBLISHED);

        let changed: Note = PUBLISHED.replace("an example", "no example").parse().unwrap();
        assert_eq!(changed.verify([&key]), Err(Unverified::False("example.com/foo".to_owned())));
    }

    #[test]
    fn one_of_several_keys_is_enough() {
        let [old, new, other] = [1, 2, 3].map(|seed| NoteSigner::from_seed("log", &[seed; 32]).unwrap());
        let note = Note::sign("one\n\ntwo\n", &[&old, &new]).unwrap();
        let note: Note = note.to_string().parse().unwrap();
        assert_eq!(note.text(), "one\n\ntwo\n");
        assert_eq!(note.verify([new.verifier()]), Ok(vec![new.verifier()]));
        assert_eq!(note.verify([other.verifier(), old.verifier()]), Ok(vec![old.verifier()]));
        assert_eq!(note.verify([other.verifier()]), Err(Unverified::NoKnownKey));
        assert_eq!(note.verify([]), Err(Unverified::NoKnownKey));
    }

    #[test]
    fn the_same_key_under_another_name_is_unknown() {
        let note = Note::sign("a\n", &[&NoteSigner::from_seed("log", &[1; 32]).unwrap()]).unwrap();
        let other = NoteSigner::from_seed("gol", &[1; 32]).unwrap();
        assert_eq!(note.verify([other.verifier()]), Err(Unverified::NoKnownKey));
    }

    #[test]
    fn what_is_no_note() {
        for (text, error) in [
            ("", InvalidNote::Structure),
            ("text\n", InvalidNote::Structure),
            ("text\n\n", InvalidNote::Structure),
            ("text\n\n\n", InvalidNote::Structure),
            ("text\n— log AAAAAAE=\n", InvalidNote::Structure),
            ("text\n\n— log AAAAAAE=", InvalidNote::Structure),
            ("text\n\n- log AAAAAAE=\n", InvalidNote::Signature),
            ("text\n\n— log AAAAAA==\n", InvalidNote::Signature),
            ("text\n\n— log  AAAAAAE=\n", InvalidNote::Signature),
            ("text\n\n— l+g AAAAAAE=\n", InvalidNote::Signature),
            ("text\n\n— log AAAAAAE= \n", InvalidNote::Signature),
            ("te\txt\n\n— log AAAAAAE=\n", InvalidNote::Control),
            ("text\r\n\n— log AAAAAAE=\n", InvalidNote::Control),
        ] {
            assert_eq!(text.parse::<Note>(), Err(error), "{text:?}");
        }
        assert_eq!("text\n\n— log AAAAAAE=\n".parse::<Note>().map(|note| note.text), Ok("text\n".to_owned()));
        let many = format!("text\n\n{}", "— log AAAAAAE=\n".repeat(101));
        assert_eq!(many.parse::<Note>(), Err(InvalidNote::Length));
    }

    #[test]
    fn what_cannot_be_signed() {
        let signer = NoteSigner::from_seed("log", &[1; 32]).unwrap();
        for text in ["", "text", "te\0xt\n"] {
            assert!(Note::sign(text, &[&signer]).is_err(), "{text:?}");
        }
        assert!(Note::sign("text\n", &[]).is_err());
    }
}
