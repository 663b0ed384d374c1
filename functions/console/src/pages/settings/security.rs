//! What the organization asks of its people. Before it asks for more, it is said who would be locked out, as far as that can
//! be known.

use axum::response::Response;
use clock::Timestamp;
use http::StatusCode;
use maud::{Markup, html};
use serde_json::{Map, Value, json};
use std::time::Duration;

use super::{Organization, PATH, Settings, lacking, page, patch, read, settings_tabs, sso};
use crate::api::{Failure, Me};
use crate::pages::Answer;
use crate::pages::people::{User, everybody};
use crate::view::{
    Call, Faults, Field, Icon, Tone, ago, as_code, banner, check, choice, done, hidden, icon, once, section,
    span, text, textarea,
};
use crate::visit::{Fields, Visit};

/// How long a session may last: the API's seconds, and words.
const AGES: [(&str, &str); 7] = [
    ("", "30 days, the most there is"),
    ("604800", "7 days"),
    ("86400", "A day"),
    ("43200", "12 hours"),
    ("28800", "8 hours"),
    ("3600", "An hour"),
    ("900", "15 minutes"),
];

const FIELDS: [&str; 7] = [
    "/settings/require_mfa",
    "/settings/require_sso",
    "/settings/break_glass_user_id",
    "/settings/allowed_domains",
    "/settings/session_max_age_seconds",
    "/settings/admin_allowed_cidrs",
    "/settings/leaked_keys",
];

/// What the page has to know beside the settings.
struct Around {
    me: Me,
    organization: Organization,
    etag: String,
    /// Those who were looked at, and whether there are more; `None` when they may not be seen.
    people: Option<(Vec<User>, bool)>,
    /// The domains that are the organization's own.
    domains: Option<Vec<String>>,
    has_sso: Option<bool>,
}

async fn around(visit: &Visit) -> Result<Around, Failure> {
    let known = async {
        let me = Me::of(&visit.api).await?;
        let people = async {
            // What may not be looked at is not asked for: a refusal would stand in the audit log.
            if !me.may_somewhere("users:read") {
                return Ok(None);
            }
            everybody(&visit.api).await.map(Some)
        };
        let (people, domains, has_sso) =
            tokio::try_join!(people, sso::verified(visit, &me), sso::exists(visit, &me))?;
        Ok((me, people, domains, has_sso))
    };
    let ((me, people, domains, has_sso), (organization, etag)) = tokio::try_join!(known, read(visit))?;
    Ok(Around { me, organization, etag, people, domains, has_sso })
}

pub(super) async fn show(visit: Visit) -> Answer {
    let around = around(&visit).await?;
    let settings = around.organization.settings.clone();
    Ok(shown(&visit, &around, &settings, &Faults::default()))
}

fn shown(visit: &Visit, around: &Around, settings: &Settings, faults: &Faults) -> Response {
    let Around { me, organization, etag, .. } = around;
    let may = me.may("organization:write");
    let call = Call::new("PATCH", PATH, "organization:write");
    let body = html! {
        (settings_tabs("Security"))
        (faults.summary(&FIELDS))
        (lacking(may, "organization:write"))
        form class="stack" method="post" action="/console/settings/security" {
            (once(visit)) (hidden("etag", etag))
            (section("Signing in", signing_in(around, settings, faults)))
            (section("Who and from where", from_where(visit, around, settings, faults)))
            (section("API keys", choice(Field::new("leaked_keys", "A key that is found where anybody can read it").value(&settings.leaked_keys).fault(faults.of_field("/settings/leaked_keys")).hint("The admins are told either way."), [("revoke", "Is revoked at once"), ("flag", "Is marked, and goes on")])))
            div class="actions" {
                button class="button primary" disabled[!may] { "Save" }
                span class="hint" { "Before anything that may lock people out is switched on, you are told whom." }
            }
        }
        (as_code(visit, &call.body(json!({"settings": whole(&organization.settings)}))))
    };
    page(visit, me, "Security")
        .lead(html! { "What is asked of people who come in. It counts for sessions that are there already, from their next request on." })
        .status(faults.status())
        .show(body)
}

