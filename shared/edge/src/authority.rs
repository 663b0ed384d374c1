//! Authority: a handler that takes [`Authorized<P>`] can't be reached without the permission `P`.

use std::marker::PhantomData;
use std::sync::Arc;

use access::permission::{Permission, Permit, Resource};
use access::{Action, Caller, CallerKind, Grants, Known, Obstacle, PersonalStanding, Turned, policy};
use axum::extract::FromRequestParts;
use http::header;
use http::request::Parts;
use ids::{SessionId, UserId, WorkspaceId, kind};
use problem::Problem;
use serde::Serialize;
use store::{
    AuditRecord, Change, CommitError, Mode, Organization, OrganizationStatus, RouteGroup, StoreError, Tenant,
    Visit, Workspace, WorkspaceStatus, WorkspaceStore,
};

use crate::idempotency::{Idempotency, IdempotencyKey};
use crate::overview::Remembered;
use crate::{Committed, Edge, PathId, Refused, Reply, RequestInfo};

/// An authenticated request: who asks, for which tenant, from where.
#[derive(Debug, Clone)]
pub struct Context {
    edge: Edge,
    /// The caller.
    pub caller: Caller,
    /// The request.
    pub request: RequestInfo,
    /// The organization's profile, plan and settings: for a person as they are, for a key as they were a moment ago.
    organization: Option<Arc<Organization>>,
}

/// A caller who holds the permission `P` somewhere: on the organization, or in a workspace. What it shows and changes must
/// be in [`Authorized::reaches`].
#[derive(Debug, Clone)]
pub struct Authorized<P> {
    /// The authenticated request.
    pub context: Context,
    permission: PhantomData<P>,
}

/// A caller who holds the permission `P` on the organization as a whole.
#[derive(Debug, Clone)]
pub struct Everywhere<P> {
    /// The authenticated request.
    pub context: Context,
    permission: PhantomData<P>,
}

/// A caller who holds the permission `P` on the organization as a whole, or the very person whom the path names. For what
/// people may do to themselves without being permitted to do it to others.
#[derive(Debug, Clone)]
pub struct EverywhereOrSelf<P> {
    /// The authenticated request.
    pub context: Context,
    /// The person whom the path names.
    pub user: UserId,
    permission: PhantomData<P>,
}

/// A caller who holds the permission `P` in one workspace.
#[derive(Debug, Clone)]
pub struct InWorkspace<P> {
    /// The authenticated request.
    pub context: Context,
    /// The workspace's data.
    pub workspace: WorkspaceStore,
    permission: PhantomData<P>,
}

/// A signed-in person whose session meets every policy of the organization, whatever they may do.
#[derive(Debug, Clone)]
pub struct Person {
    /// The authenticated request.
    pub context: Context,
    /// The person.
    pub id: UserId,
    /// The session.
    pub session: SessionId,
}

/// A signed-in person whose session need not have proved all that the organization asks for. For what leads to a proof
/// (enrolling a second factor, verifying a code) and out (signing out, switching to another organization).
#[derive(Debug, Clone)]
pub struct Unproven(pub Person);

/// A caller who holds the permission `P` on an organization that may be deleted. For bringing it back.
#[derive(Debug, Clone)]
pub struct Reinstating<P> {
    /// The authenticated request.
    pub context: Context,
    permission: PhantomData<P>,
}

/// What a route does not mind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leniency {
    /// Nothing: every policy holds.
    None,
    /// That the session has not proved enough, or that the organization is deleted: the way out is open.
    Unproven,
    /// That the organization is deleted.
    Deleted,
}

impl Leniency {
    fn forgives(self, obstacle: Obstacle) -> bool {
        match obstacle {
            Obstacle::Over => false,
            Obstacle::OrganizationDeleted => self != Self::None,
            Obstacle::SsoRequired | Obstacle::MfaRequired | Obstacle::DomainNotAllowed => {
                self == Self::Unproven
            }
        }
    }
}

/// What administers a tenant, as opposed to the developer API.
const ADMIN_PLANE: &str = "/api/admin/";

