//! Admission: one conditional write that authenticates a credential, enforces its hourly limit exactly, stamps
//! its last use and counts it.
//!
//! **Promise.** In any 60 minutes no more than `limit` requests are admitted, however many functions run; time is
//! counted in whole minutes and a minute too many is kept in the window, so the error is always a refusal. An idle
//! credential has its whole budget at once. It takes one call, except for the first use after more than
//! [`RING`]` - 3` hours of silence, or when another function's clock is ahead: then two.
//!
//! **How.** DynamoDB can compare attributes in a condition but can't add them up, so the sum over the window is
//! turned into a *ceiling*. Let `n` count every request ever admitted and `C(m)` be its value at the end of minute
//! `m`. The window of minute `M` is the 61 minutes `M-60 ..= M`, so a request is within its limit exactly if
//! `n < limit + C(M-61)`. The item keeps `top = n + limit`, and
//!
//! * for each minute `m` in which a request was admitted, `top` after the last one: `limit + C(m)`;
//! * for each hour `h` in which a request was admitted, `top` before the first one: `limit + C(60h-1)`.
//!
//! Ceilings only ever grow, so `n < limit + C(M-61)` holds exactly if `n` is below *any* ceiling recorded for a
//! minute up to `M-61`: a disjunction the condition can state without knowing which of them exist. With
//! `M = 60h + r` the minutes to look at are `0 ..= r-1` of hour `h-1`, and the ceiling from before that hour's
//! first request stands for everything older. If nothing was admitted in hour `h-1`, the window lies wholly in
//! hour `h`, and the ceiling from before *its* first request applies at once.
//!
//! Hours share a ring of [`RING`] attributes and minutes two sets of sixty, by the hour's parity. A stale minute
//! ceiling is merely too low, which is harmless; stale hours are removed by each request.
//! See `docs/adr/0004-rate-limit.md` for what was rejected.

use std::fmt::Write as _;
use std::time::Duration;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};
use clock::Timestamp;

use crate::StoreError;
use crate::item::{Item, get_number, get_text, number, primary, text};
use crate::keys::Key;

/// Attributes in the ring of hours.
pub const RING: i64 = 32;
/// The ring can be trusted while the last use is at most this many hours back.
const TRUSTED_HOURS: i64 = RING - 3;
/// How often a decision is tried again when another function changed the item in between.
const TRIES: usize = 4;

/// The status of a credential whose organization is deleted.
pub(crate) const SUSPENDED: &str = "suspended";

const COUNT: &str = "n";
const TOP: &str = "top";
const LAST_MINUTE: &str = "lm";

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
    /// Its budget is spent.
    Limited { item: Item, quota: Quota },
    /// The store did not answer, or was contended beyond reason.
    Store(StoreError),
}

/// The attributes an item starts with so that it can be admitted.
pub(crate) fn fresh(limit: u64) -> [(String, aws_sdk_dynamodb::types::AttributeValue); 2] {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX / 4);
    [(COUNT.to_owned(), number(0)), (TOP.to_owned(), number(limit))]
}

/// The name of the ceiling from before the first request of an hour.
fn hour_slot(hour: i64) -> String {
    format!("b{}", hour.rem_euclid(RING))
}

/// The name of the ceiling after the last request of a minute.
fn minute_slot(hour: i64, minute_of_hour: i64) -> String {
    format!("{}{minute_of_hour}", if hour.rem_euclid(2) == 0 { 'e' } else { 'o' })
}

/// A minute, split as the ceilings are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Minute {
    hour: i64,
    of_hour: i64,
}

impl Minute {
    fn of(minute: i64) -> Self {
        Self { hour: minute.div_euclid(60), of_hour: minute.rem_euclid(60) }
    }

    /// The condition under which a request in this minute is within the limit.
    fn condition(self) -> String {
        let (now, before) = (hour_slot(self.hour), hour_slot(self.hour - 1));
        let mut condition = format!(
            "((attribute_not_exists({before}) AND (attribute_not_exists({now}) OR {COUNT} < {now})) OR {COUNT} < {before}"
        );
        for minute in 0..self.of_hour {
            // Writing to a `String` cannot fail.
            let _ = write!(condition, " OR {COUNT} < {}", minute_slot(self.hour - 1, minute));
        }
        condition.push(')');
        condition
    }
}

