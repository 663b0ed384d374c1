//! Single sign-on: `/api/auth/sso`.

use access::api_key::sha256_hex;
use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::IntoResponse as _;
use dns::Domain;
use edge::{Edge, Refused, Reply, RequestInfo};
use ids::OrganizationId;
use oidc::{Authorization, Callback, Claims, Client, Issuer, OidcError, Part, Provider, Verifier};
use problem::{Code, Problem};
use store::{
    Account, Actor, Errand, Identity, Member, Organization, OrganizationStatus, Overview, SsoConnection,
    Tenant,
};

use crate::app::invitation::admits;
use crate::app::joining::joined;
use crate::app::session::Proof;
use crate::app::sign_in::origin;
use crate::app::sso::{MOST_STARTS, identity as identity_of, proved, seat};
use crate::sign_on::{Remembered, SignOn};
use crate::wire::answer::SignedIn;
use crate::wire::attempts::Attempt;
use crate::wire::entrance::{Place, Way, entering};
use crate::wire::record;
use crate::{Auth, app};

/// Where the console takes browsers that come back from a provider.
const CONSOLE: &str = "/console/sign-in/sso";
const ELSEWHERE: &str = "The sign-on was begun in another browser, or not at all. Start again.";
const MISCONFIGURED: &str = "The connection to the identity provider does not work. Tell an admin.";
const TURNED_BACK: &str = "The identity provider turned you back.";
const NOT_TRUSTED: &str = "What the identity provider said cannot be trusted.";
const NO_ADDRESS: &str = "The identity provider tells no e-mail address of yours that it has confirmed.";

/// What came of asking a provider.
fn failed(error: &OidcError) -> Problem {
    // Its words are the provider's, and say nothing secret.
    tracing::warn!(error = %error, "a sign-on failed");
    if error.is_unavailable() {
        return Problem::Unavailable;
    }
    let detail = match error {
        OidcError::Refused { part: Part::Callback, .. } => TURNED_BACK,
        OidcError::WrongIssuer(_)
        | OidcError::WrongAudience
        | OidcError::Expired
        | OidcError::NotYetValid
        | OidcError::WrongNonce
        | OidcError::WrongSubject
        | OidcError::BadSignature
        | OidcError::UnknownKey
        | OidcError::UnsupportedAlgorithm => NOT_TRUSTED,
        OidcError::Refused { .. }
        | OidcError::Timeout(_)
        | OidcError::Unreachable { .. }
        | OidcError::Status { .. }
        | OidcError::Malformed { .. }
        | OidcError::UnsupportedAuthentication => MISCONFIGURED,
    };
    Problem::SsoFailed { detail }
}

/// An organization that can be signed on to.
struct Connected {
    tenant: Tenant,
    organization: Organization,
    workspaces: Vec<store::Workspace>,
    connection: SsoConnection,
}

impl Connected {
    async fn of(edge: &Edge, organization: OrganizationId) -> Result<Self, Refused> {
        let tenant = edge.unscoped_store().tenant_of_sign_in(organization);
        let (overview, connection) = tokio::try_join!(tenant.overview(), tenant.sso())?;
        let Overview { organization, workspaces } = overview;
        match (organization, connection) {
            (Some(organization), Some(connection)) if organization.status == OrganizationStatus::Active => {
                Ok(Self { tenant, organization, workspaces, connection })
            }
            _ => Err(Refused(Problem::NotFound { what: "single sign-on" })),
        }
    }

    async fn provider(&self, sign_on: &SignOn) -> Result<Provider, Problem> {
        let issuer = Issuer::parse(&self.connection.issuer, sign_on.policy)
            .map_err(|_| Problem::SsoFailed { detail: MISCONFIGURED })?;
        sign_on.party.discover(&issuer).await.map_err(|error| failed(&error))
    }
}