impl Context {
    /// Admits the caller, and records it when somebody we know is turned away.
    async fn of(parts: &mut Parts, edge: &Edge, leniency: Leniency) -> Result<Self, Refused> {
        let request = RequestInfo::from_request_parts(parts, edge).await?;
        let mut credentials = parts.headers.get_all(header::AUTHORIZATION).iter();
        let authorization = credentials.next().and_then(|value| value.to_str().ok());
        if credentials.next().is_some() {
            let detail = "There is more than one Authorization header.".to_owned();
            return Err(Refused(Problem::MalformedRequest { detail }));
        }
        let gate = &edge.0.gate;
        let group = RouteGroup::of_path(request.path());
        let visit =
            Visit { now: request.now, address: request.ip, user_agent: request.user_agent.as_deref(), group };
        let (known, problem) = match gate.admit(authorization, &visit).await {
            Ok(caller) => {
                // Set once per request: nothing else knows the quota.
                let _ = request.quota.set(caller.quota);
                request.meter(caller.counted_at.clone(), false);
                let mut context = Self { edge: edge.clone(), caller, request, organization: None };
                return match context.judge(parts, leniency).await? {
                    None => Ok(context),
                    Some(problem) => Err(context.refuse(None, problem).await),
                };
            }
            Err(Turned::Unauthenticated) => return Err(Refused(Problem::Unauthenticated)),
            Err(Turned::UnknownKey) => return Err(Refused(Problem::KeyUnknown)),
            Err(Turned::TokenExpired) => return Err(Refused(Problem::SessionExpired)),
            Err(Turned::Store(error)) => return Err(error.into()),
            Err(Turned::Limited { known, quota, counted_at }) => {
                let _ = request.quota.set(quota);
                let is_key = matches!(known.kind, CallerKind::Key { .. });
                request.meter(is_key.then_some(counted_at), true);
                (known, Problem::RateLimited { retry_after: quota.reset_after })
            }
            Err(Turned::Revoked(known)) => {
                let problem = match known.kind {
                    CallerKind::Key { .. } => Problem::KeyRevoked,
                    CallerKind::Person { .. } => Problem::SessionExpired,
                };
                (known, problem)
            }
            Err(Turned::Expired(known)) => {
                let problem = match known.kind {
                    CallerKind::Key { .. } => Problem::KeyExpired,
                    CallerKind::Person { .. } => Problem::SessionExpired,
                };
                (known, problem)
            }
            Err(Turned::Suspended(known)) => (known, Problem::OrganizationDeleted),
            Err(Turned::Over(known)) => (known, Problem::SessionExpired),
            Err(Turned::IpNotAllowed(known)) => (known, Problem::IpNotAllowed),
        };
        let record = refusal(edge, &request, &known, None, &problem);
        if let CallerKind::Key { .. } = known.kind {
            if edge.0.turned_away.is_on_record(&record) {
                return Err(Refused(problem));
            }
        } else if let Problem::RateLimited { .. } = problem {
            // A session's budget is its own affair, and known from its answers.
            return Err(Refused(problem));
        }
        if let Err(error) = gate.tenant_of(&known).record(&record).await {
            edge.0.turned_away.forget(&record);
            return Err(error.into());
        }
        Err(Refused(problem))
    }

    /// What the organization's policies have against this request, if anything; learns the organization on the way where
    /// that matters.
    async fn judge(&mut self, parts: &Parts, leniency: Leniency) -> Result<Option<Problem>, StoreError> {
        let administers = parts.uri.path().starts_with(ADMIN_PLANE);
        let mut spared = false;
        if let Some(person) = self.caller.person.clone() {
            self.organization = Some(Arc::clone(&person.organization));
            spared = policy::breaks_glass(&person.organization, &person.member);
            if let Some(obstacle) = person.obstacle.filter(|obstacle| !leniency.forgives(*obstacle)) {
                return Ok(Some(match obstacle {
                    Obstacle::Over => Problem::SessionExpired,
                    Obstacle::OrganizationDeleted => Problem::OrganizationDeleted,
                    Obstacle::SsoRequired => Problem::SsoRequired,
                    Obstacle::MfaRequired => Problem::MfaRequired,
                    Obstacle::DomainNotAllowed => Problem::DomainNotAllowed,
                }));
            }
        } else if administers || parts.headers.contains_key(header::ORIGIN) {
            self.overview(None).await?;
        }
        let Some(organization) = &self.organization else { return Ok(None) };
        if organization.status == OrganizationStatus::Deleted && leniency == Leniency::None {
            return Ok(Some(Problem::OrganizationDeleted));
        }
        self.forget_roles_in_deleted_workspaces().await?;
        let Some(organization) = &self.organization else { return Ok(None) };
        // Set once per request.
        let _ = self.request.organization.set(Arc::clone(organization));
        let networks = &organization.settings.admin_allowed_cidrs;
        let outside = administers && !spared && !policy::admits_address(networks, self.request.ip);
        Ok(outside.then_some(Problem::IpNotAllowed))
    }

