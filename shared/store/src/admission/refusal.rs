//! What follows from an item that refused a request. The refusal brings the item along, so that nothing has to be asked.

use aws_sdk_dynamodb::types::AttributeValue;

use super::attempt::Take;
use super::{Denied, FLOOR, MAC, NETWORKS, OVER, ROTATED, SUCCESSOR, SUSPENDED, Visit, window};
use crate::Networks;
use crate::item::{Item, get_number, get_text};
use crate::keys::{self, Key};

/// What follows from an item that refused a request, when nothing bars the request for good.
pub(super) enum Next<'a> {
    /// Its budget is another credential's.
    Successor(Key),
    /// It is tried again with the list of networks that the item has, and below the floor that there is by now.
    Again { listed: Option<&'a [u8]>, below: Take },
    /// There is no budget left.
    Spent,
}

/// What follows from an item that refused a request. `predecessor` is the key that was shown, if the item is that of its
/// successor.
pub(super) fn next<'a>(
    item: &'a Item,
    macs: &[[u8; 32]],
    visit: &Visit<'_>,
    predecessor: Option<&Item>,
) -> Result<Next<'a>, Denied> {
    let listed = match predecessor {
        Some(own) => bar(item, visit).map(|()| None).map_err(|denied| denied.of(own))?,
        None => {
            prove(item, macs)?;
            if get_text(item, "status") == Some(ROTATED) {
                // Its own time and networks hold for it, the successor's budget and status.
                bar_predecessor(item, visit)?;
                let to = get_text(item, SUCCESSOR).unwrap_or_default();
                return Ok(Next::Successor(keys::api_key_at(to)));
            }
            bar(item, visit)?;
            admitting_networks(item, visit)?
        }
    };
    let floor = window::floor(item, visit.now.minute());
    let (over, known) = (get_number(item, OVER).unwrap_or(0), get_number(item, FLOOR).unwrap_or(0));
    if over >= floor.max(known) {
        return Ok(Next::Spent);
    }
    Ok(Next::Again { listed, below: if floor > known { Take::OneBelow(floor) } else { Take::One } })
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

/// Turns away whoever shows another key than that of the item. Nothing is told of the one it is.
pub(super) fn prove(item: &Item, macs: &[[u8; 32]]) -> Result<(), Denied> {
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

/// Turns a credential away that is barred by what it is.
pub(super) fn bar(item: &Item, visit: &Visit<'_>) -> Result<(), Denied> {
    match get_text(item, "status") {
        // One that was begun before limits were kept as they are is over.
        Some("active") if item.contains_key(OVER) => {}
        Some(SUSPENDED) => return Err(Denied::Suspended(item.clone())),
        _ => return Err(Denied::Revoked(item.clone())),
    }
    if has_expired(item, visit) {
        return Err(Denied::Expired(item.clone()));
    }
    Ok(())
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

/// The list of networks that the item has, if it has one; turns away who is in none of them.
pub(super) fn admitting_networks<'a>(item: &'a Item, visit: &Visit<'_>) -> Result<Option<&'a [u8]>, Denied> {
    let Some(listed) = item.get(NETWORKS) else { return Ok(None) };
    let packed = listed.as_b().map(AsRef::as_ref).unwrap_or_default();
    // A list that can't be read admits nobody.
    match Networks::unpack(packed) {
        Some(networks) if networks.admit(visit.address) => Ok(Some(packed)),
        _ => Err(Denied::Elsewhere(item.clone())),
    }
}