/// Sign on
///
/// Sends the browser to the organization's identity provider. It comes back to `GET /api/auth/sso/callback` within ten
/// minutes. The admin console sets out for itself, `for=console`, and keeps the cookie. Of 300 from one address within ten minutes, the next ones are not heard until those are over.
#[utoipa::path(
    get, path = "/api/auth/sso/{organization}/start", operation_id = "start_sign_on", tag = "auth",
    params(("organization" = String, Path, description = "`org_…`, or a domain that it has verified"), ("login_hint" = Option<String>, Query, description = "Who wants to sign on"), ("for" = Option<String>, Query, description = "`console`: where the browser is to end up; here if not given", pattern = "^console$")),
    responses((status = 302, description = "To the identity provider", headers(
        ("Location" = String, description = "Where that is"),
        ("Set-Cookie" = String, description = "Tells the browser again that comes back")
    ))),
    extensions(("x-problem-codes" = json!([Code::SignInThrottled, Code::SsoFailed, Code::Invalid])))
)]
pub(crate) async fn start(
    State(edge): State<Edge>,
    Extension(auth): Extension<Auth>,
    request: RequestInfo,
    Path(named): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Reply {
    // Never forgiven: each is asked of a provider, and remembered.
    let place = format!("sign-on-from/{}", origin(request.ip));
    let _ = Attempt::within(MOST_STARTS, &edge, &request, &[(&place, true)]).await?;
    let sign_on = auth.sign_on();
    let query = query.unwrap_or_default();
    let asked = |name: &str| {
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        pairs.find(|(asked, _)| asked == name).map(|(_, value)| value.into_owned())
    };
    let for_console = match asked("for").as_deref() {
        None => false,
        Some("console") => true,
        Some(_) => return Err(Refused(Problem::invalid("query:for", "value", "must be `console`"))),
    };
    let missing = || Refused(Problem::NotFound { what: "single sign-on" });
    let organization = match named.parse::<OrganizationId>() {
        Ok(organization) => organization,
        Err(_) => {
            let domain = Domain::parse(&named).map_err(|_| missing())?;
            let owner = edge.unscoped_store().domain_owner(domain.as_str()).await?;
            owner.ok_or_else(missing)?.organization_id
        }
    };
    let connected = Connected::of(&edge, organization).await?;
    let provider = connected.provider(sign_on).await?;
    let (state, nonce, verifier) = (oidc::random_token()?, oidc::random_token()?, Verifier::random()?);
    // A browser that signs on in two tabs at once keeps its token.
    let browser = match sign_on.browser(&headers) {
        Some(browser) => browser,
        None => oidc::random_token()?,
    };
    let remembered = Remembered {
        issuer: connected.connection.issuer.clone(),
        nonce: nonce.clone(),
        verifier: verifier.reveal().to_owned(),
        browser: sha256_hex(browser.as_bytes()),
        for_console,
    };
    let begun = sign_on.begun(&state, organization, &remembered, request.now)?;
    edge.unscoped_store().put_single_use(&begun).await?;
    let hint = asked("login_hint").map(|hint| hint.chars().take(254).collect::<String>());
    let url = provider.authorization_url(&Authorization {
        client_id: &connected.connection.client_id,
        redirect_uri: &sign_on.redirect_uri,
        state: &state,
        nonce: &nonce,
        challenge: &verifier.challenge(),
        login_hint: hint.as_deref(),
    });
    let text = |value: String| HeaderValue::try_from(value).map_err(|_| Refused(Problem::Internal));
    let (location, cookie) = (text(url.into())?, text(sign_on.cookie(&browser))?);
    Ok((StatusCode::FOUND, [(header::LOCATION, location), (header::SET_COOKIE, cookie)]).into_response())
}

/// Come back from the identity provider
///
/// Signs in to the organization: with a seat there, or a new one with the role that the connection gives. The address
/// that the provider tells must belong to a domain that the organization has verified. The session counts as signed on
/// (`sso`), and as having proved several factors (`mfa`) if the provider says that it asked for them. A browser that set out
/// for the admin console, which has its cookie, is sent on there with all that the provider gave; nothing is spent by that.
#[utoipa::path(
    get, path = "/api/auth/sso/callback", operation_id = "finish_sign_on", tag = "auth",
    params(("state" = Option<String>, Query, description = "Which sign-on it is"), ("code" = Option<String>, Query, description = "What the provider gives"), ("error" = Option<String>, Query, description = "Why it does not"), ("iss" = Option<String>, Query, description = "Who answers (RFC 9207)")),
    responses(
        (status = 200, description = "Signed in", body = SignedIn<'static>),
        (status = 303, description = "To the admin console", headers(
            ("Location" = String, description = "Where that is")
        ))
    ),
    extensions(("x-problem-codes" = json!([
        Code::SsoFailed, Code::TokenExpired, Code::TokenSpent, Code::NotFound, Code::DomainNotAllowed,
        Code::Deactivated, Code::OrganizationDeleted, Code::WorkspaceArchived, Code::Conflict,
        Code::LimitReached, Code::AccountExists
    ])))
)]
pub(crate) async fn callback(
    State(edge): State<Edge>,
    Extension(auth): Extension<Auth>,
    request: RequestInfo,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Reply {
    let sign_on = auth.sign_on();
    let elsewhere = || Refused(Problem::SsoFailed { detail: ELSEWHERE });
    let query = query.unwrap_or_default();
    let callback = Callback::parse(&query);
    let digest = sha256_hex(callback.state().ok_or_else(elsewhere)?.as_bytes());
    let begun = edge.unscoped_store().single_use(&digest).await?.ok_or_else(elsewhere)?;
    let Errand::SignOn { organization_id, sealed } = &begun.errand else { return Err(elsewhere()) };
    let remembered = sign_on.remembered(&digest, *organization_id, sealed).ok_or_else(elsewhere)?;
    let Some(browser) = sign_on.browser(&headers) else {
        return if remembered.for_console { to_console(&query) } else { Err(elsewhere()) };
    };
    if sha256_hex(browser.as_bytes()) != remembered.browser {
        return Err(elsewhere());
    }
    if begun.valid_until <= request.now {
        return Err(Refused(Problem::TokenExpired));
    }
    // Before the provider is asked: its code is good once, too.
    if !edge.unscoped_store().take_single_use(&digest, request.now).await? {
        return Err(Refused(Problem::TokenSpent));
    }
    let connected = Connected::of(&edge, *organization_id).await?;
    let asked = ask(sign_on, &connected, &callback, remembered).await;
    let answer = match asked {
        Ok(claims) => admit(&edge, &request, &connected, claims).await,
        Err(problem) => Err((None, problem)),
    };
    match answer {
        Ok(reply) => reply,
        Err((identity, problem)) => Err(refuse(&edge, &request, &connected, identity, problem).await),
    }
}

/// Sends the browser on to the console, which calls this route itself, with the cookie that it has kept. Nobody chooses where
/// to: the path is always the same.
fn to_console(query: &str) -> Reply {
    let location =
        HeaderValue::try_from(format!("{CONSOLE}?{query}")).map_err(|_| Refused(Problem::Internal))?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response())
}

