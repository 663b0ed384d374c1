//! What was done just now. The address names it by a short name of ours, so that nobody can have the console say something
//! else by a link.

use maud::{Markup, html};

use super::icon::{Icon, icon};
use crate::visit::Visit;

const NOTICES: &[(&str, &str)] = &[
    ("signed-out", "You are signed out."),
    ("switched", "You are in another organization now."),
    ("welcome", "Welcome. We have sent you a mail: confirm your address with the link in it."),
    ("joined", "You have joined. Sign in as usual."),
    ("confirmed", "Your address is confirmed."),
    ("mail-sent", "The mail is on its way."),
    ("password-changed", "The password is changed. Every other session of yours is over."),
    ("password-reset", "The password is set. Sign in with it."),
    ("factor-removed", "The second factor is off."),
    ("saved", "Saved."),
    ("deleted", "It is deleted."),
    ("key-changed", "The API key is changed."),
    ("key-revoked", "The API key is revoked. Requests with it are refused from now on."),
    ("not-there", "That is not there any more."),
    ("export-started", "The export is on its way."),
    ("endpoint-changed", "The endpoint is changed. Whatever is sent from now on goes by it."),
    ("endpoint-disabled", "The endpoint is disabled. Nothing is sent to it."),
    ("endpoint-deleted", "The endpoint is deleted."),
    ("test-sent", "The test is on its way."),
    ("delivery-resent", "The delivery is on its way again."),
    ("replay-started", "The replay starts within a minute."),
    ("replay-paused", "The replay is paused."),
    ("replay-resumed", "The replay goes on."),
    ("replay-cancelled", "The replay is cancelled."),
    ("redriven", "The dead letters are on their way again."),
    (
        "redriven-some",
        "Some are on their way again. Others were skipped: they are no dead letters any more, past their retention, or their endpoint is disabled.",
    ),
    (
        "redriven-none",
        "None was sent: they are no dead letters any more, past their retention, or their endpoint is disabled.",
    ),
    ("user-changed", "The person is changed. It counts from their next request on."),
    ("user-deactivated", "The person is deactivated. Their seat is free."),
    ("user-reactivated", "The person may come in again, with the roles they had."),
    ("user-removed", "The person is removed."),
    ("invitation-sent", "A new link is on its way. The one before does not work any more."),
    ("invitation-revoked", "The invitation is revoked."),
    ("workspace-made", "The workspace is made. Add those who are to work in it."),
    ("workspace-renamed", "The workspace is renamed."),
    ("workspace-archived", "The workspace is archived. Nothing in it can be used."),
    ("workspace-active", "The workspace is active again."),
    ("workspace-deleted", "The workspace is deleted."),
    ("workspace-role-given", "The role is given. It counts from their next request on."),
    ("workspace-role-taken", "The role is taken away."),
    ("organization-renamed", "The organization is renamed."),
    ("plan-changed", "The plan is changed."),
    ("settings-changed", "The settings are as you have them now."),
    ("domain-claimed", "The domain is claimed. Make the record, then verify."),
    ("domain-verified", "The record is there: the domain is verified."),
    ("domain-changed", "Who joins by the domain is changed."),
    ("domain-given-up", "The domain is given up."),
    ("sso-set", "The identity provider is set. Test it before you ask everybody to sign on there."),
    ("sso-removed", "The identity provider is removed."),
    ("privacy-asked", "It is asked for, and done in the background."),
    ("organization-deleted", "The organization is deleted."),
    ("organization-lives", "The organization is not deleted."),
    ("organization-restored", "The organization is back."),
];

/// What to say, if something was done.
pub(super) fn told(visit: &Visit) -> Markup {
    let named = visit.notice.as_deref();
    let text = NOTICES.iter().find(|(name, _)| Some(*name) == named).map(|(_, text)| *text);
    html! {
        @if let Some(text) = text {
            div class="toast" role="status" data-toast { (icon(Icon::Tick)) p { (text) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::NOTICES;

    #[test]
    fn no_two_notices_have_one_name() {
        for (index, (name, _)) in NOTICES.iter().enumerate() {
            assert!(NOTICES.iter().skip(index + 1).all(|(other, _)| other != name), "{name}");
        }
    }
}
