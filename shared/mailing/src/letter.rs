//! Every mail that Artisan sends, and its words.

use std::fmt;
use std::str::FromStr;

use clock::Timestamp;
use serde::{Deserialize, Serialize};

use crate::plain::line;

/// Longest name of a person or an organization in a mail, in characters.
const NAME: usize = 80;
/// Longest domain or address (RFC 1035 §2.3.4, RFC 5321 §4.5.3.1.3).
const ADDRESS: usize = 254;
/// Longest subject, in characters.
const SUBJECT: usize = 150;
/// Longest beginning and end of an API key, in characters.
const KEY: usize = 32;
/// Longest address of a page that something was found on, in characters.
const PLACE: usize = 500;
/// A receipt has at most this many lines of at most so many characters.
const RECEIPT_LINES: usize = 60;
const RECEIPT_LINE: usize = 200;

/// A single-use token: whoever has it may do what the mail is about. Its `Debug` form does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// A token from its text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The token as it stands in a link (RFC 3986 §2.3: what is not unreserved is percent-encoded).
    fn encoded(&self) -> String {
        use std::fmt::Write as _;
        let mut encoded = String::with_capacity(self.0.len());
        for byte in self.0.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                encoded.push(char::from(byte));
            } else {
                // Writing to a String cannot fail.
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
        encoded
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// What people know an API key by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyLabel {
    /// Its name.
    pub name: String,
    /// What it begins with: `sk_live_`.
    pub prefix: String,
    /// What it ends with.
    pub last_four: String,
}

impl From<&store::ApiKey> for KeyLabel {
    fn from(key: &store::ApiKey) -> Self {
        let key = key.clone();
        Self { name: key.name, prefix: key.prefix, last_four: key.last_four }
    }
}

impl KeyLabel {
    /// The name, and of the key no more than a listing shows.
    fn words(&self) -> String {
        format!("{} ({})", name(&self.name), line(&format!("{}…{}", self.prefix, self.last_four), KEY))
    }
}

/// What is to be known of a webhook endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "news", rename_all = "snake_case")]
pub enum EndpointNews {
    /// Attempts fail again and again.
    Failing {
        /// Since when.
        since: Timestamp,
        /// What went wrong last, in a word.
        error: String,
    },
    /// It was disabled.
    Disabled {
        /// Why.
        reason: String,
    },
    /// It takes webhooks again.
    Recovered,
    /// Deliveries were given up.
    Exhausted {
        /// How many, since the last such mail.
        count: u32,
    },
}

impl EndpointNews {
    /// Subject and text.
    fn words(&self, at: Timestamp) -> (&'static str, String) {
        match self {
            Self::Failing { since, error } => (
                "A webhook endpoint is failing",
                format!(
                    "Every attempt since {} has failed, the last one with: {}. We go on trying, with ever longer \
                     waits, and keep what is to be delivered. If nothing succeeds for five days, the endpoint is \
                     disabled. What was answered to each attempt stands in the console, under Webhooks.",
                    when(*since),
                    line(error, KEY),
                ),
            ),
            Self::Disabled { reason } => (
                "A webhook endpoint was disabled",
                format!(
                    "It was disabled at {}: {}. Nothing is sent to it until it is enabled again, in the console or \
                     by the API. Events that happen meanwhile are kept, and can be replayed to it then.",
                    when(at),
                    line(reason, PLACE),
                ),
            ),
            Self::Recovered => (
                "A webhook endpoint is well again",
                format!(
                    "It has been taking webhooks again since {}. What waited for it is being delivered. Deliveries \
                     that had been given up are dead letters, and can be redriven.",
                    when(at),
                ),
            ),
            Self::Exhausted { count } => (
                "Webhook deliveries were given up",
                format!(
                    "Deliveries to it that have become dead letters since we last wrote: {count}. All attempts at \
                     them failed. They are kept, with what was answered, in the console under Webhooks, and can be \
                     redriven one by one or all together."
                ),
            ),
        }
    }
}

/// Where the links in mails lead: scheme, host, perhaps a path; no query and no fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(String);

/// The text is not the address of a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not an address such as https://app.example.com")]
pub struct InvalidBaseUrl;

impl FromStr for BaseUrl {
    type Err = InvalidBaseUrl;
    fn from_str(text: &str) -> Result<Self, InvalidBaseUrl> {
        let text = text.trim_end_matches('/');
        let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let fits = |c: char| c.is_ascii_graphic() && !"?#<>\"@\\".contains(c);
        match host {
            Some(host) if !host.is_empty() && !host.starts_with('/') && host.chars().all(fits) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(InvalidBaseUrl),
        }
    }
}

