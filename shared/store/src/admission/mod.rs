//! Admission: one conditional write that authenticates a credential, enforces its hourly limit exactly, stamps its last
//! use and counts it.
//!
//! **Promise.** In any 60 minutes no more than `limit` requests are admitted, however many functions run and in whatever
//! order they get through, as long as no two of their clocks are more than a minute apart. Time is counted in whole
//! minutes and two minutes too many are kept in the window, so the error is always a refusal. An idle credential has its
//! whole budget at once. It takes one call and one write unit; a second call where the budget of minutes long past is
//! needed, and about every seventh minute in which the credential is used, to fold what was counted.
//!
//! **How.** DynamoDB can compare attributes in a condition but can't add them up. So the item keeps
//!
//! * `n`, the count of all requests ever admitted, and `u`, which is `n - limit`;
//! * `M…`, how many were admitted in one minute, for the last few minutes, and `w`, the same for those before, packed;
//! * `f`, the *floor*: how many requests are known to have left the window.
//!
//! A request is within its limit if `n - floor < limit`, that is `u < f`. Requests only ever leave the window, so a floor
//! that was true once is never too high later: an item can be judged by an old one, in one call. Only a request that an
//! old floor refuses has to look whether there is a newer one. It can: the refusal brings the item along, whoever looks at
//! it in the same minute finds the same floor, and setting it twice is setting it once. Nobody has to win a race.
//! See `docs/adr/0011-rate-limit-in-one-write-unit.md` for the proof and for what was rejected.

mod fold;
mod memory;
mod window;

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use clock::Timestamp;

use crate::item::{Item, get_number, get_text, number, primary, text};
use crate::keys::{self, Key};
use crate::usage::{Counted, HourCount, RouteGroup};
use crate::{Networks, Store, StoreError};

pub(crate) use memory::Memory;
pub(crate) use window::{base36, from_base36, mark};

/// Minutes a request counts in: its own, the sixty after it, and one for clocks that differ.
pub(crate) const WINDOW: i64 = 62;
/// How often a decision is tried again when the item changed between two calls.
const TRIES: usize = 4;
/// How often a write is tried that met a transaction on the same item, and how long it waits for it.
const CONFLICT_TRIES: u32 = 6;
const CONFLICT_WAIT: Duration = Duration::from_millis(15);
/// How much of a user agent is kept as that of the last use, in bytes: the item is to stay below 1 KiB.
const LONGEST_AGENT: usize = 32;

/// The status of a credential whose organization is deleted.
pub(crate) const SUSPENDED: &str = "suspended";
/// The status of a key that another one has taken the place of.
pub(crate) const ROTATED: &str = "rotated";

pub(crate) const COUNT: &str = "n";
pub(crate) const OVER: &str = "u";
pub(crate) const FLOOR: &str = "f";
/// When, from where and by what the credential was used last.
pub(crate) const LAST_USED: [&str; 3] = ["la", "lf", "lu"];
/// The keyed hash of the key.
pub(crate) const MAC: &str = "mac";
/// Where the credential is that has taken this one's place.
pub(crate) const SUCCESSOR: &str = "to";
const NETWORKS: &str = "nets";

/// What a credential has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Requests in any 60 minutes.
    pub limit: u64,
    /// Of which may still be made now.
    pub remaining: u64,
    /// When more of them return; zero when nothing has been used in the window.
    pub reset_after: Duration,
}

/// A key that somebody shows: where its credential must be, and what must stand there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Where: a digest of the key that is too short to tell one key from all others.
    pub locator: String,
    /// The key's hash under the pepper that is in force, which the item has from now on, and under those that are
    /// honoured as well.
    pub macs: Vec<[u8; 32]>,
}

/// A request that asks to be admitted.
#[derive(Debug, Clone, Copy)]
pub struct Visit<'a> {
    /// When.
    pub now: Timestamp,
    /// Where it comes from.
    pub address: IpAddr,
    /// What the client says it is.
    pub user_agent: Option<&'a str>,
    /// What it is about.
    pub group: RouteGroup,
}

impl Visit<'_> {
    /// An update with the values of what is stamped as the last use.
    fn stamped(&self, call: UpdateItemFluentBuilder) -> UpdateItemFluentBuilder {
        let agent = self.user_agent.map_or("", |agent| cut(agent, LONGEST_AGENT));
        call.expression_attribute_values(":at", number(self.now.millis()))
            .expression_attribute_values(":from", text(self.address.to_canonical().to_string()))
            .expression_attribute_values(":by", text(agent))
    }
}

