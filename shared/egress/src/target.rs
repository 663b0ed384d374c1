//! Where a customer wants something sent.
//!
//! **The threat.** A URL says one thing to whoever reads it and another to whoever dials it. `2130706433` is loopback,
//! and so are `0x7f.1` and `１２７.１`; `https://good.com\@evil.com` names a different host to every second parser; a
//! soft hyphen is there and is not.
//!
//! **The answer.** One parser (WHATWG, the one that the HTTP client uses) decides what a URL says; what is judged is
//! its result, and the same result is dialled. Texts that others would read differently are refused whatever they
//! mean: backslashes, anything with an `@` or `%` where the host is, white space, missing slashes. A host is a permitted
//! address, or a name of at least two labels that fits DNS and can be somebody's public one. Whether that name leads
//! where it may is asked when it is dialled.

use std::net::IpAddr;

use url::{Host, Url};

use crate::is_forbidden;

const LONGEST: usize = 2048;
/// RFC 1035, section 2.3.4.
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;

/// Top-level domains that are nobody's public host: those of the IANA registry of special-use domain names (`arpa` with
/// all that is in it), and what people call their private networks. The public suffix list would say more, but also
/// refuse each new top-level domain until it is updated, and what such a name leads to is judged anyway.
const PRIVATE: [&str; 15] = [
    "alt",
    "arpa",
    "corp",
    "home",
    "internal",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "mail",
    "onion",
    "private",
    "test",
];

/// What a deployment allows beyond public HTTPS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    /// HTTP and HTTPS to loopback. For a laptop; on AWS loopback is where the Lambda runtime API listens.
    pub allow_loopback: bool,
}

impl Policy {
    /// Whether an address may be sent to.
    #[must_use]
    pub fn permits(self, address: IpAddr) -> bool {
        !is_forbidden(address) || self.is_allowed_loopback(address)
    }

    fn is_allowed_loopback(self, address: IpAddr) -> bool {
        self.allow_loopback && address.to_canonical().is_loopback()
    }
}

/// Why a URL can't be a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Not an absolute URL, longer than 2,048 characters, or one that not everybody reads alike.
    #[error("must be an absolute URL of at most 2,048 characters")]
    Malformed,
    /// Not `https`.
    #[error("must begin with https://")]
    Scheme,
    /// Has a user name or a password.
    #[error("must not contain a user name or password")]
    Credentials,
    /// Has a fragment, which is never sent.
    #[error("must not contain a fragment")]
    Fragment,
    /// A port below 1024 other than 80 and 443.
    #[error("must use port 80, 443 or one above 1023")]
    Port,
    /// A name or address we never send to.
    #[error("must name a public host")]
    Host,
}

/// A URL that may be sent to, as far as can be told without asking DNS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target(Url);

impl Target {
    /// Reads and judges a URL.
    ///
    /// # Errors
    /// [`TargetError`] says what is wrong with it.
    pub fn parse(text: &str, policy: Policy) -> Result<Self, TargetError> {
        if text.len() > LONGEST || text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err(TargetError::Malformed);
        }
        let url = Url::parse(text).map_err(|_| TargetError::Malformed)?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(TargetError::Scheme);
        }
        let authority = authority(text, url.scheme()).ok_or(TargetError::Malformed)?;
        if authority.contains('@') {
            return Err(TargetError::Credentials);
        }
        // Escapes make a URL longer. What is stored in that form has to be read again.
        if authority.contains('%') || url.as_str().len() > LONGEST {
            return Err(TargetError::Malformed);
        }
        let loopback = judge_host(&url, policy)?;
        if url.scheme() == "http" && !loopback {
            return Err(TargetError::Scheme);
        }
        if url.fragment().is_some() {
            return Err(TargetError::Fragment);
        }
        match url.port_or_known_default() {
            Some(80 | 443 | 1024..) => Ok(Self(url)),
            _ => Err(TargetError::Port),
        }
    }

    /// The URL.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// Whether the host may be sent to under `policy`, which need not be the one it was read under.
    pub(crate) fn is_permitted(&self, policy: Policy) -> bool {
        judge_host(&self.0, policy).is_ok()
    }
}