    /// A role in a workspace is worth nothing once the workspace is deleted, though it still stands on the membership.
    async fn forget_roles_in_deleted_workspaces(&mut self) -> Result<(), StoreError> {
        let CallerKind::Person { role: None, workspace_roles, .. } = &self.caller.known.kind else {
            return Ok(());
        };
        let Some(newest) = workspace_roles.iter().map(|held| held.workspace_id).max() else { return Ok(()) };
        let overview = self.overview(Some(newest)).await?;
        if let CallerKind::Person { workspace_roles, .. } = &mut self.caller.known.kind {
            workspace_roles.retain(|held| overview.workspaces.iter().any(|it| it.id == held.workspace_id));
        }
        Ok(())
    }

    /// The organization's workspaces and, for keys, the organization itself, as they were a moment ago.
    async fn overview(&mut self, expecting: Option<WorkspaceId>) -> Result<Arc<Remembered>, StoreError> {
        let overview = self.edge.0.overviews.of(self.tenant(), expecting, self.request.now).await?;
        if self.organization.is_none() {
            self.organization = overview.organization.clone();
        }
        Ok(overview)
    }

    /// The organization's profile, plan and settings, if this request had to know them: always for a person, and for a
    /// key in a workspace or on the admin plane.
    #[must_use]
    pub fn organization(&self) -> Option<&Organization> {
        self.organization.as_deref()
    }

    /// Forgets what this process remembers of the organization, after changing it.
    pub fn forget_overview(&self) {
        self.edge.0.overviews.forget(self.tenant().organization_id());
    }

    /// The tenant's data.
    #[must_use]
    pub fn tenant(&self) -> &Tenant {
        &self.caller.tenant
    }

    /// The edge.
    #[must_use]
    pub fn edge(&self) -> &Edge {
        &self.edge
    }

    /// The audit record of something this caller does, carried out: the caller of this decides what it is about.
    #[must_use]
    pub fn record(&self, action: &'static str, resource_type: &str, resource_id: &str) -> AuditRecord {
        let mut record = record(&self.edge, &self.request, &self.caller.known, action);
        record.resource_type = resource_type.to_owned();
        record.resource_id = Some(resource_id.to_owned());
        record
    }

    /// Refuses somebody who is known, on record.
    pub async fn refuse(&self, workspace: Option<WorkspaceId>, problem: Problem) -> Refused {
        let record = refusal(&self.edge, &self.request, &self.caller.known, workspace, &problem);
        match self.tenant().record(&record).await {
            Ok(()) => Refused(problem),
            Err(error) => error.into(),
        }
    }

    /// Refuses for want of a permission, on record.
    async fn forbid(&self, workspace: Option<WorkspaceId>, permission: String) -> Refused {
        self.refuse(workspace, Problem::Forbidden { permission }).await
    }

    /// Refuses because a caller would give what they do not hold, on record.
    ///
    /// # Errors
    /// Always: 403 naming the permission.
    pub async fn refuse_grant(&self, permission: access::Permission) -> Refused {
        self.forbid(None, permission.to_string()).await
    }

    /// Commits a change of the tenant's data and answers, or replays the answer of the same request before it.
    ///
    /// # Errors
    /// The problem for whatever stood in the way.
    pub async fn commit<B: Serialize, R: Serialize>(
        &self,
        change: Change,
        workspace: Option<WorkspaceId>,
        key: &IdempotencyKey,
        body: &[u8],
        committed: Committed<'_, B, R>,
    ) -> Reply {
        let change = self.kept_as_the_plan_says(change);
        let owner = self.caller.known.actor().id;
        let workspace = workspace.map(|id| id.to_string()).unwrap_or_default();
        let idempotency = Idempotency { key, owner: &owner, workspace: &workspace, body };
        self.edge.commit(Some(self.tenant()), &self.request, change, Some(idempotency), committed).await
    }