/// The ceilings of the hour of a minute and of the two hours about it, read once: the same rule as
/// [`Minute::condition`], in Rust.
struct Ceilings {
    first_hour: i64,
    /// Before the first request of each of three hours.
    before: [Option<i64>; 3],
    /// After the last request of each minute of the first two of them, as the highest one so far.
    highest: [[Option<i64>; 60]; 2],
}

impl Ceilings {
    fn of(item: &Item, minute: i64) -> Self {
        let first_hour = Minute::of(minute).hour - 1;
        let mut ceilings = Self { first_hour, before: [None; 3], highest: [[None; 60]; 2] };
        for (hour, slot) in (first_hour..).zip(&mut ceilings.before) {
            *slot = get_number(item, &hour_slot(hour));
        }
        for (hour, slots) in (first_hour..).zip(&mut ceilings.highest) {
            let mut highest = None;
            for (of_hour, slot) in (0..).zip(slots) {
                highest = highest.max(get_number(item, &minute_slot(hour, of_hour)));
                *slot = highest;
            }
        }
        ceilings
    }

    /// The highest ceiling that applies in `minute`, which is in the second or third hour. `None` when nothing
    /// limits: no request in its hour or the one before.
    fn at(&self, minute: i64) -> Option<i64> {
        let at = Minute::of(minute);
        let index = usize::try_from(at.hour - self.first_hour).ok()?;
        let before = |index: usize| self.before.get(index).copied().flatten();
        let base = before(index.checked_sub(1)?).or_else(|| before(index))?;
        let slots = self.highest.get(index - 1);
        let last = usize::try_from(at.of_hour).ok().and_then(|of_hour| of_hour.checked_sub(1));
        let highest = last.and_then(|last| *slots?.get(last)?);
        Some(highest.map_or(base, |highest| highest.max(base)))
    }
}

fn trusted(item: &Item, minute: i64) -> bool {
    get_number(item, LAST_MINUTE).is_none_or(|last| last >= oldest_trusted(minute))
}

fn oldest_trusted(minute: i64) -> i64 {
    (minute.div_euclid(60) - TRUSTED_HOURS) * 60
}

/// What is left after (or without) a request in `minute`.
fn quota(item: &Item, minute: i64, now: Timestamp) -> Quota {
    let count = get_number(item, COUNT).unwrap_or(0);
    let limit = get_number(item, TOP).unwrap_or(0) - count;
    let ceilings = Ceilings::of(item, minute);
    let ceiling_at = |minute| ceilings.at(minute).unwrap_or(count + limit);
    let ceiling = if trusted(item, minute) { ceiling_at(minute) } else { count + limit };
    let remaining = (ceiling - count).clamp(0, limit);
    let reset_after = if remaining >= limit {
        Duration::ZERO
    } else {
        // Beyond the window of 61 minutes everything has returned.
        let returns = (minute + 1..minute + 61).find(|later| ceiling_at(*later) > ceiling);
        Timestamp::from_seconds(returns.unwrap_or(minute + 61) * 60).since(now)
    };
    Quota { limit: unsigned(limit), remaining: unsigned(remaining), reset_after }
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// Who is asking, stamped on the item as the last use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Use<'a> {
    pub(crate) now: Timestamp,
    pub(crate) address: &'a str,
}

