//! A record, as the API tells of it, and what it says in words.

use std::borrow::Cow;

use clock::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use crate::view::{Tone, badge, to_page};

/// What was done, by whom, and to what.
#[derive(Debug, Clone, Deserialize)]
pub(in crate::pages) struct Record {
    pub(in crate::pages) id: String,
    pub(in crate::pages) action: String,
    pub(in crate::pages) actor: Actor,
    pub(in crate::pages) resource_type: String,
    #[serde(default)]
    pub(in crate::pages) resource_id: Option<String>,
    #[serde(default)]
    pub(in crate::pages) workspace_id: Option<String>,
    #[serde(default)]
    pub(in crate::pages) ip_address: String,
    #[serde(default)]
    pub(in crate::pages) user_agent: Option<String>,
    pub(in crate::pages) request_id: String,
    pub(in crate::pages) timestamp: Timestamp,
    pub(in crate::pages) success: bool,
    #[serde(default)]
    pub(in crate::pages) error_code: Option<String>,
    #[serde(default)]
    pub(in crate::pages) changes: Vec<Change>,
    #[serde(default)]
    pub(in crate::pages) pii_accessed: bool,
    #[serde(default)]
    pub(in crate::pages) sensitive: bool,
    #[serde(default)]
    pub(in crate::pages) compliance_relevant: bool,
    /// Its place in the log, once it is sealed.
    #[serde(default)]
    pub(in crate::pages) leaf_index: Option<u64>,
}

/// Who acted.
#[derive(Debug, Clone, Deserialize)]
pub(in crate::pages) struct Actor {
    pub(in crate::pages) r#type: String,
    pub(in crate::pages) id: String,
    #[serde(default)]
    pub(in crate::pages) email: Option<String>,
}

/// A field that was changed. What is null had no value, or one that is not shown.
#[derive(Debug, Clone, Deserialize)]
pub(in crate::pages) struct Change {
    pub(in crate::pages) field: String,
    #[serde(default)]
    pub(in crate::pages) before: Option<Value>,
    #[serde(default)]
    pub(in crate::pages) after: Option<Value>,
}

impl Actor {
    /// Who it was, in words: the address of a person, else what the id says.
    pub(in crate::pages) fn name(&self) -> &str {
        self.email.as_deref().unwrap_or(&self.id)
    }

    /// The same, as a link to their page where they have one.
    pub(in crate::pages) fn link(&self) -> Markup {
        match (self.r#type.as_str(), &self.email) {
            ("system", _) => html! { "Artisan" span class="hint" { " (" (self.id) ")" } },
            ("user", Some(email)) => html! { a href={ "/console/people/" (self.id) } { (email) } },
            _ => to_page("", &self.id, None),
        }
    }
}

impl Record {
    /// What it was done to, as a link to its page where there is one.
    pub(in crate::pages) fn resource(&self) -> Markup {
        let kind = self.resource_type.replace('_', " ");
        html! {
            @match self.resource_id.as_deref().filter(|id| !id.is_empty()) {
                Some(id) => { (kind) " " (to_page(&self.resource_type, id, self.workspace_id.as_deref())) },
                None => (kind),
            }
        }
    }

    /// Whether it was carried out.
    pub(in crate::pages) fn outcome(&self) -> Markup {
        html! {
            @if self.success { (badge(Tone::Good, "done")) } @else { (badge(Tone::Bad, "refused")) }
            @if let Some(code) = &self.error_code { " " code class="hint" { (code) } }
        }
    }

    /// What is to be known of it besides: personal data, credentials, what auditors look for.
    pub(in crate::pages) fn marks(&self) -> Vec<&'static str> {
        [
            (self.pii_accessed, "personal data"),
            (self.sensitive, "sensitive"),
            (self.compliance_relevant, "compliance"),
        ]
        .into_iter()
        .filter_map(|(is, mark)| is.then_some(mark))
        .collect()
    }
}

/// What was done, in words. An action that is not known here is told by its name.
pub(in crate::pages) fn in_words(action: &str) -> Cow<'static, str> {
    WORDS
        .iter()
        .find(|(name, _)| *name == action)
        .map_or_else(|| Cow::Owned(action.replace(['.', '_'], " ")), |(_, words)| Cow::Borrowed(*words))
}

/// The actions there are, for fields that suggest them.
pub(super) fn actions() -> impl Iterator<Item = (&'static str, &'static str)> {
    WORDS.iter().copied()
}

