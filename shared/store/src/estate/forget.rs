//! Erasing a person: whatever an organization holds about them, wherever it lies.
//!
//! A walk in bounded stretches, in the order of [`Phase`]; it can stop after any of them and go on elsewhere, and a stretch
//! that is walked twice does no harm. What leads to something else is noted in the [`Person`] before it is gone.
//!
//! Records of the audit log are never touched. They hold commitments to personal values; the values lie in `activity`, and
//! those that are the person's go.

use std::collections::BTreeMap;

use audit_format::Personal;
use aws_sdk_dynamodb::types::Select;
use clock::Timestamp;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use ids::{AuditId, EndpointId, LeadId, UserId};
use serde::{Deserialize, Serialize};

use super::erase::{keys_of, unchanged};
use super::person::Person;
use super::{SCANNED, Stretch, Wanted, of_workspace, scanned_from, scanned_to};
use crate::change::{Expression, Table};
use crate::estate::Part;
use crate::idempotency::Remembered;
use crate::item::{self, Item, get_text, primary, text};
use crate::keys::{self, Key, OfOrganization};
use crate::spread::all_months;
use crate::tally::Tally;
use crate::write::Written;
use crate::{
    AuditEntry, AuditFilter, Delivery, Invitation, Lead, Mode, OutgoingMail, PageRequest, Store, StoreError,
    StoredEvent, Subject, Tenant, WorkspaceScope, audit_at,
};

/// Items read at once.
const STRETCH: usize = 100;
const AT_ONCE: usize = 8;
/// Mails are kept for a day, and DynamoDB takes up to two more to remove them.
const DAYS_OF_MAILS: u64 = 4;
/// How often an item that moves at the same moment is tried.
const TRIES: usize = 4;

/// What is walked, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Phase {
    /// Which leads they are.
    FindLeads,
    /// Which leads they were, as events tell it.
    FindEvents,
    Leads,
    Replies,
    Meetings,
    Invitations,
    /// What the directory holds under their address.
    Address,
    /// What else the directory holds of them: sessions, tokens, a remembered sign-up.
    Directory,
    Mails,
    Notices,
    Answers,
    /// Events, and what receivers answered to them.
    Events,
    /// Personal values of the records of what they did.
    RecordsBy,
    /// And of what was done to them.
    RecordsAbout,
    /// And wherever else their address stands.
    Records,
}

impl Phase {
    const ALL: [Self; 15] = [
        Self::FindLeads,
        Self::FindEvents,
        Self::Leads,
        Self::Replies,
        Self::Meetings,
        Self::Invitations,
        Self::Address,
        Self::Directory,
        Self::Mails,
        Self::Notices,
        Self::Answers,
        Self::Events,
        Self::RecordsBy,
        Self::RecordsAbout,
        Self::Records,
    ];

    fn next(self) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| *phase > self)
    }
}

/// Where the walk goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    phase: Phase,
    /// In this partition; in the first one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    part: Option<String>,
    /// After this there; from its front when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<String>,
}

/// How far an erasure has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forgotten {
    /// Where to go on; `None` when nothing is left.
    pub next: Option<String>,
    /// How many of each kind were erased.
    pub counts: BTreeMap<&'static str, u64>,
}

