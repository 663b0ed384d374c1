//! What one process remembers of the credentials it has admitted. Forgetting any of it costs a call, some budget or some
//! counts of usage, and never lets anybody in: every admission asks the store.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use clock::Timestamp;

use super::Take;
use crate::Networks;
use crate::keys::Key;
use crate::usage::HourCount;

/// From this many requests a second on, budget is taken in blocks. A DynamoDB partition takes 1,000 writes a second.
const HOT_PER_SECOND: i64 = 800;
/// A rate is judged by at least so many milliseconds between two admissions, or seconds of a minute.
const RATED_MILLIS: i64 = 1000;
const JUDGED_SECONDS: i64 = 5;
/// How long a rate holds that was judged once.
const HOT_SECONDS: u64 = 5;
/// The largest block, and the share of what is left that a block may be: near the limit it is one by one again.
const LARGEST_BLOCK: u64 = 100;
const SHARE: u64 = 64;
/// How many credentials are remembered.
const MOST: usize = 10_000;
/// How many counts an admission takes along.
const TAKEN_ALONG: usize = 6;

/// What is remembered of one credential.
#[derive(Debug, Default)]
struct Remembered {
    /// The list of networks it was last seen to have.
    networks: Option<(Vec<u8>, Networks)>,
    /// Budget that was taken and may be used in one minute only.
    lease: Option<Lease>,
    /// The block to take next, and since when that is known.
    next: Option<(Timestamp, Take)>,
    /// What was seen of its use a second ago or more.
    seen: Option<Seen>,
    /// What is to be counted yet.
    noted: Vec<HourCount>,
    /// The minute in which such counts were last written by themselves.
    written: Option<i64>,
}

#[derive(Debug)]
struct Lease {
    minute: i64,
    left: i64,
}

/// What an admission has shown of a credential's use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// When.
    pub(super) at: Timestamp,
    /// How many requests were ever admitted.
    pub(super) count: i64,
    /// How many of them in the minute.
    pub(super) this_minute: i64,
    /// How many more may be made.
    pub(super) remaining: u64,
    /// The floor it has.
    pub(super) floor: i64,
}

impl Seen {
    /// The block to take from what is left.
    fn block(&self) -> Option<Take> {
        let of = (self.remaining / SHARE).min(LARGEST_BLOCK);
        (of > 1).then_some(Take::Block { of: i64::try_from(of).unwrap_or(1), floor: self.floor })
    }

    /// Whether the credential is used so much that budget is to be taken in blocks: by what was counted since `before`, or
    /// by what the minute has seen.
    fn is_hot(&self, before: &Self) -> bool {
        let millis = self.at.millis() - before.at.millis();
        let lately = millis >= RATED_MILLIS && (self.count - before.count) * 1000 >= HOT_PER_SECOND * millis;
        let seconds = self.at.seconds().rem_euclid(60).max(JUDGED_SECONDS);
        lately || self.this_minute >= seconds * HOT_PER_SECOND
    }
}

/// The memory of a process.
#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<HashMap<Key, Remembered>>);

impl Memory {
    fn all(&self) -> MutexGuard<'_, HashMap<Key, Remembered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is remembered of a credential. When there is no room, what costs least to forget is forgotten.
    fn with<R>(&self, key: &Key, change: impl FnOnce(&mut Remembered) -> R) -> R {
        let mut all = self.all();
        if all.len() >= MOST && !all.contains_key(key) {
            all.retain(|_, remembered| !remembered.noted.is_empty() || remembered.lease.is_some());
            if all.len() >= MOST {
                all.clear();
            }
        }
        change(all.entry(key.clone()).or_default())
    }

    /// The list of networks that the credential was last seen to have, if it admits `from`.
    pub(super) fn networks_admitting(&self, key: &Key, from: IpAddr) -> Option<Vec<u8>> {
        let all = self.all();
        let (packed, networks) = all.get(key)?.networks.as_ref()?;
        networks.admit(from).then(|| packed.clone())
    }

