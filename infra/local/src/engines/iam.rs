//! What a function's role allows, judged as IAM does: what is not allowed is refused, and what is denied stays refused.
//!
//! Judges the calls that functions make through their SDK clients; what Lambda itself does with a role (polling queues and
//! streams, writing logs) is not seen here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::s3;
use crate::template::{
    ACCOUNT, Condition, Function, REGION, Statement, Table, Template, queue_arn, table_arn,
};

/// What functions did by their roles.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    used: BTreeSet<Used>,
    refused: BTreeSet<String>,
}

/// Something that a statement allowed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Used {
    /// The policy.
    pub policy: String,
    /// The statement.
    pub sid: String,
    /// What was done, as the statement has it.
    pub action: String,
    /// To what, as the statement has it.
    pub resource: String,
}

impl Ledger {
    /// What was allowed so far.
    #[must_use]
    pub fn used(&self) -> Vec<Used> {
        self.lock().used.iter().cloned().collect()
    }

    /// What was refused so far, in words.
    #[must_use]
    pub fn refused(&self) -> Vec<String> {
        self.lock().refused.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        // Sets are whole after every statement, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A function's role.
#[derive(Debug)]
pub(crate) struct Role {
    function: String,
    statements: Vec<Statement>,
    tables: Vec<Table>,
}

/// Something that must be allowed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Needed {
    action: String,
    resource: String,
    /// What conditions ask about.
    facts: BTreeMap<&'static str, Vec<String>>,
}

const LEADING_KEYS: &str = "dynamodb:LeadingKeys";
const ATTRIBUTES: &str = "dynamodb:Attributes";
const SELECT: &str = "dynamodb:Select";
const FROM: &str = "ses:FromAddress";

impl Role {
    /// The role of a function; none where the template gives it none.
    pub(crate) fn of(function: &Function, template: &Template) -> Option<Self> {
        let statements = function.role.clone()?;
        Some(Self { function: function.binary.clone(), statements, tables: template.tables.clone() })
    }

    /// Why a call of a service that speaks JSON is refused, if it is.
    pub(super) fn judge(&self, target: &str, body: &[u8], ledger: &Ledger) -> Option<String> {
        let (service, operation) = target.split_once('.').unwrap_or_default();
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let needed = match service {
            "DynamoDB_20120810" => self.of_tables(operation, &body),
            "AmazonSQS" => {
                let queue = text(&body, "QueueUrl").rsplit('/').next().unwrap_or_default().to_owned();
                let action = operation.strip_suffix("Batch").unwrap_or(operation);
                vec![Needed::new(format!("sqs:{action}"), queue_arn(&queue))]
            }
            "secretsmanager" => {
                vec![Needed::new(format!("secretsmanager:{operation}"), text(&body, "SecretId").to_owned())]
            }
            other => vec![Needed::new(format!("{other}:{operation}"), String::new())],
        };
        self.judge_all(&needed, ledger)
    }

    /// The same for a mail.
    pub(super) fn judge_mail(&self, body: &[u8], ledger: &Ledger) -> Option<String> {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let from = text(&body, "FromEmailAddress").to_owned();
        let mut needed = Needed::new(
            "ses:SendEmail".to_owned(),
            format!("arn:aws:ses:{REGION}:{ACCOUNT}:identity/{from}"),
        );
        needed.facts.insert(FROM, vec![from]);
        self.judge_all(&[needed], ledger)
    }

    /// The same for the invocation of a function, which stands under the ARN of what is invoked.
    pub(super) fn judge_invocation(&self, arn: &str, ledger: &Ledger) -> Option<String> {
        self.judge_all(&[Needed::new("lambda:InvokeFunction".to_owned(), arn.to_owned())], ledger)
    }

    /// The same for a call of S3.
    pub(super) fn judge_object(&self, request: &s3::Request, ledger: &Ledger) -> Option<String> {
        let (operation, bucket) = request.names();
        let bucket = format!("arn:aws:s3:::{bucket}");
        let object = format!("{bucket}/{}", request.key().unwrap_or_default());
        let (action, resource) = match operation {
            "HeadBucket" | "ListObjectsV2" => ("ListBucket", bucket),
            "HeadObject" => ("GetObject", object),
            "CreateMultipartUpload" | "UploadPart" | "CompleteMultipartUpload" => ("PutObject", object),
            other => (other, object),
        };
        self.judge_all(&[Needed::new(format!("s3:{action}"), resource)], ledger)
    }

    fn judge_all(&self, needed: &[Needed], ledger: &Ledger) -> Option<String> {
        let mut entries = ledger.lock();
        for needed in needed {
            let matching: Vec<_> = self.statements.iter().filter(|it| needed.is_under(it)).collect();
            if matching.is_empty() || matching.iter().any(|statement| !statement.allows) {
                let why = format!(
                    "the role of {} does not allow {} on {} ({:?})",
                    self.function, needed.action, needed.resource, needed.facts
                );
                entries.refused.insert(why.clone());
                return Some(why);
            }
            entries.used.extend(matching.into_iter().filter_map(|it| needed.by(it)));
        }
        None
    }

