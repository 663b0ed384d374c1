//! Which message is next, as fair queues decide it.
//!
//! Among the groups that have a visible message, the one with the fewest messages in flight is served; a group's own
//! messages come in the order in which they became visible, then by age. So a group that keeps its workers busy, or
//! whose backlog is long, delays itself and nobody else. Messages without a group share one. In flight is what SQS
//! calls so: received, and neither deleted nor visible again. Every operation costs the logarithm of the queue's
//! length; a message that becomes visible is moved once, when somebody next looks.
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html>

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// A message's group; messages without one share `None`.
pub(super) type Group = Option<Arc<str>>;

/// When a message becomes visible, in milliseconds, and its number, which is its age.
pub(super) type Place = (i64, u64);

/// The order of one queue's messages.
#[derive(Debug, Default)]
pub(super) struct Order {
    hidden: BTreeMap<Place, Hidden>,
    groups: HashMap<Group, Members>,
    /// The first visible message of each group that has one, after the number of the group's messages in flight.
    heads: BTreeMap<(usize, Place), Group>,
}

#[derive(Debug)]
struct Hidden {
    group: Group,
    in_flight: bool,
}

#[derive(Debug, Default)]
struct Members {
    in_flight: usize,
    visible: BTreeSet<Place>,
}

impl Members {
    fn head(&self) -> Option<(usize, Place)> {
        self.visible.first().map(|place| (self.in_flight, *place))
    }
}

impl Order {
    /// Adds a message that nobody has received.
    pub(super) fn add(&mut self, place: Place, group: Group) {
        self.hidden.insert(place, Hidden { group, in_flight: false });
    }

    /// The message to be handed out next, if any is visible at `now`.
    pub(super) fn next(&mut self, now: i64) -> Option<Place> {
        while let Some(entry) = self.hidden.first_entry()
            && entry.key().0 <= now
        {
            let (place, Hidden { group, in_flight }) = entry.remove_entry();
            self.change(&group, |members| {
                members.in_flight -= usize::from(in_flight);
                members.visible.insert(place);
            });
        }
        self.heads.first_key_value().map(|((_, place), _)| *place)
    }

    /// Notes that the visible message at `place` has been received and is hidden until `until`.
    pub(super) fn receive(&mut self, place: Place, group: &Group, until: i64) {
        self.change(group, |members| {
            members.visible.remove(&place);
            members.in_flight += 1;
        });
        self.hidden.insert((until, place.1), Hidden { group: group.clone(), in_flight: true });
    }

    /// Hides a hidden message until another time, which may have come.
    pub(super) fn hide(&mut self, place: Place, until: i64) {
        if let Some(hidden) = self.hidden.remove(&place) {
            self.hidden.insert((until, place.1), hidden);
        }
    }

    /// Forgets a message.
    pub(super) fn remove(&mut self, place: Place, group: &Group) {
        let hidden = self.hidden.remove(&place);
        self.change(group, |members| match hidden {
            Some(Hidden { in_flight, .. }) => members.in_flight -= usize::from(in_flight),
            None => {
                members.visible.remove(&place);
            }
        });
    }

    /// Forgets every message.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// When a message can be received: a time that has passed if one can be now, `None` if there is none.
    pub(super) fn next_visible_at(&self) -> Option<i64> {
        let visible = self.heads.first_key_value().map(|((_, (at, _)), _)| *at);
        visible.or_else(|| self.hidden.first_key_value().map(|((at, _), _)| *at))
    }

    /// Changes a group and keeps its place among the others.
    fn change(&mut self, group: &Group, change: impl FnOnce(&mut Members)) {
        let members = match self.groups.get_mut(group) {
            Some(members) => members,
            None => self.groups.entry(group.clone()).or_default(),
        };
        let before = members.head();
        change(members);
        let after = members.head();
        let gone = after.is_none() && members.in_flight == 0;
        if before != after {
            if let Some(before) = before {
                self.heads.remove(&before);
            }
            if let Some(after) = after {
                self.heads.insert(after, group.clone());
            }
        }
        if gone {
            self.groups.remove(group);
        }
    }
}
