//! The one call: a conditional update that admits a request, or brings the item along that refuses it.

use std::fmt::Write as _;
use std::time::Duration;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};

use super::{COUNT, Denied, FLOOR, LAST_USED, MAC, NETWORKS, OVER, Visit, bytes, mark};
use crate::item::{Item, number, primary, text};
use crate::keys::Key;
use crate::usage::HourCount;
use crate::{Store, StoreError};

/// How often a write is tried that met a transaction on the same item, and how long it waits for it.
const CONFLICT_TRIES: u32 = 6;
const CONFLICT_WAIT: Duration = Duration::from_millis(15);
/// How much of a user agent is kept as that of the last use, in bytes: the item is to stay below 1 KiB.
const LONGEST_AGENT: usize = 32;

/// How much an attempt takes, and the room there must be for it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Take {
    /// One, below the floor that the item has.
    One,
    /// One, below a floor that is known to be higher by now.
    OneBelow(i64),
    /// So many at once, all below a floor that the item was seen to have.
    Block { of: i64, floor: i64 },
}

impl Take {
    pub(super) fn many(self) -> i64 {
        match self {
            Self::Block { of, .. } => of,
            Self::One | Self::OneBelow(_) => 1,
        }
    }
}

/// One admission under way.
pub(super) struct Attempt<'a> {
    pub(super) key: &'a Key,
    /// What the item must prove; nothing for a session, whose token was verified, and for a successor.
    pub(super) macs: &'a [[u8; 32]],
    pub(super) take: Take,
    /// The list of networks that is known to admit the request: the item must have that very list, or none.
    pub(super) networks: Option<&'a [u8]>,
    /// What the key was used for, earlier requests' included.
    pub(super) counts: &'a [HourCount],
    /// Whether it is this credential that is used, and not one that draws on its budget.
    pub(super) is_use: bool,
}

pub(super) enum Outcome {
    Admitted(Item),
    Refused(Item),
}

impl Visit<'_> {
    /// An update with the values of what is stamped as the last use.
    pub(super) fn stamped(&self, call: UpdateItemFluentBuilder) -> UpdateItemFluentBuilder {
        let agent = self.user_agent.map_or("", |agent| cut(agent, LONGEST_AGENT));
        call.expression_attribute_values(":at", number(self.now.millis()))
            .expression_attribute_values(":from", text(self.address.to_canonical().to_string()))
            .expression_attribute_values(":by", text(agent))
    }
}

impl Store {
    /// One conditional update.
    pub(super) async fn attempt(&self, attempt: &Attempt<'_>, visit: &Visit<'_>) -> Result<Outcome, Denied> {
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

/// The beginning of a text, at most `longest` bytes of it.
fn cut(text: &str, longest: usize) -> &str {
    let end = (0..=longest.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}
