//! From what was sent to what cannot be wrong: small checks that collect every fault before answering.

mod patch;
mod range;

use problem::{FieldError, Problem};

pub use patch::Patch;
pub use range::{Granularity, Range, RangeDraft};

/// One fault, not yet placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The stable name.
    pub code: &'static str,
    /// What is expected.
    pub message: String,
}

impl Fault {
    /// A fault.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// Collects faults. Each check gives its value or notes the fault; [`Faults::finish`] answers with all of them.
#[derive(Debug, Default)]
pub struct Faults(Vec<FieldError>);

impl Faults {
    /// Takes the value of a check, or notes its fault at `pointer`.
    pub fn take<T>(&mut self, pointer: &str, checked: Result<T, Fault>) -> Option<T> {
        checked.map_err(|fault| self.note(pointer, fault)).ok()
    }

    /// The same for a field that may be absent.
    pub fn take_optional<T, U>(
        &mut self,
        pointer: &str,
        value: Option<T>,
        check: impl FnOnce(T) -> Result<U, Fault>,
    ) -> Option<U> {
        value.and_then(|value| self.take(pointer, check(value)))
    }

    /// Notes a fault.
    pub fn note(&mut self, pointer: impl Into<String>, fault: Fault) {
        self.0.push(FieldError { pointer: pointer.into(), code: fault.code, message: fault.message });
    }

    /// The problem, if any fault was noted or `value` is absent.
    ///
    /// # Errors
    /// 422 with every fault.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Problem> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(Problem::Invalid { errors: self.0 }),
        }
    }
}

/// How long a text may be, in characters after trimming.
#[derive(Debug, Clone, Copy)]
pub struct Text {
    /// At least.
    pub min: usize,
    /// At most.
    pub max: usize,
}

/// A name, as it stands in one line of a list or a mail: `1..=max` characters, at least one of which can be seen.
///
/// # Errors
/// A fault when it is too short or too long, has line breaks, or has characters that are not seen or turn the direction of
/// writing (Unicode's format characters): names that look alike must be alike.
pub fn name(text: &str, max: usize) -> Result<String, Fault> {
    let text = Text::up_to(max).check(text)?;
    if text.chars().any(|c| c.is_control() || is_unseen(c)) || !text.chars().any(char::is_alphanumeric) {
        let message = "must be one line with a letter or a digit, without invisible characters";
        return Err(Fault::new("characters", message));
    }
    Ok(text)
}

/// Format characters of Unicode (general category Cf, chapter 23.2) and what else takes no place in a line.
fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

impl Text {
    /// A text of `1..=max` characters.
    #[must_use]
    pub const fn up_to(max: usize) -> Self {
        Self { min: 1, max }
    }

    /// The text, trimmed.
    ///
    /// # Errors
    /// A fault when it is too short, too long, or has control characters other than line breaks and tabs.
    pub fn check(self, text: &str) -> Result<String, Fault> {
        let text = text.trim();
        let length = text.chars().count();
        if !(self.min..=self.max).contains(&length) {
            return Err(Fault::new("length", format!("must have {} to {} characters", self.min, self.max)));
        }
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            return Err(Fault::new("characters", "must not contain control characters"));
        }
        Ok(text.to_owned())
    }
}

/// An e-mail address, in lower case: one `@`, a local part of up to 64 characters and a domain with a dot, 254
/// characters in all (RFC 5321 §4.5.3.1). What only a mail server can know is not judged.
///
/// # Errors
/// A fault when it can't be one.
pub fn email(text: &str) -> Result<String, Fault> {
    let text = text.trim();
    let fault = || Fault::new("format", "must be an e-mail address");
    let (local, domain) = text.rsplit_once('@').ok_or_else(fault)?;
    let local_ok = (1..=64).contains(&local.len())
        && !local.contains('@')
        && !text.chars().any(|c| c.is_whitespace() || c.is_control() || "<>()[],;:\\\"".contains(c));
    let label_ok = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let domain_ok = domain.contains('.') && domain.split('.').all(label_ok);
    if local_ok && domain_ok && text.len() <= 254 { Ok(text.to_lowercase()) } else { Err(fault()) }
}

/// The e-mail address of an account: one that [`email`] takes, in ASCII. Two ways to write one address must not be two
/// people, so a domain is written as DNS has it (RFC 5891), and what mail can't be sent to (RFC 6531 is not offered by
/// SES) can't sign in.
///
/// # Errors
/// A fault when it can't be one.
pub fn account_email(text: &str) -> Result<String, Fault> {
    let address = email(text)?;
    if address.is_ascii() {
        return Ok(address);
    }
    Err(Fault::new("format", "must be written in ASCII; write an international domain as xn--…"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_judged_by_their_form() {
        for good in ["a@b.co", "Ada.Lovelace+x@Example.COM", "o'neil@mail.example.org", "ü@exämple.de"] {
            assert_eq!(email(good).unwrap(), good.to_lowercase());
        }
        for bad in [
            "",
            "a",
            "@b.co",
            "a@",
            "a@b",
            "a b@c.de",
            "a@b..c",
            "a@@b.co",
            "a@-b.co",
            "a@b.co\n@x",
            "<a@b.co>",
        ] {
            assert!(email(bad).is_err(), "{bad:?}");
        }
        assert!(email(&format!("{}@b.co", "x".repeat(65))).is_err());
    }

    #[test]
    fn an_account_has_one_way_to_write_its_address() {
        assert_eq!(account_email("Ada@Example.com").unwrap(), "ada@example.com");
        for bad in ["ü@example.com", "a@ｅxample.com", "a@exämple.de", "nobody"] {
            assert!(account_email(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_name_can_be_seen_and_is_one_line() {
        assert_eq!(name("  Zoë O'Neil-Łukasz 3 ", 100).unwrap(), "Zoë O'Neil-Łukasz 3");
        assert_eq!(name("李 小龍", 100).unwrap(), "李 小龍");
        for bad in ["", "\u{202e}", "\u{feff}", "a\u{202e}b", "a\r\nBcc: x@y", "a\u{200b}b", "--", "\u{3164}"]
        {
            assert!(name(bad, 100).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn texts_are_trimmed_and_measured_in_characters() {
        assert_eq!(Text::up_to(3).check("  äöü ").unwrap(), "äöü");
        assert_eq!(Text::up_to(3).check("    ").unwrap_err().code, "length");
        assert_eq!(Text::up_to(3).check("abcd").unwrap_err().code, "length");
        assert_eq!(Text::up_to(9).check("a\u{0}b").unwrap_err().code, "characters");
    }
}
