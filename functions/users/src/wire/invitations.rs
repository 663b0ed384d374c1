//! Invitations on the wire.

use access::permission::{Permit, UsersRead, UsersWrite};
use access::{OneTimeKind, OneTimeToken};
use clock::Timestamp;
use edge::{Authorized, Committed, Context, IdempotencyKey, Json, Paging, PathId, Refused, Reply};
use futures::{StreamExt as _, stream};
use ids::{InvitationId, WorkspaceId, kind};
use problem::{Code, Problem};
use serde::{Deserialize, Serialize};
use store::{Change, Invitation, Organization, OutgoingMail, Role};
use utoipa::ToSchema;

use crate::app::invitations::{self as app, Draft, Offer, Request, Row, Standing};

/// How many of the invitations in one request are made at a time.
const AT_A_TIME: usize = 8;

/// One invitation, or up to 100 of them as `invitations`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "grace@example.com", "role": "admin"}))]
pub(super) struct CreateInvitation {
    #[serde(default)]
    #[schema(format = "email", example = "grace@example.com")]
    email: Option<String>,
    /// `admin` or `read_only` on the organization; `manager`, `member` or `read_only` in a workspace.
    #[serde(default)]
    role: Option<Role>,
    /// The workspace, if the role is for one.
    #[serde(default)]
    workspace_id: Option<WorkspaceId>,
    /// 1 to 100 invitations, in the place of the other fields.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 100)]
    invitations: Option<Vec<InvitationRow>>,
}

/// One invitation among many.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct InvitationRow {
    email: String,
    role: Role,
    #[serde(default)]
    workspace_id: Option<WorkspaceId>,
}

/// An invitation. The token that its mail carries is shown nowhere.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Invitation)]
pub(super) struct InvitationBody {
    id: InvitationId,
    email: String,
    role: Role,
    workspace_id: Option<WorkspaceId>,
    /// `pending`, `expired`, `accepted` or `revoked`.
    #[schema(value_type = String, example = "pending")]
    status: Standing,
    /// The id of the user or the API key that invited.
    invited_by: String,
    expires_at: Timestamp,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// What became of each of several invitations, in the order of the request.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InvitationOutcomes {
    data: Vec<InvitationOutcome>,
}

/// What became of one of several invitations.
#[derive(Debug, Serialize, ToSchema)]
struct InvitationOutcome {
    email: String,
    /// `invited` or `refused`.
    #[schema(example = "invited")]
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    invitation: Option<InvitationBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<RowProblem>,
}

/// Why one of several invitations was refused.
#[derive(Debug, Serialize, ToSchema)]
struct RowProblem {
    /// As in the error reference.
    #[schema(example = "conflict")]
    code: &'static str,
    detail: String,
}

/// A page of invitations.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InvitationList {
    data: Vec<InvitationBody>,
    /// Give it as `cursor` to get the next page; null on the last one.
    next_cursor: Option<String>,
}

impl InvitationBody {
    fn of(invitation: &Invitation, now: Timestamp) -> Self {
        Self {
            id: invitation.id,
            email: invitation.email.clone(),
            role: invitation.role,
            workspace_id: invitation.workspace_id,
            status: app::standing(invitation, now),
            invited_by: invitation.invited_by.clone(),
            expires_at: invitation.expires_at,
            created_at: invitation.created_at,
            updated_at: invitation.updated_at,
        }
    }
}

impl From<InvitationRow> for Row {
    fn from(row: InvitationRow) -> Self {
        Self { email: row.email, role: row.role, workspace_id: row.workspace_id }
    }
}

/// The organization, which every request on the admin plane knows.
fn organization(context: &Context) -> Result<&Organization, Refused> {
    context.organization().ok_or(Refused(Problem::Internal))
}