/// A box to tick, with what to know about it and what is wrong with it.
fn box_with(name: &str, label: &str, ticked: bool, hint: Markup, fault: Option<&str>) -> Markup {
    html! {
        div class="field" data-faulty[fault.is_some()] {
            (check(name, "1", html! { (label) }, ticked, false))
            @if let Some(fault) = fault { p class="fault" { (icon(Icon::Warning)) (fault) } }
            p class="hint" { (hint) }
        }
    }
}

fn signing_in(around: &Around, settings: &Settings, faults: &Faults) -> Markup {
    let sso_hint = html! {
        @match around.has_sso {
            Some(false) => { "Needs an identity provider: " a href="/console/settings/sso" { "set one up" } " first." },
            _ => "Nobody signs in by password then but the break-glass admin.",
        }
    };
    let own = settings.session_max_age_seconds.map(|age| age.to_string()).unwrap_or_default();
    let other = settings
        .session_max_age_seconds
        .filter(|_| AGES.iter().all(|(age, _)| *age != own))
        .map(|age| span(Duration::from_secs(age)));
    let other = other.as_ref().map(|words| (own.as_str(), words.as_str()));
    html! {
        (box_with("require_mfa", "Ask for a second factor", settings.require_mfa, html! { "A one-time code, or several factors at the identity provider." }, faults.of_field("/settings/require_mfa")))
        (box_with("require_sso", "Ask for single sign-on", settings.require_sso, sso_hint, faults.of_field("/settings/require_sso")))
        div class="columns" {
            (break_glass(around, settings, faults))
            (choice(Field::new("session_max_age_seconds", "A session lasts at most").value(&own).fault(faults.of_field("/settings/session_max_age_seconds")).hint("From the sign-in on."), AGES.into_iter().chain(other)))
        }
    }
}

fn break_glass(around: &Around, settings: &Settings, faults: &Faults) -> Markup {
    let chosen = settings.break_glass_user_id.as_deref().unwrap_or_default();
    let field = Field::new("break_glass_user_id", "Break-glass admin")
        .optional()
        .value(chosen)
        .fault(faults.of_field("/settings/break_glass_user_id"))
        .hint("An admin who may come in by password when single sign-on or a domain fails. Only the second factor is asked of them, too.");
    let Some((people, _)) = &around.people else { return text("text", field) };
    let admins: Vec<(&str, String)> = people
        .iter()
        .filter(|user| user.id == chosen || (user.is_active() && user.role.as_deref() == Some("admin")))
        .map(|user| (user.id.as_str(), user.shown()))
        .collect();
    let unseen =
        Some((chosen, chosen)).filter(|(id, _)| !id.is_empty() && admins.iter().all(|(own, _)| own != id));
    let admins = admins.iter().map(|(id, name)| (*id, name.as_str()));
    choice(field, std::iter::once(("", "Nobody")).chain(unseen).chain(admins))
}

fn from_where(visit: &Visit, around: &Around, settings: &Settings, faults: &Faults) -> Markup {
    let mut domains: Vec<&str> = around.domains.iter().flatten().map(String::as_str).collect();
    domains.extend(settings.allowed_domains.iter().map(String::as_str));
    domains.sort_unstable();
    domains.dedup();
    let fault = faults.of_field("/settings/allowed_domains");
    let networks = settings.admin_allowed_cidrs.join("\n");
    let hint = format!(
        "One to a line, up to 50. Anywhere, if left empty. The console is part of it, and you come from {} now.",
        visit.info.ip
    );
    html! {
        fieldset class="field" data-faulty[fault.is_some()] {
            legend { "E-mail domains of its people" }
            @if let Some(fault) = fault { p class="fault" { (icon(Icon::Warning)) (fault) } }
            @if domains.is_empty() {
                p class="hint" { "People of any domain may be members. To admit certain ones only, " a href="/console/settings/domains" { "verify a domain" } " first." }
            } @else {
                div class="checks" {
                    @for domain in &domains {
                        (check("allowed_domains", domain, html! { (domain) }, settings.allowed_domains.iter().any(|it| it == domain), false))
                    }
                }
                p class="hint" { "People of any domain, if none is ticked." }
            }
        }
        (textarea(Field::new("admin_allowed_cidrs", "Networks from which the organization may be administered").optional().value(&networks).fault(faults.of_field("/settings/admin_allowed_cidrs")).hint(&hint), 3))
    }
}