/// A credential that was let in.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) item: Item,
    pub(crate) quota: Quota,
    /// The item that counts what the key is used for.
    pub(crate) counted_at: Key,
}

/// Why a credential was not admitted.
#[derive(Debug)]
pub(crate) enum Denied {
    /// No such credential.
    Unknown,
    /// It was revoked, or its session was ended.
    Revoked(Item),
    /// It waits for its organization to be brought back.
    Suspended(Item),
    /// It has expired.
    Expired(Item),
    /// It may not be used from there.
    Elsewhere(Item),
    /// Its budget is spent: what it would have been, with nothing left.
    Limited(Box<Admitted>),
    /// The store did not answer, or was contended beyond reason.
    Store(StoreError),
}

impl Denied {
    /// The same about a credential that shares the fate of the one it is about.
    fn of(self, item: &Item) -> Self {
        match self {
            Self::Revoked(_) => Self::Revoked(item.clone()),
            Self::Suspended(_) => Self::Suspended(item.clone()),
            Self::Expired(_) => Self::Expired(item.clone()),
            other => other,
        }
    }
}

/// The attributes an item starts with so that it can be admitted.
pub(crate) fn fresh(limit: u64) -> [(String, AttributeValue); 3] {
    [(COUNT.to_owned(), number(0)), (OVER.to_owned(), number(-signed(limit))), (FLOOR.to_owned(), number(0))]
}

/// Whether an attribute is part of what limits a credential.
pub(crate) fn is_of_window(name: &str) -> bool {
    [COUNT, OVER, FLOOR, window::FOLDED].contains(&name) || window::is_mark(name)
}

/// How many requests a credential may admit in two seconds, by the present minute and the last one, and `spare` more; never
/// more than it has left.
pub(crate) fn margin(item: &Item, spare: i64, now: Timestamp) -> i64 {
    let lately = window::counts(item).filter(|(stamped, _)| *stamped >= now.minute() - 1);
    let used: i64 = lately.map(|(_, count)| count).sum();
    let left = window::quota(item, now.minute() + 1, now).remaining;
    (used / 30 + spare).min(signed(left))
}

pub(crate) fn signed(limit: u64) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX / 4)
}

/// How much an attempt takes, and the room there must be for it.
#[derive(Debug, Clone, Copy)]
enum Take {
    /// One, below the floor that the item has.
    One,
    /// One, below a floor that is known to be higher by now.
    OneBelow(i64),
    /// So many at once, all below a floor that the item was seen to have.
    Block { of: i64, floor: i64 },
}

impl Take {
    fn many(self) -> i64 {
        match self {
            Self::Block { of, .. } => of,
            Self::One | Self::OneBelow(_) => 1,
        }
    }
}

/// One admission under way.
struct Attempt<'a> {
    key: &'a Key,
    /// What the item must prove; nothing for a session, whose token was verified, and for a successor.
    macs: &'a [[u8; 32]],
    take: Take,
    /// The list of networks that is known to admit the request: the item must have that very list, or none.
    networks: Option<&'a [u8]>,
    /// What the key was used for, earlier requests' included.
    counts: &'a [HourCount],
    /// Whether it is this credential that is used, and not one that draws on its budget.
    is_use: bool,
}

enum Outcome {
    Admitted(Item),
    Refused(Item),
}

/// Whether a credential is a key, which is metered by what it is used for, or a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind<'a> {
    Key(&'a Proof),
    Session,
}

