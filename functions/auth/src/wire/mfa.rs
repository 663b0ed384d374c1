//! Second factors: `/api/auth/mfa`.

use access::policy;
use axum::Extension;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use edge::{Argument, Description, Edge, Json, Refused, Reply, RequestInfo, Unproven};
use mailing::Letter;
use problem::{Code, Problem};
use serde::{Deserialize, Serialize};
use store::{Account, Change, CommitError, Identity, Refusal, SecondFactor, Tenant};
use utoipa::ToSchema;

use crate::Auth;
use crate::app::mfa::{Answer, change, is_recent, pending, recovery_codes, stepped_up, used, with_factor};
use crate::app::session::Proof;
use crate::totp::Secret;
use crate::wire::answer::SignedIn;
use crate::wire::attempts::{Attempt, verify_password};
use crate::wire::entrance::{Place, Way, entering};
use crate::wire::{account_of, mail, refuse};

/// Who enrolls.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnrollRequest {
    /// The current password. Needed if you have one.
    #[serde(default)]
    #[schema(format = Password)]
    password: Option<String>,
}

/// A one-time code.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CodeRequest {
    /// Six digits from the app.
    #[schema(example = "287082")]
    code: String,
}

/// A one-time code, or a recovery code.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EitherCodeRequest {
    /// Six digits from the app.
    #[serde(default)]
    #[schema(example = "287082")]
    code: Option<String>,
    /// One of the recovery codes, in place of `code`.
    #[serde(default)]
    recovery_code: Option<String>,
}

/// A code, and the token of a sign-in that waits for it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifyRequest {
    /// From `POST /api/auth/login`. Left out when a session is to prove more.
    #[serde(default)]
    mfa_token: Option<String>,
    /// Six digits from the app.
    #[serde(default)]
    #[schema(example = "287082")]
    code: Option<String>,
    /// One of the recovery codes, in place of `code`.
    #[serde(default)]
    recovery_code: Option<String>,
}

/// A second factor, about to be active.
#[derive(Serialize, ToSchema)]
pub(crate) struct Enrolled {
    /// In base32, to be typed into an authenticator app. Shown once.
    #[schema(example = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")]
    secret: String,
    /// The same for a QR code.
    otpauth_url: String,
    #[schema(example = "SHA1")]
    algorithm: &'static str,
    #[schema(example = 6)]
    digits: u32,
    /// Seconds.
    #[schema(example = 30)]
    period: u32,
}

/// Codes for the day the app is gone.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecoveryCodes {
    /// Ten, each good once. Shown once.
    recovery_codes: Vec<String>,
}

/// What a session has proved.
#[derive(Serialize, ToSchema)]
pub(crate) struct Proved {
    /// RFC 8176, and `sso` for the organization's identity provider.
    #[schema(example = json!(["pwd", "otp"]))]
    amr: Vec<String>,
}

/// A session has begun, or has proved more.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes an answer in the document; each of the two is written by itself")]
pub(crate) enum Verified<'a> {
    SignedIn(SignedIn<'a>),
    Proved(Proved),
}

/// The caller of a route that others than signed-in people may call, too.
pub(crate) struct Optionally(Option<Unproven>);

impl FromRequestParts<Edge> for Optionally {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Refused> {
        // A key has no session that could prove anything.
        let is_key = |value: &HeaderValue| value.to_str().is_ok_and(|text| text.contains(" sk_"));
        if parts.headers.get(header::AUTHORIZATION).is_none_or(is_key) {
            return Ok(Self(None));
        }
        Unproven::from_request_parts(parts, edge).await.map(|person| Self(Some(person)))
    }
}

impl Argument for Optionally {
    fn describe(operation: &mut Description<'_>) {
        operation.may_be_signed_in();
    }
}

/// The factor that is `active`, or is not yet, as it must be here.
fn factor(identity: &Identity, active: bool) -> Result<&SecondFactor, Problem> {
    let conflict = |detail: &str| Problem::Conflict { detail: detail.to_owned() };
    match &identity.second_factor {
        Some(factor) if factor.active == active => Ok(factor),
        Some(_) if active => Err(conflict("The second factor waits for its first code.")),
        Some(_) => Err(conflict("A second factor is active. Take it off first.")),
        None => Err(conflict("There is no second factor. Enroll one first.")),
    }
}

