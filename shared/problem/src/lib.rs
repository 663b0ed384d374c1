//! Every way the API can say no: one closed set of RFC 9457 problems.
//!
//! A [`Problem`] is what went wrong with its particulars; its [`Code`] is the stable name clients program
//! against. The two are matched exhaustively, so a new problem does not compile before it has a code, and a
//! code not before it has a status, a title and an entry in the error reference.
//!
//! A problem never carries a secret, another tenant's data or the text of an internal error.

use std::time::Duration;

use serde::Serialize;

macro_rules! codes {
    ($($variant:ident $code:literal $status:literal $title:literal $help:literal;)*) => {
        /// The stable names of problems. Append only: clients match on them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $help] $variant,)*
        }

        impl Code {
            /// Every code, in the order of the error reference.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)*];

            /// The code as it stands in an answer.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $code,)* }
            }

            /// The HTTP status it is answered with.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Code::$variant => $status,)* }
            }

            /// A short summary, the same for every occurrence.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Code::$variant => $title,)* }
            }

            /// What it means and what to do about it, for the error reference.
            #[must_use]
            pub fn help(self) -> &'static str {
                match self { $(Code::$variant => $help,)* }
            }
        }
    };
}

codes! {
    MalformedRequest "malformed_request" 400 "The request cannot be read"
        "The body is not valid JSON, or the request is not valid HTTP in some other way. `detail` says where.";
    Unauthenticated "unauthenticated" 401 "Credentials are missing or unknown"
        "Send `Authorization: Bearer` with an API key or an access token.";
    KeyUnknown "key_unknown" 401 "There is no such API key"
        "It was mistyped, is cut off, belongs to another installation or was erased. A key has 40 characters; the last six are a checksum.";
    KeyRevoked "key_revoked" 401 "The API key has been revoked"
        "The key was revoked and will not work again. Create or rotate to a new one.";
    KeyExpired "key_expired" 401 "The API key has expired"
        "The key's `expires_at` has passed. Create a new one.";
    SessionExpired "session_expired" 401 "The session has ended"
        "The access token has expired or its session was ended. Use the refresh token, or sign in again.";
    InvalidCredentials "invalid_credentials" 401 "E-mail or password is wrong"
        "The same answer is given whether the e-mail address exists or not.";
    InvalidCode "invalid_code" 401 "The code is wrong"
        "The one-time or recovery code is wrong, has expired or was used before. Each code is good once.";
    SsoFailed "sso_failed" 401 "Single sign-on failed"
        "The identity provider did not vouch for you, or what it said cannot be trusted. `detail` says how. Start again.";
    Forbidden "forbidden" 403 "You are not permitted to do this"
        "The caller is known, but lacks the permission that `permission` names.";
    IpNotAllowed "ip_not_allowed" 403 "The address is not on the allow-list"
        "The API key may only be used from the networks in its `allowed_cidrs`, or the organization administers itself from the networks in its `admin_allowed_cidrs` only.";
    TestKey "test_key" 403 "A test key cannot do this"
        "Organization, domains, single sign-on, workspaces and people are the same in test and in live mode, and so is what is held about somebody. Use a live key, or a session.";
    MfaRequired "mfa_required" 403 "The organization asks for a second factor"
        "This session has not proved one. Verify a code with `POST /api/auth/mfa/verify`, or enroll first.";
    SsoRequired "sso_required" 403 "The organization asks for single sign-on"
        "This session did not begin at the organization's identity provider. Sign in through `GET /api/auth/sso/{organization}/start`.";
    DomainNotAllowed "domain_not_allowed" 403 "The e-mail domain is not allowed"
        "The organization admits people from certain e-mail domains only.";
    NoOrganization "no_organization" 403 "You belong to no organization"
        "Ask for an invitation, or sign up an organization of your own.";
    SignInElsewhere "sign_in_elsewhere" 403 "An identity provider's word is not enough for this"
        "It began at an organization's identity provider, which vouches for you in that organization alone. For another one sign in with your password or at its own provider; for what concerns you everywhere, with your password.";
    Deactivated "deactivated" 403 "Your access was taken away"
        "An admin has deactivated you in this organization, and can give your access back.";
    OrganizationDeleted "organization_deleted" 403 "The organization is being deleted"
        "It was deleted and will be erased. Until then `POST /api/admin/organization/restore` brings it back.";
    NotFound "not_found" 404 "There is no such thing"
        "It does not exist, or it belongs to somebody else; the two are not told apart.";
    RouteNotFound "route_not_found" 404 "There is no such route"
        "The path is not part of the API. See `/openapi.json`.";
    MethodNotAllowed "method_not_allowed" 405 "The method is not allowed here"
        "The path exists; the `Allow` header names the methods it takes.";
    AccountExists "account_exists" 409 "An account with this e-mail address exists"
        "Sign in instead.";
    LastAdmin "last_admin" 409 "An organization keeps at least one admin"
        "Make somebody else an admin first.";
    PlanTooSmall "plan_too_small" 409 "The plan is smaller than what is in use"
        "`excess` lists what to free: the resource, how many are in use, how many the plan allows.";
    DomainTaken "domain_taken" 409 "The domain is verified elsewhere"
        "Another organization has proved that it controls this domain.";
    DomainChallengeFailed "domain_challenge_failed" 409 "The challenge was not found in DNS"
        "Publish the TXT record that `detail` names and verify again. DNS may take minutes to show it.";
    WorkspaceArchived "workspace_archived" 409 "The workspace is archived"
        "Nothing in it can be used until it is active again.";
    Conflict "conflict" 409 "The change conflicts with the present state"
        "`detail` says which rule stands in the way. Read the resource again before you retry.";
    LimitReached "limit_reached" 409 "The plan's limit is reached"
        "`detail` names the limit. Remove something, or move to a larger plan.";
    IdempotencyInProgress "idempotency_in_progress" 409 "The first request with this idempotency key is still running"
        "Wait for `Retry-After` seconds and send the same request again.";
    TokenExpired "token_expired" 410 "The token has expired"
        "Links in mails are good for a limited time. Ask for a new one.";
    TokenSpent "token_spent" 410 "The token was used or withdrawn"
        "Links in mails are good once. If it was not you who used it, tell an admin.";
    PreconditionFailed "precondition_failed" 412 "The resource has changed"
        "The `If-Match` header names an older version. Read the resource again.";
    PayloadTooLarge "payload_too_large" 413 "The body is too large"
        "Bodies are limited to 256 KiB (262,144 bytes).";
    UnsupportedMediaType "unsupported_media_type" 415 "The body is not JSON"
        "Send `Content-Type: application/json`.";
    Invalid "invalid" 422 "The request is not valid"
        "`errors` lists each fault with a JSON pointer to the field, a code and a message.";
    TokenInvalid "token_invalid" 422 "The token is not one of ours"
        "It was cut off or changed on the way. Use the whole link from the mail.";
    WorkspaceRequired "workspace_required" 422 "A workspace must be named"
        "The caller can act in several workspaces. Name one in the `X-Workspace-Id` header.";
    InvalidCursor "invalid_cursor" 422 "The cursor is not valid here"
        "Cursors are opaque and belong to the query and the tenant that produced them. Start from the first page.";
    IdempotencyKeyReused "idempotency_key_reused" 422 "The idempotency key was used for another request"
        "An `Idempotency-Key` belongs to one request for 24 hours. Use a new key for a new request.";
    SignInThrottled "sign_in_throttled" 429 "Too many failed attempts"
        "Wait for `Retry-After` seconds. The same answer is given whether the account exists or not; resetting the password lifts it.";
    RateLimited "rate_limited" 429 "Too many requests"
        "The budget of this key or session is spent. Wait for `Retry-After` seconds.";
    Internal "internal" 500 "Something went wrong on our side"
        "The request was not carried out. Report the `request_id` if it happens again.";
    Unavailable "unavailable" 503 "The service is briefly unavailable"
        "A dependency did not answer in time or asked us to slow down. Retry after `Retry-After` seconds; with an `Idempotency-Key` that is always safe.";
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Code {
    /// The problem type (RFC 9457 §3.1.1): an anchor on the one error reference page.
    #[must_use]
    pub fn type_url(self) -> String {
        format!("/docs/errors#{}", self.as_str())
    }

    /// A problem with this code, as it could be: for documents.
    #[must_use]
    pub fn example(self) -> Problem {
        let wait = Duration::from_secs(42);
        match self {
            Self::MalformedRequest => Problem::MalformedRequest {
                detail: "The body is not valid JSON at line 1, column 9.".to_owned(),
            },
            Self::Unauthenticated => Problem::Unauthenticated,
            Self::KeyUnknown => Problem::KeyUnknown,
            Self::KeyRevoked => Problem::KeyRevoked,
            Self::KeyExpired => Problem::KeyExpired,
            Self::SessionExpired => Problem::SessionExpired,
            Self::InvalidCredentials => Problem::InvalidCredentials,
            Self::InvalidCode => Problem::InvalidCode,
            Self::SsoFailed => {
                Problem::SsoFailed { detail: "What the identity provider said cannot be trusted." }
            }
            Self::Forbidden => Problem::Forbidden { permission: "leads:write".to_owned() },
            Self::IpNotAllowed => Problem::IpNotAllowed,
            Self::TestKey => Problem::TestKey,
            Self::MfaRequired => Problem::MfaRequired,
            Self::SsoRequired => Problem::SsoRequired,
            Self::DomainNotAllowed => Problem::DomainNotAllowed,
            Self::NoOrganization => Problem::NoOrganization,
            Self::SignInElsewhere => Problem::SignInElsewhere,
            Self::Deactivated => Problem::Deactivated,
            Self::OrganizationDeleted => Problem::OrganizationDeleted,
            Self::NotFound => Problem::NotFound { what: "lead" },
            Self::RouteNotFound => Problem::RouteNotFound,
            Self::MethodNotAllowed => Problem::MethodNotAllowed,
            Self::AccountExists => Problem::AccountExists,
            Self::LastAdmin => Problem::LastAdmin,
            Self::PlanTooSmall => {
                Problem::PlanTooSmall { excess: vec![Excess { resource: "seats", used: 7, limit: 5 }] }
            }
            Self::DomainTaken => Problem::DomainTaken,
            Self::DomainChallengeFailed => Problem::DomainChallengeFailed {
                detail: "There is no TXT record at `_artisan-challenge.example.com` with the right value."
                    .to_owned(),
            },
            Self::WorkspaceArchived => Problem::WorkspaceArchived,
            Self::Conflict => {
                Problem::Conflict { detail: "Refused: the meeting is cancelled already.".to_owned() }
            }
            Self::LimitReached => Problem::LimitReached { limit: "10 API keys".to_owned() },
            Self::IdempotencyInProgress => Problem::IdempotencyInProgress,
            Self::TokenExpired => Problem::TokenExpired,
            Self::TokenSpent => Problem::TokenSpent,
            Self::PreconditionFailed => Problem::PreconditionFailed,
            Self::PayloadTooLarge => Problem::PayloadTooLarge,
            Self::UnsupportedMediaType => Problem::UnsupportedMediaType,
            Self::Invalid => Problem::invalid("/email", "format", "must be an e-mail address"),
            Self::TokenInvalid => Problem::TokenInvalid,
            Self::WorkspaceRequired => Problem::WorkspaceRequired,
            Self::InvalidCursor => Problem::InvalidCursor,
            Self::IdempotencyKeyReused => Problem::IdempotencyKeyReused,
            Self::SignInThrottled => Problem::SignInThrottled { retry_after: wait },
            Self::RateLimited => Problem::RateLimited { retry_after: wait },
            Self::Internal => Problem::Internal,
            Self::Unavailable => Problem::Unavailable,
        }
    }
}

/// One fault in a request, for [`Problem::Invalid`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// RFC 6901 pointer into the body, or `header:<name>`, `query:<name>`, `path:<name>`.
    pub pointer: String,
    /// A stable name for the fault: `required`, `unknown_field`, `type`, `format`, `length`, `range`, `value`,
    /// `compromised`.
    pub code: &'static str,
    /// What is expected, for a person. Never repeats the value that was sent.
    pub message: String,
}

