//! Who an identity provider is.

use std::fmt;

use egress::{Policy, Target, TargetError};

/// Why a text can't be an issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IssuerFault {
    /// Not a URL that may be asked.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// Has a query, which no issuer has (OpenID Connect Discovery 1.0, section 3).
    #[error("must not contain a query")]
    Query,
}

/// The URL that names an identity provider, exactly as it was written: issuers are compared character by character
/// (OpenID Connect Core 1.0, section 3.1.3.7).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Issuer(String);

impl Issuer {
    /// Reads and judges an issuer: HTTPS, or what `policy` allows.
    ///
    /// # Errors
    /// [`IssuerFault`] says what is wrong with it.
    pub fn parse(text: &str, policy: Policy) -> Result<Self, IssuerFault> {
        let target = Target::parse(text, policy)?;
        if target.url().query().is_some() {
            return Err(IssuerFault::Query);
        }
        Ok(Self(text.to_owned()))
    }

    /// The issuer as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where its discovery document is (section 4 of Discovery).
    pub(crate) fn discovery(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.0.strip_suffix('/').unwrap_or(&self.0))
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: Policy = Policy { allow_loopback: false };
    const LOCAL: Policy = Policy { allow_loopback: true };

    #[test]
    fn an_issuer_is_a_public_https_url_without_query_or_fragment() {
        for (issuer, discovery) in [
            ("https://accounts.example.com", "https://accounts.example.com/.well-known/openid-configuration"),
            (
                "https://example.com/realms/a/",
                "https://example.com/realms/a/.well-known/openid-configuration",
            ),
        ] {
            let parsed = Issuer::parse(issuer, STRICT).unwrap();
            assert_eq!((parsed.as_str(), parsed.discovery()), (issuer, discovery.to_owned()));
        }
        for (bad, why) in [
            ("accounts.example.com", IssuerFault::Target(TargetError::Malformed)),
            ("http://accounts.example.com", IssuerFault::Target(TargetError::Scheme)),
            ("https://a:b@accounts.example.com", IssuerFault::Target(TargetError::Credentials)),
            ("https://accounts.example.com#x", IssuerFault::Target(TargetError::Fragment)),
            ("https://169.254.169.254", IssuerFault::Target(TargetError::Host)),
            ("https://127.0.0.1", IssuerFault::Target(TargetError::Host)),
            ("https://accounts.example.com?x=1", IssuerFault::Query),
            ("https://accounts.example.com?", IssuerFault::Query),
        ] {
            assert_eq!(Issuer::parse(bad, STRICT), Err(why), "{bad}");
        }
        assert!(Issuer::parse("http://127.0.0.1:8099", LOCAL).is_ok());
    }
}