impl Tenant {
    /// Who is meant, as far as it can be told without a walk.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn find_person(&self, about: &Subject, now: Timestamp) -> Result<Person, StoreError> {
        let mut person = Person::default();
        match about {
            Subject::Email(email) => person.email = Some(email.clone()),
            Subject::UserId(id) => person.user_id = Some(*id),
            Subject::LeadId(id) => {
                person.knows_lead(*id, None);
                person.email = self.lead_anywhere(*id).await?.map(|lead| lead.email);
            }
        }
        let members = self.all_members().await?;
        let member = members.into_iter().find(|member| {
            Some(member.user_id) == person.user_id || Some(&member.email) == person.email.as_ref()
        });
        if let Some(member) = member {
            person.user_id = Some(member.user_id);
            (person.email, person.name) = (Some(member.email), Some(member.name));
        }
        if let (None, Some(user)) = (&person.email, person.user_id) {
            // A former member: what they did bears their address.
            let filter = AuditFilter { actor: Some(user.to_string()), ..AuditFilter::default() };
            let page = PageRequest { limit: STRETCH, after: None };
            let records = self.audit_records(&filter, &page, false, now).await?;
            person.email = records.items.iter().find_map(actors_address);
        }
        // Whether an address has an account is nobody's business who never had to do with it.
        if let Some(email) = &person.email
            && let Some(left) = self.left(email).await?
        {
            let account = self.store.account(email).await?;
            person.belonged_here = true;
            person.user_id = person.user_id.or(left.user_id);
            // The account may be gone by now, and another one have the address.
            let user = person.user_id;
            let identity = account.map(|account| account.identity);
            let theirs = identity.filter(|identity| user.is_none_or(|user| user == identity.user_id));
            if let Some(identity) = theirs {
                person.user_id = Some(identity.user_id);
                person.name = person.name.or(Some(identity.name));
            }
        }
        Ok(person)
    }

    /// A lead, in whatever workspace and mode it is.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn lead_anywhere(&self, id: LeadId) -> Result<Option<Lead>, StoreError> {
        for scope in self.every_scope().await? {
            let workspace = self.workspace(scope.workspace, scope.mode);
            if let Some(lead) = workspace.lead(id).await? {
                return Ok(Some(lead));
            }
        }
        Ok(None)
    }

    pub(super) async fn every_scope(&self) -> Result<Vec<WorkspaceScope>, StoreError> {
        let organization = self.organization;
        let scope =
            |workspace| [Mode::Live, Mode::Test].map(|mode| WorkspaceScope { organization, workspace, mode });
        Ok(self.every_workspace().await?.into_iter().flat_map(|workspace| scope(workspace.id)).collect())
    }

    /// Erases a person a stretch further: about `stretches` reads of a hundred items. What is learnt of them on the way is
    /// noted in `person`, which is to be kept with where to go on. `is_to` tells whether a mail is to them or names them.
    ///
    /// # Errors
    /// [`StoreError`]; part of it is then done, and it can be repeated.
    pub async fn forget(
        &self,
        person: &mut Person,
        from: Option<&str>,
        is_to: &(dyn Fn(&OutgoingMail) -> bool + Send + Sync),
        stretches: usize,
        now: Timestamp,
    ) -> Result<Forgotten, StoreError> {
        let begin = Place { phase: Phase::FindLeads, part: None, after: None };
        let mut place = from.and_then(|from| serde_json::from_str(from).ok()).unwrap_or(begin);
        let mut work = Work { tenant: self, person, is_to, now, counts: BTreeMap::new() };
        for _ in 0..stretches.max(1) {
            let Some(next) = work.stretch(place).await? else {
                return Ok(Forgotten { next: None, counts: work.counts });
            };
            place = next;
        }
        let next = serde_json::to_string(&place).map_err(|e| StoreError::malformed("forget", e))?;
        Ok(Forgotten { next: Some(next), counts: work.counts })
    }
}

/// The address of who did something, if it is kept.
fn actors_address(entry: &AuditEntry) -> Option<String> {
    serde_json::from_str(entry.personal.get(ACTORS_EMAIL)?.json()).ok()
}

const ACTORS_EMAIL: &str = "/actor/email";
/// What tells of who did something.
const ACTORS: [&str; 3] = [ACTORS_EMAIL, "/ip_address", "/user_agent"];

struct Work<'a> {
    tenant: &'a Tenant,
    person: &'a mut Person,
    is_to: &'a (dyn Fn(&OutgoingMail) -> bool + Send + Sync),
    now: Timestamp,
    counts: BTreeMap<&'static str, u64>,
}

/// Which personal values of a record are the person's.
#[derive(Clone, Copy)]
enum Theirs {
    /// Those that tell of who did it.
    Actors,
    /// Those that tell of what it was done to.
    Subjects,
    /// Those with their address in them.
    Addressed,
}

