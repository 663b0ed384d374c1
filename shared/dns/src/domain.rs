//! A domain name that somebody can hold.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::consumer;

/// The longest name that DNS carries, without its trailing dot (RFC 1035, section 2.3.4).
const LONGEST: usize = 253;
/// The longest label (RFC 1035, section 2.3.4).
const LONGEST_LABEL: usize = 63;
/// No name that fits DNS is longer than this before it is normalized, at four bytes a character.
const LONGEST_INPUT: usize = 4 * LONGEST;

/// Why a text is not a domain that somebody can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DomainFault {
    /// Empty, has an empty label, a character that no domain has, or is not valid IDNA (UTS #46).
    #[error("must be a domain name such as example.com")]
    Malformed,
    /// Ends with a dot.
    #[error("must not end with a dot")]
    TrailingDot,
    /// An IP address, or a name that some software would read as one.
    #[error("must be a domain name, not an IP address")]
    IpAddress,
    /// Has an underscore, which host names never have (RFC 952).
    #[error("must not contain an underscore")]
    Underscore,
    /// A label is longer than 63 characters, as it is written in DNS.
    #[error("must not have a part longer than 63 characters")]
    LabelTooLong,
    /// Longer than 253 characters, as it is written in DNS.
    #[error("must be at most 253 characters long")]
    TooLong,
    /// Has no dot.
    #[error("must be a full domain name such as example.com")]
    SingleLabel,
    /// Names are registered under it: `com`, `co.uk`, `github.io`. Nobody's users live there.
    #[error("must lie below a public suffix such as com or co.uk")]
    PublicSuffix,
}

/// A registrable domain name or one below it, in the one spelling that is compared and stored: lower-case ASCII,
/// internationalized labels as `xn--…`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(String);

impl Domain {
    /// Reads and normalizes a domain name.
    ///
    /// # Errors
    /// [`DomainFault`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, DomainFault> {
        if text.len() > LONGEST_INPUT {
            return Err(DomainFault::TooLong);
        }
        if text.starts_with('[') || text.parse::<IpAddr>().is_ok() {
            return Err(DomainFault::IpAddress);
        }
        if text.contains('_') {
            return Err(DomainFault::Underscore);
        }
        let name = Uts46::new()
            .to_ascii(text.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast, DnsLength::Ignore)
            .map_err(|_| DomainFault::Malformed)?;
        let (body, trailing_dot) = name.strip_suffix('.').map_or((&*name, false), |body| (body, true));
        if body.split('.').any(str::is_empty) {
            return Err(DomainFault::Malformed);
        }
        if trailing_dot {
            return Err(DomainFault::TrailingDot);
        }
        if ends_in_a_number(&name) {
            return Err(DomainFault::IpAddress);
        }
        if name.split('.').any(|label| label.len() > LONGEST_LABEL) {
            return Err(DomainFault::LabelTooLong);
        }
        if name.len() > LONGEST {
            return Err(DomainFault::TooLong);
        }
        if !name.contains('.') {
            return Err(DomainFault::SingleLabel);
        }
        if psl::domain_str(&name).is_none() {
            return Err(DomainFault::PublicSuffix);
        }
        Ok(Self(name.into_owned()))
    }

    /// The domain of an e-mail address: what follows its last `@`.
    ///
    /// # Errors
    /// [`DomainFault::Malformed`] when there is nothing before the `@` or no `@` at all, else what is wrong with the
    /// domain.
    pub fn of_email(address: &str) -> Result<Self, DomainFault> {
        match address.rsplit_once('@') {
            Some((local, domain)) if !local.is_empty() => Self::parse(domain),
            _ => Err(DomainFault::Malformed),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part that was registered: one label more than the public suffix.
    #[must_use]
    pub fn registrable(&self) -> &str {
        psl::domain_str(&self.0).unwrap_or(&self.0)
    }

    /// Whether this is `other` or lies below it.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.strip_suffix(&other.0).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }

    /// Whether it, or what it lies below, belongs to a provider of mailboxes that anybody can have. No organization
    /// may speak for the people there.
    #[must_use]
    pub fn is_consumer(&self) -> bool {
        consumer::is_consumer(self.registrable())
    }

    /// The name of a record beside this domain, such as `_artisan.example.com`. The label may have an underscore.
    #[must_use]
    pub fn record(&self, label: &str) -> String {
        format!("{label}.{}", self.0)
    }
}

/// Whether the last label is a number, decimal or hexadecimal. Such a name is an IPv4 address or an error to every
/// browser (WHATWG URL, section 3.5), and no such top-level domain exists (RFC 3696, section 2).
fn ends_in_a_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let hexadecimal =
        last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    hexadecimal || last.bytes().all(|b| b.is_ascii_digit())
}

