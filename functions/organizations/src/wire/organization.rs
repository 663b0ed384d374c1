//! Profile, plan and settings on the wire.

use access::permission::{OrganizationRead, OrganizationWrite};
use clock::Timestamp;
use edge::{Authorized, Context, Everywhere, Hostname, IfMatch, Json, Network, Origin, Refused, Reply};
use ids::{OrganizationId, UserId};
use input::Patch;
use problem::Code;
use serde::{Deserialize, Serialize};
use store::{LeakedKeys, Organization, OrganizationStatus, Plan};
use utoipa::ToSchema;

use super::present;
use crate::app::organization::{self, Draft};
use crate::app::settings::{Author, Circumstances, SettingsDraft};

/// An organization.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Organization)]
pub(super) struct OrganizationBody {
    id: OrganizationId,
    name: String,
    plan: Plan,
    /// `active` or `deleted`.
    status: OrganizationStatus,
    /// When a deleted one is erased.
    erased_after: Option<Timestamp>,
    settings: SettingsBody,
    usage: UsageBody,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// What an organization asks of its people and allows.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrganizationSettings)]
struct SettingsBody {
    /// Sessions must have proved a second factor.
    require_mfa: bool,
    /// Sessions must have begun at the organization's identity provider.
    require_sso: bool,
    /// The one admin whom `require_sso`, `allowed_domains` and `admin_allowed_cidrs` do not bind.
    break_glass_user_id: Option<UserId>,
    /// The e-mail domains of its people; any when empty.
    allowed_domains: Vec<String>,
    /// How long a session lasts at most, from the sign-in on; 30 days when null.
    session_max_age_seconds: Option<u64>,
    /// The web origins that may call the API from a browser; none when empty.
    cors_origins: Vec<String>,
    /// The networks from which `/api/admin` may be called; any when empty.
    admin_allowed_cidrs: Vec<String>,
    /// What becomes of an API key that was found in public: `revoke` or `flag`.
    leaked_keys: LeakedKeys,
}

/// What is in use, beside what the plan allows.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrganizationUsage)]
struct UsageBody {
    /// Active members.
    seats: UseBody,
    workspaces: UseBody,
    /// API keys that are not revoked.
    api_keys: UseBody,
    /// Requests an hour: what the limits of the API keys come to together, and what they may come to.
    requests_per_hour: UseBody,
    /// Webhook endpoints.
    endpoints: UseBody,
    /// Days that events, deliveries and attempts are kept.
    retention_days: u64,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrganizationUse)]
struct UseBody {
    used: u64,
    limit: u64,
}

impl From<&Organization> for OrganizationBody {
    fn from(organization: &Organization) -> Self {
        let (usage, limits) = (organization.usage, organization.limits);
        let settings = organization.settings.clone();
        Self {
            id: organization.id,
            name: organization.name.clone(),
            plan: organization.plan,
            status: organization.status,
            erased_after: organization.erased_after,
            settings: SettingsBody {
                require_mfa: settings.require_mfa,
                require_sso: settings.require_sso,
                break_glass_user_id: settings.break_glass_user_id,
                allowed_domains: settings.allowed_domains,
                session_max_age_seconds: settings.session_max_age_seconds,
                cors_origins: settings.cors_origins,
                admin_allowed_cidrs: settings.admin_allowed_cidrs,
                leaked_keys: settings.leaked_keys,
            },
            usage: UsageBody {
                seats: UseBody { used: usage.seat_count, limit: limits.seat_limit },
                workspaces: UseBody { used: usage.workspace_count, limit: limits.workspace_limit },
                api_keys: UseBody { used: usage.api_key_count, limit: limits.api_key_limit },
                requests_per_hour: UseBody {
                    used: usage.requests_per_hour(&limits),
                    limit: limits.requests_per_hour_limit,
                },
                endpoints: UseBody { used: usage.endpoint_count, limit: limits.endpoint_limit },
                retention_days: limits.retention_days,
            },
            created_at: organization.created_at,
            updated_at: organization.updated_at,
        }
    }
}

/// What to change. A field that is left out stays as it is; null brings a setting back to its default.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"plan": "growth", "settings": {"session_max_age_seconds": 86400}}))]
pub(crate) struct ChangeOrganization {
    /// 1 to 100 characters.
    #[serde(default)]
    #[schema(value_type = String, min_length = 1, max_length = 100, pattern = r"\S")]
    name: Patch<String>,
    /// `starter`, `growth` or `business`; `enterprise` is by agreement. A smaller one must hold what is in use.
    #[serde(default)]
    #[schema(value_type = Plan)]
    plan: Patch<Plan>,
    #[serde(default)]
    #[schema(value_type = ChangeSettings)]
    settings: Patch<ChangeSettings>,
}