impl Work<'_> {
    fn count(&mut self, kind: &'static str, many: usize) {
        if many > 0 {
            *self.counts.entry(kind).or_default() += u64::try_from(many).unwrap_or(u64::MAX);
        }
    }

    /// Walks one stretch; tells where to go on.
    async fn stretch(&mut self, place: Place) -> Result<Option<Place>, StoreError> {
        let parts = self.parts(place.phase).await?;
        let at = place.part.as_ref().and_then(|part| parts.iter().position(|it| it == part));
        // One that is not there any more: its phase from the front.
        let after = place.after.filter(|_| at.is_some());
        let at = at.unwrap_or(0);
        if let Some(part) = parts.get(at) {
            let after = self.walk(place.phase, part, after.as_deref()).await?;
            if after.is_some() {
                return Ok(Some(Place { phase: place.phase, part: Some(part.clone()), after }));
            }
            if let Some(next) = parts.get(at + 1) {
                return Ok(Some(Place { phase: place.phase, part: Some(next.clone()), after: None }));
            }
        }
        if let Some(phase) = place.phase.next() {
            return Ok(Some(Place { phase, part: None, after: None }));
        }
        if std::mem::take(&mut self.person.has_more_leads) {
            self.person.leads.clear();
            return Ok(Some(Place { phase: Phase::FindLeads, part: None, after: None }));
        }
        Ok(None)
    }

    /// What a phase walks, in an order that only grows at its end.
    async fn parts(&self, phase: Phase) -> Result<Vec<String>, StoreError> {
        let (tenant, organization) = (self.tenant, self.tenant.organization);
        let months = || all_months(organization.time(), self.now);
        Ok(match phase {
            Phase::FindLeads | Phase::Leads | Phase::Meetings => {
                let mut parts = Vec::new();
                for workspace in tenant.every_workspace().await? {
                    let of_phase = of_workspace(organization, workspace.id).into_iter().filter(|part| {
                        let wanted_meetings = phase == Phase::Meetings;
                        matches!(part, Part::Meetings { .. }) == wanted_meetings
                            && !matches!(part, Part::Campaigns { .. })
                    });
                    parts.extend(of_phase.map(|part| part.partition(organization)));
                }
                parts
            }
            Phase::Replies => {
                let scope = |(workspace, mode)| WorkspaceScope { organization, workspace, mode };
                let leads = self.person.leads.iter();
                leads.filter_map(|(lead, at)| Some(keys::replies(&scope((*at)?), *lead))).collect()
            }
            Phase::FindEvents | Phase::Events => {
                months().into_iter().flat_map(|month| keys::events_of(organization, month)).collect()
            }
            Phase::Notices => {
                months().into_iter().map(|month| keys::notices_of(organization, month)).collect()
            }
            Phase::Mails => {
                let day = std::time::Duration::from_secs(24 * 60 * 60);
                let days =
                    (0..DAYS_OF_MAILS).rev().map(|back| self.now - day * u32::try_from(back).unwrap_or(0));
                days.map(|day| keys::mails_of(organization, day)).collect()
            }
            Phase::Answers => keys::remembered_answers(organization).collect(),
            Phase::Records => {
                months().into_iter().flat_map(|month| keys::audit_personals(organization, month)).collect()
            }
            Phase::Invitations => vec!["invitations".to_owned()],
            Phase::Address => self.person.email.iter().cloned().collect(),
            Phase::Directory if self.person.email.is_none() && self.person.user_id.is_none() => Vec::new(),
            Phase::Directory => vec!["directory".to_owned()],
            Phase::RecordsBy => self.person.user_id.iter().map(ToString::to_string).collect(),
            Phase::RecordsAbout => {
                let user = self.person.user_id.iter().map(ToString::to_string);
                let leads = self.person.leads.keys().map(ToString::to_string);
                let invitations = self.person.invitations.iter().map(ToString::to_string);
                user.chain(leads).chain(invitations).collect()
            }
        })
    }

    /// Walks a part from after there; tells after what it stopped if it did not come to its end.
    async fn walk(
        &mut self,
        phase: Phase,
        part: &str,
        after: Option<&str>,
    ) -> Result<Option<String>, StoreError> {
        match phase {
            Phase::Invitations => self.invitations().await.map(|()| None),
            Phase::Address => self.address(part).await.map(|()| None),
            Phase::Directory => self.directory(after).await,
            Phase::RecordsBy => {
                let filter = AuditFilter { actor: Some(part.to_owned()), ..AuditFilter::default() };
                self.records(&filter, Theirs::Actors, after).await
            }
            Phase::RecordsAbout => {
                let filter = AuditFilter { resource: Some(part.to_owned()), ..AuditFilter::default() };
                self.records(&filter, Theirs::Subjects, after).await
            }
            _ => {
                let table = match phase {
                    Phase::FindLeads | Phase::Leads | Phase::Replies | Phase::Meetings => Table::Core,
                    _ => Table::Activity,
                };
                let wanted = Wanted { after, ..Wanted::default() };
                let name = self.tenant.store.table_name(table);
                let Stretch { items, next } =
                    self.tenant.stretch(name, part.to_owned(), wanted, STRETCH).await?;
                self.items(phase, part, table, items).await?;
                Ok(next)
            }
        }
    }

    async fn items(
        &mut self,
        phase: Phase,
        part: &str,
        table: Table,
        mut items: Vec<Item>,
    ) -> Result<(), StoreError> {
        let kind = match phase {
            Phase::FindLeads => {
                items.retain(|item| self.is_their_lead(item));
                for id in items.iter().filter_map(|item| get_text(item, keys::SK)?.parse().ok()) {
                    self.person.knows_lead(id, keys::workspace_of(part));
                }
                return Ok(());
            }
            Phase::FindEvents => {
                for item in items {
                    if !self.person.leads_in(body(&item)).is_empty() {
                        let event: StoredEvent = item::read("forget", item)?;
                        self.tenant.learn_leads(self.person, &event).await?;
                    }
                }
                return Ok(());
            }
            Phase::Answers => return self.answers(items).await,
            Phase::Events => return self.events(items).await,
            Phase::Records => return self.personal_values(items).await,
            Phase::Leads => {
                items.retain(|item| self.is_their_lead(item));
                "leads"
            }
            Phase::Meetings => {
                items.retain(|item| {
                    let lead = get_text(item, "lead_id").and_then(|lead| lead.parse().ok());
                    lead.is_some_and(|lead| self.person.leads.contains_key(&lead))
                });
                "meetings"
            }
            Phase::Mails => {
                items.retain(|item| {
                    item::read::<OutgoingMail>("forget", item.clone()).is_ok_and(|mail| (self.is_to)(&mail))
                });
                "mails"
            }
            Phase::Notices => {
                items.retain(|item| {
                    get_text(item, "detail").is_some_and(|it| self.person.is_addressed_in(it))
                });
                "notices"
            }
            // All of the partition is theirs.
            _ => "replies",
        };
        self.tenant.delete(table, keys_of(&items)).await?;
        self.count(kind, items.len());
        Ok(())
    }

    fn is_their_lead(&self, item: &Item) -> bool {
        let id = get_text(item, keys::SK).and_then(|sk| sk.parse().ok());
        get_text(item, "email").is_some_and(|email| Some(email) == self.person.email.as_deref())
            || id.is_some_and(|id| self.person.leads.contains_key(&id))
    }

    /// Invitations to them, with their tokens and marks.
    async fn invitations(&mut self) -> Result<(), StoreError> {
        const OPERATION: &str = "forget";
        let (tenant, of) = (self.tenant, self.tenant.organization);
        let Some(email) = self.person.email.clone() else { return Ok(()) };
        let all: Vec<Invitation> =
            tenant.store.all_of_organization(OPERATION, of, OfOrganization::Invitations).await?;
        for invitation in all.into_iter().filter(|invitation| invitation.email == email) {
            self.person.invitations.insert(invitation.id);
            let own = unchanged(&keys::invitation(of, invitation.id), invitation.updated_at);
            let named = vec![keys::single_use(&invitation.token_digest), keys::open_invitation(&email, of)];
            tenant.end_bound(own, named, Tally::default()).await?;
            self.count("invitations", 1);
        }
        Ok(())
    }

    /// What lies under their address in the directory: what is this organization's, and everything once they belong to none.
    ///
    /// Whoever joins an organization writes their identity anew. So it is deleted first and as it was read, when no
    /// membership was: who has joined since keeps the account, and who has not yet finds none.
    async fn address(&mut self, email: &str) -> Result<(), StoreError> {
        let (tenant, of) = (self.tenant, self.tenant.organization);
        let own = vec![keys::left(email, of), keys::open_invitation(email, of)];
        tenant.delete(Table::Directory, own).await?;
        if !self.person.belonged_here {
            return Ok(());
        }
        for _ in 0..TRIES {
            let items = tenant.under_address(email).await?;
            let sort_key = |item: &Item| get_text(item, keys::SK).unwrap_or_default().to_owned();
            if items.iter().any(|item| keys::is_membership(&sort_key(item))) {
                return Ok(());
            }
            let key = keys::identity(email);
            if let Some(identity) = items.iter().find(|item| sort_key(item) == key.sk) {
                let user: Option<UserId> = get_text(identity, "user_id").and_then(|id| id.parse().ok());
                if self.person.user_id.is_some() && user != self.person.user_id {
                    // Another one has the address, and was never here.
                    return Ok(());
                }
                let read = get_text(identity, "updated_at").unwrap_or_default();
                if !tenant.delete_as_read(&key, read).await? {
                    continue;
                }
                self.count("directory", 1);
            }
            self.person.belongs_nowhere = true;
            // That others once knew them, or want to, is those others'.
            let mut gone: Vec<Key> = items
                .iter()
                .filter(|item| sort_key(item).starts_with(keys::SIGNED_IN_FROM))
                .filter_map(item::key)
                .collect();
            gone.extend(self.person.user_id.map(keys::person));
            self.count("directory", gone.len());
            return tenant.delete(Table::Directory, gone).await;
        }
        Err(StoreError::Unavailable { operation: "forget", source: "the identity keeps moving".into() })
    }

    /// What else the directory holds of them. Nothing leads to it, so all of the directory is looked at, but for secrets.
    async fn directory(&mut self, after: Option<&str>) -> Result<Option<String>, StoreError> {
        const OPERATION: &str = "forget_in_directory";
        let store = &self.tenant.store;
        let mut conditions = Vec::new();
        let mut scan = store
            .client
            .scan()
            .table_name(store.directory_table())
            .projection_expression("pk, sk, email, user_id, organization_id, errand, answer")
            // Said out loud: the function may scan for these and no others.
            .select(Select::SpecificAttributes)
            .limit(SCANNED);
        if let Some(email) = &self.person.email {
            conditions.push("email = :email OR contains(answer.body, :email)");
            scan = scan.expression_attribute_values(":email", text(email));
        }
        if let Some(user) = self.person.user_id {
            conditions.push("user_id = :user");
            scan = scan.expression_attribute_values(":user", text(user.to_string()));
        }
        scan = scan.filter_expression(conditions.join(" OR "));
        let scan = scan.set_exclusive_start_key(scanned_from(after));
        let answer = scan.send().await.map_err(|e| StoreError::from_sdk(OPERATION, e))?;
        let items = answer.items.unwrap_or_default();
        let gone: Vec<Key> =
            items.iter().filter(|item| self.is_theirs_in_directory(item)).filter_map(item::key).collect();
        self.count("directory", gone.len());
        self.tenant.delete(Table::Directory, gone).await?;
        scanned_to(OPERATION, answer.last_evaluated_key.as_ref())
    }

    /// Whether an item of the directory goes: what this organization has of them, and what is nobody's.
    fn is_theirs_in_directory(&self, item: &Item) -> bool {
        if get_text(item, keys::PK).is_some_and(keys::is_under_address) {
            return false;
        }
        let own = self.tenant.organization.to_string();
        let errand = item.get("errand").and_then(|errand| errand.as_m().ok());
        let of = get_text(item, "organization_id")
            .or_else(|| errand.and_then(|errand| get_text(errand, "organization_id")));
        let answer = item.get("answer").and_then(|answer| answer.as_m().ok());
        let answer = answer.and_then(|answer| get_text(answer, "body"));
        match (of, answer) {
            (Some(of), _) => of == own,
            (None, Some(answer)) => answer.contains(&own),
            (None, None) => self.person.belongs_nowhere,
        }
    }

    /// Remembered answers that tell of them.
    async fn answers(&mut self, items: Vec<Item>) -> Result<(), StoreError> {
        const OPERATION: &str = "forget_answers";
        for item in items {
            let Some(key) = item::key(&item) else { continue };
            let answer = item::read::<Remembered>(OPERATION, item)?.into_answer();
            if !self.person.is_mentioned_in(&answer.body) {
                continue;
            }
            let update = Expression {
                key: primary(&key),
                update: "SET #answer.#body = :body".to_owned(),
                condition: "attribute_exists(pk)".to_owned(),
                names: vec![("#answer", "answer"), ("#body", "body")],
                values: vec![(":body", text(self.person.scrub(&answer.body)))],
            };
            self.tenant.store.update(OPERATION, Table::Activity, update).await?;
            self.count("answers", 1);
        }
        Ok(())
    }

    /// Events that tell of them, and what receivers answered.
    async fn events(&mut self, items: Vec<Item>) -> Result<(), StoreError> {
        const OPERATION: &str = "forget_events";
        let theirs: Vec<StoredEvent> = items
            .into_iter()
            .filter(|item| self.person.is_mentioned_in(body(item)))
            .map(|item| item::read(OPERATION, item))
            .collect::<Result<_, _>>()?;
        if theirs.is_empty() {
            return Ok(());
        }
        let states = self.tenant.endpoint_states().await?;
        let endpoints: Vec<EndpointId> = states.iter().map(|state| state.endpoint_id).collect();
        let (tenant, person) = (self.tenant, &*self.person);
        let scrubs: Vec<_> =
            theirs.iter().map(|event| tenant.scrub_event(person, event, &endpoints)).collect();
        let answers: Vec<usize> = stream::iter(scrubs).buffer_unordered(AT_ONCE).try_collect().await?;
        self.count("events", theirs.len());
        self.count("deliveries", answers.into_iter().sum());
        Ok(())
    }

    /// Personal values of the records that a filter keeps.
    async fn records(
        &mut self,
        filter: &AuditFilter,
        theirs: Theirs,
        after: Option<&str>,
    ) -> Result<Option<String>, StoreError> {
        let page = PageRequest { limit: STRETCH, after: after.and_then(audit_at) };
        let listed = self.tenant.audit_records(filter, &page, true, self.now).await?;
        for entry in listed.items {
            self.forget_values(entry.id, entry.personal, theirs).await?;
        }
        Ok(listed.next)
    }

    async fn personal_values(&mut self, items: Vec<Item>) -> Result<(), StoreError> {
        for item in items {
            let kept = get_text(&item, "personal").unwrap_or_default();
            if !self.person.is_addressed_in(kept) {
                continue;
            }
            let id: Option<AuditId> = get_text(&item, "id").and_then(|id| id.parse().ok());
            match id.zip(Personal::from_json(kept).ok()) {
                Some((id, personal)) => self.forget_values(id, personal, Theirs::Addressed).await?,
                // Somebody made it unreadable. It proves nothing, and goes whole.
                None => {
                    self.tenant.delete(Table::Activity, item::key(&item).into_iter().collect()).await?;
                    self.count("personal_values", 1);
                }
            }
        }
        Ok(())
    }

    /// Forgets those of a record's personal values that are theirs.
    async fn forget_values(
        &mut self,
        id: AuditId,
        mut personal: Personal,
        theirs: Theirs,
    ) -> Result<(), StoreError> {
        const OPERATION: &str = "forget_values";
        let before = personal.iter().count();
        let person = &*self.person;
        let is_addressed = |json: &str| person.is_addressed_in(json);
        let by_them = matches!(theirs, Theirs::Actors)
            || personal.get(ACTORS_EMAIL).is_some_and(|value| is_addressed(value.json()));
        personal.retain(|pointer, value| {
            let of_actor = ACTORS.contains(&pointer);
            let is_theirs = is_addressed(value.json())
                || (by_them && of_actor)
                || (matches!(theirs, Theirs::Subjects) && !of_actor);
            !is_theirs
        });
        let after = personal.iter().count();
        if after == before {
            return Ok(());
        }
        let key = keys::audit_personal(self.tenant.organization, id);
        if after == 0 {
            self.tenant.delete(Table::Activity, vec![key]).await?;
        } else {
            let json = personal.to_json().map_err(|e| StoreError::malformed(OPERATION, e))?;
            let update = Expression {
                key: primary(&key),
                update: "SET personal = :personal".to_owned(),
                condition: "attribute_exists(pk)".to_owned(),
                values: vec![(":personal", text(json))],
                ..Expression::default()
            };
            self.tenant.store.update(OPERATION, Table::Activity, update).await?;
        }
        self.count("personal_values", before - after);
        Ok(())
    }
}

