//! What an organization holds about a person, read for them.

use aws_sdk_dynamodb::types::Select;
use clock::Timestamp;
use ids::{EventId, LeadId, SessionId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::export::shown;
use super::person::Person;
use super::{SCANNED, Stretch, Wanted, scanned_from, scanned_to};
use crate::admission::LAST_USED;
use crate::item::{self, Item, get_number, get_text, text};
use crate::keys::{self, OfOrganization};
use crate::{EventFilter, Invitation, Lead, PageRequest, StoreError, StoredEvent, Tenant, WorkspaceScope};

/// Items read at once.
const STRETCH: usize = 100;

/// Some events that tell of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonsEvents {
    /// Them, oldest first.
    pub events: Vec<StoredEvent>,
    /// How many were looked at.
    pub looked_at: usize,
    /// After which event to go on, if there may be more.
    pub next: Option<EventId>,
}

/// A person's account, as they are shown it: that there are credentials is told, and nothing that one could be made of. It has
/// no links to accounts elsewhere; who signs on through a provider is known by the address alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PersonsAccount {
    /// The person.
    pub user_id: UserId,
    /// The address that they sign in with.
    pub email: String,
    /// Their name.
    pub name: String,
    /// Whether the address was proved to be theirs.
    pub email_verified: bool,
    /// Whether they have a password.
    pub has_password: bool,
    /// Whether a second factor is asked for when they sign in.
    pub mfa_enabled: bool,
    /// When it was enrolled, if one was.
    pub mfa_enrolled_at: Option<Timestamp>,
    /// When they signed up.
    pub created_at: Timestamp,
    /// When the account was last changed.
    pub updated_at: Timestamp,
}

/// A session of a person, as they are shown it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PersonsSession {
    /// The session.
    pub id: SessionId,
    /// `active`, or `ended`.
    pub status: String,
    /// What it has proved.
    pub amr: Vec<String>,
    /// When the person signed in.
    pub authenticated_at: Timestamp,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last refreshed.
    pub updated_at: Timestamp,
    /// When it ends at the latest.
    pub ends_at: Timestamp,
    /// When it was last used, if it was.
    pub last_used_at: Option<Timestamp>,
    /// From which address.
    pub last_used_from: Option<String>,
    /// The beginning of the user agent.
    pub last_used_by: Option<String>,
}

/// Some of a person's sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonsSessions {
    /// Them, in no order.
    pub sessions: Vec<PersonsSession>,
    /// Where to go on, if there may be more.
    pub next: Option<String>,
}

/// What of a session's item is read.
#[derive(Deserialize)]
struct Began {
    session_id: SessionId,
    #[serde(default)]
    status: String,
    amr: Vec<String>,
    authenticated_at: Timestamp,
    created_at: Timestamp,
    updated_at: Timestamp,
    ends_at: Timestamp,
}

impl PersonsSession {
    fn read(item: Item) -> Result<Self, StoreError> {
        let [used_at, used_from, used_by] = LAST_USED;
        let said = |name: &str| get_text(&item, name).filter(|text| !text.is_empty()).map(str::to_owned);
        let (last_used_from, last_used_by) = (said(used_from), said(used_by));
        let last_used_at = get_number(&item, used_at).map(Timestamp::from_millis);
        let began: Began = item::read("sessions_of", item)?;
        Ok(Self {
            id: began.session_id,
            status: began.status,
            amr: began.amr,
            authenticated_at: began.authenticated_at,
            created_at: began.created_at,
            updated_at: began.updated_at,
            ends_at: began.ends_at,
            last_used_at,
            last_used_from,
            last_used_by,
        })
    }
}

/// A walk over leads or meetings of all workspaces and modes.
#[derive(Debug, Clone)]
pub struct PersonWalk {
    parts: Vec<(WorkspaceScope, String)>,
    at: usize,
    after: Option<String>,
}

impl Tenant {
    /// A walk over all leads, for [`Tenant::leads_of`].
    ///
    /// # Errors
    /// [`StoreError`] when the workspaces cannot be read.
    pub async fn walk_leads(&self) -> Result<PersonWalk, StoreError> {
        self.walk_scopes(|scope| keys::lead_shards(scope).collect()).await
    }

