//! API keys that are turned away at the gate, on record once a minute.
//!
//! Whoever has a key that does not work any more can send as many requests with it as they like. Each of them as a record
//! would be an audit log that others fill, kept for years at its owner's expense. So of refusals of one key from one
//! network for one reason, each process puts one a minute on record.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use store::AuditRecord;

/// How many kinds of refusals a process puts on record in a minute. More is a flood, and adds nothing that the first
/// thousand did not say.
const MOST: usize = 1_000;

/// What refusals have in common: the key, the reason and the address or network.
type Kind = (String, Option<String>, String);

/// The refusals of this minute that are on record.
#[derive(Debug, Default)]
pub(crate) struct TurnedAway(Mutex<(i64, HashSet<Kind>)>);

impl TurnedAway {
    /// Whether a refusal like this one is on record in this minute; from now on it is.
    pub(crate) fn is_on_record(&self, record: &AuditRecord) -> bool {
        let minute = record.timestamp.minute();
        let kind = kind(record);
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.0 != minute {
            *remembered = (minute, HashSet::new());
        }
        remembered.1.len() >= MOST || !remembered.1.insert(kind)
    }

    /// Forgets a refusal that could not be put on record after all.
    pub(crate) fn forget(&self, record: &AuditRecord) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.remove(&kind(record));
    }
}

/// Whoever has one address of IPv6 has the network of 64 bits that it is in.
fn kind(record: &AuditRecord) -> Kind {
    let network = match record.ip_address.parse().map(|address: IpAddr| address.to_canonical()) {
        Ok(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        Ok(address) => address.to_string(),
        Err(_) => record.ip_address.clone(),
    };
    (record.actor.id.clone(), record.error_code.clone(), network)
}
