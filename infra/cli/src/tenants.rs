//! Organizations: listed, exported, deleted.

use std::fmt::Write as _;

use clock::Timestamp;
use ids::OrganizationId;
use runtime::Services;
use serde::Serialize;
use store::{Organization, OrganizationStatus, Plan, Store};

use crate::Verdict;
use crate::error::Error;
use crate::terminal::Terminal;

/// An organization in a list.
#[derive(Debug, Serialize)]
struct Listed {
    id: OrganizationId,
    name: String,
    plan: Plan,
    status: OrganizationStatus,
    erased_after: Option<Timestamp>,
    seats: u64,
    workspaces: u64,
    api_keys: u64,
    endpoints: u64,
    created_at: Timestamp,
}

impl From<Organization> for Listed {
    fn from(it: Organization) -> Self {
        Self {
            id: it.id,
            name: it.name,
            plan: it.plan,
            status: it.status,
            erased_after: it.erased_after,
            seats: it.usage.seat_count,
            workspaces: it.usage.workspace_count,
            api_keys: it.usage.api_key_count,
            endpoints: it.usage.endpoint_count,
            created_at: it.created_at,
        }
    }
}

#[derive(Debug, Serialize)]
struct List {
    tenants: Vec<Listed>,
    /// Whether these are all of them.
    complete: bool,
}

/// Lists organizations.
pub(crate) async fn list(
    services: &Services,
    limit: Option<usize>,
    terminal: &mut Terminal,
) -> Result<Verdict, Error> {
    let store = Store::from_environment(&services.environment, services.aws.dynamodb.clone())?;
    let bar = terminal.progress(None, "items looked at");
    let limit = limit.unwrap_or(usize::MAX);
    let (mut tenants, mut after) = (Vec::new(), None);
    let complete = loop {
        let found = store.organizations(after.as_deref()).await?;
        bar.inc(found.looked_at);
        tenants.extend(found.items.into_iter().map(Listed::from));
        if tenants.len() > limit {
            break false;
        }
        after = found.next;
        if after.is_none() {
            break true;
        }
        if tenants.len() == limit {
            break false;
        }
    };
    bar.finish_and_clear();
    tenants.sort_unstable_by_key(|tenant| tenant.id);
    tenants.truncate(limit);
    let list = List { tenants, complete };
    terminal.say(&list, &table(&list))?;
    Ok(Verdict::Fine)
}

fn table(list: &List) -> String {
    let mut text = String::new();
    for it in &list.tenants {
        let status = match (it.status, it.erased_after) {
            (OrganizationStatus::Active, _) => "active".to_owned(),
            (OrganizationStatus::Deleted, Some(at)) => format!("deleted, erased after {at}"),
            (OrganizationStatus::Deleted, None) => "deleted".to_owned(),
        };
        let plan = format!("{:?}", it.plan).to_lowercase();
        // Writing to a `String` cannot fail.
        let _ = writeln!(
            text,
            "{}  {plan:<10}  {:>4} seats  {:>4} keys  {:>4} endpoints  {}  {}  ({status})",
            it.id,
            it.seats,
            it.api_keys,
            it.endpoints,
            it.created_at.day(),
            it.name,
        );
    }
    let more = if list.complete { "" } else { "; there are more" };
    let _ = writeln!(text, "{} organizations{more}", list.tenants.len());
    text
}