impl BaseUrl {
    fn link(&self, path: &str, token: &Token) -> String {
        format!("{}{path}?token={}", self.0, token.encoded())
    }
}

/// A mail, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The one recipient's address.
    pub to: String,
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
}

/// A mail that Artisan sends. `to` is an address that was checked when it was entered; everything else may be as it is
/// in the tables. The `Debug` form says which letter it is, and nothing else.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "letter", rename_all = "snake_case")]
pub enum Letter {
    /// Somebody is invited to an organization.
    Invitation {
        /// Who is invited.
        to: String,
        /// Where to.
        organization_name: String,
        /// Who invites.
        inviter_name: String,
        /// Accepts the invitation.
        token: Token,
        /// Until when.
        expires_at: Timestamp,
    },
    /// Somebody is to show that an address is theirs.
    ConfirmAddress {
        /// The address.
        to: String,
        /// Whose it is said to be.
        name: String,
        /// Confirms it.
        token: Token,
    },
    /// Somebody has forgotten their password.
    PasswordReset {
        /// Whose password.
        to: String,
        /// Their name.
        name: String,
        /// Sets a new password.
        token: Token,
        /// Until when.
        expires_at: Timestamp,
    },
    /// A password has been changed.
    PasswordChanged {
        /// Whose password.
        to: String,
        /// Their name.
        name: String,
        /// When.
        at: Timestamp,
    },
    /// The second factor has been switched on or off.
    SecondFactorChanged {
        /// Whose.
        to: String,
        /// Their name.
        name: String,
        /// Whether it is on now.
        enabled: bool,
        /// When.
        at: Timestamp,
    },
    /// A domain's proof of ownership can no longer be found.
    DomainFailing {
        /// An admin.
        to: String,
        /// The organization.
        organization_name: String,
        /// The domain.
        domain: String,
        /// Until then it counts as verified.
        grace_until: Timestamp,
    },
    /// A domain no longer counts as verified.
    DomainLapsed {
        /// An admin.
        to: String,
        /// The organization.
        organization_name: String,
        /// The domain.
        domain: String,
    },
    /// An organization has been deleted and will be erased.
    OrganizationDeleted {
        /// An admin.
        to: String,
        /// The organization.
        organization_name: String,
        /// When it will be erased.
        erased_at: Timestamp,
    },
    /// An organization has been erased.
    OrganizationErased {
        /// Whoever was its admin.
        to: String,
        /// What it was called.
        organization_name: String,
        /// What was erased and what is kept, line by line.
        receipt: Vec<String>,
    },
    /// An API key is about to expire.
    ApiKeyExpiring {
        /// An admin.
        to: String,
        /// The organization.
        organization_name: String,
        /// The key.
        key: KeyLabel,
        /// When it stops working.
        expires_at: Timestamp,
    },
    /// An API key was found where anybody can read it.
    ApiKeyLeaked {
        /// An admin.
        to: String,
        /// The organization.
        organization_name: String,
        /// The key.
        key: KeyLabel,
        /// Where it was found, if the reporter said so. The reporter's text.
        found_at: Option<String>,
        /// Whether it was revoked; it works on otherwise.
        revoked: bool,
        /// When.
        at: Timestamp,
    },
    /// Something is to be known of a webhook endpoint.
    Endpoint {
        /// An admin.
        to: String,
        /// The organization.
        organization_name: String,
        /// Where the endpoint sends to.
        url: String,
        /// The endpoint's id.
        endpoint: String,
        /// What.
        news: EndpointNews,
        /// When.
        at: Timestamp,
    },
    /// The break-glass admin has signed in.
    BreakGlassUsed {
        /// An admin.
        to: String,
        /// The organization.
        organization_name: String,
        /// Who it was.
        by: String,
        /// When.
        at: Timestamp,
    },
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

impl Letter {
    /// Which letter it is; safe to log.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Invitation { .. } => "invitation",
            Self::ConfirmAddress { .. } => "confirm_address",
            Self::PasswordReset { .. } => "password_reset",
            Self::PasswordChanged { .. } => "password_changed",
            Self::SecondFactorChanged { .. } => "second_factor_changed",
            Self::DomainFailing { .. } => "domain_failing",
            Self::DomainLapsed { .. } => "domain_lapsed",
            Self::OrganizationDeleted { .. } => "organization_deleted",
            Self::OrganizationErased { .. } => "organization_erased",
            Self::ApiKeyExpiring { .. } => "api_key_expiring",
            Self::ApiKeyLeaked { .. } => "api_key_leaked",
            Self::Endpoint { .. } => "endpoint",
            Self::BreakGlassUsed { .. } => "break_glass_used",
        }
    }

    /// The mail, its links beginning with `base`.
    #[must_use]
    pub fn compose(&self, base: &BaseUrl) -> Mail {
        let (to, subject, text) = self.words(base);
        Mail {
            to: line(to, ADDRESS),
            subject: line(&subject, SUBJECT),
            text: format!("{text}\n\n-- \nArtisan\n"),
        }
    }

    fn words(&self, base: &BaseUrl) -> (&str, String, String) {
        match self {
            Self::Invitation { to, organization_name, inviter_name, token, expires_at } => {
                let (organization, inviter) = (name(organization_name), name(inviter_name));
                let text = format!(
                    "Hello,\n\n{inviter} invites you to join {organization} on Artisan. To accept, open this \
                     link:\n\n{}\n\nIt can be used once, until {}. If you did not expect this invitation, you \
                     can ignore it.",
                    base.link("/console/invitations/accept", token),
                    when(*expires_at),
                );
                (to, format!("{inviter} invites you to {organization}"), text)
            }
            Self::ConfirmAddress { to, name: person, token } => {
                let text = format!(
                    "{}\n\nPlease confirm that this e-mail address is yours by opening this link:\n\n{}\n\nIf you \
                     did not sign up for Artisan, you can ignore this mail.",
                    hello(person),
                    base.link("/console/confirm", token),
                );
                (to, "Please confirm your e-mail address".to_owned(), text)
            }
            Self::PasswordReset { to, name: person, token, expires_at } => {
                let text = format!(
                    "{}\n\nSomebody, probably you, asked to reset your password. To choose a new one, open this \
                     link:\n\n{}\n\nIt can be used once, until {}. If it was not you, you can ignore this mail; \
                     your password stays as it is.",
                    hello(person),
                    base.link("/console/password/reset", token),
                    when(*expires_at),
                );
                (to, "Reset your password".to_owned(), text)
            }
            Self::PasswordChanged { to, name: person, at } => {
                let text = format!(
                    "{}\n\nYour password was changed at {}, and every other session was ended.\n\nIf it was not \
                     you, reset your password at once and tell your administrator.",
                    hello(person),
                    when(*at),
                );
                (to, "Your password was changed".to_owned(), text)
            }
            Self::SecondFactorChanged { to, name: person, enabled, at } => {
                let now = if *enabled { "switched on" } else { "switched off" };
                let text = format!(
                    "{}\n\nThe second factor of your account was {now} at {}.\n\nIf it was not you, reset your \
                     password at once and tell your administrator.",
                    hello(person),
                    when(*at),
                );
                (to, format!("Your second factor was {now}"), text)
            }
            Self::DomainFailing { to, organization_name, domain, grace_until } => {
                let (organization, domain) = (name(organization_name), line(domain, ADDRESS));
                let text = format!(
                    "Hello,\n\nThe DNS record that shows that {domain} belongs to {organization} can no longer be \
                     found. The domain counts as verified until {}; please put the record back before \
                     then.\n\nWhich record it is stands in the console, under Domains.",
                    when(*grace_until),
                );
                (to, format!("Please check the DNS record of {domain}"), text)
            }
            Self::DomainLapsed { to, organization_name, domain } => {
                let (organization, domain) = (name(organization_name), line(domain, ADDRESS));
                let text = format!(
                    "Hello,\n\nThe DNS record that shows that {domain} belongs to {organization} has been missing \
                     for too long. The domain no longer counts as verified, and what depends on that has \
                     ended.\n\nTo verify it again, put the record back and press Verify in the console, under \
                     Domains.",
                );
                (to, format!("{domain} is no longer verified"), text)
            }
            Self::OrganizationDeleted { to, organization_name, erased_at } => {
                let organization = name(organization_name);
                let text = format!(
                    "Hello,\n\n{organization} has been deleted. Its members and API keys no longer have access, \
                     and its data will be erased for good on {}.\n\nIf this is a mistake, please write to us \
                     before then.",
                    when(*erased_at),
                );
                (to, format!("{organization} has been deleted"), text)
            }
            Self::OrganizationErased { to, organization_name, receipt } => {
                let organization = name(organization_name);
                let lines: Vec<String> =
                    receipt.iter().take(RECEIPT_LINES).map(|text| line(text, RECEIPT_LINE)).collect();
                let text = format!(
                    "Hello,\n\nThe data of {organization} has been erased for good. For your records:\n\n{}",
                    lines.join("\n"),
                );
                (to, format!("The data of {organization} has been erased"), text)
            }
            Self::ApiKeyExpiring { to, organization_name, key, expires_at } => {
                let text = format!(
                    "Hello,\n\nThe API key {} of {} expires at {}. From then on its requests are refused.\n\nIf it \
                     is still in use, rotate it and put the new key in its place, or move its expiry, in the \
                     console, under API keys. If it is not, there is nothing to do.",
                    key.words(),
                    name(organization_name),
                    when(*expires_at),
                );
                (to, format!("The API key {} expires on {}", name(&key.name), expires_at.day()), text)
            }
            Self::ApiKeyLeaked { to, organization_name, key, found_at, revoked, at } => {
                let place = match found_at {
                    Some(url) => format!("here:\n\n    {}", line(url, PLACE)),
                    None => "in a place that was not named.".to_owned(),
                };
                let (fate, advice) = if *revoked {
                    (
                        "It was revoked at once, and its requests are refused.",
                        "Create a new key, and put it where the old one was in use.",
                    )
                } else {
                    (
                        "It still works, because your organization has chosen to decide that itself.",
                        "Please rotate or revoke it as soon as you can.",
                    )
                };
                let text = format!(
                    "Hello,\n\nThe API key {} of {} was reported at {} as found in public, {place}\n\n{fate} \
                     {advice} Taking it away from there does not make it secret again. When it was last used stands \
                     in the console, under API keys.",
                    key.words(),
                    name(organization_name),
                    when(*at),
                );
                let done = if *revoked { "has leaked and was revoked" } else { "has leaked" };
                (to, format!("The API key {} {done}", name(&key.name)), text)
            }
            Self::Endpoint { to, organization_name, url, endpoint, news, at } => {
                let (subject, what) = news.words(*at);
                let text = format!(
                    "Hello,\n\nthis is about a webhook endpoint of {} ({}), which sends to\n\n    {}\n\n{what}",
                    name(organization_name),
                    line(endpoint, KEY),
                    line(url, PLACE),
                );
                (to, subject.to_owned(), text)
            }
            Self::BreakGlassUsed { to, organization_name, by, at } => {
                let (organization, by) = (name(organization_name), line(by, ADDRESS));
                let text = format!(
                    "Hello,\n\n{by} signed in to {organization} with the break-glass account at {}, past single \
                     sign-on. What they did stands in the audit log.\n\nIf nobody was meant to, please look into \
                     it at once.",
                    when(*at),
                );
                (to, format!("The break-glass account of {organization} was used"), text)
            }
        }
    }
}

