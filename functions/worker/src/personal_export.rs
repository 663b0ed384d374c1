//! The export of a person: what an organization holds about them, as one JSON document.
//!
//! Of records of what others did to them it has what was done, and not from where and by which address: that is the
//! others'. It leaves out credentials and what they could be made of, and what only repeats the rest and goes away by itself
//! within days: mails on their way, remembered answers, notices about endpoints. The guide says so, and why.

use std::collections::BTreeSet;

use ids::AuditId;
use serde::Serialize;
use serde_json::{Value, json};
use store::{AuditEntry, AuditFilter, PageRequest, Person, Subject, audit_at};

use crate::output::Output;
use crate::{Hold, JobError, Outcome, Worker};

/// Records read at once.
const PAGE: usize = 100;
const JSON: &str = "application/json";

/// Writes a document field by field, each an array or a value.
struct Document {
    output: Output,
    is_first_field: bool,
    is_first_element: bool,
}

impl Document {
    fn new(output: Output) -> Self {
        Self { output, is_first_field: true, is_first_element: true }
    }

    fn text(&mut self, text: &str) {
        self.output.buffer().extend_from_slice(text.as_bytes());
    }

    fn json(&mut self, value: &impl Serialize) -> Result<(), JobError> {
        serde_json::to_writer(self.output.buffer(), value).map_err(JobError::write)
    }

    fn name(&mut self, name: &str) {
        let before = if std::mem::take(&mut self.is_first_field) { "{" } else { "," };
        self.text(&format!("{before}\n\"{name}\":"));
    }

    fn field(&mut self, name: &str, value: &impl Serialize) -> Result<(), JobError> {
        self.name(name);
        self.json(value)
    }

    fn begin(&mut self, name: &str) {
        self.name(name);
        self.text("[");
        self.is_first_element = true;
    }

    async fn element(&mut self, value: &impl Serialize, hold: &mut Hold<'_>) -> Result<(), JobError> {
        let before = if std::mem::take(&mut self.is_first_element) { "\n" } else { ",\n" };
        self.text(before);
        self.json(value)?;
        hold.job.records += 1;
        self.output.send(hold).await
    }

    fn end(&mut self) {
        self.text("]");
    }
}

impl Worker {
    /// Writes what is held about a person.
    pub(crate) async fn export_person(
        &self,
        hold: &mut Hold<'_>,
        about: &Subject,
    ) -> Result<Outcome, JobError> {
        let now = self.0.clock.now();
        let tenant = hold.tenant.clone();
        let mut person = tenant.find_person(about, now).await?;
        hold.job.records = 0;
        hold.note().await?;
        let key = self.key_of(hold.job, &tenant, "person.json");
        let mut document = Document::new(Output::new(&self.0.exports, key, JSON));
        document.field("format", &1)?;
        document.field("organization_id", &tenant.organization_id())?;
        document.field("created_at", &now)?;
        document.field("person", &json!({"email": person.email, "user_id": person.user_id}))?;
        let members = tenant.all_members().await?;
        let member = members.into_iter().find(|member| Some(member.user_id) == person.user_id);
        document.field("membership", &member)?;
        document.field("account", &tenant.account_of(&person).await?)?;
        self.write_sessions(&mut document, &person, hold).await?;
        document.begin("invitations");
        for invitation in tenant.invitations_of(&mut person).await? {
            let mut shown = serde_json::to_value(&invitation).map_err(JobError::write)?;
            remove(&mut shown, &["token_digest"]);
            document.element(&shown, hold).await?;
        }
        document.end();
        self.write_leads(&mut document, &mut person, hold).await?;
        self.write_events(&mut document, &mut person, hold).await?;
        self.write_meetings(&mut document, &person, hold).await?;
        self.write_audit_records(&mut document, &person, hold).await?;
        document.text("\n}\n");
        hold.job.file = Some(document.output.finish().await?);
        self.finish(hold).await
    }