    fn of_tables(&self, operation: &str, body: &Value) -> Vec<Needed> {
        let asked = || members(body.get("RequestItems"));
        match operation {
            // A transaction has no action of its own.
            "TransactWriteItems" | "TransactGetItems" => list(body, "TransactItems")
                .flat_map(|step| members(Some(step)))
                .map(|(kind, step)| {
                    let action = match kind.as_str() {
                        "ConditionCheck" => "ConditionCheckItem".to_owned(),
                        kind => format!("{kind}Item"),
                    };
                    Needed::of_table(
                        &action,
                        text(step, "TableName"),
                        None,
                        leading(step).into_iter().collect(),
                    )
                })
                .collect(),
            "BatchGetItem" => asked()
                .map(|(table, asked)| {
                    let keys = list(asked, "Keys").filter_map(partition_of).collect();
                    Needed::of_table(operation, table, None, keys)
                })
                .collect(),
            "BatchWriteItem" => asked()
                .map(|(table, writes)| {
                    let writes =
                        writes.as_array().into_iter().flatten().flat_map(|write| members(Some(write)));
                    let keys = writes.filter_map(|(_, write)| leading(write)).collect();
                    Needed::of_table(operation, table, None, keys)
                })
                .collect(),
            "Query" | "Scan" => {
                let index = body.get("IndexName").and_then(Value::as_str);
                let table = text(body, "TableName");
                let mut needed =
                    Needed::of_table(operation, table, index, self.partition(table, index, body));
                let projection = text(body, "ProjectionExpression").split(',').map(str::trim);
                let attributes = projection.filter(|name| !name.is_empty()).map(|name| named(body, name));
                needed.facts.insert(ATTRIBUTES, attributes.collect());
                let select = body.get("Select").and_then(Value::as_str);
                needed.facts.insert(SELECT, select.map(str::to_owned).into_iter().collect());
                vec![needed]
            }
            _ => {
                let keys = leading(body).into_iter().collect();
                vec![Needed::of_table(operation, text(body, "TableName"), None, keys)]
            }
        }
    }

    /// The partition that a query reads.
    fn partition(&self, table: &str, index: Option<&str>, body: &Value) -> Vec<String> {
        let Some(table) = self.tables.iter().find(|it| it.name == table) else { return Vec::new() };
        let index = index.and_then(|index| table.indexes.get(index));
        let partition = &index.map_or(&table.key, |index| &index.key).partition;
        let conditions = text(body, "KeyConditionExpression").split(" AND ");
        conditions
            .filter_map(|condition| condition.split_once('='))
            .filter(|(name, _)| named(body, name.trim()) == *partition)
            .filter_map(|(_, value)| {
                body.get("ExpressionAttributeValues")?.get(value.trim())?.get("S")?.as_str()
            })
            .map(str::to_owned)
            .collect()
    }
}

impl Needed {
    fn new(action: String, resource: String) -> Self {
        Self { action, resource, facts: BTreeMap::new() }
    }

    fn of_table(operation: &str, table: &str, index: Option<&str>, keys: Vec<String>) -> Self {
        let table = table_arn(table);
        let resource = index.map_or_else(|| table.clone(), |index| format!("{table}/index/{index}"));
        let facts = BTreeMap::from([(LEADING_KEYS, keys)]);
        Self { action: format!("dynamodb:{operation}"), resource, facts }
    }

    fn is_under(&self, statement: &Statement) -> bool {
        self.by(statement).is_some() && statement.conditions.iter().all(|condition| self.meets(condition))
    }

    /// What of a statement it is.
    fn by(&self, statement: &Statement) -> Option<Used> {
        let action = statement.actions.iter().find(|action| is_like(&self.action, action))?;
        let resource = statement.resources.iter().find(|resource| is_like(&self.resource, resource))?;
        Some(Used {
            policy: statement.policy.clone(),
            sid: statement.sid.clone(),
            action: action.clone(),
            resource: resource.clone(),
        })
    }

    fn meets(&self, condition: &Condition) -> bool {
        let of = |key: &String| self.facts.get(key.as_str()).map(Vec::as_slice).unwrap_or_default();
        let among = |fact: &String, values: &[String]| values.iter().any(|value| is_like(fact, value));
        match condition {
            Condition::All { key, values } => of(key).iter().all(|fact| among(fact, values)),
            Condition::Equals { key, values } => {
                !of(key).is_empty() && of(key).iter().all(|fact| values.contains(fact))
            }
            Condition::Present { key } => !of(key).is_empty(),
        }
    }
}

fn text<'a>(body: &'a Value, name: &str) -> &'a str {
    body.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(body: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    body.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn members(body: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    body.and_then(Value::as_object).into_iter().flatten()
}

/// The value of a partition key.
fn partition_of(key: &Value) -> Option<String> {
    Some(key.get("pk")?.get("S")?.as_str()?.to_owned())
}

/// The partition that a call is about: that of its item, or of its key.
fn leading(call: &Value) -> Option<String> {
    partition_of(call.get("Key").or_else(|| call.get("Item"))?)
}

/// An attribute's name, which may stand under another one.
fn named(body: &Value, name: &str) -> String {
    let under = body.get("ExpressionAttributeNames").and_then(|names| names.get(name)?.as_str());
    under.unwrap_or(name).to_owned()
}

/// Whether `text` is as the pattern has it, in which `*` is anything, and `?` any one character.
fn is_like(text: &str, pattern: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else {
        return text.len() == pattern.len()
            && text.bytes().zip(pattern.bytes()).all(|(a, b)| a == b || b == b'?');
    };
    let Some(head) = text.get(..before.len()).filter(|head| is_like(head, before)) else { return false };
    let rest = text.get(head.len()..).unwrap_or_default();
    (0..=rest.len()).filter_map(|at| rest.get(at..)).any(|tail| is_like(tail, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        assert!(is_like("ORG#org_1#DLV#2", "ORG#*#DLV#*") && is_like("", "*") && is_like("abc", "a?c"));
        assert!(
            !is_like("ORG#org_1#LED", "ORG#*#DLV#*") && !is_like("KEY#1", "KEY") && !is_like("KEY", "KEY#*")
        );
    }
}
