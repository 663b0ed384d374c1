//! What the browser keeps: the session, the token of forms, and how the pages are to look.
//!
//! Everything that grants something is `HttpOnly`, so that no script can read it, `SameSite=Lax`, so that no other site's
//! form can bring it along, and where there is HTTPS it has the `__Host-` prefix, so that no neighbouring site can set it.

use http::{HeaderMap, HeaderValue, header};

/// As long as a session lasts that is refreshed.
pub(super) const SESSION: u64 = 30 * 24 * 60 * 60;

/// What is kept for all pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// The access token.
    Access,
    /// The refresh token.
    Refresh,
    /// The token of forms.
    Form,
}

impl Kept {
    fn name(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Refresh => "refresh",
            Self::Form => "form",
        }
    }
}

/// How pages look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Theme {
    /// As the browser has it.
    #[default]
    System,
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

impl Theme {
    /// Its name in the cookie, in forms and in the document.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// The theme of that name.
    pub(crate) fn named(name: &str) -> Self {
        [Self::Light, Self::Dark].into_iter().find(|theme| theme.name() == name).unwrap_or_default()
    }
}

/// The cookies of a request.
pub(super) struct Jar {
    secure: bool,
    held: Vec<(String, String)>,
}

impl Jar {
    pub(super) fn of(headers: &HeaderMap, secure: bool) -> Self {
        let lines = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let ours = |(name, value): (&str, &str)| {
            let name = name.strip_prefix(prefix(secure))?;
            Some((name.to_owned(), value.to_owned()))
        };
        Self { secure, held: pairs.filter_map(ours).collect() }
    }

    pub(super) fn get(&self, kept: Kept) -> Option<&str> {
        self.own(kept.name())
    }

    pub(super) fn own(&self, name: &str) -> Option<&str> {
        let mut held = self.held.iter().filter(|(held, value)| held == name && !value.is_empty());
        held.next().map(|(_, value)| value.as_str())
    }

    pub(super) fn theme(&self) -> Theme {
        self.own("theme").map(Theme::named).unwrap_or_default()
    }

    pub(super) fn set_kept(&self, kept: Kept, value: &str, seconds: Option<u64>) -> Option<HeaderValue> {
        self.set(kept.name(), value, seconds)
    }

    /// `None` when the value cannot stand in a header.
    pub(super) fn set(&self, name: &str, value: &str, seconds: Option<u64>) -> Option<HeaderValue> {
        let age = seconds.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
        let secure = if self.secure { "; Secure" } else { "" };
        let (prefix, value) = (prefix(self.secure), value.trim());
        let may_stand = value.bytes().all(|byte| byte.is_ascii_graphic() && !b";,\"\\".contains(&byte));
        let text = format!("{prefix}{name}={value}; Path=/{age}; HttpOnly; SameSite=Lax{secure}");
        HeaderValue::try_from(text).ok().filter(|_| may_stand)
    }
}

fn prefix(secure: bool) -> &'static str {
    if secure { "__Host-artisan-console-" } else { "artisan-console-" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jar(cookie: &'static str, secure: bool) -> Jar {
        Jar::of(&HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_static(cookie))]), secure)
    }

    #[test]
    fn where_there_is_https_only_cookies_are_read_that_a_neighbour_cannot_set() {
        let sent = "artisan-console-access=forged; __Host-artisan-console-access=ours; other=x";
        assert_eq!(jar(sent, true).get(Kept::Access), Some("ours"));
        assert_eq!(jar(sent, false).get(Kept::Access), Some("forged"));
        assert_eq!(jar("artisan-console-access=forged", true).get(Kept::Access), None);
    }

    #[test]
    fn what_grants_something_is_out_of_reach_of_scripts_and_other_sites() {
        let set = jar("", true).set_kept(Kept::Refresh, "rt_x.y", Some(60)).unwrap();
        assert_eq!(
            set,
            "__Host-artisan-console-refresh=rt_x.y; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure"
        );
        assert_eq!(jar("", true).set("a", "x; Domain=example.com", None), None, "it would add an attribute");
        let here = jar("", false).set("a", "x", None).unwrap();
        assert_eq!(here, "artisan-console-a=x; Path=/; HttpOnly; SameSite=Lax");
    }
}