/// Uses `answer` up: what is left of the factor once that is committed. Counted before it is judged.
async fn using(
    edge: &Edge,
    auth: &Auth,
    request: &RequestInfo,
    identity: &Identity,
    (factor, answer): (&SecondFactor, &Answer),
) -> Result<Option<SecondFactor>, Refused> {
    let name = format!("code/{}", identity.user_id);
    let attempt = Attempt::count(edge, request, &[(&name, true)]).await?;
    let secret = open(auth, identity, factor)?;
    let left = used(factor, &secret, answer, request.now);
    if left.is_some() {
        attempt.forgive().await;
    }
    Ok(left)
}

fn open(auth: &Auth, identity: &Identity, factor: &SecondFactor) -> Result<Secret, Refused> {
    let context = identity.user_id.to_string();
    let bytes = auth.second_factors().open(context.as_bytes(), &factor.sealed_secret)?;
    Secret::from_bytes(&bytes).ok_or(Refused(Problem::Internal))
}

/// Commits a change that uses a code up. Who was overtaken comes with a code that was used in the meantime.
async fn commit(tenant: &Tenant, change: Change) -> Result<(), Refused> {
    tenant.commit(change, None).await.map_err(|error| match error {
        CommitError::Refused(Refusal::Raced) => Refused(Problem::InvalidCode),
        CommitError::Refused(Refusal::Missing("session")) => Refused(Problem::SessionExpired),
        other => other.into(),
    })
}

/// Enroll a second factor
///
/// Gives a secret for an authenticator app (TOTP, RFC 6238). It does nothing until it is activated; enrolled again before
/// that, the new secret takes the place of the old one. Who has a password must have signed in with it, and gives it once
/// more: an access token alone must not lock its owner out. Wrong ones count as at `POST /api/auth/login`. Who has none must
/// have signed in within the last ten minutes. An `Idempotency-Key` has no effect on the routes of second factors.
#[utoipa::path(
    post, path = "/api/auth/mfa/enroll", operation_id = "enroll_second_factor", tag = "auth",
    request_body = EnrollRequest,
    responses((status = 200, description = "Enrolled, not active yet", body = Enrolled)),
    extensions(("x-problem-codes" = json!([
        Code::Conflict, Code::SignInElsewhere, Code::InvalidCredentials, Code::SignInThrottled
    ])))
)]
pub(crate) async fn enroll(
    Unproven(person): Unproven,
    Extension(auth): Extension<Auth>,
    body: Json<EnrollRequest>,
) -> Reply {
    let context = &person.context;
    let now = context.request.now;
    let account = account_of(&person).await?;
    let identity = &account.identity;
    if identity.second_factor.as_ref().is_some_and(|factor| factor.active) {
        factor(identity, false)?;
    }
    // An identity is the same in every organization, and one organization's provider can sign anybody of its domain in: it
    // could lock them out of the others.
    let session = &person.standing()?.session;
    if identity.password_hash.is_some() {
        if !session.amr.iter().any(|method| method == policy::PASSWORD) {
            return Err(context.refuse(None, Problem::SignInElsewhere).await);
        }
        let password = body.value.password;
        let password =
            password.ok_or_else(|| Problem::invalid("/password", "required", "is required: you have one"))?;
        let (edge, request) = (context.edge(), &context.request);
        if !verify_password(edge, request, &identity.email, Some(&account), password).await? {
            return Err(context.refuse(None, Problem::InvalidCredentials).await);
        }
    } else if !is_recent(session.authenticated_at, now) {
        return Err(context.refuse(None, Problem::SessionExpired).await);
    }
    let secret = Secret::generate()?;
    let sealed = auth.second_factors().seal(identity.user_id.to_string().as_bytes(), secret.as_bytes())?;
    let after = with_factor(identity, Some(pending(sealed, now)), now);
    let record = context.record("mfa.enroll", "user", &identity.user_id.to_string());
    let enrolled = Enrolled {
        otpauth_url: secret.url(&identity.email),
        secret: secret.base32(),
        algorithm: "SHA1",
        digits: 6,
        period: 30,
    };
    let reply = edge::ok(&enrolled, None)?;
    context.tenant().commit(change(record, identity, &after)?, None).await?;
    Ok(reply)
}