/// Settings to change.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangeSettings {
    /// Switched on in a session that has itself proved a second factor. Not switched by API keys.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    require_mfa: Patch<bool>,
    /// Needs an identity provider, and a session that began there or a break-glass admin. Not switched by API keys.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    require_sso: Patch<bool>,
    /// An active admin.
    #[serde(default)]
    #[schema(value_type = Option<UserId>)]
    break_glass_user_id: Patch<UserId>,
    /// Up to 50 domains that the organization has verified, the caller's own among them unless there is a break-glass
    /// admin.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Hostname>>, max_items = 50)]
    allowed_domains: Patch<Vec<String>>,
    /// 900 to 2,592,000.
    #[serde(default)]
    #[schema(value_type = Option<u64>, minimum = 900, maximum = 2592000)]
    session_max_age_seconds: Patch<u64>,
    /// Up to 20 origins, each just as a browser sends it: `https://app.example.com`.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Origin>>, max_items = 20)]
    cors_origins: Patch<Vec<String>>,
    /// Up to 50 networks, one of which holds the caller's present address.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Network>>, max_items = 50)]
    admin_allowed_cidrs: Patch<Vec<String>>,
    /// `revoke` or `flag`: whether an API key that was found in public is revoked at once, or works on and says so.
    #[serde(default)]
    #[schema(value_type = Option<LeakedKeys>)]
    leaked_keys: Patch<LeakedKeys>,
}

impl From<ChangeOrganization> for Draft {
    fn from(sent: ChangeOrganization) -> Self {
        Self { name: sent.name, plan: sent.plan, settings: sent.settings.map(SettingsDraft::from) }
    }
}

impl From<ChangeSettings> for SettingsDraft {
    fn from(sent: ChangeSettings) -> Self {
        Self {
            require_mfa: sent.require_mfa,
            require_sso: sent.require_sso,
            break_glass_user_id: sent.break_glass_user_id,
            allowed_domains: sent.allowed_domains,
            session_max_age_seconds: sent.session_max_age_seconds,
            cors_origins: sent.cors_origins,
            admin_allowed_cidrs: sent.admin_allowed_cidrs,
            leaked_keys: sent.leaked_keys,
        }
    }
}

/// Get the organization
///
/// Profile, plan and settings, and what is in use beside what the plan allows.
#[utoipa::path(
    get, path = "/api/admin/organization", operation_id = "get_organization", tag = "organization",
    responses((status = 200, description = "The organization", body = OrganizationBody)),
    extensions(("x-problem-codes" = json!([Code::NotFound])))
)]
pub(super) async fn get(caller: Authorized<OrganizationRead>) -> Reply {
    let organization = present(&caller.context).await?;
    edge::ok(&OrganizationBody::from(&organization), Some(organization.updated_at))
}

/// Change the organization
///
/// Name, plan and settings. A setting that would lock out whoever makes it is refused, unless there is a break-glass
/// admin.
#[utoipa::path(
    patch, path = "/api/admin/organization", operation_id = "change_organization", tag = "organization",
    request_body = ChangeOrganization,
    responses((status = 200, description = "Changed", body = OrganizationBody)),
    extensions(("x-problem-codes" = json!([Code::NotFound, Code::Conflict, Code::PlanTooSmall])))
)]
pub(super) async fn change(
    caller: Everywhere<OrganizationWrite>,
    if_match: IfMatch,
    body: Json<ChangeOrganization>,
) -> Reply {
    let context = &caller.context;
    let before = present(context).await?;
    if_match.check(before.updated_at)?;
    let has_plan = body.value.plan.is_given();
    let after = judge(context, &before, body.value.into()).await?;
    if after != before {
        let record = context.record("organization.update", "organization", &before.id.to_string());
        let change = organization::change(&before, &after, record)?;
        context.commit_silently(change.only_as_read(if_match.is_given())).await?;
        context.forget_overview();
    }
    if has_plan {
        // Also when the plan is the same, so that what was cut off is done when it is asked for again.
        context.tenant().align_usage_retention(after.limits.retention_days).await?;
    }
    edge::ok(&OrganizationBody::from(&after), Some(after.updated_at))
}

/// What `draft` makes of the organization, judged by what the tables say.
async fn judge(context: &Context, before: &Organization, draft: Draft) -> Result<Organization, Refused> {
    let (tenant, known, now) = (context.tenant(), &context.caller.known, context.request.now);
    let (domains, has_sso, break_glass) = match &draft.settings {
        Patch::Value(settings) => {
            let break_glass = async {
                match settings.break_glass_user_id {
                    Patch::Value(id) => tenant.member(id).await,
                    Patch::Absent | Patch::Null => Ok(None),
                }
            };
            let (domains, sso, member) = tokio::try_join!(tenant.domains(), tenant.sso(), break_glass)?;
            (domains, sso.is_some(), member)
        }
        Patch::Absent | Patch::Null => (Vec::new(), false, None),
    };
    let circumstances = Circumstances {
        author: Author::from(known),
        from: context.request.ip,
        domains: &domains,
        has_sso,
        break_glass: break_glass.as_ref(),
    };
    Ok(draft.check(before, &circumstances, now)?)
}