fn name(text: &str) -> String {
    line(text, NAME)
}

fn hello(person: &str) -> String {
    match name(person) {
        person if person.is_empty() => "Hello,".to_owned(),
        person => format!("Hello {person},"),
    }
}

/// A time for people: `2026-11-22 15:04 UTC`.
fn when(at: Timestamp) -> String {
    let text = at.to_string();
    format!("{} {} UTC", at.day(), text.get(11..16).unwrap_or_default())
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn base() -> BaseUrl {
        "https://app.example.com/".parse().unwrap()
    }

    /// One of each, with these texts in every place that somebody else fills.
    pub(crate) fn every_letter(text: &str, token: &str) -> Vec<Letter> {
        let at = clock::utc(2026, 11, 22, 15, 4);
        let (to, token) = ("ada@example.com".to_owned(), Token::new(token));
        let (organization_name, name, domain) = (text.to_owned(), text.to_owned(), text.to_owned());
        let key =
            KeyLabel { name: text.to_owned(), prefix: "sk_live_".to_owned(), last_four: "wxyz".to_owned() };
        let mut letters = vec![
            Letter::Invitation {
                to: to.clone(),
                organization_name: organization_name.clone(),
                inviter_name: name.clone(),
                token: token.clone(),
                expires_at: at,
            },
            Letter::ConfirmAddress { to: to.clone(), name: name.clone(), token: token.clone() },
            Letter::PasswordReset { to: to.clone(), name: name.clone(), token, expires_at: at },
            Letter::PasswordChanged { to: to.clone(), name: name.clone(), at },
            Letter::SecondFactorChanged { to: to.clone(), name: name.clone(), enabled: true, at },
            Letter::SecondFactorChanged { to: to.clone(), name, enabled: false, at },
            Letter::DomainFailing {
                to: to.clone(),
                organization_name: organization_name.clone(),
                domain: domain.clone(),
                grace_until: at,
            },
            Letter::DomainLapsed { to: to.clone(), organization_name: organization_name.clone(), domain },
            Letter::OrganizationDeleted {
                to: to.clone(),
                organization_name: organization_name.clone(),
                erased_at: at,
            },
            Letter::OrganizationErased {
                to: to.clone(),
                organization_name: organization_name.clone(),
                receipt: vec!["Leads: 12".to_owned(), text.to_owned()],
            },
            Letter::ApiKeyExpiring {
                to: to.clone(),
                organization_name: organization_name.clone(),
                key: key.clone(),
                expires_at: at,
            },
            Letter::ApiKeyLeaked {
                to: to.clone(),
                organization_name: organization_name.clone(),
                key: key.clone(),
                found_at: Some(format!("https://git.example/acme/{text}")),
                revoked: true,
                at,
            },
            Letter::ApiKeyLeaked {
                to: to.clone(),
                organization_name: organization_name.clone(),
                key,
                found_at: None,
                revoked: false,
                at,
            },
            Letter::BreakGlassUsed {
                to: to.clone(),
                organization_name: organization_name.clone(),
                by: text.to_owned(),
                at,
            },
        ];
        let news = [
            EndpointNews::Failing { since: at, error: text.to_owned() },
            EndpointNews::Disabled { reason: text.to_owned() },
            EndpointNews::Recovered,
            EndpointNews::Exhausted { count: 3 },
        ];
        let news = news.into_iter().map(|news| Letter::Endpoint {
            to: to.clone(),
            organization_name: organization_name.clone(),
            url: format!("https://hooks.example/{text}"),
            endpoint: "ep_01kaq8zr3y7e2r4m8n5p6q7s8t".to_owned(),
            news,
            at,
        });
        letters.extend(news);
        letters
    }

    #[test]
    fn the_words_of_every_letter() {
        let letters = every_letter("Harbor & Pine", "t0ken");
        let mails: Vec<String> = letters
            .iter()
            .map(|letter| letter.compose(&base()))
            .map(|mail| format!("To: {}\nSubject: {}\n\n{}", mail.to, mail.subject, mail.text))
            .collect();
        insta::assert_snapshot!(mails.join("\n=====\n"));
    }

    proptest! {
        #[test]
        fn whatever_a_name_is_the_subject_is_one_line_and_the_mail_is_short(text in any::<String>()) {
            for letter in every_letter(&text, "t0ken") {
                let mail = letter.compose(&base());
                prop_assert!(!mail.subject.chars().any(char::is_control), "{:?}", mail.subject);
                prop_assert!(mail.subject.chars().count() <= SUBJECT);
                prop_assert!(!mail.to.chars().any(char::is_control));
                prop_assert!(mail.text.chars().count() < 2000, "{letter:?}");
            }
        }

        #[test]
        fn only_our_own_links_are_links(text in any::<String>()) {
            for letter in every_letter(&format!("{text} http://evil.example"), "t0ken") {
                let mail = letter.compose(&base());
                prop_assert_eq!(mail.text.matches("://").count(), mail.text.matches("https://app.example.com/console/").count());
            }
        }
    }

    #[test]
    fn a_receipt_without_end_ends() {
        let receipt = vec!["x".repeat(5000); 5000];
        let to = "ada@example.com".to_owned();
        let letter = Letter::OrganizationErased { to, organization_name: "Acme".to_owned(), receipt };
        assert!(letter.compose(&base()).text.len() < (RECEIPT_LINES + 1) * (RECEIPT_LINE + 4));
    }

    #[test]
    fn a_token_stands_in_its_link_and_nowhere_else() {
        let letter = &every_letter("Acme", "a+b/c&d")[0];
        assert!(letter.compose(&base()).text.contains("/console/invitations/accept?token=a%2Bb%2Fc%26d\n"));
        assert!(!format!("{letter:?} {:?}", Token::new("secret")).contains("secret"));
        assert_eq!(format!("{letter:?}"), "invitation");
    }

    #[test]
    fn a_base_is_the_address_of_a_site() {
        for good in ["https://app.example.com", "http://localhost:8000/", "https://example.com/artisan/"] {
            let base: BaseUrl = good.parse().unwrap();
            assert!(base.link("/x", &Token::new("t")).ends_with("/x?token=t"));
        }
        for bad in [
            "",
            "example.com",
            "ftp://x",
            "https://",
            "https:///x",
            "https://x?y",
            "https://x y",
            "https://u@x",
        ] {
            assert_eq!(bad.parse::<BaseUrl>(), Err(InvalidBaseUrl), "{bad:?}");
        }
    }
}