/// Activate the second factor
///
/// Takes a first code from the app. From then on sign-ins ask for one, and this session counts as having proved one.
#[utoipa::path(
    post, path = "/api/auth/mfa/activate", operation_id = "activate_second_factor", tag = "auth",
    request_body = CodeRequest,
    responses((status = 200, description = "Active", body = RecoveryCodes)),
    extensions(("x-problem-codes" = json!([Code::Conflict, Code::InvalidCode, Code::SignInThrottled])))
)]
pub(crate) async fn activate(
    Unproven(person): Unproven,
    Extension(auth): Extension<Auth>,
    body: Json<CodeRequest>,
) -> Reply {
    let context = &person.context;
    let (edge, request) = (context.edge(), &context.request);
    let Account { identity, .. } = account_of(&person).await?;
    let waiting = factor(&identity, false)?;
    let answer = Answer::code(&body.value.code);
    let Some(mut left) = using(edge, &auth, request, &identity, (waiting, &answer)).await? else {
        return Err(context.refuse(None, Problem::InvalidCode).await);
    };
    let (codes, digests) = recovery_codes()?;
    left.active = true;
    left.recovery_digests = digests;
    let after = with_factor(&identity, Some(left), request.now);
    let record = context.record("mfa.activate", "user", &identity.user_id.to_string());
    let amr = stepped_up(&person.standing()?.session.amr);
    let letter = switched(&identity, true, request);
    let change = change(record, &identity, &after)?
        .session_proved(person.session, &amr, request.now)
        .mailing(mail(edge, context.tenant().organization_id(), letter, request.now)?);
    let reply = edge::ok(&RecoveryCodes { recovery_codes: codes }, None)?;
    commit(context.tenant(), change).await?;
    Ok(reply)
}

fn switched(identity: &Identity, enabled: bool, request: &RequestInfo) -> Letter {
    Letter::SecondFactorChanged {
        to: identity.email.clone(),
        name: identity.name.clone(),
        enabled,
        at: request.now,
    }
}

/// Verify a second factor
///
/// With the `mfa_token` of a sign-in it completes that: tokens, as from `POST /api/auth/login`. Without it, sent with a
/// session's access token, that session counts as having proved a second factor from then on. A code is good once; ten
/// wrong ones within ten minutes and no more are heard until those are over.
#[utoipa::path(
    post, path = "/api/auth/mfa/verify", operation_id = "verify_second_factor", tag = "auth",
    request_body = VerifyRequest,
    responses((status = 200, description = "Signed in, or proved", body = Verified<'static>)),
    extensions(("x-problem-codes" = json!([
        Code::Conflict, Code::InvalidCode, Code::SessionExpired, Code::SignInThrottled
    ])))
)]
pub(crate) async fn verify(
    State(edge): State<Edge>,
    Optionally(person): Optionally,
    Extension(auth): Extension<Auth>,
    request: RequestInfo,
    body: Json<VerifyRequest>,
) -> Reply {
    let VerifyRequest { mfa_token, code, recovery_code } = body.value;
    let answer = Answer::of(code, recovery_code)?;
    match (mfa_token, person) {
        (Some(token), _) => complete(&edge, &auth, &request, &token, &answer).await,
        (None, Some(person)) => step_up(&auth, person, &answer).await,
        (None, None) => {
            Err(Refused(Problem::invalid("/mfa_token", "required", "is required without a session")))
        }
    }
}

/// Completes a sign-in that waits for its second factor.
async fn complete(edge: &Edge, auth: &Auth, request: &RequestInfo, token: &str, answer: &Answer) -> Reply {
    let over = || Refused(Problem::SessionExpired);
    let passed = auth.half_way().read(token, request.now).ok_or_else(over)?;
    let account = edge.unscoped_store().account(&passed.email).await?.ok_or_else(over)?;
    let identity = &account.identity;
    if identity.user_id != passed.user || identity.epoch != passed.epoch {
        return Err(over());
    }
    let place = Place::of(edge, passed.organization, passed.user).await?.ok_or_else(over)?;
    // It was taken off since: the password alone would do now, but is to be given anew.
    let active = factor(identity, true).map_err(|_| over())?;
    let Some(left) = using(edge, auth, request, identity, (active, answer)).await? else {
        let who = (identity, account.memberships.as_slice());
        return Err(refuse(edge, request, "session.create", who, Problem::InvalidCode).await);
    };
    let after = with_factor(identity, Some(left), request.now);
    let proof = Proof::by(&[policy::PASSWORD, policy::ONE_TIME_CODE], identity.epoch, request.now);
    let (change, reply) = entering(edge, request, identity, &place, proof, Way::Entering).await?;
    commit(&place.tenant, change.change_identity(identity, &after)?).await?;
    Ok(reply)
}

