//! Where a customer wants something sent.

use std::net::IpAddr;

use url::{Host, Url};

use crate::is_forbidden;

const LONGEST: usize = 2048;

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
    /// Not an absolute URL, or longer than 2,048 characters.
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
        if text.len() > LONGEST || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(TargetError::Malformed);
        }
        let url = Url::parse(text).map_err(|_| TargetError::Malformed)?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(TargetError::Scheme);
        }
        let loopback = judge_host(&url, policy)?;
        if url.scheme() == "http" && !loopback {
            return Err(TargetError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetError::Credentials);
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
}

/// Judges the host; tells whether it is the loopback that the policy allows.
fn judge_host(url: &Url, policy: Policy) -> Result<bool, TargetError> {
    let address = match url.host() {
        None => return Err(TargetError::Malformed),
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            if name == "localhost" || name.ends_with(".localhost") {
                return if policy.allow_loopback { Ok(true) } else { Err(TargetError::Host) };
            }
            // Names without a dot, and those that only mean something inside a network, are nobody's public host.
            let local = [
                ".local",
                ".internal",
                ".intranet",
                ".lan",
                ".home",
                ".corp",
                ".localdomain",
                ".private",
                ".arpa",
            ];
            if !name.contains('.') || local.iter().any(|suffix| name.ends_with(suffix)) {
                return Err(TargetError::Host);
            }
            return Ok(false);
        }
    };
    if policy.permits(address) { Ok(address.to_canonical().is_loopback()) } else { Err(TargetError::Host) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: Policy = Policy { allow_loopback: false };
    const LOCAL: Policy = Policy { allow_loopback: true };

    #[test]
    fn public_https_is_a_target() {
        for good in [
            "https://example.com/hook?x=1",
            "https://example.com:8443/",
            "https://8.8.8.8/",
            "https://EXAMPLE.com",
        ] {
            assert!(Target::parse(good, STRICT).is_ok(), "{good}");
        }
    }

    #[test]
    fn everything_else_is_refused_for_its_own_reason() {
        use TargetError::*;
        for (bad, why) in [
            ("", Malformed),
            ("example.com", Malformed),
            ("https://", Malformed),
            ("https://exa mple.com", Malformed),
            ("ftp://example.com", Scheme),
            ("file:///etc/passwd", Scheme),
            ("http://example.com", Scheme),
            ("https://user@example.com", Credentials),
            ("https://:secret@example.com", Credentials),
            ("https://example.com/#x", Fragment),
            ("https://example.com:22/", Port),
            ("https://example.com:0/", Port),
            ("https://localhost/", Host),
            ("https://x.localhost./", Host),
            ("https://intranet/", Host),
            ("https://db.internal/", Host),
            ("https://127.0.0.1/", Host),
            ("https://2130706433/", Host),
            ("https://0x7f.1/", Host),
            ("https://0177.0.0.1/", Host),
            ("https://[::1]/", Host),
            ("https://[::ffff:169.254.169.254]/", Host),
            ("https://169.254.169.254/latest/meta-data", Host),
            ("https://１２７.０.０.１/", Host),
        ] {
            assert_eq!(Target::parse(bad, STRICT), Err(why), "{bad}");
        }
    }

    #[test]
    fn loopback_is_open_only_where_the_deployment_says_so_and_nothing_else_with_it() {
        for url in ["http://127.0.0.1:8000/_local/inbox", "http://localhost:9000/", "http://[::1]:8000/"] {
            assert!(Target::parse(url, LOCAL).is_ok(), "{url}");
            assert_eq!(Target::parse(url, STRICT), Err(TargetError::Host), "{url}");
        }
        for url in ["http://10.0.0.1/", "http://169.254.169.254/", "http://192.168.1.1/"] {
            assert_eq!(Target::parse(url, LOCAL), Err(TargetError::Host), "{url}");
        }
        assert_eq!(Target::parse("http://example.com/", LOCAL), Err(TargetError::Scheme));
    }
}