/// Whom the provider vouches for.
async fn ask(
    sign_on: &SignOn,
    connected: &Connected,
    callback: &Callback,
    remembered: Remembered,
) -> Result<Claims, Problem> {
    let Connected { organization, connection, .. } = connected;
    if connection.issuer != remembered.issuer {
        return Err(Problem::SsoFailed { detail: MISCONFIGURED });
    }
    let provider = connected.provider(sign_on).await?;
    let code = provider.code(callback).map_err(|error| failed(&error))?;
    let secret = sign_on
        .secrets
        .open(organization.id, &connection.sealed_client_secret)
        .map_err(|_| Problem::SsoFailed { detail: MISCONFIGURED })?;
    let client = Client::new(connection.client_id.clone(), secret);
    let verifier = Verifier::from(remembered.verifier);
    provider
        .sign_in(&client, &code, &verifier, &sign_on.redirect_uri, &remembered.nonce)
        .await
        .map_err(|error| failed(&error))
}

type Turned = (Option<Identity>, Problem);

/// Lets somebody in whom the organization's own provider vouches for. The outer error is a refusal that goes on record.
async fn admit(
    edge: &Edge,
    request: &RequestInfo,
    connected: &Connected,
    claims: Claims,
) -> Result<Reply, Turned> {
    let Connected { tenant, organization, workspaces, connection } = connected;
    let no_address = || (None, Problem::SsoFailed { detail: NO_ADDRESS });
    let address = claims.email.as_deref().filter(|_| claims.email_verified != Some(false));
    let email = address.and_then(|it| input::account_email(it).ok()).ok_or_else(no_address)?;
    // Nobody's provider speaks for the people of somebody else's domain.
    match speaks_for(edge, tenant, organization.id, &email).await {
        Ok(true) => {}
        Ok(false) => return Err((None, Problem::DomainNotAllowed)),
        Err(refused) => return Ok(Err(refused)),
    }
    let account = match edge.unscoped_store().account(&email).await {
        Ok(account) => account,
        Err(error) => return Ok(Err(error.into())),
    };
    let before = account.as_ref().map(|Account { identity, .. }| identity);
    let identity = identity_of(before, &email, claims.name.as_deref(), edge.ids(), request.now);
    let member = match before {
        None => Ok(None),
        Some(_) => tenant.member(identity.user_id).await,
    };
    let (member, joins): (Member, bool) = match member {
        Err(error) => return Ok(Err(error.into())),
        Ok(Some(member)) if member.is_active() => (member, false),
        Ok(Some(_)) => return Err((Some(identity), Problem::Deactivated)),
        // Who was removed comes back by invitation only.
        Ok(None) if account.as_ref().is_some_and(|it| it.left.contains(&organization.id)) => {
            return Err((Some(identity), Problem::Deactivated));
        }
        Ok(None) => {
            let seat = seat(connection);
            let fits = admits(organization, &email).and_then(|()| seat.check(workspaces));
            if let Err(problem) = fits {
                return Err((Some(identity), problem));
            }
            (seat.taken_by(&identity, request.now), true)
        }
    };
    let amr = proved(&claims.amr, claims.acr.as_deref());
    let proof = Proof::by(&amr, identity.epoch, request.now);
    let place = Place {
        tenant: tenant.clone(),
        organization: organization.clone(),
        workspaces: workspaces.clone(),
        member,
    };
    let way = if joins { Way::Joining } else { Way::Entering };
    Ok(begin(edge, request, (before, &identity), &place, proof, (way, connection)).await)
}

