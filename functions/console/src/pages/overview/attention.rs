//! What needs somebody, the worst first.

use clock::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;

use super::{Counted, Organization, seen};
use crate::api::{Failure, List, Me, Request};
use crate::view::{Icon, Tone, badge, icon, moment, section};
use crate::visit::Visit;

/// How long before its end a key is told of, in seconds.
const SOON: i64 = 14 * 24 * 60 * 60;

#[derive(Debug, Deserialize)]
struct Endpoint {
    id: String,
    url: String,
    status: String,
    disabled_reason: Option<String>,
    health: Health,
}

#[derive(Debug, Deserialize)]
struct Health {
    state: String,
    #[serde(default)]
    failing_since: Option<Timestamp>,
}

#[derive(Debug, Deserialize)]
struct Key {
    id: String,
    name: String,
    status: String,
    expires_at: Option<Timestamp>,
    leaked_at: Option<Timestamp>,
}

#[derive(Debug, Deserialize)]
struct Domain {
    domain: String,
    status: String,
}

/// What was looked at; nothing where the role may not see it.
pub(super) struct Attention {
    endpoints: Option<List<Endpoint>>,
    keys: Option<Vec<Key>>,
    domains: Option<Vec<Domain>>,
    dead_letters: Option<(usize, bool)>,
}

impl Attention {
    pub(super) async fn look(visit: &Visit, me: &Me) -> Result<Self, Failure> {
        let list = |path: &str| Request::get(path).query("limit", "100");
        // Whether there are any, and whether they are many.
        let dead = Request::get("/api/admin/webhooks/dead-letters").query("limit", "25");
        let (endpoints, keys, domains, dead) = tokio::try_join!(
            seen::<List<Endpoint>>(
                visit,
                me,
                "webhooks:read",
                list("/api/admin/webhooks").query("include", "health")
            ),
            seen::<List<Key>>(visit, me, "api_keys:read", list("/api/admin/api-keys")),
            seen::<List<Domain>>(visit, me, "domains:read", list("/api/admin/domains")),
            seen::<Counted>(visit, me, "webhooks:read", dead),
        )?;
        Ok(Self {
            endpoints,
            keys: keys.map(|keys| keys.data),
            domains: domains.map(|domains| domains.data),
            dead_letters: dead.map(|dead| (dead.data.len(), dead.next_cursor.is_some())),
        })
    }

    /// Whether there are more endpoints than were looked at.
    fn is_partial(&self) -> bool {
        self.endpoints.as_ref().is_some_and(|endpoints| endpoints.next_cursor.is_some())
    }

    /// Whether there is any API key, and any endpoint, as far as that may be seen.
    pub(super) fn has(&self) -> (bool, bool) {
        let any = |count: Option<usize>| count.is_some_and(|count| count > 0);
        (any(self.keys.as_ref().map(Vec::len)), any(self.endpoints.as_ref().map(|list| list.data.len())))
    }

    pub(super) fn show(&self, visit: &Visit, me: &Me, organization: Option<&Organization>) -> Markup {
        let items: Vec<Markup> = self.items(visit, me, organization).collect();
        section(
            "Needs attention",
            html! {
                @if !items.is_empty() { ul class="attention" { @for item in items { li { (item) } } } }
                @else if !self.is_partial() { p class="calm" { (icon(Icon::Tick)) "Nothing, as far as you may see." } }
                @if self.is_partial() {
                    p class="hint" { "The newest 100 endpoints were looked at; " a href="/console/webhooks" { "the list" } " has all of them." }
                }
            },
        )
    }

    fn items<'a>(
        &'a self,
        visit: &'a Visit,
        me: &'a Me,
        organization: Option<&'a Organization>,
    ) -> impl Iterator<Item = Markup> + 'a {
        let now = visit.now();
        let leaked = self.keys().filter(|key| key.leaked_at.is_some() && key.status != "revoked").map(|key| {
            html! { (badge(Tone::Bad, "leaked key")) a href={ "/console/keys/" (key.id) } { (key.name) } " was found where anybody can read it" }
        });
        let endpoints = self.endpoints.iter().flat_map(|list| &list.data);
        let disabled = endpoints.clone().filter(|it| it.status == "disabled").map(|endpoint| {
            html! { (badge(Tone::Bad, "disabled")) a href={ "/console/webhooks/" (endpoint.id) } { (endpoint.url) } @if let Some(reason) = &endpoint.disabled_reason { ": " (reason) } }
        });
        let failing = endpoints.filter_map(move |endpoint| {
            let since = endpoint.health.failing_since.filter(|_| endpoint.status == "enabled")?;
            Some(html! { (badge(Tone::Bad, &endpoint.health.state)) a href={ "/console/webhooks/" (endpoint.id) } { (endpoint.url) } " has been failing, since " (moment(now, since)) })
        });
        let dead = self.dead_letters.filter(|(count, _)| *count > 0).map(|(count, more)| {
            html! { (badge(Tone::Wary, "dead letters")) a href="/console/dead-letters" { (count) @if more { "+" } " deliveries were given up" } ", and can be redriven" }
        });
        let expiring = self.keys().filter_map(move |key| {
            let at = key.expires_at.filter(|at| *at > now && at.seconds() - now.seconds() < SOON)?;
            let is_ending = key.status == "active";
            is_ending.then(|| html! { (badge(Tone::Wary, "expiring key")) a href={ "/console/keys/" (key.id) } { (key.name) } " expires " (moment(now, at)) })
        });
        let domains = self.domains.iter().flatten().filter(|domain| domain.status != "verified").map(|domain| {
            html! { (badge(Tone::Wary, &format!("{} domain", domain.status))) a href={ "/console/settings/domains/" (domain.domain) } { (domain.domain) } }
        });
        let short = organization.into_iter().flat_map(|it| {
            let usage = &it.usage;
            [
                ("seats", usage.seats),
                ("workspaces", usage.workspaces),
                ("API keys", usage.api_keys),
                ("endpoints", usage.endpoints),
            ]
        });
        let short = short.filter(|(_, usage)| usage.is_short()).map(|(what, usage)| {
            html! { (badge(Tone::Wary, "nearly full")) (usage.used) " of " (usage.limit) " " (what) " are in use: " a href="/console/settings" { "plan and limits" } }
        });
        let address = (!me.email_verified).then(|| html! { (badge(Tone::Wary, "address")) "Your e-mail address is not confirmed: " a href="/console/profile" { "send the mail again" } });
        let is_signed_on = me.session.amr.iter().any(|method| method == "sso");
        let factor = (!me.mfa_enabled && !is_signed_on).then(|| html! { (badge(Tone::Quiet, "advice")) a href="/console/profile/second-factor" { "Set up a second factor" } " for yourself" });
        leaked
            .chain(disabled)
            .chain(failing)
            .chain(dead)
            .chain(expiring)
            .chain(domains)
            .chain(short)
            .chain(address)
            .chain(factor)
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter().flatten()
    }
}
