//! Domains on the wire.

use std::str::FromStr as _;

use access::Permit;
use access::permission::{DomainsDelete, DomainsRead, DomainsWrite};
use axum::Extension;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use clock::Timestamp;
use dns::Domain;
use edge::{
    Argument, Authorized, Committed, Context, Description, Everywhere, Hostname, IdempotencyKey, IfMatch,
    Json, Paging, Refused, Reply, RoleInWorkspace,
};
use ids::WorkspaceId;
use input::Patch;
use problem::{Code, Problem};
use serde::{Deserialize, Serialize};
use store::{DomainClaim, DomainStatus, Page, Role};
use utoipa::ToSchema;

use super::present;
use crate::Outside;
use crate::app::domains as rules;
use crate::app::placement::Placement;

/// The domain that the path names. What can't be one names nothing.
#[derive(Debug)]
pub(crate) struct PathDomain(String);

impl<S: Send + Sync> FromRequestParts<S> for PathDomain {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let missing = || Refused(Problem::NotFound { what: "domain" });
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| missing())?;
        let domain = Domain::from_str(&text).map_err(|_| missing())?;
        Ok(Self(domain.as_str().to_owned()))
    }
}

impl Argument for PathDomain {
    fn describe(operation: &mut Description<'_>) {
        operation.refuses(&[Code::NotFound]);
    }
}

/// A domain to be claimed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"domain": "example.com"}))]
pub(crate) struct ClaimDomain {
    /// A domain that lies below a public suffix, and is no provider of mailboxes.
    #[schema(value_type = Hostname)]
    domain: String,
}

/// What people of a domain get who join by themselves.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AutoJoin)]
struct AutoJoinBody {
    /// `manager`, `member` or `read_only`.
    #[schema(value_type = RoleInWorkspace)]
    role: Role,
    /// Where. On the organization if not given, which is for `read_only` alone.
    #[serde(default)]
    workspace_id: Option<WorkspaceId>,
}

/// What to change of a domain.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"auto_join": {"role": "read_only"}}))]
pub(crate) struct ChangeDomain {
    /// Who joins by the domain; null lets nobody.
    #[serde(default)]
    #[schema(value_type = Option<AutoJoinBody>)]
    auto_join: Patch<AutoJoinBody>,
}

/// A DNS record to be published.
#[derive(Debug, Serialize, ToSchema)]
struct Challenge {
    #[schema(example = "TXT")]
    r#type: &'static str,
    #[schema(example = "_artisan-challenge.example.com")]
    name: String,
    #[schema(example = "artisan-domain-verification=…")]
    value: String,
}

