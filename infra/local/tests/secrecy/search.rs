//! Looking for secrets in bytes, in whatever form they may have got there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Shorter ones would be found by chance.
const SHORTEST: usize = 8;

/// The secrets there are, each with what it is.
#[derive(Default)]
pub(crate) struct Secrets(BTreeMap<Vec<u8>, String>);

/// A way to write a secret down.
struct Form {
    of: String,
    how: &'static str,
    bytes: Vec<u8>,
}

impl Secrets {
    /// Adds a secret, and gives it back. What stands behind a prefix such as `sk_live_` is one by itself, and so are the
    /// bytes that it encodes.
    pub(crate) fn add(&mut self, what: &str, secret: &str) -> String {
        assert!(secret.len() >= SHORTEST, "{what} is too short to be looked for");
        self.0.insert(secret.as_bytes().to_vec(), what.to_owned());
        for (at, _) in secret.match_indices(['_', '.']) {
            let rest = &secret[at + 1..];
            if rest.len() < 2 * SHORTEST {
                break;
            }
            self.0.insert(rest.as_bytes().to_vec(), format!("{what}, without its prefix"));
            for bytes in [STANDARD.decode(rest), URL_SAFE_NO_PAD.decode(rest)].into_iter().flatten() {
                self.0.insert(bytes, format!("{what}, decoded"));
            }
        }
        secret.to_owned()
    }

    /// Adds the bytes of a secret that is shown in some other way.
    pub(crate) fn add_bytes(&mut self, what: &str, secret: Vec<u8>) {
        self.0.insert(secret, what.to_owned());
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    fn forms(&self) -> Vec<Form> {
        let mut forms = Vec::new();
        for (secret, what) in &self.0 {
            let mut form = |how, bytes: Vec<u8>| forms.push(Form { of: what.clone(), how, bytes });
            form("as it is", secret.clone());
            let hex = secret.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
            form("in hex", hex.to_uppercase().into_bytes());
            form("in hex", hex.into_bytes());
            // A secret in the middle of what is encoded begins at one of three places within a group.
            for place in 0..3 {
                form(
                    "in base64",
                    middle(&STANDARD_NO_PAD.encode(shifted(secret, place)), place, secret.len()),
                );
                form(
                    "in base64url",
                    middle(&URL_SAFE_NO_PAD.encode(shifted(secret, place)), place, secret.len()),
                );
            }
            if let Ok(text) = std::str::from_utf8(secret) {
                form("URL-encoded", percent(text, false).into_bytes());
                form("as a form field", percent(text, true).into_bytes());
                form("as JSON", serde_json::to_string(text).unwrap().trim_matches('"').into());
                form("as escaped JSON", text.escape_debug().to_string().into_bytes());
                form("as JSON in ASCII", text.escape_default().to_string().into_bytes());
                form("in capitals", text.to_uppercase().into_bytes());
                form("in small letters", text.to_lowercase().into_bytes());
            }
            // As a list of numbers, which is how bytes are printed for debugging.
            form("as numbers", secret.iter().map(u8::to_string).collect::<Vec<_>>().join(", ").into_bytes());
        }
        let mut seen = BTreeSet::new();
        forms.retain(|form| form.bytes.len() >= SHORTEST && seen.insert(form.bytes.clone()));
        forms
    }
}

fn shifted(secret: &[u8], place: usize) -> Vec<u8> {
    [&[0_u8; 2][..place], secret].concat()
}

/// The characters that depend on nothing but the secret.
fn middle(encoded: &str, place: usize, length: usize) -> Vec<u8> {
    let first = (place * 8).div_ceil(6);
    encoded.as_bytes()[first..(place + length) * 8 / 6].to_vec()
}

fn percent(text: &str, form: bool) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte))
            }
            b' ' if form => encoded.push('+'),
            _ => write!(encoded, "%{byte:02X}").unwrap(),
        }
        encoded
    })
}

/// Finds any of many secrets in one pass.
pub(crate) struct Search {
    forms: Vec<Form>,
    /// Which forms begin with these two bytes.
    starts: Vec<Vec<usize>>,
}

impl Search {
    pub(crate) fn of(secrets: &Secrets) -> Self {
        let forms = secrets.forms();
        let mut starts = vec![Vec::new(); 1 << 16];
        for (number, form) in forms.iter().enumerate() {
            starts[usize::from(u16::from_be_bytes([form.bytes[0], form.bytes[1]]))].push(number);
        }
        Self { forms, starts }
    }

    /// What is found in `bytes`, each with what surrounds it.
    pub(crate) fn find(&self, place: &str, bytes: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        for (at, pair) in bytes.windows(2).enumerate() {
            for number in &self.starts[usize::from(u16::from_be_bytes([pair[0], pair[1]]))] {
                let form = &self.forms[*number];
                if bytes[at..].starts_with(&form.bytes) {
                    let around =
                        &bytes[at.saturating_sub(120)..(at + form.bytes.len() + 60).min(bytes.len())];
                    let around = String::from_utf8_lossy(around).replace('\n', "\\n");
                    found.push(format!("{}, {}, in {place} at {at}: {around}", form.of, form.how));
                }
            }
        }
        found
    }
}

#[test]
fn a_secret_is_found_in_whatever_form_it_is() {
    let mut secrets = Secrets::default();
    secrets.add("password", "grün wie 7 \"Gärten\"/Teiche");
    secrets.add("key", "sk_live_0123456789abcdefghijklmnop012345");
    secrets.add_bytes("seed", (100..120).collect());
    let search = Search::of(&secrets);
    for harmless in ["", "sk_live_", "012345", "grün wie 8", "a quiet line"] {
        assert_eq!(search.find("here", harmless.as_bytes()), Vec::<String>::new(), "{harmless}");
    }
    let password = "grün wie 7 \"Gärten\"/Teiche";
    let seed: Vec<u8> = (100..120).collect();
    for leak in [
        format!("password={password}"),
        format!("{:?}", Some(password)),
        serde_json::json!({"body": {"password": password}}).to_string(),
        serde_json::json!({"body": serde_json::json!({"password": "sk_live_0123456789abcdefghijklmnop012345"}).to_string()}).to_string(),
        format!("GET /?key=0123456789abcdefghijklmnop012345&x={}", percent(password, false)),
        format!("x={}", percent(password, true)),
        format!("Basic {}", STANDARD.encode(format!("ada:{password}"))),
        format!("Basic {}", STANDARD.encode(format!("adas:{password}!"))),
        format!("Basic {}", URL_SAFE_NO_PAD.encode(format!("a:{password}!!"))),
        format!("{:x?}", password.as_bytes()).replace(", ", ""),
        format!("{:?}", password.as_bytes()),
        format!("{seed:?}"),
    ] {
        assert_ne!(search.find("here", leak.as_bytes()).len(), 0, "{leak}");
    }
    assert_eq!(search.find("here", &[b"dat", seed.as_slice(), b"a"].concat()).len(), 1);
}