    pub(super) fn remember_networks(&self, key: &Key, packed: &[u8]) {
        if let Some(networks) = Networks::unpack(packed) {
            self.with(key, |it| it.networks = Some((packed.to_vec(), networks)));
        }
    }

    /// Uses one of what was leased for this minute.
    pub(super) fn draw(&self, key: &Key, minute: i64) -> bool {
        let mut all = self.all();
        let Some(remembered) = all.get_mut(key) else { return false };
        let Some(lease) = &mut remembered.lease else { return false };
        if lease.minute != minute || lease.left == 0 {
            remembered.lease = None;
            return false;
        }
        lease.left -= 1;
        true
    }

    pub(super) fn give_up_lease(&self, key: &Key) {
        if let Some(remembered) = self.all().get_mut(key) {
            (remembered.lease, remembered.next) = (None, None);
        }
    }

    /// Remembers that so many may still be used in this minute.
    pub(super) fn lease(&self, key: &Key, minute: i64, left: i64) {
        if left <= 0 {
            return;
        }
        self.with(key, |it| match &mut it.lease {
            Some(lease) if lease.minute == minute => lease.left += left,
            lease => *lease = Some(Lease { minute, left }),
        });
    }

    /// Decides whether the credential is used so much that budget is to be taken in blocks.
    pub(super) fn judge_rate(&self, key: &Key, seen: Seen) {
        self.with(key, |it| {
            let before = *it.seen.get_or_insert(seen);
            it.next = seen.block().filter(|_| seen.is_hot(&before)).map(|block| (seen.at, block));
            if seen.at.millis() - before.at.millis() >= RATED_MILLIS || seen.at < before.at {
                it.seen = Some(seen);
            }
        });
    }

    /// Has a block be taken next of a credential in heavy use that could not be asked about just now: its partition may be
    /// overloaded.
    pub(super) fn expect_more(&self, key: &Key, now: Timestamp) {
        if let Some(remembered) = self.all().get_mut(key)
            && let Some(seen) = remembered.seen.filter(|seen| seen.this_minute >= HOT_PER_SECOND)
            && let Some(block) = seen.block()
        {
            remembered.next = Some((now, block));
        }
    }

    /// The block to take now, if budget is to be taken in blocks.
    pub(super) fn next_block(&self, key: &Key, now: Timestamp) -> Option<Take> {
        let mut all = self.all();
        let (judged, take) = all.get_mut(key)?.next.take()?;
        (judged <= now && now.since(judged).as_secs() < HOT_SECONDS).then_some(take)
    }

    /// Whether nothing was written by itself for this credential in the minute; from now on it was.
    pub(super) fn is_first_this_minute(&self, key: &Key, now: Timestamp) -> bool {
        self.with(key, |it| it.written.replace(now.minute()) != Some(now.minute()))
    }

    /// Remembers what is to be counted at the next occasion.
    pub(crate) fn note(&self, key: &Key, counts: &[HourCount]) {
        if counts.is_empty() {
            return;
        }
        self.with(key, |it| {
            for count in counts {
                count.add_to(&mut it.noted);
            }
        });
    }

    /// What an admission of this credential is to count along with itself.
    pub(super) fn take_noted(&self, key: &Key) -> Vec<HourCount> {
        let mut all = self.all();
        let Some(remembered) = all.get_mut(key) else { return Vec::new() };
        let rest = remembered.noted.split_off(remembered.noted.len().min(TAKEN_ALONG));
        std::mem::replace(&mut remembered.noted, rest)
    }

    /// Remembers what came of a request, to be taken along by the next admission. Once a minute it is to be written at once,
    /// with all that waits: those counts are given back.
    pub(crate) fn note_outcome(&self, key: &Key, now: Timestamp, outcome: HourCount) -> Vec<HourCount> {
        self.note(key, &[outcome]);
        self.with(key, |it| {
            if it.written == Some(now.minute()) {
                return Vec::new();
            }
            it.written = Some(now.minute());
            std::mem::take(&mut it.noted)
        })
    }
}