/// A claim to a domain.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Domain)]
struct DomainBody {
    #[schema(example = "example.com")]
    domain: String,
    /// `pending`, `verified`, `failing` (verified, but the record is gone) or `lapsed` (it has been gone for too long).
    status: DomainStatus,
    challenge: Challenge,
    /// Null also when it is about a workspace that the caller does not reach.
    auto_join: Option<AutoJoinBody>,
    verified_at: Option<Timestamp>,
    checked_at: Option<Timestamp>,
    failing_since: Option<Timestamp>,
    /// When a failing one lapses.
    grace_until: Option<Timestamp>,
    next_check_at: Option<Timestamp>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// A page of domains.
#[derive(Debug, Serialize, ToSchema)]
struct DomainList {
    data: Vec<DomainBody>,
    /// Give it as `cursor` to get the next page; null on the last one.
    next_cursor: Option<String>,
}

impl DomainBody {
    /// The claim as `context`'s caller, who holds `P`, may see it.
    fn of<P: Permit>(claim: &DomainClaim, context: &Context) -> Self {
        let known = &context.caller.known;
        let reaches = |workspace| known.reaches(P::PERMISSION, workspace, known.mode());
        let claim = claim.clone();
        let failing_since = claim.failing_since;
        Self {
            challenge: Challenge {
                r#type: "TXT",
                name: domains::record_name(&claim.domain),
                value: claim.challenge,
            },
            domain: claim.domain,
            status: claim.status,
            auto_join: claim
                .auto_join
                .filter(|it| it.workspace_id.is_none() || reaches(it.workspace_id))
                .map(|it| AutoJoinBody { role: it.role, workspace_id: it.workspace_id }),
            verified_at: claim.verified_at,
            checked_at: claim.checked_at,
            failing_since,
            grace_until: failing_since.map(|since| since + domains::GRACE),
            next_check_at: claim.next_check_at,
            created_at: claim.created_at,
            updated_at: claim.updated_at,
        }
    }
}

/// The claim that the path names.
async fn find(context: &Context, domain: &PathDomain) -> Result<DomainClaim, Refused> {
    let claim = context.tenant().domain(&domain.0).await?;
    claim.ok_or(Refused(Problem::NotFound { what: "domain" }))
}

/// Claim a domain
///
/// Publish the TXT record that the answer names, then verify. Several organizations may claim a domain, one can verify it.
#[utoipa::path(
    post, path = "/api/admin/domains", operation_id = "claim_domain", tag = "domains",
    request_body = ClaimDomain,
    responses((status = 201, description = "Claimed", body = DomainBody)),
    extensions(("x-problem-codes" = json!([Code::Conflict])))
)]
pub(super) async fn claim(
    caller: Everywhere<DomainsWrite>,
    key: IdempotencyKey,
    body: Json<ClaimDomain>,
) -> Reply {
    let context = &caller.context;
    let (tenant, now) = (context.tenant(), context.request.now);
    let domain = rules::check(&body.value.domain, tenant.domains().await?.len())?;
    let claim = rules::claim(&domain, domains::challenge()?, now);
    let record = context.record("domain.claim", "domain", &claim.domain);
    let change = rules::make(&claim, tenant.organization_id(), record)?;
    let shown = DomainBody::of::<DomainsWrite>(&claim, context);
    context.commit(change, None, &key, &body.bytes, Committed::created(&shown)).await
}

/// List domains
///
/// By name.
#[utoipa::path(
    get, path = "/api/admin/domains", operation_id = "list_domains", tag = "domains",
    responses((status = 200, description = "A page", body = DomainList))
)]
pub(super) async fn list(caller: Authorized<DomainsRead>, paging: Paging) -> Reply {
    let confines = caller.confines();
    let page = paging.page::<String>(&confines)?;
    // They are few: an organization claims fifty at most.
    let mut claims = caller.context.tenant().domains().await?;
    claims.retain(|claim| page.after.as_ref().is_none_or(|after| claim.domain > *after));
    let more = claims.len() > page.limit;
    claims.truncate(page.limit);
    paging.show(
        &confines,
        &Page { items: claims, more },
        |last| last.domain.clone(),
        |claim| Some(DomainBody::of::<DomainsRead>(claim, &caller.context)),
    )
}

/// Get a domain
#[utoipa::path(
    get, path = "/api/admin/domains/{domain}", operation_id = "get_domain", tag = "domains",
    params(("domain" = String, Path, description = "`example.com`")),
    responses((status = 200, description = "The domain", body = DomainBody))
)]
pub(super) async fn get(caller: Authorized<DomainsRead>, domain: PathDomain) -> Reply {
    let claim = find(&caller.context, &domain).await?;
    edge::ok(&DomainBody::of::<DomainsRead>(&claim, &caller.context), Some(claim.updated_at))
}

