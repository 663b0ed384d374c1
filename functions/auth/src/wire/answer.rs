//! Answers that several routes give.

use access::session::{ACCESS_TOKEN_LIFE, Bearer, RefreshToken};
use edge::{Edge, Refused, RequestInfo};
use ids::{OrganizationId, UserId, WorkspaceId};
use serde::Serialize;
use store::{Member, Organization, Plan, Role, SessionCredential, Workspace};
use utoipa::ToSchema;

use crate::app;

/// Tokens.
#[derive(Serialize, ToSchema)]
pub(crate) struct Tokens {
    /// Send it as `Authorization: Bearer`.
    access_token: String,
    /// Good for one refresh.
    refresh_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds until the access token expires.
    expires_in: u64,
}

impl Tokens {
    /// The tokens of a session.
    pub(crate) fn of(
        edge: &Edge,
        session: &SessionCredential,
        refresh: &RefreshToken,
        request: &RequestInfo,
    ) -> Result<Self, Refused> {
        let bearer = Bearer {
            session: session.session_id,
            organization: session.organization_id,
            user: session.user_id,
        };
        Ok(Self {
            access_token: edge.tokens().access_token(bearer, request.now)?,
            refresh_token: refresh.reveal().to_owned(),
            token_type: "Bearer",
            expires_in: ACCESS_TOKEN_LIFE.as_secs(),
        })
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct UserBody {
    pub(crate) id: UserId,
    pub(crate) email: String,
    pub(crate) name: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct OrganizationBody {
    pub(crate) id: OrganizationId,
    pub(crate) name: String,
    plan: Plan,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct WorkspaceBody {
    pub(crate) id: WorkspaceId,
    name: String,
    role: Role,
}

/// Who somebody is, and where.
#[derive(Serialize, ToSchema)]
pub(crate) struct Me {
    pub(crate) user: UserBody,
    pub(crate) organization: OrganizationBody,
    pub(crate) workspaces: Vec<WorkspaceBody>,
}

impl Me {
    pub(crate) fn of(member: &Member, organization: &Organization, workspaces: &[Workspace]) -> Self {
        let workspaces = app::session::entered(member, workspaces);
        Self {
            user: UserBody { id: member.user_id, email: member.email.clone(), name: member.name.clone() },
            organization: OrganizationBody {
                id: organization.id,
                name: organization.name.clone(),
                plan: organization.plan,
            },
            workspaces: workspaces
                .into_iter()
                .map(|(workspace, role)| WorkspaceBody {
                    id: workspace.id,
                    name: workspace.name.clone(),
                    role,
                })
                .collect(),
        }
    }
}

/// A session has begun.
#[derive(Serialize, ToSchema)]
pub(crate) struct SignedIn<'a> {
    #[serde(flatten)]
    pub(crate) tokens: Tokens,
    #[serde(flatten)]
    pub(crate) me: &'a Me,
}

/// The password was right; a second factor is asked for.
#[derive(Serialize, ToSchema)]
pub(crate) struct MfaRequired {
    /// Always true.
    pub(crate) mfa_required: bool,
    /// Send it with a code to `POST /api/auth/mfa/verify` within five minutes.
    pub(crate) mfa_token: String,
}

/// A session has begun, or a second factor is asked for.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes an answer in the document; each of the two is written by itself")]
pub(crate) enum SignInAnswer<'a> {
    SignedIn(SignedIn<'a>),
    MfaRequired(MfaRequired),
}