impl FromStr for Domain {
    type Err = DomainFault;
    fn from_str(text: &str) -> Result<Self, DomainFault> {
        Self::parse(text)
    }
}

impl AsRef<str> for Domain {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Domain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Domain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn domain(text: &str) -> Domain {
        Domain::parse(text).unwrap()
    }

    #[test]
    fn a_domain_has_one_spelling() {
        for (written, stored) in [
            ("example.com", "example.com"),
            ("EXAMPLE.Com", "example.com"),
            ("mail.example.co.uk", "mail.example.co.uk"),
            ("Bücher.example", "xn--bcher-kva.example"),
            ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
            ("bu\u{308}cher.example", "xn--bcher-kva.example"),
            ("ｅｘａｍｐｌｅ。com", "example.com"),
            ("食狮.中国", "xn--85x722f.xn--fiqs8s"),
            ("acme.test", "acme.test"),
            ("1and1.com", "1and1.com"),
            ("x--y.com", "x--y.com"),
        ] {
            assert_eq!(domain(written).as_str(), stored, "{written}");
        }
    }

    #[test]
    fn what_nobody_holds_is_refused_for_its_own_reason() {
        use DomainFault::*;
        let long_label = format!("{}.com", "a".repeat(64));
        let long = format!("{}com", "abcdefgh.".repeat(28));
        let endless = "a.".repeat(10_000);
        let wide_label = format!("{}.com", "ü".repeat(63));
        for (bad, why) in [
            ("", Malformed),
            (".", Malformed),
            (".com", Malformed),
            ("a..com", Malformed),
            ("a..", Malformed),
            ("exa mple.com", Malformed),
            (" example.com", Malformed),
            ("example.com\n", Malformed),
            ("-example.com", Malformed),
            ("example-.com", Malformed),
            ("https://example.com", Malformed),
            ("example.com/", Malformed),
            ("example.com:443", Malformed),
            ("*.example.com", Malformed),
            ("user@example.com", Malformed),
            ("xn--a.com", Malformed),
            ("example.com.", TrailingDot),
            ("example.com。", TrailingDot),
            ("192.0.2.1", IpAddress),
            ("2001:db8::1", IpAddress),
            ("[2001:db8::1]", IpAddress),
            ("::ffff:192.0.2.1", IpAddress),
            ("0x7f.1", IpAddress),
            ("127.1", IpAddress),
            ("１２７.０.０.１", IpAddress),
            ("host.0x7f", IpAddress),
            ("_dmarc.example.com", Underscore),
            ("a_b.com", Underscore),
            (&long_label, LabelTooLong),
            (&wide_label, LabelTooLong),
            (&long, TooLong),
            (&endless, TooLong),
            ("localhost", SingleLabel),
            ("com", SingleLabel),
            ("co.uk", PublicSuffix),
            ("github.io", PublicSuffix),
            ("foo.ck", PublicSuffix),
            ("公司.cn", PublicSuffix),
            ("xn--55qx5d.cn", PublicSuffix),
        ] {
            assert_eq!(Domain::parse(bad), Err(why), "{bad}");
        }
    }