/// Change who joins by a domain
///
/// While it is verified, people with an address of the domain may join by themselves, in the role that `auto_join` names.
/// Nobody gives a role that holds more than they do, nor makes admins in this way.
#[utoipa::path(
    patch, path = "/api/admin/domains/{domain}", operation_id = "change_domain", tag = "domains",
    params(("domain" = String, Path, description = "`example.com`")),
    request_body = ChangeDomain,
    responses((status = 200, description = "Changed", body = DomainBody)),
    extensions(("x-problem-codes" = json!([Code::Conflict, Code::WorkspaceArchived])))
)]
pub(super) async fn change(
    caller: Everywhere<DomainsWrite>,
    domain: PathDomain,
    if_match: IfMatch,
    body: Json<ChangeDomain>,
) -> Reply {
    let context = &caller.context;
    let before = find(context, &domain).await?;
    if_match.check(before.updated_at)?;
    let placement = match body.value.auto_join {
        Patch::Absent => {
            let shown = DomainBody::of::<DomainsWrite>(&before, context);
            return edge::ok(&shown, Some(before.updated_at));
        }
        Patch::Null => None,
        Patch::Value(it) => Some(Placement { role: it.role, workspace_id: it.workspace_id }),
    };
    let exceeds = placement.as_ref().and_then(|placement| placement.exceeds(&context.caller.known));
    let after = rules::with_auto_join(&before, placement, context.request.now)?;
    if let Some(permission) = exceeds {
        return Err(context.refuse_grant(permission).await);
    }
    let record = context.record("domain.update", "domain", &before.domain);
    let change = rules::change(&before, &after, context.tenant().organization_id(), record)?;
    context.commit_silently(change.only_as_read(if_match.is_given())).await?;
    edge::ok(&DomainBody::of::<DomainsWrite>(&after, context), Some(after.updated_at))
}

/// Verify a domain
///
/// Looks for the record in DNS. It is looked for again every day from then on, so leave it there.
#[utoipa::path(
    post, path = "/api/admin/domains/{domain}/verify", operation_id = "verify_domain", tag = "domains",
    params(("domain" = String, Path, description = "`example.com`")),
    responses((status = 200, description = "Verified", body = DomainBody)),
    extensions(("x-problem-codes" = json!([Code::Conflict, Code::DomainChallengeFailed, Code::DomainTaken])))
)]
pub(super) async fn verify(
    caller: Everywhere<DomainsWrite>,
    Extension(outside): Extension<Outside>,
    domain: PathDomain,
    key: IdempotencyKey,
) -> Reply {
    let context = &caller.context;
    let before = find(context, &domain).await?;
    let Some(resolver) = &outside.resolver else { return Err(Refused(Problem::Unavailable)) };
    let found = domains::find(resolver, &before).await.map_err(|error| {
        let error: &dyn std::error::Error = &error;
        tracing::warn!(error, "a domain could not be looked up");
        Problem::Unavailable
    })?;
    if !found {
        return Err(Refused(rules::not_found(&before)));
    }
    let after = domains::verified(&before, context.request.now);
    let record = context.record("domain.verify", "domain", &before.domain);
    let change = rules::verify(&before, &after, context.tenant().organization_id(), record)?;
    let shown = DomainBody::of::<DomainsWrite>(&after, context);
    context.commit(change, None, &key, &[], Committed::ok(&shown)).await
}

/// Give a domain up
///
/// It is then free for others to verify. Refused while the organization's `allowed_domains` name it.
#[utoipa::path(
    delete, path = "/api/admin/domains/{domain}", operation_id = "delete_domain", tag = "domains",
    params(("domain" = String, Path, description = "`example.com`")),
    responses((status = 204, description = "Given up")),
    extensions(("x-problem-codes" = json!([Code::Conflict])))
)]
pub(super) async fn delete(
    caller: Everywhere<DomainsDelete>,
    domain: PathDomain,
    if_match: IfMatch,
) -> Reply {
    let context = &caller.context;
    let (claim, organization) = (find(context, &domain).await?, present(context).await?);
    if_match.check(claim.updated_at)?;
    let record = context.record("domain.delete", "domain", &claim.domain);
    let change = rules::give_up(&claim, &organization, record)?;
    context.commit_silently(change.only_as_read(if_match.is_given())).await
}
