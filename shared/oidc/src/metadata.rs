//! What a provider says about itself.

use egress::{Document, Policy, Target};
use serde::Deserialize;

use crate::error::{OidcError, Part};
use crate::issuer::Issuer;

/// How the client secret is shown to the token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Authentication {
    /// In the `Authorization` header.
    Basic,
    /// In the form.
    Post,
}

/// The discovery document, judged.
#[derive(Debug)]
pub(crate) struct Metadata {
    pub(crate) authorization: Target,
    pub(crate) token: Target,
    pub(crate) keys: Target,
    pub(crate) userinfo: Option<Target>,
    pub(crate) authentication: Authentication,
    /// Whether the answer to the browser names the issuer (RFC 9207).
    pub(crate) names_issuer: bool,
}

/// The members that are used (OpenID Connect Discovery 1.0, section 3).
#[derive(Deserialize)]
struct Raw {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    response_types_supported: Option<Vec<String>>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl Metadata {
    pub(crate) fn read(document: &Document, issuer: &Issuer, policy: Policy) -> Result<Self, OidcError> {
        const PART: Part = Part::Discovery;
        if document.status != 200 {
            return Err(OidcError::Status { part: PART, status: document.status });
        }
        let raw: Raw = serde_json::from_slice(&document.body)
            .map_err(|_| OidcError::malformed(PART, "it is not a discovery document"))?;
        if raw.issuer != issuer.as_str() {
            return Err(OidcError::WrongIssuer(PART));
        }
        let target =
            |url: &str, fault| Target::parse(url, policy).map_err(|_| OidcError::malformed(PART, fault));
        // Response types are sets: `code id_token` is another one than `code`.
        if raw.response_types_supported.is_some_and(|types| types.iter().all(|response| response != "code")) {
            return Err(OidcError::malformed(PART, "the code flow is not supported"));
        }
        // Basic is what holds where nothing is said.
        let authentication = match raw.token_endpoint_auth_methods_supported {
            None => Authentication::Basic,
            Some(methods) if methods.iter().any(|method| method == "client_secret_basic") => {
                Authentication::Basic
            }
            Some(methods) if methods.iter().any(|method| method == "client_secret_post") => {
                Authentication::Post
            }
            Some(_) => return Err(OidcError::UnsupportedAuthentication),
        };
        Ok(Self {
            authorization: target(
                &raw.authorization_endpoint,
                "the authorization endpoint may not be asked",
            )?,
            token: target(&raw.token_endpoint, "the token endpoint may not be asked")?,
            keys: target(&raw.jwks_uri, "the address of the keys may not be asked")?,
            userinfo: match raw.userinfo_endpoint {
                Some(url) => Some(target(&url, "the user info endpoint may not be asked")?),
                None => None,
            },
            authentication,
            names_issuer: raw.authorization_response_iss_parameter_supported,
        })
    }
}
