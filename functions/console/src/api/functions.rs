//! Which function answers a path.

use runtime::{Environment, StartError};

/// The first segments of a path, and the variable that names the function behind it. The first that fits counts; none is within another.
const ROUTES: &[(&str, &str)] = &[
    ("/api/auth", "AUTH_FUNCTION"),
    ("/api/admin/organization", "ORGANIZATIONS_FUNCTION"),
    ("/api/admin/domains", "ORGANIZATIONS_FUNCTION"),
    ("/api/admin/sso", "ORGANIZATIONS_FUNCTION"),
    ("/api/admin/workspaces", "WORKSPACES_FUNCTION"),
    ("/api/admin/users", "USERS_FUNCTION"),
    ("/api/admin/invitations", "USERS_FUNCTION"),
    ("/api/admin/roles", "USERS_FUNCTION"),
    ("/api/admin/api-keys", "API_KEYS_FUNCTION"),
    ("/v1/whoami", "API_KEYS_FUNCTION"),
    ("/api/admin/webhooks", "WEBHOOKS_FUNCTION"),
    ("/api/admin/events", "WEBHOOKS_FUNCTION"),
    ("/api/admin/audit-logs", "AUDIT_LOGS_FUNCTION"),
    ("/api/admin/privacy", "AUDIT_LOGS_FUNCTION"),
    ("/v1/campaigns", "CAMPAIGNS_FUNCTION"),
    ("/v1/leads", "LEADS_FUNCTION"),
    ("/v1/email-events", "LEADS_FUNCTION"),
    ("/v1/analytics", "LEADS_FUNCTION"),
    ("/v1/meetings", "MEETINGS_FUNCTION"),
];

/// The names, or ARNs, of the API's functions.
pub(super) struct Functions(Vec<(&'static str, String)>);

impl Functions {
    pub(super) fn of(environment: &Environment) -> Result<Self, StartError> {
        let named = ROUTES.iter().map(|(prefix, variable)| Ok((*prefix, environment.required(variable)?)));
        named.collect::<Result<_, _>>().map(Self)
    }

    /// The function that answers `path`, without its query.
    pub(super) fn behind(&self, path: &str) -> Option<&str> {
        let is_under = |prefix: &str| {
            path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.0.iter().find(|(prefix, _)| is_under(prefix)).map(|(_, function)| function.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_the_function_whose_segments_it_begins_with() {
        let variables = ROUTES.iter().map(|(_, variable)| ((*variable).to_owned(), variable.to_lowercase()));
        let functions = Functions::of(&Environment::from_iter(variables)).unwrap();
        for (path, function) in [
            ("/api/auth/me", Some("auth_function")),
            ("/api/admin/api-keys", Some("api_keys_function")),
            ("/v1/leads/lead_1/replies", Some("leads_function")),
            ("/v1/leadsome", None),
            ("/", None),
        ] {
            assert_eq!(functions.behind(path), function, "{path}");
        }
    }
}