impl Store {
    /// Admits one request with the credential at `key`, or says why not.
    pub(crate) async fn admit_at(
        &self,
        key: Key,
        kind: Kind<'_>,
        visit: &Visit<'_>,
    ) -> Result<Admitted, Denied> {
        let minute = visit.now.minute();
        if let Kind::Key(proof) = kind
            && self.memory.draw(&key, minute)
        {
            return self.admit_on_lease(key, proof, visit).await;
        }
        let mut macs = match kind {
            Kind::Key(proof) => proof.macs.as_slice(),
            Kind::Session => &[],
        };
        let (mut at, mut predecessor) = (key.clone(), None);
        let mut networks = self.memory.networks_admitting(&at, visit.address);
        let mut take = self.memory.next_block(&at, visit.now).unwrap_or(Take::One);
        let mut last = None;
        for _ in 0..TRIES {
            let mut counts = self.memory.take_noted(&at);
            let noted = counts.clone();
            // What a key is used for is counted on its own item, also when its budget is another one's.
            if matches!(kind, Kind::Key(_)) && predecessor.is_none() {
                HourCount::one(visit.now, Counted::Admitted(visit.group)).add_to(&mut counts);
            }
            let is_use = predecessor.is_none();
            let attempt =
                Attempt { key: &at, macs, take, networks: networks.as_deref(), counts: &counts, is_use };
            let outcome = match self.attempt(&attempt, visit).await {
                Ok(outcome) => outcome,
                Err(error) => {
                    self.memory.note(&at, &noted);
                    self.memory.expect_more(&at, visit.now);
                    return Err(error);
                }
            };
            let item = match outcome {
                Outcome::Admitted(item) => {
                    let quota = window::quota(&item, minute, visit.now);
                    self.after(&at, &item, take, kind, visit).await;
                    if predecessor.is_some() {
                        self.stamp(&key, visit).await;
                    }
                    return Ok(Admitted { item: predecessor.unwrap_or(item), quota, counted_at: key });
                }
                Outcome::Refused(item) => item,
            };
            self.memory.note(&at, &noted);
            if predecessor.is_none() {
                prove(&item, macs)?;
            }
            if get_text(&item, "status") == Some(ROTATED) && predecessor.is_none() {
                // Its own time and networks hold for it, the successor's budget and status.
                bar_predecessor(&item, visit)?;
                let to = get_text(&item, SUCCESSOR).unwrap_or_default();
                (at, macs, networks, take) = (keys::api_key_at(to), &[], None, Take::One);
                predecessor = Some(item);
                continue;
            }
            match (bar(&item, visit, predecessor.is_some()), &predecessor) {
                (Ok(Some(listed)), _) => {
                    self.memory.remember_networks(&at, listed);
                    networks = Some(listed.to_vec());
                }
                (Ok(None), _) => {}
                (Err(denied), None) => return Err(denied),
                (Err(denied), Some(own)) => return Err(denied.of(own)),
            }
            let floor = window::floor(&item, minute);
            let (over, known) = (get_number(&item, OVER).unwrap_or(0), get_number(&item, FLOOR).unwrap_or(0));
            if over >= floor.max(known) {
                // What was taken beforehand meanwhile is good for this request, too.
                if let Kind::Key(proof) = kind
                    && predecessor.is_none()
                    && self.memory.draw(&at, minute)
                {
                    return self.admit_on_lease(at, proof, visit).await;
                }
                let quota = window::quota(&item, minute, visit.now);
                let item = predecessor.unwrap_or(item);
                return Err(Denied::Limited(Box::new(Admitted { item, quota, counted_at: key })));
            }
            take = if floor > known { Take::OneBelow(floor) } else { Take::One };
            last = Some(item);
        }
        let item = last.unwrap_or_default();
        let quota = window::quota(&item, minute, visit.now);
        let quota = Quota { remaining: 0, reset_after: Duration::from_secs(1), ..quota };
        let item = predecessor.unwrap_or(item);
        Err(Denied::Limited(Box::new(Admitted { item, quota, counted_at: key })))
    }

    /// Admits a request whose budget was taken beforehand: the item is only read, so that what became of the key in
    /// between is known all the same.
    async fn admit_on_lease(&self, key: Key, proof: &Proof, visit: &Visit<'_>) -> Result<Admitted, Denied> {
        let read = self
            .client
            .get_item()
            .table_name(self.directory_table())
            .set_key(Some(primary(&key)))
            .consistent_read(true);
        let answer = read.send().await.map_err(|e| Denied::Store(StoreError::from_sdk("admit", e)))?;
        let item = answer.item.ok_or(Denied::Unknown)?;
        prove(&item, &proof.macs)?;
        if get_text(&item, "status") == Some(ROTATED) {
            // What was leased is the successor's to give by now.
            self.memory.give_up_lease(&key);
            return Box::pin(self.admit_at(key, Kind::Key(proof), visit)).await;
        }
        bar(&item, visit, false)?;
        let (over, known) = (get_number(&item, OVER).unwrap_or(0), get_number(&item, FLOOR).unwrap_or(0));
        if over > window::floor(&item, visit.now.minute()).max(known) {
            // The limit was lowered below what is taken already.
            self.memory.give_up_lease(&key);
            return Box::pin(self.admit_at(key, Kind::Key(proof), visit)).await;
        }
        self.memory.note(&key, &[HourCount::one(visit.now, Counted::Admitted(visit.group))]);
        let quota = window::quota(&item, visit.now.minute(), visit.now);
        Ok(Admitted { item, quota, counted_at: key })
    }