/// Adds a second factor to what a session has proved.
async fn step_up(auth: &Auth, Unproven(person): Unproven, answer: &Answer) -> Reply {
    let context = &person.context;
    let request = &context.request;
    let Account { identity, .. } = account_of(&person).await?;
    let active = factor(&identity, true)?;
    let Some(left) = using(context.edge(), auth, request, &identity, (active, answer)).await? else {
        return Err(context.refuse(None, Problem::InvalidCode).await);
    };
    let after = with_factor(&identity, Some(left), request.now);
    let record = context.record("mfa.verify", "session", &person.session.to_string());
    let amr = stepped_up(&person.standing()?.session.amr);
    let change = change(record, &identity, &after)?.session_proved(person.session, &amr, request.now);
    let reply = edge::ok(&Proved { amr }, None)?;
    commit(context.tenant(), change).await?;
    Ok(reply)
}

/// Make new recovery codes
///
/// Takes a code from the app. The recovery codes there were until now are void.
#[utoipa::path(
    post, path = "/api/auth/mfa/recovery-codes", operation_id = "renew_recovery_codes", tag = "auth",
    request_body = CodeRequest,
    responses((status = 200, description = "New codes", body = RecoveryCodes)),
    extensions(("x-problem-codes" = json!([Code::Conflict, Code::InvalidCode, Code::SignInThrottled])))
)]
pub(crate) async fn renew(
    Unproven(person): Unproven,
    Extension(auth): Extension<Auth>,
    body: Json<CodeRequest>,
) -> Reply {
    let context = &person.context;
    let request = &context.request;
    let Account { identity, .. } = account_of(&person).await?;
    let (active, answer) = (factor(&identity, true)?, Answer::code(&body.value.code));
    let Some(mut left) = using(context.edge(), &auth, request, &identity, (active, &answer)).await? else {
        return Err(context.refuse(None, Problem::InvalidCode).await);
    };
    let (codes, digests) = recovery_codes()?;
    left.recovery_digests = digests;
    let after = with_factor(&identity, Some(left), request.now);
    let record = context.record("mfa.renew_recovery_codes", "user", &identity.user_id.to_string());
    let reply = edge::ok(&RecoveryCodes { recovery_codes: codes }, None)?;
    commit(context.tenant(), change(record, &identity, &after)?).await?;
    Ok(reply)
}

/// Take the second factor off
///
/// Takes a last code, from the app or a recovery code. Refused while the organization asks for a second factor.
#[utoipa::path(
    delete, path = "/api/auth/mfa", operation_id = "remove_second_factor", tag = "auth",
    request_body = EitherCodeRequest,
    responses((status = 204, description = "Taken off")),
    extensions(("x-problem-codes" = json!([Code::Conflict, Code::InvalidCode, Code::SignInThrottled])))
)]
pub(crate) async fn remove(
    Unproven(person): Unproven,
    Extension(auth): Extension<Auth>,
    body: Json<EitherCodeRequest>,
) -> Reply {
    let context = &person.context;
    let (edge, request) = (context.edge(), &context.request);
    let EitherCodeRequest { code, recovery_code } = body.value;
    let answer = Answer::of(code, recovery_code)?;
    if person.standing()?.organization.settings.require_mfa {
        let detail =
            "The organization asks for a second factor. Leave it, or have that changed, first.".to_owned();
        return Err(Refused(Problem::Conflict { detail }));
    }
    let Account { identity, .. } = account_of(&person).await?;
    let active = factor(&identity, true)?;
    if using(edge, &auth, request, &identity, (active, &answer)).await?.is_none() {
        return Err(context.refuse(None, Problem::InvalidCode).await);
    }
    let after = with_factor(&identity, None, request.now);
    let record = context.record("mfa.remove", "user", &identity.user_id.to_string());
    let letter = switched(&identity, false, request);
    let change = change(record, &identity, &after)?.mailing(mail(
        edge,
        context.tenant().organization_id(),
        letter,
        request.now,
    )?);
    commit(context.tenant(), change).await?;
    Ok(edge::no_content())
}