/// Refuses to offer what the caller does not hold or does not know of, and to whom the organization does not admit.
async fn permits(
    context: &Context,
    email: &str,
    role: Role,
    workspace: Option<WorkspaceId>,
) -> Result<(), Refused> {
    let known = &context.caller.known;
    if workspace.is_some_and(|workspace| known.grants_in(workspace).is_none()) {
        return Err(Refused(Problem::NotFound { what: "workspace" }));
    }
    if let Some(permission) = known.lacks_of_role(role, workspace) {
        return Err(context.refuse_grant(permission).await);
    }
    match app::admits(organization(context)?, email) {
        Ok(()) => Ok(()),
        Err(problem) => Err(context.refuse(workspace, problem).await),
    }
}

fn mail(context: &Context, invitation: &Invitation, token: &OneTimeToken) -> Result<OutgoingMail, Refused> {
    let organization = organization(context)?;
    let letter = app::letter(invitation, token, organization, app::inviter(&context.caller.known));
    let edge = context.edge();
    let sealed = edge.mail_seal().outgoing(edge.ids().next(), organization.id, letter, context.request.now);
    Ok(sealed?)
}

/// An invitation, and the change that makes it.
async fn invite(context: &Context, offer: Offer) -> Result<(Invitation, Change), Refused> {
    permits(context, &offer.email, offer.role, offer.workspace_id).await?;
    let token = OneTimeToken::generate(OneTimeKind::Invitation)?;
    let (inviter, now) = (&context.caller.known, context.request.now);
    let invitation = offer.invitation(&token, inviter, context.edge().ids(), now);
    let mail = mail(context, &invitation, &token)?;
    let record = context.record("invitation.create", "invitation", &invitation.id.to_string());
    let change = app::invite(&invitation, mail, context.tenant().organization_id(), record)?;
    Ok((invitation, change))
}

/// Invite
///
/// Mails a link that is good once, for seven days. A seat is taken when the invitation is accepted. Nobody offers more
/// than they hold, and an address has at most one open invitation.
///
/// With `invitations` up to 100 are made, each for itself: the answer is 200 and tells what became of each. Such a request
/// can be sent again without harm and without an `Idempotency-Key`, which has no effect on it: who has an open invitation
/// is not invited twice.
#[utoipa::path(
    post, path = "/api/admin/invitations", operation_id = "create_invitation", tag = "users",
    request_body = CreateInvitation,
    responses((status = 201, description = "Invited", body = InvitationBody), (status = 200, description = "What became of each of `invitations`", body = InvitationOutcomes)),
    extensions(("x-problem-codes" = json!([
        Code::NotFound, Code::DomainNotAllowed, Code::Conflict, Code::WorkspaceArchived
    ])))
)]
pub(super) async fn create(
    caller: Authorized<UsersWrite>,
    key: IdempotencyKey,
    body: Json<CreateInvitation>,
) -> Reply {
    let context = &caller.context;
    let CreateInvitation { email, role, workspace_id, invitations } = body.value;
    let invitations = invitations.map(|rows| rows.into_iter().map(Row::from).collect());
    match (Draft { email, role, workspace_id, invitations }).check()? {
        Request::One(offer) => {
            let (invitation, change) = invite(context, offer).await?;
            let shown = InvitationBody::of(&invitation, context.request.now);
            context.commit(change, None, &key, &body.bytes, Committed::created(&shown)).await
        }
        Request::Many(offers) => {
            let outcomes = offers.into_iter().map(|(email, offer)| outcome(context, email, offer));
            let data = stream::iter(outcomes).buffered(AT_A_TIME).collect().await;
            edge::ok(&InvitationOutcomes { data }, None)
        }
    }
}