    /// [`Context::commit`] without the answer, for a request that takes more than one change.
    async fn carry_out<B: Serialize>(
        &self,
        change: Change,
        workspace: Option<WorkspaceId>,
        key: &IdempotencyKey,
        body: &[u8],
        committed: &Committed<'_, B>,
    ) -> Result<(), CommitError> {
        let change = self.kept_as_the_plan_says(change);
        let owner = self.caller.known.actor().id;
        let workspace = workspace.map(|id| id.to_string()).unwrap_or_default();
        let idempotency = Idempotency { key, owner: &owner, workspace: &workspace, body };
        self.edge.carry_out(Some(self.tenant()), &self.request, change, Some(idempotency), committed).await
    }

    fn kept_as_the_plan_says(&self, change: Change) -> Change {
        match &self.organization {
            Some(organization) => change.kept_for_days(organization.limits.retention_days),
            None => change,
        }
    }

    /// Commits a change that is answered with 204 and needs no remembered answer, such as a deletion.
    ///
    /// # Errors
    /// The problem for whatever stood in the way.
    pub async fn commit_silently(&self, change: Change) -> Reply {
        self.tenant().commit(self.kept_as_the_plan_says(change), None).await?;
        Ok(crate::no_content())
    }
}

/// A record of success without a resource.
fn record(edge: &Edge, request: &RequestInfo, known: &Known, action: &'static str) -> AuditRecord {
    AuditRecord {
        id: edge.ids().next(),
        action,
        actor: known.actor(),
        resource_type: "organization".to_owned(),
        resource_id: None,
        organization_id: known.organization,
        workspace_id: None,
        ip_address: request.ip.to_string(),
        user_agent: request.user_agent.clone(),
        request_id: request.id.clone(),
        timestamp: request.now,
        success: true,
        error_code: None,
        changes: Vec::new(),
        pii_accessed: false,
        sensitive: false,
        compliance_relevant: false,
    }
}

fn refusal(
    edge: &Edge,
    request: &RequestInfo,
    known: &Known,
    workspace: Option<WorkspaceId>,
    problem: &Problem,
) -> AuditRecord {
    AuditRecord {
        resource_type: "route".to_owned(),
        resource_id: Some(request.shown_target.chars().take(256).collect()),
        workspace_id: workspace,
        success: false,
        error_code: Some(problem.code().as_str().to_owned()),
        sensitive: true,
        compliance_relevant: true,
        ..record(edge, request, known, "access.refuse")
    }
}

/// Whether a permission reaches what is the same in test and in live mode, and is nothing to try things out on: changing the
/// organization itself, which there is only one of, and whatever is held about a person, who is a live one.
pub(crate) fn reaches_what_has_no_mode(permission: Permission) -> bool {
    match permission.resource() {
        // Reading it is having all of it: test and live leads, what members did and from where.
        Resource::Privacy => true,
        Resource::Organization
        | Resource::Domains
        | Resource::Sso
        | Resource::Workspaces
        | Resource::Users => permission.action() != Action::Read,
        Resource::ApiKeys
        | Resource::Webhooks
        | Resource::Campaigns
        | Resource::Leads
        | Resource::Meetings
        | Resource::Analytics
        | Resource::AuditLogs => false,
    }
}

/// A [`Context`] in which `held` includes the permission `P`.
async fn permitted<P: Permit>(
    parts: &mut Parts,
    edge: &Edge,
    leniency: Leniency,
    held: fn(&Known) -> Grants,
) -> Result<Context, Refused> {
    let context = Context::of(parts, edge, leniency).await?;
    if context.caller.known.mode() == Mode::Test && reaches_what_has_no_mode(P::PERMISSION) {
        return Err(context.refuse(None, Problem::TestKey).await);
    }
    if held(&context.caller.known).holds(P::PERMISSION) {
        return Ok(context);
    }
    Err(context.forbid(None, P::PERMISSION.to_string()).await)
}

