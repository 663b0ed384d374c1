//! Who is signed in, and what they may do.

use clock::Timestamp;
use serde::Deserialize;

use super::{Caller, Failure};

/// The signed-in person, as `GET /api/auth/me` tells of them.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Me {
    pub(crate) user: Person,
    pub(crate) organization: Organization,
    pub(crate) workspaces: Vec<Workspace>,
    #[serde(default)]
    pub(crate) organizations: Vec<Named>,
    #[serde(default)]
    pub(crate) joinable: Vec<Named>,
    pub(crate) session: Proved,
    pub(crate) email_verified: bool,
    pub(crate) mfa_enabled: bool,
    /// The role on the organization as a whole, if there is one.
    #[serde(default)]
    pub(crate) role: Option<String>,
    /// What may be done in the organization as a whole.
    #[serde(default)]
    permissions: Vec<String>,
}

/// A person.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) name: String,
}

/// The organization that the session acts in.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Organization {
    pub(crate) id: String,
    pub(crate) name: String,
}

/// An organization, by name.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Named {
    pub(crate) id: String,
    pub(crate) name: String,
}

/// A workspace that may be entered.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Workspace {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) role: String,
    #[serde(default)]
    permissions: Vec<String>,
}

/// What the session has proved.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Proved {
    pub(crate) amr: Vec<String>,
    pub(crate) authenticated_at: Timestamp,
}

impl Me {
    /// Who is signed in.
    pub(crate) async fn of(api: &Caller) -> Result<Self, Failure> {
        api.get("/api/auth/me").await
    }

    /// Whether something may be done in the organization, by the permission's name.
    pub(crate) fn may(&self, permission: &str) -> bool {
        self.permissions.iter().any(|held| held == permission)
    }

    /// Whether something may be done in any workspace at all.
    pub(crate) fn may_somewhere(&self, permission: &str) -> bool {
        self.may(permission) || self.workspaces.iter().any(|workspace| workspace.may(permission))
    }

    /// Whether something may be done in a workspace; in the organization as a whole, if none is named.
    pub(crate) fn may_in(&self, workspace: Option<&str>, permission: &str) -> bool {
        let in_it = workspace.and_then(|id| self.workspace(id));
        self.may(permission) || in_it.is_some_and(|workspace| workspace.may(permission))
    }

    /// The workspace with this id.
    pub(crate) fn workspace(&self, id: &str) -> Option<&Workspace> {
        self.workspaces.iter().find(|workspace| workspace.id == id)
    }

    /// The name of a workspace; its id when it is none that may be entered.
    pub(crate) fn workspace_name<'a>(&'a self, id: &'a str) -> &'a str {
        self.workspace(id).map_or(id, |workspace| workspace.name.as_str())
    }

    /// The roles that are held, each once.
    pub(crate) fn roles(&self) -> Vec<&str> {
        let mut roles: Vec<&str> = self.role.as_deref().into_iter().collect();
        for workspace in &self.workspaces {
            if !roles.contains(&workspace.role.as_str()) {
                roles.push(&workspace.role);
            }
        }
        roles
    }
}

impl Workspace {
    /// Whether something may be done in it.
    pub(crate) fn may(&self, permission: &str) -> bool {
        self.permissions.iter().any(|held| held == permission)
    }
}

/// Permissions by what they are about, in their order.
pub(crate) fn by_resource(permissions: &[String]) -> Vec<(&str, Vec<&str>)> {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for permission in permissions {
        let resource = permission.split(':').next().unwrap_or_default();
        match groups.iter_mut().find(|(name, _)| *name == resource) {
            Some((_, permissions)) => permissions.push(permission),
            None => groups.push((resource, vec![permission])),
        }
    }
    groups
}
