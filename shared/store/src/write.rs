//! A conditional write of one item, which costs half of what it costs in a transaction.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};

use crate::change::{Expression, Table, Write};
use crate::item::Item;
use crate::{Store, StoreError};

/// What became of a conditional write.
#[derive(Debug)]
pub(crate) enum Written {
    /// It was made; the item as it is now, where the write tells.
    Yes(Item),
    /// The condition did not hold; the item as it is, if there is one.
    No(Option<Item>),
}

impl Store {
    /// Updates one item.
    pub(crate) async fn update(
        &self,
        operation: &'static str,
        table: Table,
        expression: Expression,
    ) -> Result<Written, StoreError> {
        let Expression { key, update, condition, names, values } = expression;
        let mut call = self
            .client
            .update_item()
            .table_name(self.table_name(table))
            .set_key(Some(key))
            .update_expression(update)
            .set_condition_expression((!condition.is_empty()).then_some(condition))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        for (name, attribute) in names {
            call = call.expression_attribute_names(name, attribute);
        }
        for (name, value) in values {
            call = call.expression_attribute_values(name, value);
        }
        let error = match call.send().await {
            Ok(answer) => return Ok(Written::Yes(answer.attributes.unwrap_or_default())),
            Err(error) => error,
        };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                Ok(Written::No(failed.item.clone()))
            }
            _ => Err(StoreError::from_sdk(operation, error)),
        }
    }

    /// Makes all of these writes or none of them; whether they were made. They are not where a condition does not hold, or
    /// another transaction is at work on one of the items at this moment.
    pub(crate) async fn all_or_none(
        &self,
        operation: &'static str,
        writes: Vec<(Table, Write)>,
    ) -> Result<bool, StoreError> {
        let items: Vec<_> = writes
            .into_iter()
            .map(|(table, write)| self.write(table, write))
            .collect::<Result<_, _>>()
            .map_err(|source| StoreError::Refused { operation, source: Box::new(source) })?;
        let Err(error) = self.client.transact_write_items().set_transact_items(Some(items)).send().await
        else {
            return Ok(true);
        };
        let refused = match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => cancelled
                .cancellation_reasons()
                .iter()
                .filter_map(|reason| reason.code())
                .any(|code| matches!(code, "ConditionalCheckFailed" | "TransactionConflict")),
            _ => false,
        };
        if refused { Ok(false) } else { Err(StoreError::from_sdk(operation, error)) }
    }

    /// Puts an item where there is none.
    pub(crate) async fn create(
        &self,
        operation: &'static str,
        table: Table,
        item: Item,
    ) -> Result<Written, StoreError> {
        let call = self
            .client
            .put_item()
            .table_name(self.table_name(table))
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let error = match call.send().await {
            Ok(_) => return Ok(Written::Yes(Item::new())),
            Err(error) => error,
        };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                Ok(Written::No(failed.item.clone()))
            }
            _ => Err(StoreError::from_sdk(operation, error)),
        }
    }
}
