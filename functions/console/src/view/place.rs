//! Where the page of something is, by its id.

use maud::{Markup, html};

/// The page of what has this id. Campaigns, leads and meetings are found in their workspace only, and what
/// is done in the background by what `kind` says of it: all of that has ids of `exp_…`.
pub(crate) fn page_of(kind: &str, id: &str, workspace: Option<&str>) -> Option<String> {
    let prefix = match kind {
        "domain" => return Some(format!("/console/settings/domains/{id}")),
        _ => id.split('_').next()?,
    };
    let within = |name: &str| workspace.map(|workspace| format!("/console/w/{workspace}/{name}/{id}"));
    let below = |path: &str| Some(format!("/console/{path}/{id}"));
    match prefix {
        "org" => Some("/console/settings".to_owned()),
        "ws" => below("workspaces"),
        "usr" => below("people"),
        "key" => below("keys"),
        "ep" => below("webhooks"),
        "evt" => below("events"),
        "dlv" => below("deliveries"),
        "rpl" => below("replays"),
        "aud" => below("audit"),
        "camp" => within("campaigns"),
        "lead" => within("leads"),
        "mtg" => within("meetings"),
        "inv" => Some("/console/people/invitations".to_owned()),
        "exp" => match kind {
            "personal_export" => below("settings/privacy/exports"),
            "erasure" => below("settings/privacy/erasures"),
            "" | "audit_export" => below("audit/exports"),
            _ => None,
        },
        _ => None,
    }
}

/// An id, as a link to the page of what has it, if there is one.
pub(crate) fn to_page(kind: &str, id: &str, workspace: Option<&str>) -> Markup {
    html! {
        @match page_of(kind, id, workspace) {
            Some(href) => a href=(href) { code { (id) } },
            None => code { (id) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_found_by_what_an_id_begins_with() {
        for (kind, id, workspace, page) in [
            ("api_key", "key_1", None, Some("/console/keys/key_1")),
            ("lead", "lead_1", Some("ws_1"), Some("/console/w/ws_1/leads/lead_1")),
            ("lead", "lead_1", None, None),
            ("domain", "a.example", None, Some("/console/settings/domains/a.example")),
            ("audit_export", "exp_1", None, Some("/console/audit/exports/exp_1")),
            ("erasure", "exp_1", None, Some("/console/settings/privacy/erasures/exp_1")),
            ("session", "ses_1", None, None),
        ] {
            assert_eq!(page_of(kind, id, workspace).as_deref(), page, "{id}");
        }
    }
}
