//! What stands around every page.

use axum::response::Response;
use http::StatusCode;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::form::token;
use super::icon::{Icon, icon};
use super::{answer, notice};
use crate::api::Me;
use crate::assets;
use crate::visit::{Visit, href};

/// Which entry of the navigation a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    Overview,
    Keys,
    Webhooks,
    DeadLetters,
    Events,
    Audit,
    Campaigns,
    Leads,
    Meetings,
    People,
    Workspaces,
    Settings,
    Profile,
    Find,
}

/// A page for somebody who is signed in.
pub(crate) struct Page<'a> {
    visit: &'a Visit,
    me: &'a Me,
    at: At,
    title: String,
    lead: Option<Markup>,
    actions: Option<Markup>,
    trail: Vec<(String, String)>,
    workspace: Option<String>,
    status: StatusCode,
}

impl<'a> Page<'a> {
    pub(crate) fn new(visit: &'a Visit, me: &'a Me, at: At, title: impl Into<String>) -> Self {
        Self {
            visit,
            me,
            at,
            title: title.into(),
            lead: None,
            actions: None,
            trail: Vec::new(),
            workspace: None,
            status: StatusCode::OK,
        }
    }

    /// With a sentence below the title.
    pub(crate) fn lead(mut self, lead: Markup) -> Self {
        self.lead = Some(lead);
        self
    }

    /// With what can be done here, beside the title.
    pub(crate) fn actions(mut self, actions: Markup) -> Self {
        self.actions = Some(actions);
        self
    }

    /// Below other pages: their names and addresses, outermost first.
    pub(crate) fn below(mut self, name: impl Into<String>, href: impl Into<String>) -> Self {
        self.trail.push((name.into(), href.into()));
        self
    }

    /// In a workspace, which links to its neighbours then keep.
    pub(crate) fn within(mut self, workspace: &str) -> Self {
        self.workspace = Some(workspace.to_owned());
        self
    }

    /// With another status than 200.
    pub(crate) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn show(self, body: Markup) -> Response {
        let visit = self.visit;
        let heading = html! {
            @if !self.trail.is_empty() {
                nav class="trail" aria-label="Above this page" {
                    ol { @for (name, href) in &self.trail { li { a href=(href) { (name) } } } }
                }
            }
            div class="heading" {
                div { h1 { (self.title) } @if let Some(lead) = &self.lead { p class="lead" { (lead) } } }
                @if let Some(actions) = &self.actions { div class="actions" { (actions) } }
            }
        };
        let content = html! {
            (top(visit, self.me))
            (self.side())
            main id="main" tabindex="-1" {
                (notice::told(visit))
                (heading)
                (body)
            }
        };
        answer(self.status, document(visit, &self.title, "shell", content))
    }

    fn side(&self) -> Markup {
        let me = self.me;
        let workspace = self.workspace.as_deref().or_else(|| Some(me.workspaces.first()?.id.as_str()));
        let entry = |at: At, glyph: Icon, name: &str, href: String, permission: Option<&str>| {
            let lacks = permission.filter(|permission| !me.may_somewhere(permission));
            html! {
                li {
                    a href=(href) aria-current=[(self.at == at).then_some("page")] {
                        (icon(glyph)) span { (name) }
                        @if let Some(permission) = lacks {
                            span class="lock" title={ "Needs " (permission) } { (icon(Icon::Lock)) span class="unseen" { " (needs " (permission) ")" } }
                        }
                    }
                }
            }
        };
        let plain = |path: &str| format!("/console{path}");
        html! {
            nav class="side" aria-label="Console" {
                ul { (entry(At::Overview, Icon::Overview, "Overview", plain(""), None)) }
                h2 { "Develop" }
                ul {
                    (entry(At::Keys, Icon::Key, "API keys", plain("/keys"), Some("api_keys:read")))
                    (entry(At::Webhooks, Icon::Webhook, "Webhooks", plain("/webhooks"), Some("webhooks:read")))
                    (entry(At::Events, Icon::Event, "Events", plain("/events"), Some("webhooks:read")))
                    (entry(At::DeadLetters, Icon::Dead, "Dead letters", plain("/dead-letters"), Some("webhooks:read")))
                    (entry(At::Audit, Icon::Audit, "Audit log", plain("/audit"), Some("audit_logs:read")))
                }
                h2 { "Sell" }
                ul {
                    @if let Some(workspace) = workspace {
                        (entry(At::Campaigns, Icon::Campaign, "Campaigns", format!("/console/w/{workspace}/campaigns"), Some("campaigns:read")))
                        (entry(At::Leads, Icon::Lead, "Leads", format!("/console/w/{workspace}/leads"), Some("leads:read")))
                        (entry(At::Meetings, Icon::Meeting, "Meetings", format!("/console/w/{workspace}/meetings"), Some("meetings:read")))
                    } @else {
                        li class="nothing" { "No workspace to enter" }
                    }
                }
                h2 { "Administer" }
                ul {
                    (entry(At::People, Icon::People, "People", plain("/people"), Some("users:read")))
                    (entry(At::Workspaces, Icon::Workspace, "Workspaces", plain("/workspaces"), Some("workspaces:read")))
                    (entry(At::Settings, Icon::Settings, "Settings", plain("/settings"), Some("organization:read")))
                }
            }
        }
    }
}