impl FieldError {
    /// A fault at `pointer`.
    pub fn new(pointer: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code, message: message.into() }
    }
}

/// More of something than a plan allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Excess {
    /// What: `seats`, `workspaces`, `api_keys`, `requests_per_hour`, `endpoints`.
    pub resource: &'static str,
    /// How many are in use.
    pub used: u64,
    /// How many the plan allows.
    pub limit: u64,
}

/// What went wrong, with its particulars.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The body or the request cannot be read at all.
    MalformedRequest {
        /// Where and how.
        detail: String,
    },
    /// No credentials, or none that are known.
    Unauthenticated,
    /// There is no such API key, or it can't be one.
    KeyUnknown,
    /// The API key was revoked.
    KeyRevoked,
    /// The API key has expired.
    KeyExpired,
    /// The session has ended.
    SessionExpired,
    /// E-mail or password is wrong.
    InvalidCredentials,
    /// The caller lacks a permission.
    Forbidden {
        /// The permission, as `resource:action`.
        permission: String,
    },
    /// A one-time or recovery code is wrong, late or used.
    InvalidCode,
    /// The identity provider did not vouch for the caller in a way that can be trusted.
    SsoFailed {
        /// How, without a word of the provider's own.
        detail: &'static str,
    },
    /// The caller's address is not on an allow-list.
    IpNotAllowed,
    /// A test key tried to change what is not test data.
    TestKey,
    /// The session has not proved the second factor that the organization asks for.
    MfaRequired,
    /// The session did not begin at the identity provider that the organization asks for.
    SsoRequired,
    /// The person's e-mail domain is not one the organization admits.
    DomainNotAllowed,
    /// The person is no active member of any organization.
    NoOrganization,
    /// The session was begun by an identity provider and is worth nothing in another organization.
    SignInElsewhere,
    /// The person was deactivated.
    Deactivated,
    /// The organization is deleted and waits to be erased.
    OrganizationDeleted,
    /// No admin would be left.
    LastAdmin,
    /// A smaller plan does not hold what is in use.
    PlanTooSmall {
        /// What to free.
        excess: Vec<Excess>,
    },
    /// Another organization has verified the domain.
    DomainTaken,
    /// The challenge record was not found.
    DomainChallengeFailed {
        /// Which record with which content is looked for.
        detail: String,
    },
    /// The workspace is archived.
    WorkspaceArchived,
    /// A single-use token came too late.
    TokenExpired,
    /// A single-use token was used or withdrawn.
    TokenSpent,
    /// A single-use token that we never made.
    TokenInvalid,
    /// Too many failed sign-ins.
    SignInThrottled {
        /// When another attempt is heard.
        retry_after: Duration,
    },
    /// It does not exist in the caller's tenant.
    NotFound {
        /// What was looked for, in words: `campaign`.
        what: &'static str,
    },
    /// No such path.
    RouteNotFound,
    /// The path does not take this method.
    MethodNotAllowed,
    /// Sign-up with an address that has an account.
    AccountExists,
    /// A rule about the present state stands in the way.
    Conflict {
        /// Which rule.
        detail: String,
    },
    /// The plan's limit is reached.
    LimitReached {
        /// Which limit, in words: `10 API keys`.
        limit: String,
    },
    /// The first request with this idempotency key has not finished.
    IdempotencyInProgress,
    /// `If-Match` names an older version.
    PreconditionFailed,
    /// The body is too large.
    PayloadTooLarge,
    /// The body is not declared as JSON.
    UnsupportedMediaType,
    /// Fields are not valid.
    Invalid {
        /// Each fault.
        errors: Vec<FieldError>,
    },
    /// The caller acts in several workspaces and named none.
    WorkspaceRequired,
    /// The cursor was not made for this query and tenant.
    InvalidCursor,
    /// The idempotency key belongs to another request.
    IdempotencyKeyReused,
    /// The budget is spent.
    RateLimited {
        /// When part of it returns.
        retry_after: Duration,
    },
    /// A fault of ours.
    Internal,
    /// A dependency is slow or throttles.
    Unavailable,
}

