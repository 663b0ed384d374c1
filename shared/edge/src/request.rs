//! What is known of a request before anybody looks at it.

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use axum::extract::{FromRequestParts, Path};
use clock::{Clock, Timestamp};
use http::request::Parts;
use ids::{Id, Ids, Kind};
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequestContext;
use lambda_http::request::RequestContext;
use problem::Problem;
use store::{Organization, Quota};

use crate::{Edge, Refused};

/// A request's id, origin and time. The same for everything that is done in its course.
#[derive(Debug, Clone)]
pub struct RequestInfo {
    /// Its id: the caller's `X-Request-Id` if that is usable, else ours.
    pub id: String,
    /// What the gateway calls it, in the access log.
    pub gateway_id: Option<String>,
    /// Where it came from, as the gateway saw it. Never read from a header, which a client can forge.
    pub ip: IpAddr,
    /// The `User-Agent` header, cut to 256 characters.
    pub user_agent: Option<String>,
    /// When it came.
    pub now: Timestamp,
    /// Method and path, as the caller wrote them: for telling requests apart, never to be kept or shown.
    pub target: Arc<str>,
    /// Method and path for logs and audit records: what may be a credential is left out.
    pub shown_target: Arc<str>,
    /// Filled in when the caller is known, so that rate-limit headers stand on every answer.
    pub(crate) quota: Arc<OnceLock<Quota>>,
    /// Filled in when an API key is the caller: what comes of the request is counted with what it was about.
    pub(crate) metered: Arc<OnceLock<Metered>>,
    /// Filled in when the caller's organization is known: the pages that it lists may read the answer.
    pub(crate) organization: Arc<OnceLock<Arc<Organization>>>,
}

/// Where it is counted what comes of an API key's request.
#[derive(Debug)]
pub(crate) struct Metered {
    pub(crate) counted_at: store::keys::Key,
    /// It was refused before it was admitted, for its budget was spent.
    pub(crate) refused: bool,
}

/// The longest `X-Request-Id` that is taken over.
pub const LONGEST_REQUEST_ID: usize = 128;
const LONGEST_USER_AGENT: usize = 256;
/// Characters of an id after its prefix.
const ID_BODY_LENGTH: usize = 26;
/// No part of a route is longer, and no key, token, secret or recovery code is as short.
const LONGEST_WORD: usize = 16;
/// Longer labels of domain names are rare.
const LONGEST_LABEL: usize = 24;

impl RequestInfo {
    pub(crate) fn of(clock: &Clock, ids: &Ids, parts: &Parts) -> Self {
        let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let own_id = || ids.next::<ids::kind::Request>().to_string();
        Self {
            id: header("x-request-id").filter(|id| is_request_id(id)).map_or_else(own_id, str::to_owned),
            gateway_id: gateway(parts).and_then(|gateway| gateway.request_id.clone()),
            ip: gateway(parts)
                .and_then(|gateway| gateway.http.source_ip.as_deref()?.parse().ok())
                .unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            user_agent: header("user-agent").map(|agent| agent.chars().take(LONGEST_USER_AGENT).collect()),
            now: clock.now(),
            target: format!("{} {}", parts.method, parts.uri.path()).into(),
            shown_target: format!("{} {}", parts.method, shown_path(parts.uri.path())).into(),
            quota: Arc::default(),
            metered: Arc::default(),
            organization: Arc::default(),
        }
    }
}

impl RequestInfo {
    /// The path as the caller wrote it; the request's own URI lacks what a nested router has matched.
    pub(crate) fn path(&self) -> &str {
        self.target.split_once(' ').map_or("", |(_, path)| path)
    }

    /// Remembers where the request is counted, if it is.
    pub(crate) fn meter(&self, counted_at: Option<store::keys::Key>, refused: bool) {
        if let Some(counted_at) = counted_at {
            // Set once per request.
            let _ = self.metered.set(Metered { counted_at, refused });
        }
    }
}

/// A path as it may be kept and shown. Callers mistake a key for its id, or put a token where it doesn't belong; what
/// is neither an id of ours, a word nor a domain name is shown as `***`.
pub(crate) fn shown_path(path: &str) -> String {
    path.split('/')
        .map(|segment| if harmless(segment) { segment } else { "***" })
        .collect::<Vec<_>>()
        .join("/")
}

