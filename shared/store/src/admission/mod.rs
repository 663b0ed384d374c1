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

mod attempt;
mod fold;
mod memory;
mod refusal;
mod window;

use std::net::IpAddr;
use std::time::Duration;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use clock::Timestamp;

use crate::item::{Item, get_number, get_text, number};
use crate::keys::Key;
use crate::usage::{Counted, HourCount, RouteGroup};
use crate::{Store, StoreError};

use attempt::{Attempt, Outcome, Take};
use refusal::{Next, admitting_networks, bar, next, prove};

pub(crate) use attempt::sent;
pub(crate) use memory::Memory;
pub(crate) use refusal::is_proved;
pub(crate) use window::{base36, from_base36, mark};

/// Minutes a request counts in: its own, the sixty after it, and one for clocks that differ.
pub(crate) const WINDOW: i64 = 62;
/// How often a decision is tried again when the item changed between two calls.
const TRIES: usize = 4;
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
                    self.after(&at, &item, quota, take, kind, visit).await;
                    if predecessor.is_some() {
                        self.stamp(&key, visit).await;
                    }
                    return Ok(Admitted { item: predecessor.unwrap_or(item), quota, counted_at: key });
                }
                Outcome::Refused(item) => item,
            };
            self.memory.note(&at, &noted);
            match next(&item, macs, visit, predecessor.as_ref())? {
                Next::Successor(successor) => {
                    (at, macs, networks, take) = (successor, &[], None, Take::One);
                    predecessor = Some(item);
                    continue;
                }
                Next::Again { listed, below } => {
                    if let Some(listed) = listed {
                        self.memory.remember_networks(&at, listed);
                        networks = Some(listed.to_vec());
                    }
                    take = below;
                }
                Next::Spent => {
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
            }
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
        let found = self.item(Self::directory_table, "admit", &key).await.map_err(Denied::Store)?;
        let item = found.ok_or(Denied::Unknown)?;
        prove(&item, &proof.macs)?;
        if get_text(&item, "status") == Some(ROTATED) {
            // What was leased is the successor's to give by now.
            self.memory.give_up_lease(&key);
            return Box::pin(self.admit_at(key, Kind::Key(proof), visit)).await;
        }
        bar(&item, visit)?;
        admitting_networks(&item, visit)?;
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
    async fn after(
        &self,
        key: &Key,
        item: &Item,
        quota: Quota,
        take: Take,
        kind: Kind<'_>,
        visit: &Visit<'_>,
    ) {
        let minute = visit.now.minute();
        let this_minute = get_number(item, &mark(minute)).unwrap_or(0);
        if let Kind::Key(_) = kind {
            self.memory.lease(key, minute, take.many() - 1);
            let seen = memory::Seen {
                at: visit.now,
                count: get_number(item, COUNT).unwrap_or(0),
                this_minute,
                remaining: quota.remaining,
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
}

pub(crate) fn bytes(of: &[u8]) -> AttributeValue {
    AttributeValue::B(Blob::new(of))
}