/// The settings as a form has them.
fn entered(fields: &Fields, before: &Settings) -> Settings {
    Settings {
        require_mfa: fields.is_ticked("require_mfa"),
        require_sso: fields.is_ticked("require_sso"),
        break_glass_user_id: fields.filled("break_glass_user_id").map(str::to_owned),
        allowed_domains: fields.all("allowed_domains").map(str::to_owned).collect(),
        session_max_age_seconds: fields.filled("session_max_age_seconds").and_then(|age| age.parse().ok()),
        admin_allowed_cidrs: fields.lines("admin_allowed_cidrs").into_iter().map(str::to_owned).collect(),
        leaked_keys: fields.filled("leaked_keys").unwrap_or(&before.leaked_keys).to_owned(),
        cors_origins: before.cors_origins.clone(),
    }
}

/// The settings of this page, as the API has them.
fn whole(settings: &Settings) -> Map<String, Value> {
    Map::from_iter([
        ("require_mfa".to_owned(), json!(settings.require_mfa)),
        ("require_sso".to_owned(), json!(settings.require_sso)),
        ("break_glass_user_id".to_owned(), json!(settings.break_glass_user_id)),
        ("allowed_domains".to_owned(), json!(settings.allowed_domains)),
        ("session_max_age_seconds".to_owned(), json!(settings.session_max_age_seconds)),
        ("admin_allowed_cidrs".to_owned(), json!(settings.admin_allowed_cidrs)),
        ("leaked_keys".to_owned(), json!(settings.leaked_keys)),
    ])
}

/// What is to change.
fn difference(before: &Settings, after: &Settings) -> Map<String, Value> {
    let before = whole(before);
    whole(after).into_iter().filter(|(name, value)| before.get(name) != Some(value)).collect()
}

/// Whether an address is of one of these domains, itself and not something below it.
fn is_of(domains: &[String], email: &str) -> bool {
    let domain = email.rsplit_once('@').map_or("", |(_, domain)| domain);
    domains.iter().any(|it| it.eq_ignore_ascii_case(domain))
}

/// How a change is stricter than what was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stricter {
    SecondFactor,
    SignOn,
    Domains,
    Age(u64),
    Networks,
    NobodyBreaksGlass,
}

fn stricter(before: &Settings, after: &Settings) -> Vec<Stricter> {
    const LONGEST: u64 = 30 * 24 * 60 * 60;
    let age = |settings: &Settings| settings.session_max_age_seconds.unwrap_or(LONGEST);
    let loses = |before: &[String], after: &[String]| {
        !after.is_empty() && (before.is_empty() || before.iter().any(|it| !after.contains(it)))
    };
    let mut found = Vec::new();
    if after.require_mfa && !before.require_mfa {
        found.push(Stricter::SecondFactor);
    }
    if after.require_sso && !before.require_sso {
        found.push(Stricter::SignOn);
    }
    if loses(&before.allowed_domains, &after.allowed_domains) {
        found.push(Stricter::Domains);
    }
    if age(after) < age(before) {
        found.push(Stricter::Age(age(after)));
    }
    if loses(&before.admin_allowed_cidrs, &after.admin_allowed_cidrs) {
        found.push(Stricter::Networks);
    }
    if before.break_glass_user_id.is_some() && after.break_glass_user_id != before.break_glass_user_id {
        found.push(Stricter::NobodyBreaksGlass);
    }
    found
}