    #[test]
    fn the_longest_name_is_still_one() {
        let label = format!("{}.", "a".repeat(63));
        let longest = format!("{}{}.com", label.repeat(3), "a".repeat(57));
        assert_eq!(longest.len(), 253);
        assert!(Domain::parse(&longest).is_ok());
        assert_eq!(Domain::parse(&format!("a{longest}")), Err(DomainFault::LabelTooLong));
        assert_eq!(Domain::parse(&format!("b.{longest}")), Err(DomainFault::TooLong));
    }

    #[test]
    fn an_address_has_the_domain_after_its_last_at() {
        assert_eq!(Domain::of_email("Ada@Example.COM").unwrap().as_str(), "example.com");
        assert_eq!(Domain::of_email("\"a@b.example\"@example.com").unwrap().as_str(), "example.com");
        assert_eq!(Domain::of_email("ada"), Err(DomainFault::Malformed));
        assert_eq!(Domain::of_email("@example.com"), Err(DomainFault::Malformed));
        assert_eq!(Domain::of_email("ada@"), Err(DomainFault::Malformed));
        assert_eq!(Domain::of_email("ada@[192.0.2.1]"), Err(DomainFault::IpAddress));
        assert_eq!(Domain::of_email("root@localhost"), Err(DomainFault::SingleLabel));
    }

    #[test]
    fn below_means_below_a_dot() {
        let acme = domain("acme.com");
        assert!(domain("acme.com").is_within(&acme));
        assert!(domain("mail.eu.acme.com").is_within(&acme));
        assert!(!domain("notacme.com").is_within(&acme));
        assert!(!domain("acme.com.evil.net").is_within(&acme));
        assert!(!acme.is_within(&domain("mail.acme.com")));
        assert_eq!(domain("mail.acme.co.uk").registrable(), "acme.co.uk");
        assert_eq!(acme.record("_artisan"), "_artisan.acme.com");
    }

    #[test]
    fn a_mailbox_for_everybody_belongs_to_no_organization() {
        for name in [
            "gmail.com",
            "mail.gmail.com",
            "googlemail.com",
            "outlook.com",
            "outlook.de",
            "hotmail.co.uk",
            "live.com",
            "yahoo.com",
            "yahoo.co.jp",
            "mx.yahoo.com.br",
            "gmx.net",
            "gmx.at",
            "web.de",
            "proton.me",
            "pm.me",
            "protonmail.ch",
            "icloud.com",
            "me.com",
            "qq.com",
            "163.com",
            "yandex.ru",
            "yandex.com.tr",
            "ya.ru",
            "mail.ru",
            "bk.ru",
            "t-online.de",
            "free.fr",
            "aol.com",
            "comcast.net",
            "naver.com",
            "mailinator.com",
        ] {
            assert!(domain(name).is_consumer(), "{name}");
        }
        for name in [
            "example.com",
            "google.com",
            "microsoft.com",
            "gmail.com.evil.net",
            "notgmail.com",
            "apple.com",
            "me.org",
            "outlook-partners.com",
            "live.example",
            "yahooinc.com",
            "mail.example.ru",
        ] {
            assert!(!domain(name).is_consumer(), "{name}");
        }
    }

    #[test]
    fn a_stored_domain_is_judged_again() {
        let stored = serde_json::to_string(&domain("Bücher.example")).unwrap();
        assert_eq!(stored, r#""xn--bcher-kva.example""#);
        assert_eq!(serde_json::from_str::<Domain>(&stored).unwrap(), domain("bücher.example"));
        assert!(serde_json::from_str::<Domain>(r#""co.uk""#).is_err());
    }

    proptest! {
        #[test]
        fn reading_is_idempotent_and_its_result_is_plain(text in "\\PC{0,40}(\\.[a-zA-Zé0-9-]{1,12}){1,3}") {
            if let Ok(domain) = Domain::parse(&text) {
                prop_assert_eq!(&Domain::parse(domain.as_str()).unwrap(), &domain);
                let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
                prop_assert!(domain.as_str().bytes().all(plain), "{}", domain);
                prop_assert!(domain.registrable().contains('.'));
            }
        }
    }
}