    /// What an admission leads to: budget taken beforehand where a credential is used very much, and now and then a fold.
    async fn after(&self, key: &Key, item: &Item, take: Take, kind: Kind<'_>, visit: &Visit<'_>) {
        let minute = visit.now.minute();
        let this_minute = get_number(item, &mark(minute)).unwrap_or(0);
        if let Kind::Key(_) = kind {
            self.memory.lease(key, minute, take.many() - 1);
            let seen = memory::Seen {
                at: visit.now,
                count: get_number(item, COUNT).unwrap_or(0),
                this_minute,
                remaining: window::quota(item, minute, visit.now).remaining,
                floor: get_number(item, FLOOR).unwrap_or(0),
            };
            self.memory.judge_rate(key, seen);
        }
        // Exactly one request is the first of its minute.
        if this_minute == take.many()
            && let Err(error) = self.fold(key, item, visit.now).await
        {
            // What was not folded now is folded in the next minute.
            tracing::warn!(error = telemetry::chain(&error), "what a credential has counted is not folded");
        }
    }

    /// Notes on a key that was rotated that it was used, on another one's budget, and folds what that one has counted itself.
    /// It is not worth failing a request for.
    async fn stamp(&self, key: &Key, visit: &Visit<'_>) {
        let [used_at, used_from, used_by] = LAST_USED;
        let call = visit.stamped(self.client.update_item().condition_expression("attribute_exists(pk)"));
        let set = format!("SET {used_at} = :at, {used_from} = :from, {used_by} = :by ADD ");
        let mut counts = self.memory.take_noted(key);
        HourCount::one(visit.now, Counted::Admitted(visit.group)).add_to(&mut counts);
        let stamped = match self.count(call, key, &set, &counts).await {
            Ok(item) if self.memory.is_first_this_minute(key, visit.now) => {
                self.fold(key, &item, visit.now).await
            }
            Ok(_) => Ok(()),
            Err(error) => {
                self.memory.note(key, &counts);
                Err(error)
            }
        };
        if let Err(error) = stamped {
            tracing::warn!(error = telemetry::chain(&error), "the use of a rotated key is not noted");
        }
    }

    /// One conditional update.
    async fn attempt(&self, attempt: &Attempt<'_>, visit: &Visit<'_>) -> Result<Outcome, Denied> {
        let [used_at, used_from, used_by] = LAST_USED;
        let many = attempt.take.many();
        let mut sets = Vec::new();
        let mut condition = "#status = :active AND (attribute_not_exists(exp) OR exp > :now)".to_owned();
        let mut call = self
            .client
            .update_item()
            .table_name(self.directory_table())
            .set_key(Some(primary(attempt.key)))
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":active", text("active"))
            .expression_attribute_values(":now", number(visit.now.seconds()))
            .expression_attribute_values(":many", number(many));
        if attempt.is_use {
            sets.push(format!("{used_at} = :at, {used_from} = :from, {used_by} = :by"));
            call = visit.stamped(call);
        }
        // Writing to a `String` cannot fail.
        for (index, mac) in attempt.macs.iter().enumerate() {
            let _ = if index == 0 {
                sets.push(format!("{MAC} = :mac0"));
                write!(condition, " AND {MAC} IN (:mac0")
            } else {
                write!(condition, ", :mac{index}")
            };
            call = call.expression_attribute_values(format!(":mac{index}"), bytes(mac));
        }
        if !attempt.macs.is_empty() {
            condition.push(')');
            condition.push_str(" AND (attribute_not_exists(nets)");
            if let Some(networks) = attempt.networks {
                let _ = write!(condition, " OR {NETWORKS} = :nets");
                call = call.expression_attribute_values(":nets", bytes(networks));
            }
            condition.push(')');
        }
        match attempt.take {
            Take::One => {
                let _ = write!(condition, " AND {OVER} < {FLOOR}");
            }
            Take::OneBelow(floor) => {
                sets.push(format!("{FLOOR} = :floor"));
                let _ = write!(condition, " AND {OVER} < :floor");
                call = call.expression_attribute_values(":floor", number(floor));
            }
            Take::Block { of, floor } => {
                let _ = write!(condition, " AND {OVER} <= :floor");
                call = call.expression_attribute_values(":floor", number(floor - of));
            }
        }
        let mut update = if sets.is_empty() { String::new() } else { format!("SET {} ", sets.join(", ")) };
        let _ = write!(update, "ADD {COUNT} :many, {OVER} :many, {} :many", mark(visit.now.minute()));
        for (index, count) in attempt.counts.iter().enumerate() {
            let _ = write!(update, ", {} :count{index}", count.name());
            call = call.expression_attribute_values(format!(":count{index}"), number(count.count));
        }
        let call = call
            .update_expression(update)
            .condition_expression(condition)
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match sent(call).await {
            Ok(answer) => Ok(Outcome::Admitted(answer.attributes.unwrap_or_default())),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refusal)) => {
                    refusal.item.clone().map(Outcome::Refused).ok_or(Denied::Unknown)
                }
                _ => Err(Denied::Store(StoreError::from_sdk("admit", error))),
            },
        }
    }
}