impl<P: Permit> FromRequestParts<Edge> for Authorized<P> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Refused> {
        let context = permitted::<P>(parts, edge, Leniency::None, Known::grants_somewhere).await?;
        Ok(Self { context, permission: PhantomData })
    }
}

impl<P: Permit> FromRequestParts<Edge> for Everywhere<P> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Refused> {
        let context = permitted::<P>(parts, edge, Leniency::None, Known::grants).await?;
        Ok(Self { context, permission: PhantomData })
    }
}

impl<P: Permit> FromRequestParts<Edge> for EverywhereOrSelf<P> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Refused> {
        let context = Context::of(parts, edge, Leniency::None).await?;
        let user = PathId::<kind::User>::from_request_parts(parts, edge).await;
        let oneself = match (&context.caller.known.kind, &user) {
            (CallerKind::Person { id, .. }, Ok(PathId(user))) => id == user,
            _ => false,
        };
        if !oneself && !context.caller.known.grants().holds(P::PERMISSION) {
            return Err(context.forbid(None, P::PERMISSION.to_string()).await);
        }
        let PathId(user) = user?;
        Ok(Self { context, user, permission: PhantomData })
    }
}

impl<P> EverywhereOrSelf<P> {
    /// Whether it is the caller whom the path names.
    #[must_use]
    pub fn is_self(&self) -> bool {
        matches!(&self.context.caller.known.kind, CallerKind::Person { id, .. } if *id == self.user)
    }
}

impl<P: Permit> FromRequestParts<Edge> for Reinstating<P> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Refused> {
        let context = permitted::<P>(parts, edge, Leniency::Deleted, Known::grants).await?;
        Ok(Self { context, permission: PhantomData })
    }
}

impl<P: Permit> FromRequestParts<Edge> for InWorkspace<P> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Refused> {
        let mut context = Context::of(parts, edge, Leniency::None).await?;
        let workspace = chosen_workspace(parts, &mut context).await?;
        let known = &context.caller.known;
        let grants = known.grants_in(workspace.id).ok_or(Problem::NotFound { what: "workspace" })?;
        if !grants.holds(P::PERMISSION) {
            return Err(context.forbid(Some(workspace.id), P::PERMISSION.to_string()).await);
        }
        if workspace.status == WorkspaceStatus::Archived {
            return Err(Refused(Problem::WorkspaceArchived));
        }
        if context.organization.as_ref().is_none_or(|it| it.status == OrganizationStatus::Deleted) {
            return Err(Refused(Problem::OrganizationDeleted));
        }
        let workspace = context.tenant().workspace(workspace.id, known.mode());
        Ok(Self { context, workspace, permission: PhantomData })
    }
}

/// The workspace a request acts in: the key's own, else the one the `X-Workspace-Id` header names, else the only
/// one there is.
async fn chosen_workspace(parts: &Parts, context: &mut Context) -> Result<Workspace, Refused> {
    let missing = || Refused(Problem::NotFound { what: "workspace" });
    let named = match parts.headers.get("x-workspace-id") {
        None => None,
        Some(value) => Some(value.to_str().ok().and_then(|id| id.parse().ok()).ok_or_else(missing)?),
    };
    let own = context.caller.known.bound_workspace();
    if let (Some(own), Some(named)) = (own, named)
        && own != named
    {
        return Err(missing());
    }
    let named = own.or(named);
    let overview = context.overview(named).await?;
    let known = &context.caller.known;
    let mut open = overview.workspaces.iter().filter(|it| known.grants_in(it.id).is_some());
    match named {
        Some(named) => open.find(|it| it.id == named).cloned().ok_or_else(missing),
        None => match (open.next(), open.next()) {
            (Some(only), None) => Ok(only.clone()),
            _ => Err(Refused(Problem::WorkspaceRequired)),
        },
    }
}

impl<P> InWorkspace<P> {
    /// [`Context::record`] for something in this workspace.
    #[must_use]
    pub fn record(&self, action: &'static str, resource_type: &str, resource_id: &str) -> AuditRecord {
        let mut record = self.context.record(action, resource_type, resource_id);
        record.workspace_id = Some(self.workspace.scope().workspace);
        record
    }

