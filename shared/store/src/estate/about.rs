//! What an organization holds about a person, read for them.

use clock::Timestamp;
use ids::{EventId, LeadId};
use serde_json::Value;

use super::export::shown;
use super::person::Person;
use super::{Stretch, Wanted};
use crate::item::{self, Item, get_text};
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
