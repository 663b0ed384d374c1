//! Items: a record's fields plus its keys and format version.

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::StoreError;
use crate::format::{self, STEPS, VERSION};
use crate::keys::{Key, PK, SK};

/// An item as DynamoDB has it.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// The item for `record` at `key`, in the present format of its kind.
pub(crate) fn write<T: Serialize>(
    operation: &'static str,
    key: &Key,
    record: &T,
) -> Result<Item, StoreError> {
    let mut item: Item =
        serde_dynamo::aws_sdk_dynamodb_1::to_item(record).map_err(|e| StoreError::malformed(operation, e))?;
    item.insert(PK.to_owned(), text(&key.pk));
    item.insert(SK.to_owned(), text(&key.sk));
    item.insert(VERSION.to_owned(), number(i64::from(format::of(STEPS, key))));
    Ok(item)
}

/// One value as an attribute.
pub(crate) fn value<T: Serialize>(operation: &'static str, of: &T) -> Result<AttributeValue, StoreError> {
    serde_dynamo::aws_sdk_dynamodb_1::to_attribute_value(of).map_err(|e| StoreError::malformed(operation, e))
}

/// The record in `item`, whatever format it is in that this version can read. Attributes the record doesn't know are passed
/// over: they may be a newer writer's.
pub(crate) fn read<T: DeserializeOwned>(operation: &'static str, item: Item) -> Result<T, StoreError> {
    let item = format::upgraded(STEPS, item).map_err(|e| StoreError::malformed(operation, e))?;
    serde_dynamo::aws_sdk_dynamodb_1::from_item(item).map_err(|e| StoreError::malformed(operation, e))
}

/// Everything that a query finds, page after page.
pub(crate) async fn all(operation: &'static str, query: QueryFluentBuilder) -> Result<Vec<Item>, StoreError> {
    let found = query.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
    found.map_err(|e| StoreError::from_sdk(operation, e))
}

/// The records in `items`.
pub(crate) fn read_all<T: DeserializeOwned>(
    operation: &'static str,
    items: Vec<Item>,
) -> Result<Vec<T>, StoreError> {
    items.into_iter().map(|item| read(operation, item)).collect()
}

pub(crate) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(crate) fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// The primary key as DynamoDB takes it.
pub(crate) fn primary(key: &Key) -> Item {
    HashMap::from([(PK.to_owned(), text(&key.pk)), (SK.to_owned(), text(&key.sk))])
}

pub(crate) fn get_text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

pub(crate) fn get_number(item: &Item, name: &str) -> Option<i64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// The primary key of an item.
pub(crate) fn key(item: &Item) -> Option<Key> {
    Some(Key { pk: get_text(item, PK)?.to_owned(), sk: get_text(item, SK)?.to_owned() })
}
