//! Organizations: listed, exported, deleted.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use clock::Timestamp;
use ids::OrganizationId;
use mailing::MailSeal;
use runtime::{Services, StartError};
use sealing::MasterSecret;
use serde::Serialize;
use store::{Organization, OrganizationStatus, PageRequest, Plan, Refusal, Store};

use crate::Verdict;
use crate::draft::Draft;
use crate::error::Error;
use crate::operator::Operator;
use crate::terminal::Terminal;

/// Records of an export that are asked for at a time.
const PAGE: usize = 1_000;

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

/// An organization's name.
pub(crate) async fn present(operator: &Operator<'_>) -> Result<Organization, Error> {
    operator.tenant.organization().await?.ok_or(Error::Refused(Refusal::Missing("organization")))
}

#[derive(Debug, Serialize)]
struct Exported<'a> {
    organization_id: OrganizationId,
    file: &'a Path,
    records: u64,
}

/// One line of an export.
#[derive(Debug, Serialize)]
struct Line<'a> {
    r#type: &'a str,
    record: &'a serde_json::Value,
}

/// Writes everything an organization owns to a file.
pub(crate) async fn export(
    services: &Services,
    organization: OrganizationId,
    path: &Path,
    terminal: &mut Terminal,
) -> Result<Verdict, Error> {
    let operator = Operator::at(services, organization)?;
    present(&operator).await?;
    let mut file = Draft::begin(path)?;
    let bar = terminal.progress(None, "records written");
    let (mut records, mut after) = (0_u64, None);
    loop {
        let record = operator.record("organization.export", ("organization", Some(organization.to_string())));
        let page = PageRequest { limit: PAGE, after };
        let holdings =
            fn_organizations::operator::export(&operator.tenant, &page, record, operator.now()).await?;
        for holding in &holdings.items {
            serde_json::to_writer(&mut file, &Line { r#type: holding.kind, record: &holding.record })
                .map_err(std::io::Error::other)?;
            file.write_all(b"\n")?;
            records += 1;
        }
        bar.set_position(records);
        after = holdings.next;
        if after.is_none() {
            break;
        }
    }
    file.finish()?;
    bar.finish_and_clear();
    let words = format!("{records} records are in {}\n", path.display());
    terminal.say(&Exported { organization_id: organization, file: path, records }, &words)?;
    Ok(Verdict::Fine)
}

#[derive(Debug, Serialize)]
struct Deleted {
    organization_id: OrganizationId,
    status: OrganizationStatus,
    erased_after: Option<Timestamp>,
}

/// Deletes an organization.
pub(crate) async fn delete(
    services: &Services,
    organization: OrganizationId,
    terminal: &mut Terminal,
) -> Result<Verdict, Error> {
    let operator = Operator::at(services, organization)?;
    let seal = mail_seal(services).await?;
    let before = present(&operator).await?;
    let question = format!(
        "{} ({organization}) of {} is to be deleted, with {} people, {} workspaces and {} API keys.\n\
         People and keys are refused at once; everything it owns is erased after 30 days.",
        before.name,
        operator.place(),
        before.usage.seat_count,
        before.usage.workspace_count,
        before.usage.api_key_count
    );
    if !terminal.confirm(&question, &[&before.name, &organization.to_string()])? {
        return Err(Error::NotConfirmed);
    }
    let record = operator.record("organization.delete", ("organization", Some(organization.to_string())));
    let deleted = fn_organizations::operator::delete(&operator.tenant, record, &seal, &services.ids).await?;
    let until = deleted.erased_after.map(|at| at.to_string()).unwrap_or_default();
    let words = format!("{} is deleted, and erased after {until}\n", deleted.name);
    let said =
        Deleted { organization_id: organization, status: deleted.status, erased_after: deleted.erased_after };
    terminal.say(&said, &words)?;
    Ok(Verdict::Fine)
}

/// Seals the mails that tell the admins.
async fn mail_seal(services: &Services) -> Result<MailSeal, Error> {
    let secret = services.secret("SESSION_SECRET_ID").await?;
    let seal = MailSeal::new(&MasterSecret::new(secret));
    Ok(seal.map_err(|source| StartError::Client { what: "mail key", source: Box::new(source) })?)
}
