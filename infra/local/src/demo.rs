//! `--demo`: a sample tenant with a year of plausible activity.
//!
//! Everything goes in through the HTTP API, served by a second set of the functions whose clock walks through the
//! past year, so that ids, events and audit records are what they would have been. The same sequence every time.

use std::time::Duration;

use clock::{Clock, Timestamp};
use serde_json::{Value, json};

use crate::client::{CallError, Caller};
use crate::data_directory::DataError;
use crate::first_start::{Credentials, Done, FirstStartError, sign_up};
use crate::{Platform, PlatformError};

const DAY: Duration = Duration::from_secs(24 * 3600);
const YEAR_IN_DAYS: u64 = 365;
const LEADS: usize = 400;
/// Of a hundred leads so many answer; of a hundred who did so many are qualified; and of a hundred of those so many meet us.
const REPLIES_PERCENT: u64 = 38;
const QUALIFIED_PERCENT: u64 = 45;
const MEETINGS_PERCENT: u64 = 60;
/// How long a campaign runs.
const CAMPAIGN: Duration = Duration::from_secs(60 * 24 * 3600);
/// The campaign that was paused after three weeks, and has not gone on.
const PAUSED: usize = 4;

const CAMPAIGNS: &[(&str, &str)] = &[
    ("Winter outreach: logistics", "Book 20 introductory calls with logistics companies"),
    ("Warehouse automation", "Find design partners for the automation package"),
    ("Spring fair follow-up", "Turn fair contacts into meetings"),
    ("Retail expansion", "Open conversations with regional retailers"),
    ("Dormant accounts", "Win back accounts silent for a year"),
    ("Summer pilot programme", "Fill 15 places in the pilot"),
    ("Nordics launch", "First customers in Sweden, Norway and Denmark"),
    ("Manufacturing leaders", "Reach operations directors in manufacturing"),
    ("Partner referrals", "Contact companies that partners named"),
    ("Autumn webinar", "200 registrations for the webinar"),
    ("Healthcare suppliers", "Test the message with healthcare suppliers"),
    ("Year-end renewals", "Renewal talks before the year ends"),
];
const FIRST_NAMES: &[&str] = &[
    "Ada", "Bruno", "Carla", "Dmitri", "Elif", "Farid", "Greta", "Hiro", "Ines", "Jonas", "Katya", "Liam",
    "Mina", "Noor", "Olga", "Paulo", "Quinn", "Rosa", "Sven", "Tariq", "Uma", "Viktor", "Wanda", "Yusuf",
    "Zoe",
];
const LAST_NAMES: &[&str] = &[
    "Almeida", "Bauer", "Costa", "Dubois", "Eriksen", "Fischer", "Garcia", "Hansen", "Ivanova", "Jensen",
    "Kaya", "Larsen", "Moreau", "Novak", "Okafor", "Petrov", "Rossi", "Sato", "Tanaka", "Vogel", "Weber",
    "Zhang",
];
const COMPANIES: &[&str] = &[
    "Northwind Freight",
    "Blue Harbor Foods",
    "Kestrel Robotics",
    "Summit Retail",
    "Lumen Medical",
    "Oakline Homes",
    "Vega Textiles",
    "Polar Logistics",
    "Cobalt Energy",
    "Juniper Tools",
    "Meridian Labs",
    "Harvest & Co",
];
const TITLES: &[&str] = &[
    "Head of Operations",
    "Chief Technology Officer",
    "Purchasing Manager",
    "Managing Director",
    "Plant Manager",
    "Director of Sales",
    "Supply Chain Lead",
    "Founder",
];
const REPLIES: &[&str] = &[
    "Thanks for reaching out. Could you send more details about pricing?",
    "Interesting. Who else in our industry uses this?",
    "We are reviewing our tools next quarter, please come back to me then.",
    "Happy to talk. Does Thursday afternoon suit you?",
    "I am not the right person, but I have passed this on to our operations team.",
    "Not at the moment, thank you.",
];