pub(super) async fn change(visit: Visit, fields: Fields) -> Answer {
    let around = around(&visit).await?;
    let before = &around.organization.settings;
    let after = entered(&fields, before);
    let changes = difference(before, &after);
    if changes.is_empty() {
        return Ok(done("/console/settings/security", "settings-changed"));
    }
    let found = stricter(before, &after);
    if !found.is_empty() && !fields.is_ticked("sure") {
        return Ok(confirm(&visit, &around, &after, fields.get("etag"), &found));
    }
    match visit.api.tell(patch(fields.get("etag"), &json!({"settings": changes}))).await {
        Ok(()) => Ok(done("/console/settings/security", "settings-changed")),
        Err(failure) => {
            let faults = Faults::of(failure)?;
            // What somebody else has made stricter meanwhile is not undone by a form that knows nothing of it.
            let is_stale = faults.status() == StatusCode::PRECONDITION_FAILED;
            Ok(shown(&visit, &around, if is_stale { before } else { &after }, &faults))
        }
    }
}

/// The step before something stricter is switched on.
fn confirm(visit: &Visit, around: &Around, after: &Settings, etag: &str, found: &[Stricter]) -> Response {
    let body = html! {
        @for stricter in found { (told(visit, around, after, *stricter)) }
        form class="card stack" method="post" action="/console/settings/security" {
            (once(visit)) (hidden("etag", etag)) (hidden("sure", "1"))
            @if after.require_mfa { (hidden("require_mfa", "1")) }
            @if after.require_sso { (hidden("require_sso", "1")) }
            (hidden("break_glass_user_id", after.break_glass_user_id.as_deref().unwrap_or_default()))
            @for domain in &after.allowed_domains { (hidden("allowed_domains", domain)) }
            (hidden("session_max_age_seconds", &after.session_max_age_seconds.map(|age| age.to_string()).unwrap_or_default()))
            (hidden("admin_allowed_cidrs", &after.admin_allowed_cidrs.join(",")))
            (hidden("leaked_keys", &after.leaked_keys))
            p { "Nothing is changed yet." }
            div class="actions" {
                button class="button danger" { "Change it" }
                a class="button" href="/console/settings/security" { "Leave it as it is" }
            }
        }
        (as_code(visit, &Call::new("PATCH", PATH, "organization:write").body(json!({"settings": difference(&around.organization.settings, after)}))))
    };
    page(visit, &around.me, "Who would be locked out")
        .below("Security", "/console/settings/security")
        .lead(html! { "What is known of those whom the change would keep out, and what is not." })
        .show(body)
}

/// Those who have no second factor; `None` where that is not to be known.
fn without_factor<'a>(active: &[&'a User]) -> Option<Vec<&'a User>> {
    let known: Option<Vec<(&'a User, bool)>> =
        active.iter().map(|user| Some((*user, user.mfa_enabled?))).collect();
    let without = known?.into_iter().filter(|(_, has)| !has).map(|(user, _)| user);
    Some(without.collect())
}

/// Names of those concerned.
fn names(people: &[&User], none: &str) -> Markup {
    const SHOWN: usize = 20;
    html! {
        @if people.is_empty() { p { (icon(Icon::Tick)) " " (none) } }
        @else {
            ul class="plain-list" {
                @for user in people.iter().take(SHOWN) { li { a href={ "/console/people/" (user.id) } { (user.name) } " " span class="hint" { (user.email) } } }
                @if people.len() > SHOWN { li class="hint" { "and " (people.len() - SHOWN) " more" } }
            }
        }
    }
}

