//! The window that a limit is about, as an item remembers it.
//!
//! Each admitted request is counted in the minute of the clock that it was stamped with. Minutes that are over are folded
//! into one packed attribute; those since the last fold have an attribute each. What has left the window is remembered by
//! the count of all requests ever made alone.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use clock::Timestamp;

use super::{COUNT, FLOOR, OVER, Quota, WINDOW};
use crate::item::{Item, get_number};

/// What the name of a minute's own count begins with.
const MARK: char = 'M';
/// The packed counts of the minutes that are over.
pub(super) const FOLDED: &str = "w";

/// The name of a minute's own count.
pub(crate) fn mark(minute: i64) -> String {
    format!("{MARK}{}", base36(minute))
}

/// Whether a name is that of a minute's own count.
pub(super) fn is_mark(name: &str) -> bool {
    name.strip_prefix(MARK).is_some_and(|digits| from_base36(digits).is_some())
}

/// The minutes that have a count of their own, in no order.
pub(super) fn marks(item: &Item) -> impl Iterator<Item = (i64, i64)> + '_ {
    item.iter().filter_map(|(name, value)| {
        let minute = from_base36(name.strip_prefix(MARK)?)?;
        Some((minute, value.as_n().ok()?.parse().ok()?))
    })
}

/// Every minute that is counted and how many requests it saw: packed ones first.
pub(super) fn counts(item: &Item) -> impl Iterator<Item = (i64, i64)> + '_ {
    packed(item).chain(marks(item))
}

fn packed(item: &Item) -> impl Iterator<Item = (i64, i64)> + '_ {
    unpack(match item.get(FOLDED) {
        Some(AttributeValue::B(blob)) => blob.as_ref(),
        _ => &[],
    })
}

/// How many requests are known to have left the window of `minute`: those beyond it no longer count.
pub(super) fn floor(item: &Item, minute: i64) -> i64 {
    let within: i64 =
        counts(item).filter(|(stamped, _)| *stamped > minute - WINDOW).map(|(_, count)| count).sum();
    get_number(item, COUNT).unwrap_or(0) - within
}

/// What is left in `minute`.
pub(super) fn quota(item: &Item, minute: i64, now: Timestamp) -> Quota {
    let (count, over) = (get_number(item, COUNT).unwrap_or(0), get_number(item, OVER).unwrap_or(0));
    let limit = count - over;
    let floor = floor(item, minute).max(get_number(item, FLOOR).unwrap_or(0));
    let remaining = (floor - over).clamp(0, limit);
    let oldest = counts(item)
        .filter(|(stamped, count)| *stamped > minute - WINDOW && *count > 0)
        .map(|(stamped, _)| stamped)
        .min();
    let reset_after = match oldest {
        Some(oldest) if remaining < limit => Timestamp::from_seconds((oldest + WINDOW) * 60).since(now),
        _ => std::time::Duration::ZERO,
    };
    let unsigned = |value: i64| u64::try_from(value).unwrap_or(0);
    Quota { limit: unsigned(limit), remaining: unsigned(remaining), reset_after }
}

/// The packed counts once those of `over` are among them, and without what has left the window of `minute`. What is packed
/// and lies ahead, by a clock that is, stays. `None` when there is nothing to pack.
pub(super) fn folded(item: &Item, minute: i64, over: &[(i64, i64)]) -> Option<AttributeValue> {
    let mut kept = BTreeMap::<i64, i64>::new();
    for (stamped, count) in packed(item).chain(over.iter().copied()) {
        if stamped > minute - WINDOW && count > 0 {
            *kept.entry(stamped).or_default() += count;
        }
    }
    let (first, last) = (*kept.first_key_value()?.0, *kept.last_key_value()?.0);
    let mut bytes = u32::try_from(first).ok()?.to_be_bytes().to_vec();
    for stamped in first..=last {
        push_varint(&mut bytes, u64::try_from(kept.get(&stamped).copied().unwrap_or(0)).unwrap_or(0));
    }
    Some(AttributeValue::B(Blob::new(bytes)))
}

/// Minutes and counts of a packed attribute: the first minute in four bytes, then a count a minute, seven bits a byte,
/// the lowest first (LEB128).
fn unpack(packed: &[u8]) -> impl Iterator<Item = (i64, i64)> + '_ {
    let (base, mut rest) = match packed.split_first_chunk::<4>() {
        Some((base, rest)) => (i64::from(u32::from_be_bytes(*base)), rest),
        None => (0, &[][..]),
    };
    let counts = std::iter::from_fn(move || take_varint(&mut rest));
    (base..).zip(counts.map(|count| i64::try_from(count).unwrap_or(0)))
}