fn whole_seconds(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u64::MAX).max(1)
}

impl Problem {
    /// One field is not valid.
    pub fn invalid(pointer: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid { errors: vec![FieldError::new(pointer, code, message)] }
    }

    /// The stable name of this problem.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::MalformedRequest { .. } => Code::MalformedRequest,
            Self::Unauthenticated => Code::Unauthenticated,
            Self::KeyUnknown => Code::KeyUnknown,
            Self::KeyRevoked => Code::KeyRevoked,
            Self::KeyExpired => Code::KeyExpired,
            Self::SessionExpired => Code::SessionExpired,
            Self::InvalidCredentials => Code::InvalidCredentials,
            Self::Forbidden { .. } => Code::Forbidden,
            Self::InvalidCode => Code::InvalidCode,
            Self::SsoFailed { .. } => Code::SsoFailed,
            Self::IpNotAllowed => Code::IpNotAllowed,
            Self::TestKey => Code::TestKey,
            Self::MfaRequired => Code::MfaRequired,
            Self::SsoRequired => Code::SsoRequired,
            Self::DomainNotAllowed => Code::DomainNotAllowed,
            Self::NoOrganization => Code::NoOrganization,
            Self::SignInElsewhere => Code::SignInElsewhere,
            Self::Deactivated => Code::Deactivated,
            Self::OrganizationDeleted => Code::OrganizationDeleted,
            Self::LastAdmin => Code::LastAdmin,
            Self::PlanTooSmall { .. } => Code::PlanTooSmall,
            Self::DomainTaken => Code::DomainTaken,
            Self::DomainChallengeFailed { .. } => Code::DomainChallengeFailed,
            Self::WorkspaceArchived => Code::WorkspaceArchived,
            Self::TokenExpired => Code::TokenExpired,
            Self::TokenSpent => Code::TokenSpent,
            Self::TokenInvalid => Code::TokenInvalid,
            Self::SignInThrottled { .. } => Code::SignInThrottled,
            Self::NotFound { .. } => Code::NotFound,
            Self::RouteNotFound => Code::RouteNotFound,
            Self::MethodNotAllowed => Code::MethodNotAllowed,
            Self::AccountExists => Code::AccountExists,
            Self::Conflict { .. } => Code::Conflict,
            Self::LimitReached { .. } => Code::LimitReached,
            Self::IdempotencyInProgress => Code::IdempotencyInProgress,
            Self::PreconditionFailed => Code::PreconditionFailed,
            Self::PayloadTooLarge => Code::PayloadTooLarge,
            Self::UnsupportedMediaType => Code::UnsupportedMediaType,
            Self::Invalid { .. } => Code::Invalid,
            Self::WorkspaceRequired => Code::WorkspaceRequired,
            Self::InvalidCursor => Code::InvalidCursor,
            Self::IdempotencyKeyReused => Code::IdempotencyKeyReused,
            Self::RateLimited { .. } => Code::RateLimited,
            Self::Internal => Code::Internal,
            Self::Unavailable => Code::Unavailable,
        }
    }

    /// What happened this time, for a person.
    #[must_use]
    pub fn detail(&self) -> String {
        match self {
            Self::MalformedRequest { detail } | Self::Conflict { detail } => detail.clone(),
            Self::Forbidden { permission } => format!("The permission `{permission}` is needed."),
            Self::NotFound { what } => format!("There is no such {what}."),
            Self::LimitReached { limit } => format!("The plan allows {limit}."),
            Self::Invalid { errors } => match errors.as_slice() {
                [only] => format!("{}: {}", only.pointer, only.message),
                several => format!("{} fields are not valid.", several.len()),
            },
            Self::RateLimited { retry_after } | Self::SignInThrottled { retry_after } => {
                format!("Try again in {} seconds.", whole_seconds(*retry_after))
            }
            Self::SsoFailed { detail } => (*detail).to_owned(),
            Self::DomainChallengeFailed { detail } => detail.clone(),
            Self::PlanTooSmall { excess } => {
                let each = excess.iter().map(|it| format!("{} of {} {}", it.used, it.limit, it.resource));
                format!("In use: {}.", each.collect::<Vec<_>>().join(", "))
            }
            Self::Unauthenticated
            | Self::KeyUnknown
            | Self::KeyRevoked
            | Self::KeyExpired
            | Self::SessionExpired
            | Self::InvalidCredentials
            | Self::InvalidCode
            | Self::IpNotAllowed
            | Self::TestKey
            | Self::MfaRequired
            | Self::SsoRequired
            | Self::DomainNotAllowed
            | Self::NoOrganization
            | Self::SignInElsewhere
            | Self::Deactivated
            | Self::OrganizationDeleted
            | Self::LastAdmin
            | Self::DomainTaken
            | Self::WorkspaceArchived
            | Self::TokenExpired
            | Self::TokenSpent
            | Self::TokenInvalid
            | Self::RouteNotFound
            | Self::MethodNotAllowed
            | Self::AccountExists
            | Self::IdempotencyInProgress
            | Self::PreconditionFailed
            | Self::PayloadTooLarge
            | Self::UnsupportedMediaType
            | Self::WorkspaceRequired
            | Self::InvalidCursor
            | Self::IdempotencyKeyReused
            | Self::Internal
            | Self::Unavailable => self.code().help().to_owned(),
        }
    }

    /// How many seconds to wait before trying again, where waiting helps. Rounded up: who comes back after them is
    /// not too early.
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::RateLimited { retry_after } | Self::SignInThrottled { retry_after } => {
                Some(whole_seconds(*retry_after))
            }
            Self::Unavailable | Self::IdempotencyInProgress => Some(1),
            _ => None,
        }
    }

    /// The body of the answer (`application/problem+json`).
    #[must_use]
    pub fn body(&self, instance: &str, request_id: &str) -> Body {
        let code = self.code();
        Body {
            r#type: code.type_url(),
            title: code.title(),
            status: code.status(),
            detail: self.detail(),
            instance: instance.to_owned(),
            code: code.as_str(),
            request_id: request_id.to_owned(),
            permission: match self {
                Self::Forbidden { permission } => Some(permission.clone()),
                _ => None,
            },
            errors: match self {
                Self::Invalid { errors } => errors.clone(),
                _ => Vec::new(),
            },
            excess: match self {
                Self::PlanTooSmall { excess } => excess.clone(),
                _ => Vec::new(),
            },
            violated_policies: match self {
                Self::RateLimited { .. } => vec![HOURLY],
                _ => Vec::new(),
            },
        }
    }
}

