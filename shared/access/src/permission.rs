//! Permissions: the same names for people and keys, and the matrix that says which role holds which.

use std::fmt;

use serde::Serialize;
use store::Role;

/// What a permission is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is the plural name of the resource it protects")]
pub enum Resource {
    Organization,
    Domains,
    Sso,
    Workspaces,
    Users,
    ApiKeys,
    Webhooks,
    Campaigns,
    Leads,
    Meetings,
    Analytics,
    AuditLogs,
    Privacy,
}

/// What a permission allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Action {
    Read,
    Write,
    Delete,
    Export,
}

impl Resource {
    /// Every resource.
    pub const ALL: &'static [Self] = &[
        Self::Organization,
        Self::Domains,
        Self::Sso,
        Self::Workspaces,
        Self::Users,
        Self::ApiKeys,
        Self::Webhooks,
        Self::Campaigns,
        Self::Leads,
        Self::Meetings,
        Self::Analytics,
        Self::AuditLogs,
        Self::Privacy,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::Domains => "domains",
            Self::Sso => "sso",
            Self::Workspaces => "workspaces",
            Self::Users => "users",
            Self::ApiKeys => "api_keys",
            Self::Webhooks => "webhooks",
            Self::Campaigns => "campaigns",
            Self::Leads => "leads",
            Self::Meetings => "meetings",
            Self::Analytics => "analytics",
            Self::AuditLogs => "audit_logs",
            Self::Privacy => "privacy",
        }
    }

    /// What can be done with it at all.
    fn actions(self) -> &'static [Action] {
        match self {
            Self::Analytics => &[Action::Read],
            Self::AuditLogs => &[Action::Read, Action::Export],
            Self::Privacy => &[Action::Read, Action::Write],
            _ => &[Action::Read, Action::Write, Action::Delete],
        }
    }
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Delete => "delete",
            Self::Export => "export",
        }
    }
}

/// One permission, written `campaigns:read`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permission(Resource, Action);

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Permission {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        let text = utoipa::openapi::ObjectBuilder::new().schema_type(utoipa::openapi::Type::String);
        text.enum_values(Some(Self::all().map(|permission| permission.to_string()))).into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Permission {
    fn name() -> std::borrow::Cow<'static, str> {
        "Permission".into()
    }
}

impl Permission {
    /// The permission to do `action` with `resource`.
    #[must_use]
    pub const fn new(resource: Resource, action: Action) -> Self {
        Self(resource, action)
    }

    /// What it is about.
    #[must_use]
    pub const fn resource(self) -> Resource {
        self.0
    }

    /// What it allows.
    #[must_use]
    pub const fn action(self) -> Action {
        self.1
    }

    /// Every permission there is.
    pub fn all() -> impl Iterator<Item = Self> {
        Resource::ALL
            .iter()
            .flat_map(|resource| resource.actions().iter().map(move |action| Self(*resource, *action)))
    }

    /// Reads a permission's name; `None` when there is none of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::all()
            .find(|permission| name.split_once(':') == Some((permission.0.name(), permission.1.name())))
    }

    /// Part of the data format: credentials hold permissions as bits. New resources and actions go to the end.
    const fn bit(self) -> u64 {
        1 << (self.0 as u64 * 4 + self.1 as u64)
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0.name(), self.1.name())
    }
}

/// A set of permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Grants(u64);

impl Grants {
    /// The permissions of a role, the same for people and keys.
    #[must_use]
    pub fn of_role(role: Role) -> Self {
        Permission::all().filter(|permission| holds(role, *permission)).collect()
    }

    /// The permissions named; names that mean nothing (any more) grant nothing.
    pub fn of_scopes<'a>(scopes: impl IntoIterator<Item = &'a str>) -> Self {
        scopes.into_iter().filter_map(Permission::parse).collect()
    }

    /// A bit for each permission, as credentials hold them.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The permissions that `bits` stand for; a bit that means nothing (any more) grants nothing.
    #[must_use]
    pub fn of_bits(bits: u64) -> Self {
        Self(bits).iter().collect()
    }

    /// Whether it holds `permission`.
    #[must_use]
    pub const fn holds(self, permission: Permission) -> bool {
        self.0 & permission.bit() != 0
    }

    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether it holds every permission that `other` does.
    #[must_use]
    pub const fn includes(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Its permissions, in order.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::all().filter(move |permission| self.holds(*permission))
    }
}

impl FromIterator<Permission> for Grants {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Self(permissions.into_iter().fold(0, |bits, permission| bits | permission.bit()))
    }
}

/// The matrix. Every cell is decided here and nowhere else.
fn holds(role: Role, Permission(resource, action): Permission) -> bool {
    use Resource as R;
    match (role, resource) {
        (Role::Admin, _) => true,
        // Everything that is held about a person, in one place: nobody's but an admin's.
        (Role::Manager | Role::Member | Role::ReadOnly, R::Privacy) => false,
        (Role::ReadOnly, _) => action == Action::Read,
        (Role::Manager, R::Campaigns | R::Leads | R::Meetings) => true,
        (Role::Manager, R::AuditLogs) => false,
        (
            Role::Manager,
            R::Organization
            | R::Domains
            | R::Sso
            | R::Workspaces
            | R::Users
            | R::ApiKeys
            | R::Webhooks
            | R::Analytics,
        ) => action == Action::Read,
        (Role::Member, R::Campaigns | R::Leads | R::Meetings) => {
            matches!(action, Action::Read | Action::Write)
        }
        (
            Role::Member,
            R::Organization
            | R::Domains
            | R::Sso
            | R::Workspaces
            | R::Users
            | R::ApiKeys
            | R::Webhooks
            | R::Analytics
            | R::AuditLogs,
        ) => false,
    }
}