fn told(visit: &Visit, around: &Around, after: &Settings, stricter: Stricter) -> Markup {
    let Around { me, people, domains, has_sso, .. } = around;
    let is_spared = |user: &User| {
        user.role.as_deref() == Some("admin")
            && after.break_glass_user_id.as_deref() == Some(user.id.as_str())
    };
    let active: Vec<&User> =
        people.iter().flat_map(|(people, _)| people).filter(|user| user.is_active()).collect();
    let outside = |domains: &[String]| -> Vec<&User> {
        active.iter().copied().filter(|user| !is_spared(user) && !is_of(domains, &user.email)).collect()
    };
    let proved = |methods: &[&str]| me.session.amr.iter().any(|it| methods.contains(&it.as_str()));
    let unseen = html! {
        @match people {
            None => (unknown("You may not see who the members are, so that nobody can be named here.")),
            Some((_, true)) => (unknown("Only the newest 500 members were looked at.")),
            Some((_, false)) => {},
        }
    };
    match stricter {
        Stricter::SecondFactor => section(
            "A second factor is asked for",
            html! {
                p { "Each session that has not proved a second factor is refused everything but enrolling one and proving it, from its next request on. That goes for the break-glass admin, too. API keys are not concerned." }
                @if proved(&["otp", "mfa"]) { (banner(Tone::Good, html! { p { "Your session has proved one: you stay in." } })) }
                @else { (banner(Tone::Bad, html! { p { "Your session has not proved one, so the change will be refused. " a href="/console/profile" { @if me.mfa_enabled { "Sign in once more, with a code" } @else { "Enrol a second factor" } } ", then come back." } })) }
                @match without_factor(&active) {
                    Some(without) => {
                        h3 { "Kept out until they have enrolled one" }
                        (names(&without, "Nobody who is known here."))
                        (unseen)
                        (unknown("Whoever signs on at the identity provider may prove several factors there, which is not known here. The others prove theirs at their next sign-in."))
                    },
                    None => (unknown(&format!("Who of {} has a second factor, you may not see. Whoever has none is led to enrolling one, and is not locked out for good.", count(people.as_ref(), active.len())))),
                }
            },
        ),
        Stricter::SignOn => section(
            "Single sign-on is asked for",
            html! {
                p { "Sessions that began with a password are refused from their next request on, and passwords begin none any more, but for the break-glass admin's. API keys are not concerned." }
                @if *has_sso == Some(false) { (banner(Tone::Bad, html! { p { "There is no identity provider, so the change will be refused. " a href="/console/settings/sso" { "Set one up" } " first." } })) }
                @else if proved(&["sso"]) { (banner(Tone::Good, html! { p { "Your session began at the identity provider: you stay in." } })) }
                @else if after.break_glass_user_id.as_deref() == Some(me.user.id.as_str()) { (banner(Tone::Good, html! { p { "You are the break-glass admin: you stay in." } })) }
                @else { (banner(Tone::Wary, html! { p { "Your session did not begin at the identity provider: you will have to sign on there. Without a break-glass admin the change will be refused." } })) }
                @match domains {
                    Some(domains) => {
                        h3 { "Locked out: their address is of no verified domain, so the provider cannot vouch for them" }
                        (names(&outside(domains), "Nobody who is known here."))
                    },
                    None => (unknown("You may not see which domains are verified, so that it cannot be said for whom the provider may vouch.")),
                }
                (unseen)
                (unknown("Whether the others have an account at the provider, and whether it lets them in, is not known here."))
            },
        ),
        Stricter::Domains => section(
            "Only people of certain domains are admitted",
            html! {
                p { "Whoever has another address is refused from their next request on, and cannot be invited. Admitted: " (after.allowed_domains.join(", ")) "." }
                h3 { "Locked out" }
                (names(&outside(&after.allowed_domains), "Nobody who is known here."))
                (unseen)
            },
        ),
        Stricter::Age(age) => section(
            "Sessions last less long",
            html! {
                p { "Every session ends " (span(Duration::from_secs(age))) " after its sign-in; those that are older end at once. Nobody is locked out: people sign in again." }
                p { "Yours began " (ago(visit.now(), me.session.authenticated_at)) ": " (ends(visit.now(), me.session.authenticated_at, age)) "." }
            },
        ),
        Stricter::Networks => section(
            "It is administered from certain networks only",
            html! {
                p { "From everywhere else people and API keys are refused whatever is under " code { "/api/admin" } ", and with it most of this console. Campaigns, leads and meetings are not concerned." }
                p { "Admitted: " code { (after.admin_allowed_cidrs.join(", ")) } ". You come from " code { (visit.info.ip) } "; a list without it is refused." }
                (unknown("From where the others come is not known here. If your address changes, somebody in one of these networks has to change the list."))
            },
        ),
        Stricter::NobodyBreaksGlass => section(
            "Another break-glass admin, or none",
            html! {
                p { "Whoever was it has to meet everything that is asked of the others from their next request on." }
                @if after.break_glass_user_id.is_none() { p { "Without one nobody comes in when the identity provider or a domain fails." } }
            },
        ),
    }
}

