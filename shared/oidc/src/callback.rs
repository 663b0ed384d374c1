//! What the browser comes back with.

use std::fmt;

use secrecy::SecretString;
use serde::Deserialize;

/// The query of the redirect URI (RFC 6749, section 4.1.2; RFC 9207). Whoever wants to can have made it up.
#[derive(Clone, Deserialize)]
pub struct Callback {
    pub(crate) code: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) error_description: Option<String>,
    pub(crate) iss: Option<String>,
    state: Option<String>,
}

impl Callback {
    /// Reads a query.
    #[must_use]
    pub fn parse(query: &str) -> Self {
        let mut found = Self { code: None, error: None, error_description: None, iss: None, state: None };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let slot = match &*name {
                "code" => &mut found.code,
                "error" => &mut found.error,
                "error_description" => &mut found.error_description,
                "iss" => &mut found.iss,
                "state" => &mut found.state,
                _ => continue,
            };
            // Of two, the first is the one that is checked and the one that is used.
            slot.get_or_insert_with(|| value.into_owned());
        }
        found
    }

    /// Which sign-in this is, if it is one of ours.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.code.is_some() { "Callback(code)" } else { "Callback" })
    }
}

/// A code that a token is to be had for, once.
#[derive(Clone)]
pub struct Code(pub(crate) SecretString);

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_and_its_code_not_printed() {
        let callback = Callback::parse("code=a%2Bb&state=s+t&iss=https%3A%2F%2Fexample.com&code=second&x");
        assert_eq!((callback.code.as_deref(), callback.state()), (Some("a+b"), Some("s t")));
        assert_eq!(callback.iss.as_deref(), Some("https://example.com"));
        assert_eq!(format!("{callback:?}"), "Callback(code)");
        assert_eq!(Callback::parse("").state(), None);
    }
}