/// Every role, from the one that may most to the one that may least.
pub const ROLES: [Role; 4] = [Role::Admin, Role::Manager, Role::Member, Role::ReadOnly];

/// What a role can be held on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// The organization as a whole, with all its workspaces.
    Organization,
    /// One workspace.
    Workspace,
}

/// What a role can be held on.
#[must_use]
pub fn held_on(role: Role) -> &'static [Level] {
    match role {
        Role::Admin => &[Level::Organization],
        Role::Manager | Role::Member => &[Level::Workspace],
        Role::ReadOnly => &[Level::Organization, Level::Workspace],
    }
}

/// A permission as a type, so that a route's signature says what it needs.
pub trait Permit: Send + Sync + 'static {
    /// The permission.
    const PERMISSION: Permission;
}

macro_rules! permits {
    ($($name:ident = $resource:ident $action:ident;)*) => {$(
        #[doc = concat!("Needs [`Resource::", stringify!($resource), "`] [`Action::", stringify!($action), "`].")]
        #[derive(Debug, Clone, Copy)]
        pub enum $name {}
        impl Permit for $name {
            const PERMISSION: Permission = Permission::new(Resource::$resource, Action::$action);
        }
    )*};
}

permits! {
    OrganizationRead = Organization Read;
    OrganizationWrite = Organization Write;
    OrganizationDelete = Organization Delete;
    DomainsRead = Domains Read;
    DomainsWrite = Domains Write;
    DomainsDelete = Domains Delete;
    SsoRead = Sso Read;
    SsoWrite = Sso Write;
    SsoDelete = Sso Delete;
    WorkspacesRead = Workspaces Read;
    WorkspacesWrite = Workspaces Write;
    WorkspacesDelete = Workspaces Delete;
    UsersRead = Users Read;
    UsersWrite = Users Write;
    UsersDelete = Users Delete;
    ApiKeysRead = ApiKeys Read;
    ApiKeysWrite = ApiKeys Write;
    ApiKeysDelete = ApiKeys Delete;
    WebhooksRead = Webhooks Read;
    WebhooksWrite = Webhooks Write;
    WebhooksDelete = Webhooks Delete;
    CampaignsRead = Campaigns Read;
    CampaignsWrite = Campaigns Write;
    CampaignsDelete = Campaigns Delete;
    LeadsRead = Leads Read;
    LeadsWrite = Leads Write;
    LeadsDelete = Leads Delete;
    MeetingsRead = Meetings Read;
    MeetingsWrite = Meetings Write;
    AuditLogsRead = AuditLogs Read;
    AuditLogsExport = AuditLogs Export;
    PrivacyRead = Privacy Read;
    PrivacyWrite = Privacy Write;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written down a second time, row by row.
    #[test]
    fn the_matrix_is_what_is_written_here() {
        let row = |role, resource: Resource| {
            let grants = Grants::of_role(role);
            resource
                .actions()
                .iter()
                .filter(|action| grants.holds(Permission::new(resource, **action)))
                .map(|action| &action.name()[..1])
                .collect::<String>()
        };
        let columns = [
            Resource::ApiKeys,
            Resource::Webhooks,
            Resource::Leads,
            Resource::Analytics,
            Resource::AuditLogs,
            Resource::Privacy,
        ];
        let table = [
            (Role::Admin, ["rwd", "rwd", "rwd", "r", "re", "rw"]),
            (Role::Manager, ["r", "r", "rwd", "r", "", ""]),
            (Role::Member, ["", "", "rw", "", "", ""]),
            (Role::ReadOnly, ["r", "r", "r", "r", "r", ""]),
        ];
        for (role, expected) in table {
            assert_eq!(columns.map(|column| row(role, column)), expected, "{role:?}");
        }
        for resource in
            [Resource::Organization, Resource::Domains, Resource::Sso, Resource::Workspaces, Resource::Users]
        {
            for role in [Role::Admin, Role::Manager, Role::Member, Role::ReadOnly] {
                assert_eq!(row(role, resource), row(role, Resource::ApiKeys), "{role:?} {resource:?}");
            }
        }
    }

    #[test]
    fn each_level_has_its_roles() {
        let on = |level| ROLES.iter().filter(|role| held_on(**role).contains(&level)).copied().collect();
        let (organization, workspace): (Vec<Role>, Vec<Role>) =
            (on(Level::Organization), on(Level::Workspace));
        assert_eq!(organization, [Role::Admin, Role::ReadOnly]);
        assert_eq!(workspace, [Role::Manager, Role::Member, Role::ReadOnly]);
    }

    #[test]
    fn every_permission_reads_back_and_has_its_own_bit() {
        let all: Vec<_> = Permission::all().collect();
        let grants: Grants = all.iter().copied().collect();
        assert_eq!(grants.0.count_ones() as usize, all.len());
        for permission in &all {
            assert_eq!(Permission::parse(&permission.to_string()), Some(*permission));
        }
        for junk in ["", "campaigns", "campaigns:fly", "campaigns:read ", "analytics:write", ":"] {
            assert_eq!(Permission::parse(junk), None, "{junk}");
        }
    }
}