fn body(event: &Item) -> &str {
    get_text(event, "body").unwrap_or_default()
}

impl Tenant {
    /// What lies under an address in the directory: keys, whose it is and when it last changed.
    async fn under_address(&self, email: &str) -> Result<Vec<Item>, StoreError> {
        let query = self
            .store
            .client
            .query()
            .table_name(self.store.directory_table())
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(keys::identity(email).pk))
            .projection_expression("pk, sk, user_id, updated_at")
            .consistent_read(true);
        item::all("under_address", query).await
    }

    /// Deletes an item of the directory that is still as it was read; whether it was.
    async fn delete_as_read(&self, key: &Key, read: &str) -> Result<bool, StoreError> {
        let delete = self
            .store
            .client
            .delete_item()
            .table_name(self.store.directory_table())
            .set_key(Some(primary(key)))
            .condition_expression("updated_at = :read")
            .expression_attribute_values(":read", text(read));
        let Err(error) = delete.send().await else { return Ok(true) };
        let moved = error.as_service_error().is_some_and(|error| {
            error.is_conditional_check_failed_exception() || error.is_transaction_conflict_exception()
        });
        if moved { Ok(false) } else { Err(StoreError::from_sdk("delete_as_read", error)) }
    }

    /// Takes what is the person's out of an event, and forgets what was answered to it; how many deliveries had an answer.
    async fn scrub_event(
        &self,
        person: &Person,
        event: &StoredEvent,
        endpoints: &[EndpointId],
    ) -> Result<usize, StoreError> {
        const OPERATION: &str = "scrub_event";
        let scrubbed = person.scrub(&event.body);
        if scrubbed != event.body {
            let update = Expression {
                key: primary(&keys::event(self.organization, event.id)),
                update: "SET body = :body".to_owned(),
                condition: "attribute_exists(pk)".to_owned(),
                values: vec![(":body", text(scrubbed))],
                ..Expression::default()
            };
            self.store.update(OPERATION, Table::Activity, update).await?;
        }
        let keys: Vec<Key> = endpoints
            .iter()
            .map(|endpoint| keys::delivery(self.organization, keys::delivery_id(event.id, *endpoint)))
            .collect();
        let mut answers = 0;
        for key in self.in_order(OPERATION, Table::Activity, &keys).await?.iter().filter_map(item::key) {
            answers += usize::from(self.forget_answers(&key).await?);
        }
        Ok(answers)
    }

    /// Forgets what a receiver answered to the attempts at a delivery; whether it had answered anything.
    async fn forget_answers(&self, key: &Key) -> Result<bool, StoreError> {
        const OPERATION: &str = "forget_answers";
        for _ in 0..TRIES {
            let delivery: Option<Delivery> = self.store.get(Store::activity_table, OPERATION, key).await?;
            let Some(mut delivery) = delivery else { return Ok(false) };
            let has_any = |delivery: &Delivery| {
                delivery.attempts.iter().any(|it| it.response_body.is_some() || it.answer_apart)
            };
            if !has_any(&delivery) {
                return Ok(false);
            }
            let apart = Some(keys::attempts_at(delivery.id));
            self.erase_all(Table::Activity, key.pk.clone(), apart).await?;
            for attempt in &mut delivery.attempts {
                (attempt.response_body, attempt.answer_apart) = (None, false);
            }
            let update = Expression {
                key: primary(key),
                update: "SET attempts = :attempts".to_owned(),
                condition: "updated_at = :read".to_owned(),
                values: vec![
                    (":attempts", item::value(OPERATION, &delivery.attempts)?),
                    (":read", text(delivery.updated_at.to_string())),
                ],
                ..Expression::default()
            };
            if let Written::Yes(_) = self.store.update(OPERATION, Table::Activity, update).await? {
                return Ok(true);
            }
        }
        Err(StoreError::Unavailable { operation: OPERATION, source: "the delivery keeps moving".into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_follow_each_other_to_the_end() {
        let mut phase = Phase::FindLeads;
        let mut seen = 1;
        while let Some(next) = phase.next() {
            (phase, seen) = (next, seen + 1);
        }
        assert_eq!((phase, seen), (Phase::Records, Phase::ALL.len()));
    }
}
