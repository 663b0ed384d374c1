//! Links to objects, and the names under which browsers save what is behind them.

use std::fmt::{self, Write as _};

use serde::Serialize;

/// A link to an object. Whoever has it can download the object: it goes to whom it was made for and into no log.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Link(String);

impl Link {
    pub(crate) fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Link")
    }
}

/// The `Content-Disposition` (RFC 6266) of a download under this name: once for everybody in plain ASCII, once as it is.
pub(crate) fn attachment(file_name: &str) -> String {
    let plain: String = file_name
        .chars()
        .map(|it| if it.is_ascii_alphanumeric() || matches!(it, '.' | '_' | '-' | ' ') { it } else { '_' })
        .collect();
    let mut value = format!("attachment; filename=\"{plain}\"");
    if plain != file_name {
        value.push_str("; filename*=UTF-8''");
        for byte in file_name.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-') {
                value.push(char::from(byte));
            } else {
                // Writing to a String cannot fail.
                let _ = write!(value, "%{byte:02X}");
            }
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_cannot_break_out_of_the_header() {
        assert_eq!(attachment("audit 2026.csv"), "attachment; filename=\"audit 2026.csv\"");
        assert_eq!(
            attachment("a\"; x\r\nü"),
            "attachment; filename=\"a__ x___\"; filename*=UTF-8''a%22%3B%20x%0D%0A%C3%BC"
        );
    }

    #[test]
    fn links_are_not_printed() {
        assert_eq!(format!("{:?}", Link::new("https://example.com/?X-Amz-Signature=1")), "Link");
    }
}