/// Why the sample tenant could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// It cannot be signed up.
    #[error(transparent)]
    SignUp(#[from] FirstStartError),
    /// The functions do not start a second time.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// The API refused something.
    #[error("the sample data cannot be made")]
    Call(#[from] CallError),
    /// It cannot be recorded.
    #[error(transparent)]
    Data(#[from] DataError),
}

enum Step {
    Campaign(usize),
    /// A campaign is started, paused or completed.
    Move {
        campaign: usize,
        action: &'static str,
    },
    Lead {
        number: usize,
        campaign: usize,
    },
    /// An e-mail goes out to a lead.
    Sent {
        lead: usize,
    },
    Reply {
        lead: usize,
    },
    Qualify {
        lead: usize,
    },
    Meeting {
        lead: usize,
    },
}

/// Fills the platform with the sample tenant; `None` when that was done before. `inbox` is the address that shows
/// webhooks; `progress` is told how many of how many steps are done.
///
/// # Errors
/// [`DemoError`]; what had been made stays, and the next attempt begins with a tenant of its own.
pub async fn seed(
    platform: &Platform,
    inbox: &str,
    progress: &mut (dyn FnMut(usize, usize) + Send),
) -> Result<Option<Credentials>, DemoError> {
    let done = Done::load(platform)?;
    if done.demo {
        return Ok(None);
    }
    let now = platform.clock().now();
    let start = now - DAY * u32::try_from(YEAR_IN_DAYS).unwrap_or(u32::MAX);
    let (clock, hand) = Clock::manual(start);
    let router = platform.router_at(&clock).await?;
    let (credentials, token) = sign_up(router.clone(), "demo", "Harbor & Pine", "sample tenant").await?;
    let session = Caller::unknown(router).with_token(token);
    let key = session.post_for("/api/admin/api-keys", &json!({"name": "Sales automation"}), "key").await?;
    let caller = session.with_token(key);

    let mut chance = Chance(20_260_101);
    let plan = plan(start, now, &mut chance);
    let (mut campaigns, mut leads) = (Vec::new(), Vec::new());
    for (at, (time, step)) in plan.iter().enumerate() {
        hand.set(*time);
        match step {
            Step::Campaign(number) => {
                let (name, goal) = CAMPAIGNS.get(*number).copied().unwrap_or_default();
                campaigns.push(
                    caller.post_for("/v1/campaigns", &json!({"name": name, "goal": goal}), "id").await?,
                );
            }
            Step::Lead { number, campaign } => {
                let lead = lead(*number, campaigns.get(*campaign), &mut chance);
                leads.push(caller.post_for("/v1/leads", &lead, "id").await?);
            }
            Step::Reply { lead } => {
                if let Some(id) = leads.get(*lead) {
                    let reply = json!({"message": chance.pick(REPLIES), "channel": "email"});
                    caller.post(&format!("/v1/leads/{id}/replies"), &reply).await?;
                }
            }
            Step::Move { campaign, action } => {
                if let Some(id) = campaigns.get(*campaign) {
                    caller.post(&format!("/v1/campaigns/{id}/{action}"), &json!({})).await?;
                }
            }
            Step::Sent { lead } => {
                if let Some(id) = leads.get(*lead) {
                    let sent = json!({"events": [{"type": "sent", "lead_id": id}]});
                    caller.post("/v1/email-events", &sent).await?;
                }
            }
            Step::Qualify { lead } => {
                if let Some(id) = leads.get(*lead) {
                    caller.post(&format!("/v1/leads/{id}/qualify"), &json!({})).await?;
                }
            }
            Step::Meeting { lead } => {
                if let Some(id) = leads.get(*lead) {
                    caller.post("/v1/meetings", &meeting(id, *time)).await?;
                }
            }
        }
        progress(at + 1, plan.len());
    }

    // The past has no receiver: its events are worked off before there are any. Then one lead comes all the way, for the
    // inbox, and for an endpoint whose host answers that it has no such page.
    platform.drain().await;
    let present = Caller::unknown(platform.router());
    let sign_in = json!({"email": credentials.email, "password": credentials.password});
    let token = present.post_for("/api/auth/login", &sign_in, "access_token").await?;
    let present = present.with_token(token);
    let (webhooks, gone) = ("/api/admin/webhooks", inbox.replace("/_local/inbox/", "/hooks/"));
    let taken = json!({"url": inbox, "events": ["*"], "description": "The inbox of this platform"});
    present.post(webhooks, &taken).await?;
    let refused = json!({
        "url": gone,
        "events": ["lead.qualified", "meeting.booked"],
        "description": "A CRM that has moved",
        "max_retries": 0,
    });
    present.post(webhooks, &refused).await?;
    let last = present.post_for("/v1/leads", &lead(LEADS, campaigns.last(), &mut chance), "id").await?;
    present.post(&format!("/v1/leads/{last}/qualify"), &json!({})).await?;
    present.post("/v1/meetings", &meeting(&last, now)).await?;
    Done { demo: true, ..Done::load(platform)? }.save(platform)?;
    Ok(Some(credentials))
}

/// Everything that happens, in the order of time. Leads are numbered in that order.
fn plan(start: Timestamp, end: Timestamp, chance: &mut Chance) -> Vec<(Timestamp, Step)> {
    let months = u64::try_from(CAMPAIGNS.len()).unwrap_or(u64::MAX);
    let began = |campaign: usize| {
        let day = u64::try_from(campaign).unwrap_or(0) * YEAR_IN_DAYS / months;
        start + DAY * u32::try_from(day).unwrap_or(0) + Duration::from_secs(9 * 3600)
    };
    let mut plan = Vec::new();
    for campaign in 0..CAMPAIGNS.len() {
        let start = began(campaign);
        plan.push((start, Step::Campaign(campaign)));
        plan.push((start + Duration::from_secs(30), Step::Move { campaign, action: "start" }));
        plan.push(match campaign {
            PAUSED => (start + DAY * 21, Step::Move { campaign, action: "pause" }),
            _ => (start + CAMPAIGN, Step::Move { campaign, action: "complete" }),
        });
    }
    let mut leads = Vec::new();
    for number in 0..LEADS {
        let campaign = number * CAMPAIGNS.len() / LEADS;
        let time = began(campaign) + Duration::from_secs(60 + chance.below(28 * 24 * 3600));
        leads.push((time, campaign));
    }
    leads.sort_unstable();
    for (number, (time, campaign)) in leads.into_iter().enumerate() {
        if chance.below(100) < REPLIES_PERCENT {
            let reply = time + Duration::from_secs(3600 + chance.below(20 * 24 * 3600));
            plan.push((reply, Step::Reply { lead: number }));
            if chance.below(100) < QUALIFIED_PERCENT {
                let qualified = reply + Duration::from_secs(600 + chance.below(2 * 24 * 3600));
                plan.push((qualified, Step::Qualify { lead: number }));
                if chance.below(100) < MEETINGS_PERCENT {
                    let booked = qualified + Duration::from_secs(300 + chance.below(24 * 3600));
                    plan.push((booked, Step::Meeting { lead: number }));
                }
            }
        }
        plan.push((time + Duration::from_secs(600), Step::Sent { lead: number }));
        plan.push((time, Step::Lead { number, campaign }));
    }
    plan.retain(|(time, _)| *time < end);
    // Nothing that happens to a lead or a campaign happens at the moment it begins.
    plan.sort_by_key(|(time, _)| *time);
    plan
}

/// A meeting that a lead agrees to at `booked`: half an hour, three days later.
fn meeting(lead: &str, booked: Timestamp) -> Value {
    let starts = booked + DAY * 3;
    let ends = starts + Duration::from_secs(30 * 60);
    json!({"lead_id": lead, "starts_at": starts, "ends_at": ends, "location": "Video call"})
}

fn lead(number: usize, campaign: Option<&String>, chance: &mut Chance) -> Value {
    let (first, last, company) = (chance.pick(FIRST_NAMES), chance.pick(LAST_NAMES), chance.pick(COMPANIES));
    let mut lead = json!({
        "email": format!("{}.{}.{number}@example.com", first.to_lowercase(), last.to_lowercase()),
        "first_name": first,
        "last_name": last,
        "company": company,
        "title": chance.pick(TITLES),
    });
    if let (Some(campaign), Some(lead)) = (campaign, lead.as_object_mut()) {
        lead.insert("campaign_id".to_owned(), campaign.as_str().into());
    }
    lead
}

/// The same "random" numbers every time (SplitMix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn pick<'t>(&mut self, from: &[&'t str]) -> &'t str {
        let index = self.below(u64::try_from(from.len()).unwrap_or(1));
        usize::try_from(index).ok().and_then(|index| from.get(index)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_plan_is_the_same_every_time_and_in_order() {
        let end = clock::utc(2026, 11, 22, 12, 0);
        let start = end - DAY * 365;
        let one = plan(start, end, &mut Chance(1));
        let two = plan(start, end, &mut Chance(1));
        let times = |plan: &[(Timestamp, Step)]| plan.iter().map(|(time, _)| *time).collect::<Vec<_>>();
        assert_eq!(times(&one), times(&two));
        assert!(one.is_sorted_by_key(|(time, _)| *time));
        let leads: Vec<usize> = one
            .iter()
            .filter_map(|(_, step)| if let Step::Lead { number, .. } = step { Some(*number) } else { None })
            .collect();
        assert!(leads.is_sorted() && leads.len() > 350, "{}", leads.len());
        let (mut campaigns, mut seen, mut meetings) = (0, 0, 0);
        let (mut replied, mut qualified) = (BTreeSet::new(), BTreeSet::new());
        for (_, step) in &one {
            match step {
                Step::Campaign(_) => campaigns += 1,
                Step::Move { campaign, .. } => assert!(*campaign < campaigns, "before its campaign"),
                Step::Lead { .. } => seen += 1,
                Step::Sent { lead } => assert!(*lead < seen, "an e-mail before its lead"),
                Step::Reply { lead } => {
                    assert!(*lead < seen, "a reply before its lead");
                    replied.insert(*lead);
                }
                Step::Qualify { lead } => {
                    assert!(replied.contains(lead), "qualified before a reply");
                    qualified.insert(*lead);
                }
                Step::Meeting { lead } => {
                    assert!(qualified.contains(lead), "a meeting before the lead is qualified");
                    meetings += 1;
                }
            }
        }
        assert!(meetings > 20, "{meetings}");
    }
}