    /// A walk over all meetings, for [`Tenant::meetings_of`].
    ///
    /// # Errors
    /// [`StoreError`] when the workspaces cannot be read.
    pub async fn walk_meetings(&self) -> Result<PersonWalk, StoreError> {
        self.walk_scopes(|scope| keys::meeting_shards(scope).collect()).await
    }

    async fn walk_scopes(
        &self,
        shards: impl Fn(&WorkspaceScope) -> Vec<String>,
    ) -> Result<PersonWalk, StoreError> {
        let scopes = self.every_scope().await?;
        let parts = scopes.iter().flat_map(|scope| shards(scope).into_iter().map(|shard| (*scope, shard)));
        Ok(PersonWalk { parts: parts.collect(), at: 0, after: None })
    }

    /// A stretch further; `None` at the end.
    async fn walk_on(
        &self,
        walk: &mut PersonWalk,
    ) -> Result<Option<(WorkspaceScope, Vec<Item>)>, StoreError> {
        let Some((scope, partition)) = walk.parts.get(walk.at).cloned() else { return Ok(None) };
        let wanted = Wanted { after: walk.after.as_deref(), ..Wanted::default() };
        let Stretch { items, next } =
            self.stretch(self.store.core_table(), partition, wanted, STRETCH).await?;
        if next.is_none() {
            walk.at += 1;
        }
        walk.after = next;
        Ok(Some((scope, items)))
    }