/// Admits one request with the credential at `key`, or says why not.
pub(crate) async fn admit(
    client: &aws_sdk_dynamodb::Client,
    table: &str,
    key: &Key,
    request: Use<'_>,
) -> Result<(Item, Quota), Denied> {
    let mut minute = request.now.minute();
    let mut last_refusal = None;
    for _ in 0..TRIES {
        let item = match attempt(client, table, key, request, minute, None).await? {
            Outcome::Admitted(item) => {
                let quota = quota(&item, minute, request.now);
                return Ok((item, quota));
            }
            Outcome::Refused(item) => item,
        };
        match get_text(&item, "status") {
            Some("active") => {}
            Some(SUSPENDED) => return Err(Denied::Suspended(item)),
            _ => return Err(Denied::Revoked(item)),
        }
        if get_number(&item, "exp").is_some_and(|exp| exp <= request.now.seconds()) {
            return Err(Denied::Expired(item));
        }
        let last = get_number(&item, LAST_MINUTE).unwrap_or(minute);
        if last > minute {
            // Another function's clock is ahead. Minutes must not go back, so this request counts in that one.
            minute = last;
        } else if !trusted(&item, minute) {
            match attempt(client, table, key, request, minute, Some(&item)).await? {
                Outcome::Admitted(item) => {
                    let quota = quota(&item, minute, request.now);
                    return Ok((item, quota));
                }
                // Somebody else was first; look again.
                Outcome::Refused(item) => last_refusal = Some(item),
            }
            continue;
        } else {
            let quota = quota(&item, minute, request.now);
            return Err(Denied::Limited { item, quota });
        }
        last_refusal = Some(item);
    }
    let item = last_refusal.unwrap_or_default();
    let quota =
        Quota { remaining: 0, reset_after: Duration::from_secs(1), ..quota(&item, minute, request.now) };
    Err(Denied::Limited { item, quota })
}

enum Outcome {
    Admitted(Item),
    Refused(Item),
}

/// One conditional update. `silent` is the item as it was found after a long silence: its ring is then cleared
/// instead of consulted, provided nobody has used it meanwhile.
async fn attempt(
    client: &aws_sdk_dynamodb::Client,
    table: &str,
    key: &Key,
    request: Use<'_>,
    minute: i64,
    silent: Option<&Item>,
) -> Result<Outcome, Denied> {
    let at = Minute::of(minute);
    let current = hour_slot(at.hour);
    let mut update = format!(
        "SET {COUNT} = {COUNT} + :one, {TOP} = {TOP} + :one, {LAST_MINUTE} = :minute, {} = {TOP} + :one, \
         last_used_at = :used, last_used_from = :address, {current} = ",
        minute_slot(at.hour, at.of_hour),
    );
    update.push_str(&match silent {
        None => format!("if_not_exists({current}, {TOP})"),
        Some(_) => TOP.to_owned(),
    });
    update.push_str(" REMOVE ");
    let kept = if silent.is_none() { 2 } else { 1 };
    for (index, ahead) in (1..=RING - kept).enumerate() {
        let separator = if index == 0 { "" } else { "," };
        // Writing to a `String` cannot fail.
        let _ = write!(update, "{separator}{}", hour_slot(at.hour + ahead));
    }
    let mut call = client
        .update_item()
        .table_name(table)
        .set_key(Some(primary(key)))
        .update_expression(update)
        .expression_attribute_names("#status", "status")
        .expression_attribute_values(":one", number(1))
        .expression_attribute_values(":minute", number(minute))
        .expression_attribute_values(":active", text("active"))
        .expression_attribute_values(":now", number(request.now.seconds()))
        .expression_attribute_values(":used", text(request.now.to_string()))
        .expression_attribute_values(":address", text(request.address))
        .return_values(ReturnValue::AllNew)
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    let live = "#status = :active AND (attribute_not_exists(exp) OR exp > :now)";
    call = match silent {
        None => call
            .condition_expression(format!(
                "{live} AND (attribute_not_exists({LAST_MINUTE}) OR {LAST_MINUTE} BETWEEN :oldest AND :minute) AND {}",
                at.condition()
            ))
            .expression_attribute_values(":oldest", number(oldest_trusted(minute))),
        Some(item) => call
            .condition_expression(format!("{live} AND {COUNT} = :seen"))
            .expression_attribute_values(":seen", number(get_number(item, COUNT).unwrap_or(0))),
    };
    match call.send().await {
        Ok(answer) => Ok(Outcome::Admitted(answer.attributes.unwrap_or_default())),
        Err(SdkError::ServiceError(context)) if context.err().is_conditional_check_failed_exception() => {
            match context.into_err() {
                UpdateItemError::ConditionalCheckFailedException(refusal) => match refusal.item {
                    Some(item) => Ok(Outcome::Refused(item)),
                    None => Err(Denied::Unknown),
                },
                other => {
                    Err(Denied::Store(StoreError::Refused { operation: "admit", source: Box::new(other) }))
                }
            }
        }
        Err(error) => Err(Denied::Store(StoreError::from_sdk("admit", error))),
    }
}