fn unknown(what: &str) -> Markup {
    html! { p class="unknown" { strong { "Not known: " } (what) } }
}

fn count(people: Option<&(Vec<User>, bool)>, active: usize) -> String {
    match people {
        None => "the members".to_owned(),
        Some((_, true)) => format!("more than {active} active members"),
        Some((_, false)) if active == 1 => "the one active member".to_owned(),
        Some((_, false)) => format!("the {active} active members"),
    }
}

/// When a session ends that may grow so old.
fn ends(now: Timestamp, began: Timestamp, age: u64) -> String {
    let end = began + Duration::from_secs(age);
    if end <= now {
        "it ends at once, and you sign in again".to_owned()
    } else {
        format!("it ends {}", ago(now, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strict() -> Settings {
        Settings {
            require_mfa: true,
            allowed_domains: vec!["a.example".to_owned()],
            session_max_age_seconds: Some(3600),
            leaked_keys: "revoke".to_owned(),
            ..Settings::default()
        }
    }

    #[test]
    fn only_what_is_stricter_is_asked_about() {
        let lax = Settings { leaked_keys: "revoke".to_owned(), ..Settings::default() };
        assert_eq!(
            stricter(&lax, &strict()),
            [Stricter::SecondFactor, Stricter::Domains, Stricter::Age(3600)]
        );
        assert_eq!(stricter(&strict(), &lax), []);
        assert_eq!(stricter(&strict(), &strict()), []);
        let more =
            Settings { allowed_domains: vec!["a.example".to_owned(), "b.example".to_owned()], ..strict() };
        assert_eq!(stricter(&strict(), &more), []);
        assert_eq!(stricter(&more, &strict()), [Stricter::Domains]);
    }

    #[test]
    fn what_stays_is_not_sent() {
        let after =
            Settings { require_mfa: false, break_glass_user_id: Some("usr_1".to_owned()), ..strict() };
        let changes = Value::from(difference(&strict(), &after));
        assert_eq!(changes, json!({"require_mfa": false, "break_glass_user_id": "usr_1"}));
        let back =
            Value::from(difference(&after, &Settings { session_max_age_seconds: None, ..after.clone() }));
        assert_eq!(back, json!({"session_max_age_seconds": null}));
    }

    #[test]
    fn a_form_that_is_confirmed_says_what_it_said() {
        let fields = Fields::from_iter([
            ("require_mfa", "1"),
            ("allowed_domains", "a.example"),
            ("session_max_age_seconds", "3600"),
            ("admin_allowed_cidrs", ""),
            ("leaked_keys", "revoke"),
        ]);
        assert_eq!(entered(&fields, &Settings::default()), strict());
    }

    #[test]
    fn domains_are_compared_whole() {
        let domains = ["example.com".to_owned()];
        assert!(is_of(&domains, "ada@example.com"));
        for other in ["ada@mail.example.com", "ada@xample.com", "example.com", "ada@example.com.test"] {
            assert!(!is_of(&domains, other), "{other}");
        }
    }
}
