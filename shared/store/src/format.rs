//! Formats of items, and the steps from one to the next.
//!
//! An item says by `v` in which format of its kind it is. Each [`Step`] makes the next format of one kind; a kind without
//! steps is in format 1. While a deployment changes, functions of two versions are at work on the same items, in both
//! directions. So these rules hold:
//!
//! - A step makes the new format from the item alone, always in the same way, and takes nothing away that the version before
//!   reads. What is no longer needed is taken away by a later step, once no version in use reads it. Nor does it derive
//!   anything from what the version before changes by an expression: that one would leave it as it was.
//! - **Older items are read** as if all steps had been made ([`upgraded`]). In the table they change by the bulk run
//!   (`Store::migrate`), or when they are next written whole. An expression of an update or a condition sees what is in the
//!   table, so it must not rely on a step before the bulk run is through.
//! - **Items of the next format are read as they are**: they hold all that this version reads. Should this version write one
//!   whole, it is back in its own format, and the newer version makes the step again.
//! - **Anything newer is an error** that says so, and never a guess.
//!
//! Steps are never removed from the list, nor put in another order: its length is the level that data are at.
//! Audit items have no steps: they are never altered.

use crate::change::Table;
use crate::item::{Item, get_number, get_text, key, number};
use crate::keys::{self, Key};
use crate::tally::{REQUESTS_LEFT, REQUESTS_LIMIT};
use crate::{BoxError, Plan};

/// The attribute that says the format.
pub(crate) const VERSION: &str = "v";

/// The way to the next format of one kind of item.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    /// What changes, in a few words for operators.
    pub(crate) name: &'static str,
    /// The table in which items of this kind lie. Never that of audit records.
    pub(crate) table: Table,
    /// Whether the item at this partition and sort key is of this kind.
    pub(crate) is_of: fn(&str, &str) -> bool,
    /// The format that it makes, of the one before.
    pub(crate) to: u32,
    /// Makes it.
    pub(crate) make: fn(&mut Item) -> Result<(), BoxError>,
}

/// All steps there have ever been.
pub(crate) const STEPS: &[Step] = &[Step {
    name: "organizations have a limit of requests an hour to give to their keys",
    table: Table::Core,
    is_of: keys::is_organization,
    to: 2,
    make: give_requests,
}];

/// Organizations that signed up before there was a limit over all keys have none, and could make no key. They get their
/// plan's. Keys they had by then are not counted against it, as if the plan had been changed.
fn give_requests(organization: &mut Item) -> Result<(), BoxError> {
    if get_number(organization, REQUESTS_LIMIT).is_some() {
        return Ok(());
    }
    let plan = organization.get("plan").cloned().ok_or("it has no plan")?;
    let plan: Plan = serde_dynamo::aws_sdk_dynamodb_1::from_attribute_value(plan)?;
    let limit = i64::try_from(plan.limits().requests_per_hour_limit)?;
    let given_back = get_number(organization, REQUESTS_LEFT).unwrap_or(0);
    organization.insert(REQUESTS_LIMIT.to_owned(), number(limit));
    organization.insert(REQUESTS_LEFT.to_owned(), number(given_back + limit));
    Ok(())
}

/// An item is of a format that this version does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is in format {found} and this version of Artisan reads formats up to {known}; a newer version has written it: \
     deploy that one again"
)]
pub(crate) struct Newer {
    found: i64,
    known: i64,
}

/// The format that the item at `key` is written in.
pub(crate) fn of(steps: &[Step], key: &Key) -> u32 {
    present(steps, &key.pk, &key.sk)
}

fn present(steps: &[Step], pk: &str, sk: &str) -> u32 {
    let made = steps.iter().filter(|step| (step.is_of)(pk, sk)).map(|step| step.to);
    made.max().unwrap_or(1)
}

/// The item as it is after all steps. What has no key or no version is a part of an item, and is left as it is.
pub(crate) fn upgraded(steps: &[Step], mut item: Item) -> Result<Item, BoxError> {
    let (Some(pk), Some(sk), Some(found)) =
        (get_text(&item, keys::PK), get_text(&item, keys::SK), get_number(&item, VERSION))
    else {
        return Ok(item);
    };
    let own = i64::from(present(steps, pk, sk));
    if found > own + 1 {
        return Err(Newer { found, known: own + 1 }.into());
    }
    // Of nearly every item that is read.
    if found >= own {
        return Ok(item);
    }
    let (pk, sk) = (pk.to_owned(), sk.to_owned());
    for step in steps.iter().filter(|step| i64::from(step.to) > found && (step.is_of)(&pk, &sk)) {
        (step.make)(&mut item)?;
        item.insert(VERSION.to_owned(), number(i64::from(step.to)));
    }
    Ok(item)
}

/// How an item stands to this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Age {
    /// Steps are to be made.
    Older,
    /// It is in this version's format.
    Present,
    /// A newer version has written it.
    Newer,
}

pub(crate) fn age(steps: &[Step], item: &Item) -> Age {
    let own = key(item).map_or(1, |key| of(steps, &key));
    match get_number(item, VERSION).unwrap_or(1).cmp(&i64::from(own)) {
        std::cmp::Ordering::Less => Age::Older,
        std::cmp::Ordering::Equal => Age::Present,
        std::cmp::Ordering::Greater => Age::Newer,
    }
}