    /// The leads among the next ones of a walk that a person is; `None` at its end. They are noted in `person`.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn leads_of(
        &self,
        person: &mut Person,
        walk: &mut PersonWalk,
    ) -> Result<Option<Vec<(WorkspaceScope, Lead)>>, StoreError> {
        let Some((scope, items)) = self.walk_on(walk).await? else { return Ok(None) };
        let mut leads = Vec::new();
        for item in items {
            let id = get_text(&item, keys::SK).and_then(|sk| sk.parse::<LeadId>().ok());
            let is_addressed =
                get_text(&item, "email").is_some_and(|email| Some(email) == person.email.as_deref());
            if is_addressed || id.is_some_and(|id| person.leads.contains_key(&id)) {
                let lead: Lead = item::read("leads_of", item)?;
                person.knows_lead(lead.id, Some((scope.workspace, scope.mode)));
                leads.push((scope, lead));
            }
        }
        Ok(Some(leads))
    }

    /// The meetings with a person among the next ones of a walk, as they are stored; `None` at its end.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn meetings_of(
        &self,
        person: &Person,
        walk: &mut PersonWalk,
    ) -> Result<Option<Vec<Value>>, StoreError> {
        let Some((_, mut items)) = self.walk_on(walk).await? else { return Ok(None) };
        items.retain(|item| {
            let lead = get_text(item, "lead_id").and_then(|lead| lead.parse().ok());
            lead.is_some_and(|lead| person.leads.contains_key(&lead))
        });
        items.into_iter().map(|item| shown("meeting", item)).collect::<Result<_, _>>().map(Some)
    }

    /// The replies of a lead, oldest first, as they are stored.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn replies_of(&self, scope: &WorkspaceScope, lead: LeadId) -> Result<Vec<Value>, StoreError> {
        let (mut found, mut after) = (Vec::new(), None::<String>);
        loop {
            let wanted = Wanted { after: after.as_deref(), ..Wanted::default() };
            let (table, partition) = (self.store.core_table(), keys::replies(scope, lead));
            let Stretch { items, next } = self.stretch(table, partition, wanted, STRETCH).await?;
            for item in items {
                found.push(shown("reply", item)?);
            }
            match next {
                None => return Ok(found),
                next => after = next,
            }
        }
    }

    /// The account of a person who belongs here, or did. Whether others have one is not told.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn account_of(&self, person: &Person) -> Result<Option<PersonsAccount>, StoreError> {
        let (Some(email), Some(user)) = (&person.email, person.user_id) else { return Ok(None) };
        if !person.belonged_here && self.member(user).await?.is_none() {
            return Ok(None);
        }
        let identity = self.store.account(email).await?.map(|account| account.identity);
        let theirs = identity.filter(|identity| identity.user_id == user);
        Ok(theirs.map(|identity| PersonsAccount {
            mfa_enabled: identity.has_second_factor(),
            user_id: identity.user_id,
            email: identity.email,
            name: identity.name,
            email_verified: identity.email_verified,
            has_password: identity.password_hash.is_some(),
            mfa_enrolled_at: identity.second_factor.as_ref().map(|factor| factor.created_at),
            created_at: identity.created_at,
            updated_at: identity.updated_at,
        }))
    }

    /// Some of a user's sessions in this organization, from `after` on. Nothing leads to them, so all of the directory is
    /// looked at, a thousand items at a time, but for secrets.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn sessions_of(
        &self,
        user: UserId,
        after: Option<&str>,
    ) -> Result<PersonsSessions, StoreError> {
        const OPERATION: &str = "sessions_of";
        const SHOWN: &str = "pk, sk, user_id, organization_id, session_id, #status, amr, authenticated_at, \
                             created_at, updated_at, ends_at";
        let answer = self
            .store
            .client
            .scan()
            .table_name(self.store.directory_table())
            .projection_expression(format!("{SHOWN}, {}", LAST_USED.join(", ")))
            // Said out loud: the function may scan for these and no others.
            .select(Select::SpecificAttributes)
            .filter_expression("user_id = :user AND organization_id = :organization")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":user", text(user.to_string()))
            .expression_attribute_values(":organization", text(self.organization.to_string()))
            .limit(SCANNED)
            .set_exclusive_start_key(scanned_from(after))
            .send()
            .await
            .map_err(|e| StoreError::from_sdk(OPERATION, e))?;
        let next = scanned_to(OPERATION, answer.last_evaluated_key.as_ref())?;
        let found = answer.items.unwrap_or_default().into_iter();
        let sessions = found.filter(|item| item.contains_key("session_id")).map(PersonsSession::read);
        Ok(PersonsSessions { sessions: sessions.collect::<Result<_, _>>()?, next })
    }

    /// The invitations to a person.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn invitations_of(&self, person: &mut Person) -> Result<Vec<Invitation>, StoreError> {
        let kind = OfOrganization::Invitations;
        let mut all: Vec<Invitation> =
            self.store.all_of_organization("invitations_of", self.organization, kind).await?;
        all.retain(|invitation| Some(&invitation.email) == person.email.as_ref());
        person.invitations.extend(all.iter().map(|invitation| invitation.id));
        Ok(all)
    }

    /// Notes in `person` the leads that an event says they were, deleted ones too, but for those that are somebody else by now.
    pub(crate) async fn learn_leads(
        &self,
        person: &mut Person,
        event: &StoredEvent,
    ) -> Result<(), StoreError> {
        for id in person.leads_in(&event.body) {
            if person.leads.contains_key(&id) {
                continue;
            }
            let lead = self.workspace(event.workspace_id, event.mode).lead(id).await?;
            if lead.is_none_or(|lead| Some(&lead.email) == person.email.as_ref()) {
                person.knows_lead(id, Some((event.workspace_id, event.mode)));
            }
        }
        Ok(())
    }

    /// A page of the events that tell of a person, oldest first. What they tell of leads that are deleted by now is noted in
    /// `person`.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn events_about(
        &self,
        person: &mut Person,
        after: Option<EventId>,
        now: Timestamp,
    ) -> Result<PersonsEvents, StoreError> {
        let page = PageRequest { limit: STRETCH, after };
        let since = self.organization.time();
        let listed = self.events_since(since, &EventFilter::default(), &page, now).await?;
        let next = listed.next.as_deref().and_then(crate::event_at);
        let looked_at = listed.items.len();
        let mut events = Vec::new();
        for event in listed.items {
            self.learn_leads(person, &event).await?;
            if person.is_subject_of(&event.body) {
                events.push(event);
            }
        }
        Ok(PersonsEvents { events, looked_at, next })
    }
}