/// Makes one of several invitations.
async fn outcome(context: &Context, email: String, offer: Result<Offer, Problem>) -> InvitationOutcome {
    let invited = async {
        let (invitation, change) = invite(context, offer?).await?;
        context.commit_silently(change).await?;
        Ok::<_, Refused>(invitation)
    };
    match invited.await {
        Ok(invitation) => InvitationOutcome {
            email,
            status: "invited",
            invitation: Some(InvitationBody::of(&invitation, context.request.now)),
            problem: None,
        },
        Err(Refused(problem)) => {
            let problem = RowProblem { code: problem.code().as_str(), detail: problem.detail() };
            InvitationOutcome { email, status: "refused", invitation: None, problem: Some(problem) }
        }
    }
}

/// List invitations
///
/// Newest first, with those that were accepted, revoked or have expired.
#[utoipa::path(
    get, path = "/api/admin/invitations", operation_id = "list_invitations", tag = "users",
    responses((status = 200, description = "A page", body = InvitationList))
)]
pub(super) async fn list(caller: Authorized<UsersRead>, paging: Paging) -> Reply {
    let (confines, now) = (caller.confines(), caller.context.request.now);
    let page = caller.context.tenant().invitations(&paging.page(&confines)?).await?;
    paging.show(
        &confines,
        &page,
        |last| last.id.to_string(),
        |invitation| reaches(&caller, invitation).then(|| InvitationBody::of(invitation, now)),
    )
}

/// Invitations belong to no mode.
fn reaches<P: Permit>(caller: &Authorized<P>, invitation: &Invitation) -> bool {
    caller.reaches(invitation.workspace_id, caller.context.caller.known.mode())
}

/// The invitation, if it is in the caller's reach.
async fn find(caller: &Authorized<UsersWrite>, id: InvitationId) -> Result<Invitation, Refused> {
    let invitation = caller.context.tenant().invitation(id).await?;
    let invitation = invitation.filter(|invitation| reaches(caller, invitation));
    invitation.ok_or(Refused(Problem::NotFound { what: "invitation" }))
}

/// Revoke an invitation
///
/// The link in its mail is good for nothing from then on.
#[utoipa::path(
    delete, path = "/api/admin/invitations/{id}", operation_id = "revoke_invitation", tag = "users",
    params(("id" = String, Path, description = "`inv_…`")),
    responses((status = 204, description = "Revoked")),
    extensions(("x-problem-codes" = json!([Code::Conflict])))
)]
pub(super) async fn revoke(caller: Authorized<UsersWrite>, PathId(id): PathId<kind::Invitation>) -> Reply {
    let context = &caller.context;
    let before = find(&caller, id).await?;
    let after = app::revoked(&before, context.request.now)?;
    let record = context.record("invitation.revoke", "invitation", &id.to_string());
    context.commit_silently(app::revoke(&before, &after, context.tenant().organization_id(), record)?).await
}

/// Resend an invitation
///
/// With a new link, good for seven days; the one before is good for nothing from then on. Also for one that has expired.
#[utoipa::path(
    post, path = "/api/admin/invitations/{id}/resend", operation_id = "resend_invitation", tag = "users",
    params(("id" = String, Path, description = "`inv_…`")),
    responses((status = 200, description = "Sent again", body = InvitationBody)),
    extensions(("x-problem-codes" = json!([Code::DomainNotAllowed, Code::Conflict, Code::WorkspaceArchived])))
)]
pub(super) async fn resend(
    caller: Authorized<UsersWrite>,
    PathId(id): PathId<kind::Invitation>,
    key: IdempotencyKey,
) -> Reply {
    let context = &caller.context;
    let before = find(&caller, id).await?;
    permits(context, &before.email, before.role, before.workspace_id).await?;
    let token = OneTimeToken::generate(OneTimeKind::Invitation)?;
    let after = app::renewed(&before, &token, context.request.now);
    let mail = mail(context, &after, &token)?;
    let record = context.record("invitation.resend", "invitation", &id.to_string());
    let change = app::renew(&before, &after, mail, context.tenant().organization_id(), record)?;
    let shown = InvitationBody::of(&after, context.request.now);
    context.commit(change, None, &key, &[], Committed::ok(&shown)).await
}