fn top(visit: &Visit, me: &Me) -> Markup {
    html! {
        header class="top" {
            a class="brand" href="/console" { (PreEscaped(include_str!("../../assets/mark.svg"))) span { "Artisan" } }
            details class="menu organization" {
                summary { span class="name" { (me.organization.name) } span class="unseen" { ": change organization" } (icon(Icon::Down)) }
                div class="sheet" {
                    p class="label" { "Organization" }
                    ul {
                        @for organization in &me.organizations {
                            li {
                                @if organization.id == me.organization.id {
                                    span class="chosen" { (icon(Icon::Tick)) (organization.name) }
                                } @else {
                                    form method="post" action="/console/switch" {
                                        (token(visit))
                                        input type="hidden" name="organization_id" value=(organization.id);
                                        button class="plain" { (organization.name) }
                                    }
                                }
                            }
                        }
                        @for organization in &me.joinable {
                            li {
                                form method="post" action="/console/switch" {
                                    (token(visit))
                                    input type="hidden" name="organization_id" value=(organization.id);
                                    button class="plain" { "Join " (organization.name) }
                                }
                            }
                        }
                    }
                }
            }
            form class="find" method="get" action="/console/find" role="search" {
                label class="unseen" for="find" { "Find anything by its id" }
                (icon(Icon::Find))
                input id="find" name="id" type="search" placeholder="Paste any id" autocomplete="off" spellcheck="false" data-hotkey="/";
            }
            @if let Some(inbox) = &visit.site().inbox { a class="tool" href=(inbox) { (icon(Icon::Dead)) span { "Inbox" } } }
            @if let Some(clock) = &visit.site().clock { a class="tool" href=(href(clock, [("back", &*visit.here)])) { (icon(Icon::Clock)) span { "Clock" } } }
            details class="menu person" {
                summary { (avatar(&me.user.name)) span class="unseen" { (me.user.name) ": profile and sign-out" } }
                div class="sheet" {
                    p class="who" { strong { (me.user.name) } br; span { (me.user.email) } }
                    ul {
                        li { a href="/console/profile" { "Profile and security" } }
                        li { a href="/docs" { "API reference" } }
                    }
                    form class="theme" method="post" action="/console/theme" {
                        (token(visit))
                        input type="hidden" name="next" value=(visit.here);
                        span class="label" { "Colours" }
                        @for theme in ["system", "light", "dark"] {
                            button class="small" name="theme" value=(theme) aria-pressed=(visit.theme.name() == theme) { (theme) }
                        }
                    }
                    form method="post" action="/console/sign-out" { (token(visit)) button class="plain" { "Sign out" } }
                }
            }
        }
    }
}

fn avatar(name: &str) -> Markup {
    let letters: String = name.split_whitespace().filter_map(|word| word.chars().next()).take(2).collect();
    html! { span class="avatar" aria-hidden="true" { (letters.to_uppercase()) } }
}

/// A page for somebody who is not signed in, or not yet: one card.
pub(crate) fn bare(visit: &Visit, status: StatusCode, title: &str, body: Markup) -> Response {
    let content = html! {
        main id="main" tabindex="-1" {
            a class="brand" href="/console" { (PreEscaped(include_str!("../../assets/mark.svg"))) span { "Artisan" } }
            div class="card" {
                (notice::told(visit))
                h1 { (title) }
                (body)
            }
        }
    };
    answer(status, document(visit, title, "bare", content))
}

fn document(visit: &Visit, title: &str, class: &str, content: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" data-theme=(visit.theme.name()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Artisan" }
                link rel="icon" href=(assets::ICON.path);
                link rel="stylesheet" href=(assets::STYLE.path);
                script defer src=(assets::SCRIPT.path) {}
            }
            body class=(class) {
                a class="skip" href="#main" { "Skip to the content" }
                (content)
            }
        }
    }
}