    /// [`Context::commit`] for a change in this workspace.
    ///
    /// # Errors
    /// The problem for whatever stood in the way.
    pub async fn commit<B: Serialize>(
        &self,
        change: Change,
        key: &IdempotencyKey,
        body: &[u8],
        committed: Committed<'_, B>,
    ) -> Reply {
        self.context.commit(change, Some(self.workspace.scope().workspace), key, body, committed).await
    }

    /// Commits the first change of a request that takes more than one, remembering the answer to the whole request.
    ///
    /// # Errors
    /// [`CommitError`]. One of them is that the request was answered before; what is left of it is then to be done for that
    /// answer, which [`replay`](crate::replay) sends.
    pub async fn carry_out<B: Serialize>(
        &self,
        change: Change,
        key: &IdempotencyKey,
        body: &[u8],
        committed: &Committed<'_, B>,
    ) -> Result<(), CommitError> {
        self.context.carry_out(change, Some(self.workspace.scope().workspace), key, body, committed).await
    }

    /// Commits a further change of such a request: one that can't happen twice, as it creates something with an id of the
    /// remembered answer.
    ///
    /// # Errors
    /// [`CommitError`].
    pub async fn carry_on(&self, change: Change) -> Result<(), CommitError> {
        self.context.tenant().commit(self.context.kept_as_the_plan_says(change), None).await
    }

    /// What a cursor of a list in this workspace is bound to.
    #[must_use]
    pub fn confines(&self) -> String {
        let scope = self.workspace.scope();
        format!("{}/{}/{:?}", scope.organization, scope.workspace, scope.mode)
    }
}

impl<P: Permit> Authorized<P> {
    /// Whether something that belongs to `workspace` (to none in particular when `None`) and `mode` is in the caller's
    /// reach. What is not is answered as if it did not exist.
    #[must_use]
    pub fn reaches(&self, workspace: Option<WorkspaceId>, mode: Mode) -> bool {
        self.context.caller.known.reaches(P::PERMISSION, workspace, mode)
    }

    /// Whether the caller reaches everything of the organization, not only what belongs to certain workspaces.
    #[must_use]
    pub fn reaches_everywhere(&self) -> bool {
        self.context.caller.known.grants().holds(P::PERMISSION)
    }

    /// What a cursor of a list of the organization is bound to: the tenant, and the caller's view of it.
    #[must_use]
    pub fn confines(&self) -> String {
        let known = &self.context.caller.known;
        let view = match &known.kind {
            CallerKind::Key { workspace, .. } => workspace.map(|id| id.to_string()).unwrap_or_default(),
            CallerKind::Person { .. } if self.reaches_everywhere() => String::new(),
            CallerKind::Person { id, .. } => id.to_string(),
        };
        format!("{}/{view}/{:?}", known.organization, known.mode())
    }
}

impl<P> Everywhere<P> {
    /// What a cursor of a list of the organization is bound to.
    #[must_use]
    pub fn confines(&self) -> String {
        let known = &self.context.caller.known;
        format!("{}//{:?}", known.organization, known.mode())
    }
}

impl FromRequestParts<Edge> for Context {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Refused> {
        Self::of(parts, edge, Leniency::None).await
    }
}

impl Person {
    async fn of(parts: &mut Parts, edge: &Edge, leniency: Leniency) -> Result<Self, Refused> {
        let context = Context::of(parts, edge, leniency).await?;
        match &context.caller.known.kind {
            CallerKind::Person { id, session, .. } => Ok(Self { id: *id, session: *session, context }),
            CallerKind::Key { .. } => Err(context.forbid(None, SIGNED_IN.to_owned()).await),
        }
    }

    /// The session, and the person's standing as it is at this moment.
    ///
    /// # Errors
    /// A 500, not expected to happen: every session has them.
    pub fn standing(&self) -> Result<&PersonalStanding, Refused> {
        self.context.caller.person.as_deref().ok_or(Refused(Problem::Internal))
    }
}

/// What a key lacks where a person is asked for.
pub(crate) const SIGNED_IN: &str = "signed-in";

impl FromRequestParts<Edge> for Person {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Refused> {
        Self::of(parts, edge, Leniency::None).await
    }
}

impl FromRequestParts<Edge> for Unproven {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Refused> {
        Person::of(parts, edge, Leniency::Unproven).await.map(Self)
    }
}