fn push_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        // The mask leaves seven bits.
        bytes.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap_or(0));
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let (mut value, mut shift) = (0_u64, 0_u32);
    loop {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
        shift += 7;
    }
}

/// A positive number in the digits of base 36.
pub(crate) fn base36(mut value: i64) -> String {
    let mut digits = Vec::with_capacity(6);
    loop {
        let digit = u32::try_from(value.rem_euclid(36)).unwrap_or(0);
        digits.push(char::from_digit(digit, 36).unwrap_or('0'));
        value /= 36;
        if value <= 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

/// The number that [`base36`] wrote.
pub(crate) fn from_base36(digits: &str) -> Option<i64> {
    let ours = digits.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase());
    ours.then(|| i64::from_str_radix(digits, 36).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::number;

    const NOW: i64 = 29_834_052;

    fn item(count: i64, limit: i64, marked: &[(i64, i64)]) -> Item {
        let mut item = Item::from([
            (COUNT.to_owned(), number(count)),
            (OVER.to_owned(), number(count - limit)),
            (FLOOR.to_owned(), number(0)),
        ]);
        item.extend(marked.iter().map(|(minute, count)| (mark(*minute), number(*count))));
        item
    }

    #[test]
    fn names_of_minutes_read_back_and_nothing_else_does() {
        assert_eq!(mark(NOW), "Mhrg3o");
        for minute in [0, 1, 35, 36, NOW, NOW + 1] {
            assert_eq!(from_base36(&base36(minute)), Some(minute));
        }
        assert_eq!(from_base36("Mode"), None);
        let mut item = item(0, 1, &[(NOW, 3)]);
        item.insert("mode".to_owned(), number(7));
        assert_eq!(marks(&item).collect::<Vec<_>>(), [(NOW, 3)]);
    }

    #[test]
    fn a_request_counts_in_its_minute_and_the_61_after_it() {
        let item = item(10, 10, &[(NOW, 4), (NOW - 61, 3), (NOW - 62, 2)]);
        // One more was made longer ago than anything remembers.
        assert_eq!(floor(&item, NOW), 3);
        assert_eq!(floor(&item, NOW + 1), 6);
        assert_eq!(floor(&item, NOW + 61), 6);
        assert_eq!(floor(&item, NOW + 62), 10);
        let now = Timestamp::from_seconds(NOW * 60 + 20);
        let left = quota(&item, NOW, now);
        assert_eq!((left.limit, left.remaining), (10, 3));
        assert_eq!(left.reset_after.as_secs(), 40);
        let left = quota(&item, NOW + 62, Timestamp::from_seconds((NOW + 62) * 60));
        assert_eq!((left.remaining, left.reset_after.as_secs()), (10, 0));
    }

    #[test]
    fn folding_changes_nothing_that_counts() {
        let marked: Vec<_> = (0..70).map(|back| (NOW - back, 1 + back * back * 40)).collect();
        let total = marked.iter().map(|(_, count)| count).sum();
        let before = item(total, 1_000_000, &marked);
        let mut after = item(total, 1_000_000, &marked[..1]);
        after.insert(FOLDED.to_owned(), folded(&before, NOW, &marked[1..]).unwrap());
        for minute in NOW..NOW + 70 {
            assert_eq!(floor(&before, minute), floor(&after, minute), "{}", minute - NOW);
        }
        // One whose clock is behind folds afterwards, a request that came late: what lies ahead of it is kept.
        let late = (NOW - 2, 1);
        let total = total + 1;
        let mut again = item(total, 1_000_000, &marked[..1]);
        again.insert(FOLDED.to_owned(), folded(&after, NOW - 1, &[late]).unwrap());
        let mut expected = before;
        expected.insert(COUNT.to_owned(), number(total));
        expected.insert(mark(late.0), number(marked[2].1 + 1));
        for minute in NOW..NOW + 70 {
            assert_eq!(floor(&expected, minute), floor(&again, minute), "{}", minute - NOW);
        }
        // Nothing to fold leaves nothing.
        assert_eq!(folded(&item(1, 1, &[(NOW, 1)]), NOW, &[]), None);
    }

    /// Data format: a line that changes here is a migration.
    #[test]
    fn the_packed_form_is_fixed() {
        let over = [(NOW - 3, 300), (NOW - 1, 7)];
        let item = item(400, 400, &over);
        let Some(AttributeValue::B(blob)) = folded(&item, NOW, &over) else { panic!("not packed") };
        assert_eq!(blob.as_ref(), [0x01, 0xc7, 0x3b, 0x41, 0xac, 0x02, 0x00, 0x07]);
        assert_eq!(unpack(&[1, 2]).count(), 0);
        assert_eq!(unpack(&[0, 0, 0, 1, 0x80]).count(), 0);
    }
}