    async fn write_sessions(
        &self,
        document: &mut Document,
        person: &Person,
        hold: &mut Hold<'_>,
    ) -> Result<(), JobError> {
        document.begin("sessions");
        if let Some(user) = person.user_id {
            let mut after = None::<String>;
            loop {
                hold.in_time()?;
                let page = hold.tenant.sessions_of(user, after.as_deref()).await?;
                for session in page.sessions {
                    document.element(&session, hold).await?;
                }
                hold.note_now_and_then().await?;
                match page.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
        }
        document.end();
        Ok(())
    }

    async fn write_leads(
        &self,
        document: &mut Document,
        person: &mut Person,
        hold: &mut Hold<'_>,
    ) -> Result<(), JobError> {
        let tenant = hold.tenant.clone();
        document.begin("leads");
        let mut walk = tenant.walk_leads().await?;
        while let Some(leads) = tenant.leads_of(person, &mut walk).await? {
            hold.in_time()?;
            hold.note_now_and_then().await?;
            for (scope, lead) in leads {
                let mut shown = serde_json::to_value(&lead).map_err(JobError::write)?;
                if let Some(fields) = shown.as_object_mut() {
                    fields.insert("mode".to_owned(), json!(scope.mode));
                    fields.insert("replies".to_owned(), tenant.replies_of(&scope, lead.id).await?.into());
                }
                document.element(&shown, hold).await?;
            }
        }
        document.end();
        Ok(())
    }

    /// After the events, which tell of leads that are deleted by now.
    async fn write_meetings(
        &self,
        document: &mut Document,
        person: &Person,
        hold: &mut Hold<'_>,
    ) -> Result<(), JobError> {
        let tenant = hold.tenant.clone();
        document.begin("meetings");
        let mut walk = tenant.walk_meetings().await?;
        while let Some(meetings) = tenant.meetings_of(person, &mut walk).await? {
            hold.in_time()?;
            hold.note_now_and_then().await?;
            for meeting in meetings {
                document.element(&meeting, hold).await?;
            }
        }
        document.end();
        Ok(())
    }

    async fn write_events(
        &self,
        document: &mut Document,
        person: &mut Person,
        hold: &mut Hold<'_>,
    ) -> Result<(), JobError> {
        document.begin("events");
        let mut after = None;
        loop {
            hold.in_time()?;
            let page = hold.tenant.events_about(person, after, self.0.clock.now()).await?;
            for event in page.events {
                let body: Value = serde_json::from_str(&event.body).map_err(JobError::write)?;
                document.element(&body, hold).await?;
            }
            hold.note_now_and_then().await?;
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        document.end();
        Ok(())
    }

    async fn write_audit_records(
        &self,
        document: &mut Document,
        person: &Person,
        hold: &mut Hold<'_>,
    ) -> Result<(), JobError> {
        let of_actor = |id: String| AuditFilter { actor: Some(id), ..AuditFilter::default() };
        let of_resource = |id: String| AuditFilter { resource: Some(id), ..AuditFilter::default() };
        let user = person.user_id.map(|id| id.to_string());
        let mut written: BTreeSet<AuditId> = BTreeSet::new();
        document.begin("audit_records_by_them");
        for id in user.iter().cloned() {
            self.write_records_of(document, &of_actor(id), true, &mut written, hold).await?;
        }
        document.end();
        document.begin("audit_records_about_them");
        let leads = person.leads.keys().map(ToString::to_string);
        let invitations = person.invitations.iter().map(ToString::to_string);
        for id in user.iter().cloned().chain(leads).chain(invitations) {
            self.write_records_of(document, &of_resource(id), false, &mut written, hold).await?;
        }
        document.end();
        Ok(())
    }

    async fn write_records_of(
        &self,
        document: &mut Document,
        filter: &AuditFilter,
        by_them: bool,
        written: &mut BTreeSet<AuditId>,
        hold: &mut Hold<'_>,
    ) -> Result<(), JobError> {
        let mut page = PageRequest { limit: PAGE, after: None };
        loop {
            hold.in_time()?;
            let listed = hold.tenant.audit_records(filter, &page, true, self.0.clock.now()).await?;
            for entry in listed.items {
                if written.insert(entry.id) {
                    document.element(&shown(&entry, by_them)?, hold).await?;
                }
            }
            hold.note_now_and_then().await?;
            match listed.next.as_deref().and_then(audit_at) {
                Some(next) => page.after = Some(next),
                None => return Ok(()),
            }
        }
    }
}

/// A record as its person may see it.
fn shown(entry: &AuditEntry, by_them: bool) -> Result<Value, JobError> {
    let mut record = entry.record()?;
    if !by_them {
        remove(&mut record, &["ip_address", "user_agent"]);
        if let Some(actor) = record.get_mut("actor") {
            remove(actor, &["email"]);
        }
    }
    Ok(record)
}

fn remove(object: &mut Value, names: &[&str]) {
    if let Some(fields) = object.as_object_mut() {
        fields.retain(|name, _| !names.contains(&name.as_str()));
    }
}