async fn begin(
    edge: &Edge,
    request: &RequestInfo,
    (before, identity): (Option<&Identity>, &Identity),
    place: &Place,
    proof: Proof,
    (way, connection): (Way, &SsoConnection),
) -> Reply {
    let (mut change, reply) = entering(edge, request, identity, place, proof, way).await?;
    if way == Way::Joining {
        change = change.membership(place.organization.id, None, Some(&place.member))?;
        if let Some(workspace) = connection.default_workspace_id {
            change = change.requires_workspace(place.organization.id, workspace);
        }
    }
    change = match before {
        None => change.create_identity(identity)?,
        Some(before) if before == identity && way == Way::Joining => {
            change.change_identity(before, &joined(before, request.now))?
        }
        Some(before) if before == identity => change,
        Some(before) => change.change_identity(before, identity)?,
    };
    place.tenant.commit(change, None).await?;
    Ok(reply)
}

/// Whether an organization has verified the domain of an address.
async fn speaks_for(
    edge: &Edge,
    tenant: &Tenant,
    organization: OrganizationId,
    email: &str,
) -> Result<bool, Refused> {
    let Ok(domain) = Domain::of_email(email) else { return Ok(false) };
    let (owner, claim) = tokio::try_join!(
        edge.unscoped_store().domain_owner(domain.as_str()),
        tenant.domain(domain.as_str())
    )?;
    let owns = owner.is_some_and(|owner| owner.organization_id == organization);
    Ok(owns && claim.is_some_and(|claim| claim.status.is_good()))
}

/// Refuses a sign-on, on record with the organization.
async fn refuse(
    edge: &Edge,
    request: &RequestInfo,
    connected: &Connected,
    identity: Option<Identity>,
    problem: Problem,
) -> Refused {
    let nobody = || Actor { r#type: "user".to_owned(), id: "unknown".to_owned(), email: None };
    let actor = identity.map_or_else(nobody, |it| app::person(it.user_id, &it.email));
    let organization = connected.organization.id;
    let about = ("organization", organization.to_string());
    let mut record = record(edge, request, "session.create", organization, actor, about);
    record.success = false;
    record.sensitive = true;
    record.error_code = Some(problem.code().as_str().to_owned());
    match connected.tenant.record(&record).await {
        Ok(()) => Refused(problem),
        Err(error) => error.into(),
    }
}
