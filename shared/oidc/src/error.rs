//! What can go wrong with a provider.

use std::fmt;

use egress::Failure;

/// What of a provider an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// The discovery document.
    Discovery,
    /// The published keys.
    Keys,
    /// The token endpoint.
    TokenEndpoint,
    /// The user info endpoint.
    UserInfo,
    /// What the browser came back with.
    Callback,
    /// The id token.
    IdToken,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Discovery => "discovery document",
            Self::Keys => "published keys",
            Self::TokenEndpoint => "token endpoint",
            Self::UserInfo => "user info",
            Self::Callback => "answer to the browser",
            Self::IdToken => "id token",
        })
    }
}

/// Why there is no signed-in person. No variant holds a token or a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OidcError {
    /// The provider did not answer in time.
    #[error("the identity provider did not answer in time ({0})")]
    Timeout(Part),
    /// The provider could not be reached, or may not be.
    #[error("the identity provider could not be reached ({part})")]
    Unreachable {
        /// Where.
        part: Part,
        /// Why.
        #[source]
        cause: Failure,
    },
    /// The provider answered, with neither what was asked for nor an error of the protocol. Redirects are not
    /// followed.
    #[error("the identity provider answered with status {status} ({part})")]
    Status {
        /// Where.
        part: Part,
        /// The status.
        status: u16,
    },
    /// The provider refused and says why (RFC 6749, sections 4.1.2.1 and 5.2): the person turned back, the client
    /// secret is wrong, the code has been used.
    #[error("the identity provider refused ({part}): {error}")]
    Refused {
        /// Where.
        part: Part,
        /// The code, such as `access_denied` or `invalid_client`: printable ASCII, 64 characters at most.
        error: String,
        /// The provider's words for people, if any: no control characters, 256 characters at most. Written by the
        /// provider, so not to be believed.
        description: Option<String>,
    },
    /// What came is not what the protocol says, or too long.
    #[error("the identity provider's {part} is malformed: {fault}")]
    Malformed {
        /// Where.
        part: Part,
        /// In what way.
        fault: &'static str,
    },
    /// Another issuer is named than the one configured.
    #[error("the {0} names another issuer than the one configured")]
    WrongIssuer(Part),
    /// The id token is for another client.
    #[error("the id token is for another client")]
    WrongAudience,
    /// The id token has expired.
    #[error("the id token has expired")]
    Expired,
    /// The id token is of the future.
    #[error("the id token is not valid yet")]
    NotYetValid,
    /// The id token belongs to another sign-in.
    #[error("the id token belongs to another sign-in")]
    WrongNonce,
    /// The user info is that of another person than the id token.
    #[error("the user info is that of another person")]
    WrongSubject,
    /// The id token was not signed by the key it names.
    #[error("the signature of the id token is wrong")]
    BadSignature,
    /// The id token names a key that the provider does not publish.
    #[error("the id token names a key that is not published")]
    UnknownKey,
    /// The id token is not signed, or with an algorithm that is not asymmetric or not known.
    #[error("the id token is signed in a way that is not accepted")]
    UnsupportedAlgorithm,
    /// The provider takes the client secret neither in the header nor in the form.
    #[error("the identity provider accepts no way to show the client secret that is known here")]
    UnsupportedAuthentication,
}

impl OidcError {
    /// Whether the provider is to blame for being down or slow, so that trying again later may help.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Timeout(_) => true,
            Self::Unreachable { cause, .. } => *cause != Failure::ForbiddenAddress,
            Self::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500..),
            _ => false,
        }
    }

    /// A refusal in the provider's words, cut to what can be shown.
    pub(crate) fn refused(part: Part, error: &str, description: Option<&str>) -> Self {
        let error = error.chars().filter(|c| matches!(c, ' '..='~')).take(64).collect();
        let description = description.map(|text| plain(text, 256)).filter(|text| !text.is_empty());
        Self::Refused { part, error, description }
    }

    pub(crate) fn malformed(part: Part, fault: &'static str) -> Self {
        Self::Malformed { part, fault }
    }
}

/// At most `length` characters of a text, trimmed, without control characters.
pub(crate) fn plain(text: &str, length: usize) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_provider_says_is_cut_to_what_can_be_shown() {
        let error = "a\u{1b}\nb".repeat(100);
        let description = format!("  \u{7}{}", "é\n".repeat(1000));
        let refused = OidcError::refused(Part::Callback, &error, Some(&description));
        let expected = OidcError::Refused {
            part: Part::Callback,
            error: "ab".repeat(32),
            description: Some("é".repeat(256)),
        };
        assert_eq!(refused, expected);
        assert!(!refused.to_string().contains('é'), "{refused}");
    }

    #[test]
    fn only_what_may_pass_is_unavailable() {
        let unreachable = |cause| OidcError::Unreachable { part: Part::Keys, cause };
        let status = |status| OidcError::Status { part: Part::Keys, status };
        for error in [OidcError::Timeout(Part::Keys), unreachable(Failure::Connect), status(503), status(429)]
        {
            assert!(error.is_unavailable(), "{error}");
        }
        for error in [unreachable(Failure::ForbiddenAddress), status(404), status(302), OidcError::Expired] {
            assert!(!error.is_unavailable(), "{error}");
        }
    }
}