/// Sends an update of a credential, again if it met a transaction on the same item: the key is being changed at this moment.
pub(crate) async fn sent(
    call: UpdateItemFluentBuilder,
) -> Result<UpdateItemOutput, SdkError<UpdateItemError>> {
    let mut tried = 1;
    loop {
        match call.clone().send().await {
            Err(error)
                if tried < CONFLICT_TRIES
                    && error
                        .as_service_error()
                        .is_some_and(UpdateItemError::is_transaction_conflict_exception) =>
            {
                tokio::time::sleep(CONFLICT_WAIT * tried).await;
                tried += 1;
            }
            result => return result,
        }
    }
}

/// Turns away whoever shows another key than that of the item. Nothing is told of the one it is.
fn prove(item: &Item, macs: &[[u8; 32]]) -> Result<(), Denied> {
    let proved = macs.is_empty() || is_proved(item, macs);
    if proved { Ok(()) } else { Err(Denied::Unknown) }
}

/// Whether the item has one of these hashes of a key.
pub(crate) fn is_proved(item: &Item, macs: &[[u8; 32]]) -> bool {
    match item.get(MAC) {
        Some(AttributeValue::B(stored)) => macs.iter().any(|mac| mac.as_slice() == stored.as_ref()),
        _ => false,
    }
}

/// Turns a credential away that is barred by what it is; else gives the list of networks it must be on, if there is one.
fn bar<'a>(item: &'a Item, visit: &Visit<'_>, by_predecessor: bool) -> Result<Option<&'a [u8]>, Denied> {
    match get_text(item, "status") {
        // One that was begun before limits were kept as they are is over.
        Some("active") if item.contains_key(OVER) => {}
        Some(SUSPENDED) => return Err(Denied::Suspended(item.clone())),
        _ => return Err(Denied::Revoked(item.clone())),
    }
    if has_expired(item, visit) {
        return Err(Denied::Expired(item.clone()));
    }
    if by_predecessor {
        return Ok(None);
    }
    admitting_networks(item, visit)
}

/// Turns a rotated key away whose time is over, or that is elsewhere than it may be.
fn bar_predecessor(item: &Item, visit: &Visit<'_>) -> Result<(), Denied> {
    if has_expired(item, visit) {
        return Err(Denied::Revoked(item.clone()));
    }
    admitting_networks(item, visit).map(|_| ())
}

fn has_expired(item: &Item, visit: &Visit<'_>) -> bool {
    get_number(item, "exp").is_some_and(|exp| exp <= visit.now.seconds())
}

fn admitting_networks<'a>(item: &'a Item, visit: &Visit<'_>) -> Result<Option<&'a [u8]>, Denied> {
    let Some(listed) = item.get(NETWORKS) else { return Ok(None) };
    let packed = listed.as_b().map(AsRef::as_ref).unwrap_or_default();
    // A list that can't be read admits nobody.
    match Networks::unpack(packed) {
        Some(networks) if networks.admit(visit.address) => Ok(Some(packed)),
        _ => Err(Denied::Elsewhere(item.clone())),
    }
}

/// The beginning of a text, at most `longest` bytes of it.
fn cut(text: &str, longest: usize) -> &str {
    let end = (0..=longest.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

pub(crate) fn bytes(of: &[u8]) -> AttributeValue {
    AttributeValue::B(Blob::new(of))
}