const WORDS: &[(&str, &str)] = &[
    ("access.refuse", "Was refused"),
    ("api_key.create", "Made an API key"),
    ("api_key.leaked", "Had an API key reported as leaked"),
    ("api_key.revoke", "Revoked an API key"),
    ("api_key.rotate", "Rotated an API key"),
    ("api_key.update", "Changed an API key"),
    ("audit_log.export", "Exported the audit log"),
    ("audit_log.export_failed", "Could not export the audit log"),
    ("audit_log.export_link", "Got links to an export of the audit log"),
    ("audit_log.tamper", "Found the audit log tampered with"),
    ("audit_log.witness", "Noted a day without records"),
    ("campaign.complete", "Completed a campaign"),
    ("campaign.create", "Made a campaign"),
    ("campaign.delete", "Deleted a campaign"),
    ("campaign.pause", "Paused a campaign"),
    ("campaign.start", "Started a campaign"),
    ("campaign.update", "Changed a campaign"),
    ("dead_letters.redrive", "Sent dead letters again"),
    ("delivery.exhausted", "Gave up a delivery"),
    ("delivery.retry", "Sent a delivery again"),
    ("domain.claim", "Claimed a domain"),
    ("domain.delete", "Gave up a domain"),
    ("domain.update", "Changed a domain"),
    ("domain.verify", "Had a domain verified"),
    ("email.confirm", "Confirmed an e-mail address"),
    ("email.resend", "Asked for another confirmation mail"),
    ("email_event.create", "Reported what became of mails"),
    ("endpoint.create", "Added an endpoint"),
    ("endpoint.delete", "Deleted an endpoint"),
    ("endpoint.disable", "Disabled an endpoint"),
    ("endpoint.disabled", "Disabled a failing endpoint"),
    ("endpoint.enable", "Enabled an endpoint"),
    ("endpoint.replay", "Replayed events to an endpoint"),
    ("endpoint.rotate_secret", "Rotated the secret of an endpoint"),
    ("endpoint.test", "Tried out an endpoint"),
    ("endpoint.update", "Changed an endpoint"),
    ("invitation.accept", "Accepted an invitation"),
    ("invitation.create", "Invited somebody"),
    ("invitation.resend", "Sent an invitation again"),
    ("invitation.revoke", "Revoked an invitation"),
    ("lead.create", "Made a lead"),
    ("lead.delete", "Deleted a lead"),
    ("lead.qualify", "Qualified a lead"),
    ("lead.reply", "Noted a reply of a lead"),
    ("lead.update", "Changed a lead"),
    ("meeting.cancel", "Cancelled a meeting"),
    ("meeting.create", "Booked a meeting"),
    ("member.join", "Joined"),
    ("mfa.activate", "Activated a second factor"),
    ("mfa.enroll", "Began to set up a second factor"),
    ("mfa.remove", "Removed a second factor"),
    ("mfa.renew_recovery_codes", "Made new recovery codes"),
    ("mfa.verify", "Proved a second factor"),
    ("organization.create", "Founded the organization"),
    ("organization.delete", "Deleted the organization"),
    ("organization.erase", "Erased the organization"),
    ("organization.export", "Exported the organization's data"),
    ("organization.restore", "Restored the organization"),
    ("organization.update", "Changed the organization"),
    ("password.change", "Changed their password"),
    ("password.reset", "Reset their password"),
    ("privacy.erase", "Asked for a person to be erased"),
    ("privacy.erase_failed", "Could not erase a person"),
    ("privacy.erased", "Erased a person"),
    ("privacy.export", "Exported what is held about a person"),
    ("privacy.export_failed", "Could not export what is held about a person"),
    ("privacy.export_link", "Got a link to an export of a person"),
    ("profile.update", "Changed their profile"),
    ("replay.cancel", "Cancelled a replay"),
    ("replay.pause", "Paused a replay"),
    ("replay.resume", "Resumed a replay"),
    ("session.break_glass", "Signed in past the organization's policies"),
    ("session.create", "Signed in"),
    ("session.end", "Signed out"),
    ("session.refresh", "Went on with a session"),
    ("session.reuse", "Had a session ended, as a token was used twice"),
    ("session.switch", "Went to another organization"),
    ("sso.delete", "Removed single sign-on"),
    ("sso.set", "Set up single sign-on"),
    ("user.deactivate", "Deactivated a member"),
    ("user.reactivate", "Reactivated a member"),
    ("user.remove", "Removed a member"),
    ("user.update", "Changed a member"),
    ("workspace.create", "Made a workspace"),
    ("workspace.delete", "Deleted a workspace"),
    ("workspace.erase", "Erased a workspace"),
    ("workspace.update", "Changed a workspace"),
    ("workspace_member.put", "Set somebody's role in a workspace"),
    ("workspace_member.remove", "Took somebody out of a workspace"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_has_one_wording_and_an_unknown_one_its_name() {
        assert_eq!(in_words("lead.create"), "Made a lead");
        assert_eq!(in_words("space_ship.launch"), "space ship launch");
        let names: Vec<&str> = WORDS.iter().map(|(name, _)| *name).collect();
        assert!(names.is_sorted(), "actions are in the order of their names");
        let mut once = names.clone();
        once.dedup();
        assert_eq!(once, names);
    }

    #[test]
    fn a_record_is_read_from_what_the_api_gives_at_least() {
        let record: Record = serde_json::from_str(
            r#"{"id":"aud_1","action":"lead.create","actor":{"type":"system","id":"seal"},"resource_type":"lead",
                "organization_id":"org_1","ip_address":"","request_id":"req_1","timestamp":"2026-11-22T15:04:05.123Z",
                "success":true,"changes":[{"field":"name","before":null,"after":"Ada"}],"pii_accessed":true,
                "sensitive":false,"compliance_relevant":false}"#,
        )
        .unwrap();
        assert_eq!(record.marks(), ["personal data"]);
        assert_eq!(record.leaf_index, None);
    }
}