/// What stands between `//` and the path; none unless there are exactly those two slashes.
fn authority<'a>(text: &'a str, scheme: &str) -> Option<&'a str> {
    let rest = text.get(scheme.len()..)?.strip_prefix("://")?;
    rest.split(['/', '?', '#']).next().filter(|authority| !authority.is_empty())
}

/// Judges the host; tells whether it is the loopback that the policy allows.
fn judge_host(url: &Url, policy: Policy) -> Result<bool, TargetError> {
    let address = match url.host() {
        None => return Err(TargetError::Malformed),
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        Some(Host::Domain(name)) if is_localhost(name) && policy.allow_loopback => return Ok(true),
        Some(Host::Domain(name)) if is_public_looking(name) => return Ok(false),
        Some(Host::Domain(_)) => return Err(TargetError::Host),
    };
    if policy.permits(address) { Ok(address.to_canonical().is_loopback()) } else { Err(TargetError::Host) }
}

/// Whether a name is loopback by definition (RFC 6761, section 6.3), whatever DNS says.
pub(crate) fn is_localhost(name: &str) -> bool {
    name.strip_suffix("localhost").is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Whether a name is one that DNS can hold, with two labels at least, in no domain that is private by its name. The
/// last label begins with a letter, as every top-level domain does, so that nothing takes the name for an address.
/// Underscores are no part of host names, but there are receivers who have them.
fn is_public_looking(name: &str) -> bool {
    let fits = |label: &str| {
        (1..=LONGEST_LABEL).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
    };
    name.len() <= LONGEST_NAME
        && name.split('.').all(fits)
        && name.rsplit_once('.').is_some_and(|(_, top)| {
            top.starts_with(|c: char| c.is_ascii_lowercase()) && !PRIVATE.contains(&top)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use TargetError::{Credentials, Fragment, Host, Malformed, Port, Scheme};
    use proptest::prelude::*;

    const STRICT: Policy = Policy { allow_loopback: false };
    const LOCAL: Policy = Policy { allow_loopback: true };

    #[test]
    fn public_https_is_a_target() {
        for (good, host) in [
            ("https://example.com/hook?x=1", "example.com"),
            ("https://example.com:8443/", "example.com"),
            ("https://example.com:80/", "example.com"),
            ("https://example.com:1024/", "example.com"),
            ("https://example.com:65535/", "example.com"),
            ("https://example.com:", "example.com"),
            ("https://8.8.8.8/", "8.8.8.8"),
            ("https://[2606:4700::1111]/", "[2606:4700::1111]"),
            ("https://[64:ff9b::8.8.8.8]/", "[64:ff9b::808:808]"),
            ("HTTPS://EXAMPLE.com", "example.com"),
            ("https://bücher.de/", "xn--bcher-kva.de"),
            ("https://xn--bcher-kva.de/", "xn--bcher-kva.de"),
            ("https://ｅｘａｍｐｌｅ．ｃｏｍ/", "example.com"),
            ("https://exam\u{ad}ple.com/", "example.com"),
            ("https://my_hooks.example.com/", "my_hooks.example.com"),
            ("https://example.com/@me/100%25?to=a@b.c%5C", "example.com"),
            ("https://localhost.example.com/", "localhost.example.com"),
            ("https://notlocalhost.com/", "notlocalhost.com"),
            ("https://local.com/", "local.com"),
            ("https://127.0.0.1.nip.io/", "127.0.0.1.nip.io"),
        ] {
            let target = Target::parse(good, STRICT);
            assert_eq!(
                target.map(|t| t.url().host_str().map(str::to_owned)),
                Ok(Some(host.into())),
                "{good}"
            );
        }
    }

    #[test]
    fn everything_else_is_refused_for_its_own_reason() {
        for (bad, why) in [
            // Not a URL, or not to everybody.
            ("", Malformed),
            ("example.com", Malformed),
            ("//example.com", Malformed),
            ("https://", Malformed),
            ("https:///example.com", Malformed),
            ("https:example.com", Malformed),
            ("https:/example.com", Malformed),
            ("https://?example.com", Malformed),
            ("https://exa mple.com", Malformed),
            (" https://example.com", Malformed),
            ("https://example.com\n", Malformed),
            ("https://exam\tple.com", Malformed),
            ("https://exam\0ple.com", Malformed),
            ("https://example\u{2028}.com", Malformed),
            ("https://example.com\\@evil.com/", Malformed),
            ("https:\\\\example.com", Malformed),
            ("https://example.com\\.evil.com", Malformed),
            ("https://example.com:port/", Malformed),
            ("https://example.com:65536/", Malformed),
            ("https://example.com:-1/", Malformed),
            ("https://exam%70le.com/", Malformed),
            ("https://127%2e0.0.1/", Malformed),
            ("https://%31%32%37.0.0.1/", Malformed),
            ("https://example.com%00.evil.com/", Malformed),
            ("https://example.com%23@evil.com/", Credentials),
            ("https://xn--a.com/", Malformed),
            ("https://exa<mple.com/", Malformed),
            // Another scheme.
            ("ftp://example.com", Scheme),
            ("file:///etc/passwd", Scheme),
            ("gopher://127.0.0.1:6379/_x", Scheme),
            ("data:text/plain,x", Scheme),
            ("wss://example.com", Scheme),
            ("http://example.com", Scheme),
            // Somebody's credentials, or a host that looks like another.
            ("https://user@example.com", Credentials),
            ("https://:secret@example.com", Credentials),
            ("https://@example.com", Credentials),
            ("https://:@example.com", Credentials),
            ("https://example.com@127.0.0.1/", Credentials),
            ("https://example.com:443@127.0.0.1:9001/", Credentials),
            ("https://a@b@example.com/", Credentials),
            ("https://example.com/#x", Fragment),
            ("https://example.com/#", Fragment),
            ("https://example.com#@evil.com", Fragment),
            // Ports of what is not a web server.
            ("https://example.com:0/", Port),
            ("https://example.com:22/", Port),
            ("https://example.com:25/", Port),
            ("https://example.com:442/", Port),
            ("https://example.com:1023/", Port),
            // Names that are nobody's.
            ("https://localhost/", Host),
            ("https://LOCALHOST/", Host),
            ("https://localhost./", Host),
            ("https://x.localhost./", Host),
            ("https://ⓛocalhost/", Host),
            ("https://intranet/", Host),
            ("https://com/", Host),
            ("https://db.internal/", Host),
            ("https://metadata.google.internal/", Host),
            ("https://instance-data.ec2.internal/", Host),
            ("https://db.INTERNAL/", Host),
            ("https://printer.local/", Host),
            ("https://router.home.arpa/", Host),
            ("https://1.0.0.127.in-addr.arpa/", Host),
            ("https://x.onion/", Host),
            ("https://example.com./", Host),
            ("https://example.com../", Host),
            ("https://.example.com/", Host),
            ("https://example..com/", Host),
            ("https://example。。com/", Host),
            ("https://exa!mple.com/", Host),
            ("https://169.254.169.254_/", Host),
            ("https://127.0.0.1-/", Host),
            ("https://$(id).example.com/", Host),
            ("https://*.example.com/", Host),
            // Loopback and instance metadata, in every spelling.
            ("https://127.0.0.1/", Host),
            ("https://127.1/", Host),
            ("https://127.0.1/", Host),
            ("https://127.0.0.1./", Host),
            ("https://2130706433/", Host),
            ("https://0x7f.1/", Host),
            ("https://0X7F000001/", Host),
            ("https://0x7f.0x0.0x0.0x1/", Host),
            ("https://0177.0.0.1/", Host),
            ("https://017700000001/", Host),
            ("https://0/", Host),
            ("https://0x/", Host),
            ("https://１２７.０.０.１/", Host),
            ("https://①②⑦.⓪.⓪.①/", Host),
            ("https://127。0。0。1/", Host),
            ("https://127．0｡0.1/", Host),
            ("https://12\u{ad}7.0.0.1/", Host),
            ("https://127.0.0\u{200b}.1/", Host),
            ("https://169.254.169.254/latest/meta-data", Host),
            ("https://2852039166/", Host),
            ("https://0xa9fea9fe/", Host),
            ("https://169.254.43518/", Host),
            ("https://10.0.0.1/", Host),
            ("https://[::]/", Host),
            ("https://[::1]/", Host),
            ("https://[0:0:0:0:0:0:0:1]/", Host),
            ("https://[::ffff:127.0.0.1]/", Host),
            ("https://[::FFFF:7f00:1]/", Host),
            ("https://[::ffff:169.254.169.254]/", Host),
            ("https://[::127.0.0.1]/", Host),
            ("https://[64:ff9b::127.0.0.1]/", Host),
            ("https://[2002:7f00:1::]/", Host),
            ("https://[2606:4700::5efe:10.0.0.1]/", Host),
            ("https://[fd00:ec2::254]/", Host),
            ("https://[fe80::1]/", Host),
            // Not addresses at all, and not names either.
            ("https://256.1.1.1/", Malformed),
            ("https://1.2.3.4.5/", Malformed),
            ("https://example.1/", Malformed),
            ("https://example.0x1/", Malformed),
            ("https://4294967296/", Malformed),
            ("https://[fe80::1%25eth0]/", Malformed),
            ("https://[fe80::1%eth0]/", Malformed),
            ("https://[127.0.0.1]/", Malformed),
            ("https://[::1/", Malformed),
            ("https://::1/", Malformed),
        ] {
            assert_eq!(Target::parse(bad, STRICT), Err(why), "{bad:?}");
        }
    }

    #[test]
    fn a_name_is_no_longer_than_dns_can_carry() {
        let name = |label: usize, labels: usize| {
            let label = "a".repeat(label);
            format!("https://{}.com/", vec![label; labels].join("."))
        };
        assert!(Target::parse(&name(63, 3), STRICT).is_ok());
        assert_eq!(Target::parse(&name(64, 1), STRICT), Err(Host));
        assert_eq!(Target::parse(&name(63, 4), STRICT), Err(Host));
        assert!(Target::parse(&name(1, 124), STRICT).is_ok());
        assert_eq!(Target::parse(&name(1, 126), STRICT), Err(Host));
    }

    #[test]
    fn a_url_is_no_longer_than_it_may_be_in_either_form() {
        let path = |c: &str, times: usize| format!("https://example.com/{}", c.repeat(times));
        assert!(Target::parse(&path("a", 2028), STRICT).is_ok());
        assert_eq!(Target::parse(&path("a", 2029), STRICT), Err(Malformed));
        assert_eq!(Target::parse(&path("ü", 400), STRICT), Err(Malformed));
    }

    #[test]
    fn loopback_is_open_only_where_the_deployment_says_so_and_nothing_else_with_it() {
        for url in [
            "http://127.0.0.1:8000/_local/inbox",
            "http://localhost:9000/",
            "http://app.localhost:9000/",
            "https://localhost:9000/",
            "http://[::1]:8000/",
        ] {
            assert!(Target::parse(url, LOCAL).is_ok(), "{url}");
            assert_eq!(Target::parse(url, STRICT), Err(Host), "{url}");
            assert!(!Target::parse(url, LOCAL).unwrap().is_permitted(STRICT), "{url}");
        }
        for url in ["http://10.0.0.1/", "http://169.254.169.254/", "http://192.168.1.1/", "http://0.0.0.0/"] {
            assert_eq!(Target::parse(url, LOCAL), Err(Host), "{url}");
        }
        assert_eq!(Target::parse("http://example.com/", LOCAL), Err(Scheme));
        assert_eq!(Target::parse("http://8.8.8.8/", LOCAL), Err(Scheme));
    }

    /// What must hold of anything that is let through.
    fn judge(text: &str) -> Result<(), TestCaseError> {
        let Ok(target) = Target::parse(text, STRICT) else { return Ok(()) };
        let url = target.url();
        prop_assert_eq!(url.scheme(), "https");
        prop_assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none());
        prop_assert!(matches!(url.port_or_known_default(), Some(80 | 443 | 1024..)), "{}", text);
        match url.host() {
            Some(url::Host::Ipv4(address)) => prop_assert!(!is_forbidden(address.into()), "{}", text),
            Some(url::Host::Ipv6(address)) => prop_assert!(!is_forbidden(address.into()), "{}", text),
            Some(url::Host::Domain(name)) => {
                prop_assert!(is_public_looking(name) && !is_localhost(name), "{}", text);
                // Nothing further down may take the name for an address.
                prop_assert!(name.parse::<IpAddr>().is_err(), "{}", text);
                let top = name.rsplit('.').next().unwrap_or_default();
                prop_assert!(!top.starts_with(|c: char| c.is_ascii_digit()), "{}", text);
            }
            None => prop_assert!(false, "{}", text),
        }
        // What is stored is read as what was judged.
        prop_assert_eq!(Target::parse(url.as_str(), STRICT), Ok(target.clone()));
        Ok(())
    }

    /// Pieces that URLs and attacks on them are made of.
    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            prop::sample::select(
                &[
                    "https://",
                    "http://",
                    "https:",
                    "//",
                    "/",
                    "\\",
                    "@",
                    ":",
                    ".",
                    "..",
                    "。",
                    "．",
                    "%",
                    "%2e",
                    "%40",
                    "?",
                    "#",
                    "[",
                    "]",
                    "::",
                    "::ffff:",
                    "64:ff9b::",
                    "127",
                    "0x7f",
                    "0177",
                    "１２７",
                    "①",
                    "0",
                    "1",
                    "10",
                    "169.254.169.254",
                    "a9fe:a9fe",
                    "localhost",
                    "LocalHost",
                    "internal",
                    "local",
                    "example",
                    "com",
                    "xn--",
                    "\u{ad}",
                    "\u{200b}",
                    "\u{200d}",
                    "\u{fe0f}",
                    "ß",
                    "ü",
                    "Ⅰ",
                    "٠",
                    ":22",
                    ":443",
                    ":8443",
                    ":0",
                    "%25eth0",
                    "\t",
                    "\n",
                    " ",
                    "\0",
                    "_",
                    "-",
                    "*",
                ][..]
            )
            .prop_map(str::to_owned),
            "\\PC{1,3}",
        ];
        prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    /// One of the spellings that software has for an IPv4 address.
    fn spelling() -> impl Strategy<Value = (std::net::Ipv4Addr, String)> {
        let part = |bits: u32, base: u8| match base % 3 {
            0 => bits.to_string(),
            1 => format!("0x{bits:x}"),
            _ => format!("0{bits:o}"),
        };
        let dot = prop::sample::select(&[".", "。", "．", "｡"][..]);
        (any::<u32>(), 1..=4_u32, any::<[u8; 4]>(), dot, any::<bool>()).prop_map(
            move |(bits, parts, bases, dot, wide)| {
                let octets = bits.to_be_bytes();
                let head = octets.iter().take(parts as usize - 1).map(|octet| u32::from(*octet));
                let tail = bits & u32::MAX.checked_shr(8 * (parts - 1)).unwrap_or(0);
                let text: Vec<_> =
                    head.chain([tail]).zip(bases).map(|(bits, base)| part(bits, base)).collect();
                let text = text.join(dot);
                let widen = |c: char| match c {
                    '0'..='9' if wide => char::from_u32(c as u32 - '0' as u32 + '０' as u32).unwrap(),
                    _ => c,
                };
                (bits.into(), text.chars().map(widen).collect())
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn nothing_gets_past_in_any_text(text in "\\PC*") {
            judge(&text)?;
            judge(&format!("https://{text}"))?;
        }

        #[test]
        fn nothing_gets_past_in_the_pieces_that_attacks_are_made_of(text in pieces()) {
            judge(&text)?;
            judge(&format!("https://{text}"))?;
            judge(&format!("https://{text}.com/"))?;
        }

        #[test]
        fn an_address_is_judged_as_itself_however_it_is_written((address, text) in spelling()) {
            let target = Target::parse(&format!("https://{text}/"), STRICT);
            prop_assert_eq!(target.is_ok(), !is_forbidden(address.into()), "{} as {}", address, text);
            if let Ok(target) = target {
                prop_assert_eq!(target.url().host(), Some(url::Host::Ipv4(address)));
            }
        }
    }
}
