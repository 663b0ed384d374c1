//! Authority: a handler that takes [`Authorized<P>`] can't be reached without the permission `P`.

use std::marker::PhantomData;

use access::permission::Permit;
use access::{Caller, CallerKind, Known, Turned};
use axum::extract::FromRequestParts;
use http::header;
use http::request::Parts;
use ids::{SessionId, UserId, WorkspaceId};
use problem::Problem;
use serde::Serialize;
use store::{AuditRecord, Change, Tenant, WorkspaceStore};

use crate::idempotency::{Idempotency, IdempotencyKey};
use crate::{Committed, Edge, Refused, Reply, RequestInfo};

/// An authenticated request: who asks, for which tenant, from where.
#[derive(Debug, Clone)]
pub struct Context {
    edge: Edge,
    /// The caller.
    pub caller: Caller,
    /// The request.
    pub request: RequestInfo,
}

/// A caller who holds the permission `P` on the organization as a whole.
#[derive(Debug, Clone)]
pub struct Authorized<P> {
    /// The authenticated request.
    pub context: Context,
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

/// A signed-in person, whatever they may do.
#[derive(Debug, Clone)]
pub struct Person {
    /// The authenticated request.
    pub context: Context,
    /// The person.
    pub id: UserId,
    /// The session.
    pub session: SessionId,
}

impl Context {
    /// Admits the caller, and records it when somebody we know is turned away.
    async fn of(parts: &mut Parts, edge: &Edge) -> Result<Self, Refused> {
        let request = RequestInfo::from_request_parts(parts, edge).await?;
        let mut credentials = parts.headers.get_all(header::AUTHORIZATION).iter();
        let authorization = credentials.next().and_then(|value| value.to_str().ok());
        if credentials.next().is_some() {
            let detail = "There is more than one Authorization header.".to_owned();
            return Err(Refused(Problem::MalformedRequest { detail }));
        }
        let gate = &edge.0.gate;
        let (known, problem) = match gate.admit(authorization, request.ip, request.now).await {
            Ok(caller) => {
                // Set once per request: nothing else knows the quota.
                let _ = request.quota.set(caller.quota);
                return Ok(Self { edge: edge.clone(), caller, request });
            }
            Err(Turned::Unauthenticated) => return Err(Refused(Problem::Unauthenticated)),
            Err(Turned::TokenExpired) => return Err(Refused(Problem::SessionExpired)),
            Err(Turned::Store(error)) => return Err(error.into()),
            Err(Turned::Limited(_, quota)) => {
                let _ = request.quota.set(quota);
                return Err(Refused(Problem::RateLimited { retry_after: quota.reset_after }));
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
            Err(Turned::IpNotAllowed(known)) => (known, Problem::IpNotAllowed),
        };
        let record = refusal(edge, &request, &known, None, &problem);
        gate.tenant_of(&known).record(&record).await?;
        Err(Refused(problem))
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

    /// Refuses for want of a permission, on record.
    async fn forbid(&self, workspace: Option<WorkspaceId>, permission: String) -> Refused {
        let problem = Problem::Forbidden { permission };
        let record = refusal(&self.edge, &self.request, &self.caller.known, workspace, &problem);
        match self.tenant().record(&record).await {
            Ok(()) => Refused(problem),
            Err(error) => error.into(),
        }
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
        let owner = self.caller.known.actor().id;
        let workspace = workspace.map(|id| id.to_string()).unwrap_or_default();
        let idempotency = Idempotency { key, owner: &owner, workspace: &workspace, body };
        self.edge.commit(Some(self.tenant()), &self.request, change, Some(idempotency), committed).await
    }

    /// Commits a change that is answered with 204 and needs no remembered answer, such as a deletion.
    ///
    /// # Errors
    /// The problem for whatever stood in the way.
    pub async fn commit_silently(&self, change: Change) -> Reply {
        self.tenant().commit(change, None).await.map_err(|error| match crate::reply::of_commit(error) {
            Err(refused) => refused,
            // Nothing is replayed that wasn't asked to be remembered.
            Ok(_) => Refused(Problem::Internal),
        })?;
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
        resource_id: Some(request.target.chars().take(256).collect()),
        workspace_id: workspace,
        success: false,
        error_code: Some(problem.code().as_str().to_owned()),
        sensitive: true,
        compliance_relevant: true,
        ..record(edge, request, known, "access.refuse")
    }
}

impl<P: Permit> FromRequestParts<Edge> for Authorized<P> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Refused> {
        let context = Context::of(parts, edge).await?;
        if context.caller.known.grants().holds(P::PERMISSION) {
            return Ok(Self { context, permission: PhantomData });
        }
        Err(context.forbid(None, P::PERMISSION.to_string()).await)
    }
}

impl<P: Permit> FromRequestParts<Edge> for InWorkspace<P> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Refused> {
        let context = Context::of(parts, edge).await?;
        let workspace = chosen_workspace(parts, &context).await?;
        let known = &context.caller.known;
        let grants = known.grants_in(workspace).ok_or(Problem::NotFound { what: "workspace" })?;
        if !grants.holds(P::PERMISSION) {
            return Err(context.forbid(Some(workspace), P::PERMISSION.to_string()).await);
        }
        let workspace = context.tenant().workspace(workspace, known.mode());
        Ok(Self { context, workspace, permission: PhantomData })
    }
}

/// The workspace a request acts in: the key's own, else the one the `X-Workspace-Id` header names, else the only
/// one there is.
async fn chosen_workspace(parts: &Parts, context: &Context) -> Result<WorkspaceId, Refused> {
    let missing = || Refused(Problem::NotFound { what: "workspace" });
    let named = match parts.headers.get("x-workspace-id") {
        None => None,
        Some(value) => Some(value.to_str().ok().and_then(|id| id.parse().ok()).ok_or_else(missing)?),
    };
    if let Some(own) = context.caller.known.bound_workspace() {
        return if named.is_none_or(|named| named == own) { Ok(own) } else { Err(missing()) };
    }
    let all = context.edge.0.workspaces.of(context.tenant(), named, context.request.now).await?;
    match named {
        Some(named) => all.contains(&named).then_some(named).ok_or_else(missing),
        None => {
            let mut open = all.into_iter().filter(|id| context.caller.known.grants_in(*id).is_some());
            match (open.next(), open.next()) {
                (Some(only), None) => Ok(only),
                _ => Err(Refused(Problem::WorkspaceRequired)),
            }
        }
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

    /// What a cursor of a list in this workspace is bound to.
    #[must_use]
    pub fn confines(&self) -> String {
        let scope = self.workspace.scope();
        format!("{}/{}/{:?}", scope.organization, scope.workspace, scope.mode)
    }
}

impl<P> Authorized<P> {
    /// What a cursor of a list of the organization is bound to.
    #[must_use]
    pub fn confines(&self) -> String {
        let known = &self.context.caller.known;
        let workspace = known.bound_workspace().map(|id| id.to_string()).unwrap_or_default();
        format!("{}/{workspace}/{:?}", known.organization, known.mode())
    }
}

impl FromRequestParts<Edge> for Context {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Refused> {
        Self::of(parts, edge).await
    }
}

impl FromRequestParts<Edge> for Person {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Refused> {
        let context = Context::of(parts, edge).await?;
        match &context.caller.known.kind {
            CallerKind::Person { id, session, .. } => Ok(Self { id: *id, session: *session, context }),
            CallerKind::Key { .. } => Err(context.forbid(None, "a signed-in person".to_owned()).await),
        }
    }
}