/// An `application/problem+json` body (RFC 9457).
#[derive(Debug, Clone, Serialize)]
pub struct Body {
    /// Reference to the entry in the error reference.
    pub r#type: String,
    /// Short summary.
    pub title: &'static str,
    /// The HTTP status again.
    pub status: u16,
    /// What happened this time.
    pub detail: String,
    /// The path of the request.
    pub instance: String,
    /// The stable name.
    pub code: &'static str,
    /// The id of the request, as in logs and audit records.
    pub request_id: String,
    /// The permission that is missing, on 403.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission: Option<String>,
    /// Each fault, on 422.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// What to free, on 409 `plan_too_small`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub excess: Vec<Excess>,
    /// The names of the policies in `RateLimit-Policy` that were violated, on 429 `rate_limited`
    /// (draft-ietf-httpapi-ratelimit-headers).
    #[serde(rename = "violated-policies", skip_serializing_if = "Vec::is_empty")]
    pub violated_policies: Vec<&'static str>,
}

/// The name of the policy that budgets are given by, as it stands in `RateLimit-Policy`.
pub const HOURLY: &str = "hourly";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_distinct_and_documented() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!((400..600).contains(&code.status()), "{code:?}");
            assert!(code.help().len() > 10 && code.title().len() > 5, "{code:?}");
            assert_eq!(code.example().code(), *code);
        }
    }

    #[test]
    fn a_body_has_the_members_the_contract_names() {
        let problem = Problem::invalid("/email", "format", "must be an e-mail address");
        let body = serde_json::to_value(problem.body("/v1/leads", "req_1")).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "type": "/docs/errors#invalid", "title": "The request is not valid", "status": 422,
                "detail": "/email: must be an e-mail address", "instance": "/v1/leads", "code": "invalid",
                "request_id": "req_1",
                "errors": [{"pointer": "/email", "code": "format", "message": "must be an e-mail address"}]
            })
        );
    }
}