fn harmless(segment: &str) -> bool {
    let of = |text: &str, also: &[u8]| {
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || also.contains(&byte))
    };
    let word = || segment.len() <= LONGEST_WORD && of(segment, b"-_.~");
    let domain = || {
        segment.contains('.')
            && segment.split('.').all(|label| label.len() <= LONGEST_LABEL && of(label, b"-"))
    };
    let id = || {
        segment.split_once('_').is_some_and(|(prefix, body)| {
            ids::PREFIXES.contains(&prefix) && body.len() == ID_BODY_LENGTH && of(body, b"")
        })
    };
    let small = || !segment.bytes().any(|byte| byte.is_ascii_uppercase());
    word() || (small() && (domain() || id()))
}

/// Whether a request may have this id: it can't forge a line of a log.
pub(crate) fn is_request_id(id: &str) -> bool {
    (1..=LONGEST_REQUEST_ID).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
}

fn gateway(parts: &Parts) -> Option<&ApiGatewayV2httpRequestContext> {
    match parts.extensions.get::<RequestContext>()? {
        RequestContext::ApiGatewayV2(context) => Some(context),
        _ => None,
    }
}

impl FromRequestParts<Edge> for RequestInfo {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Refused> {
        Ok(match parts.extensions.get::<Self>() {
            Some(info) => info.clone(),
            None => Self::of(edge.clock(), edge.ids(), parts),
        })
    }
}

/// An id in the path. One that can't be an id names nothing, so it is answered like one that isn't there.
#[derive(Debug, Clone, Copy)]
pub struct PathId<K: Kind>(pub Id<K>);

impl<K: Kind, S: Send + Sync> FromRequestParts<S> for PathId<K> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let missing = Problem::NotFound { what: what(K::PREFIX) };
        let Ok(Path(text)) = Path::<String>::from_request_parts(parts, state).await else {
            return Err(Refused(missing));
        };
        Id::from_str(&text).map(Self).map_err(|_| Refused(missing))
    }
}

/// Two ids in the path, first to last.
#[derive(Debug, Clone, Copy)]
pub struct PathIds<A: Kind, B: Kind>(pub Id<A>, pub Id<B>);

impl<A: Kind, B: Kind, S: Send + Sync> FromRequestParts<S> for PathIds<A, B> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let missing = |prefix| Refused(Problem::NotFound { what: what(prefix) });
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Ok(Path((first, second))) = path else { return Err(missing(A::PREFIX)) };
        let first = Id::from_str(&first).map_err(|_| missing(A::PREFIX))?;
        Ok(Self(first, Id::from_str(&second).map_err(|_| missing(B::PREFIX))?))
    }
}

/// The kind of thing an id prefix stands for, in words.
fn what(prefix: &str) -> &'static str {
    match prefix {
        "key" => "API key",
        "ep" => "endpoint",
        "dlv" => "delivery",
        "camp" => "campaign",
        "lead" => "lead",
        "mtg" => "meeting",
        "ws" => "workspace",
        "usr" => "user",
        "inv" => "invitation",
        _ => "resource",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_that_could_forge_a_log_line_is_not_used() {
        assert!(is_request_id("req_1") && is_request_id("a-b.c:d_e"));
        for bad in ["", "a b", "a\nb", "é", &"x".repeat(129)] {
            assert!(!is_request_id(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_path_is_shown_without_what_may_be_a_credential() {
        for path in [
            "/",
            "/v1/leads/",
            "/v1/leads/lead_01kaq8zr3y7e2r4m8n5p6q7s8t/replies",
            "/api/admin/domains/sales.analytical-engines.example.com/verify",
            "/api/admin/webhooks/deliveries/dlv_01kaq8zr3y7e2r4m8n5p6q7s8t",
            "/api/auth/mfa/recovery-codes",
        ] {
            assert_eq!(shown_path(path), path);
        }
        for secret in [
            "sk_live_0123456789abcdefghijklmnop012345",
            "rt_ses_01kaq8zr3y7e2r4m8n5p6q7s8t.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "eyJhbGciOiJIUzI1NiJ9.e30.sig",
            "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
            "a%20difference%20engine%20of%20brass",
            "0d4c-9f1e-77ab-c2d3",
            "abcdefghijklmnopqrstuvwxyz",
        ] {
            assert_eq!(shown_path(&format!("/v1/leads/{secret}/replies")), "/v1/leads/***/replies");
        }
    }
}