/// The sort key of an item, for messages; the partition may name a person.
pub(crate) fn told(item: &Item) -> String {
    let of = get_text(item, keys::SK).map_or("other", keys::kind_of);
    format!("an item of the kind `{of}`")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::item::{read, text};
    use clock::Timestamp;
    use ids::{Id, OrganizationId};

    fn at() -> Timestamp {
        clock::utc(2026, 11, 22, 15, 4)
    }

    fn acme() -> OrganizationId {
        Id::derived(at(), [1; 16])
    }

    fn organization_key() -> Key {
        keys::organization(acme())
    }

    /// A further step, as the next version could have it: organizations are greeted.
    pub(crate) const NEXT: Step = Step {
        name: "organizations are greeted",
        table: Table::Core,
        is_of: keys::is_organization,
        to: 3,
        make: |item| {
            let name = get_text(item, "name").ok_or("it has no name")?.to_owned();
            item.insert("greeting".to_owned(), text(format!("Hello, {name}")));
            Ok(())
        },
    };

    fn organization(version: i64) -> Item {
        let key = organization_key();
        let mut item = crate::item::primary(&key);
        for (name, value) in [("id", acme().to_string().as_str()), ("name", "Acme"), ("plan", "growth")] {
            item.insert(name.to_owned(), text(value));
        }
        for name in ["created_at", "updated_at"] {
            item.insert(name.to_owned(), text(at().to_string()));
        }
        item.insert("status".to_owned(), text("active"));
        item.insert(VERSION.to_owned(), number(version));
        item
    }

    #[test]
    fn steps_lead_from_each_format_to_the_next_and_audit_has_none() {
        let mut formats = std::collections::BTreeMap::new();
        for step in STEPS {
            assert!(!matches!(step.table, Table::Audit), "{}", step.name);
            let before = formats.insert(step.is_of as usize, step.to).unwrap_or(1);
            assert_eq!(step.to, before + 1, "{}", step.name);
        }
        assert_eq!(STEPS.len(), 1, "the list only grows: this figure goes up with it, and never down");
    }

    #[test]
    fn an_organization_of_before_the_limit_is_read_with_its_plans() {
        let old: crate::Organization = read("test", organization(1)).unwrap();
        let limit = Plan::Growth.limits().requests_per_hour_limit;
        assert_eq!((old.limits.requests_per_hour_limit, old.usage.requests_per_hour_left), (limit, limit));
        let mut given_back = organization(1);
        given_back.insert(REQUESTS_LEFT.to_owned(), number(1000));
        let given_back: crate::Organization = read("test", given_back).unwrap();
        assert_eq!(given_back.usage.requests_per_hour_left, limit + 1000);
        let mut limited = organization(1);
        limited.insert(REQUESTS_LIMIT.to_owned(), number(7));
        limited.insert(REQUESTS_LEFT.to_owned(), number(5));
        let limited: crate::Organization = read("test", limited).unwrap();
        assert_eq!((limited.limits.requests_per_hour_limit, limited.usage.requests_per_hour_left), (7, 5));
    }

    /// Two versions beside each other: each reads what the other one writes.
    #[test]
    fn one_format_ahead_is_read_and_two_are_an_error_that_says_so() {
        let present = STEPS;
        let next: Vec<Step> = [STEPS, &[NEXT]].concat();
        assert_eq!((of(present, &organization_key()), of(&next, &organization_key())), (2, 3));
        let by_the_next = upgraded(&next, organization(1)).unwrap();
        assert_eq!(get_text(&by_the_next, "greeting"), Some("Hello, Acme"));
        assert_eq!(get_number(&by_the_next, VERSION), Some(3));
        assert!(get_number(&by_the_next, REQUESTS_LIMIT).is_some(), "the steps before are made too");
        assert_eq!(upgraded(present, by_the_next.clone()).unwrap(), by_the_next, "and read as it is");
        assert!(read::<crate::Organization>("test", by_the_next).is_ok());

        let error = read::<crate::Organization>("organization", organization(4)).unwrap_err();
        let chain = telemetry::chain(&error);
        assert!(chain.contains("format 4") && chain.contains("up to 3"), "{chain}");
        let other = keys::api_key(acme(), Id::derived(at(), [2; 16]));
        let mut item = crate::item::primary(&other);
        item.insert(VERSION.to_owned(), number(3));
        assert!(upgraded(present, item).is_err(), "also of a kind that has no steps");
    }

    #[test]
    fn making_a_step_again_changes_nothing_and_parts_of_items_are_left_alone() {
        let once = upgraded(STEPS, organization(1)).unwrap();
        let mut back = once.clone();
        back.insert(VERSION.to_owned(), number(1));
        assert_eq!(upgraded(STEPS, back).unwrap(), once);
        let mut part = organization(1);
        part.remove(VERSION);
        assert_eq!(upgraded(STEPS, part.clone()).unwrap(), part);
        assert_eq!(age(STEPS, &organization(1)), Age::Older);
        assert_eq!(age(STEPS, &organization(2)), Age::Present);
        assert_eq!(age(STEPS, &organization(3)), Age::Newer);
    }
}
