//! Makes what the template declares: tables, indexes, streams, times to live, queues, buckets and secrets.
//!
//! Running it again on an existing database changes only what the template has changed since, as a deployment
//! would: indexes come and go, a table's own key cannot change.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::data_directory::{DataError, Keep, Survives};
use crate::engines::queues::Settings;
use crate::engines::{Engines, Refused};
use crate::random;
use crate::template::{Index, Key, Secret, SecretValue, Table, Template};

/// The generated secrets by physical name.
const SECRETS_FILE: &str = "secrets.json";

/// Why something the template declares cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// The engine refused.
    #[error("the table {table} cannot be made as the template declares it")]
    Table {
        /// The table's logical id.
        table: String,
        /// What the engine said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The stored table is too different.
    #[error(
        "the stored table {table} has another {what} than the template; start with an empty data directory"
    )]
    Changed {
        /// The table's logical id.
        table: String,
        /// What differs.
        what: String,
    },
    /// A secret cannot be made.
    #[error("the secret {secret} cannot be made")]
    Secret {
        /// The secret's logical id.
        secret: String,
    },
    /// The secrets cannot be kept.
    #[error(transparent)]
    Data(#[from] DataError),
}

/// Makes everything.
pub(crate) async fn provision(
    template: &Template,
    engines: &Engines,
    keep: &Keep,
) -> Result<(), ProvisionError> {
    for table in &template.tables {
        make_table(table, engines).await?;
    }
    for queue in &template.queues {
        let settings = Settings {
            visibility_timeout: queue.visibility_timeout,
            retention: queue.retention,
            delay: queue.delay,
            redrive: queue.redrive.clone(),
        };
        engines.queues().create(&queue.name, settings);
    }
    for bucket in &template.buckets {
        engines.objects().create(&bucket.name, bucket.object_lock);
    }
    make_secrets(&template.secrets, engines, keep).await
}

async fn make_table(table: &Table, engines: &Engines) -> Result<(), ProvisionError> {
    let database = engines.dynamodb();
    let failed =
        |source: Refused| ProvisionError::Table { table: table.logical_id.clone(), source: source.into() };
    let named = json!({"TableName": table.name});
    match database.administer("DescribeTable", &named).await {
        Err(error) if error.kind == "ResourceNotFoundException" => {
            database.administer("CreateTable", &declaration(table)).await.map_err(failed)?;
        }
        Err(error) => return Err(failed(error)),
        Ok(description) => {
            let stored = description.get("Table").unwrap_or(&Value::Null);
            for change in changes(table, stored)? {
                database.administer("UpdateTable", &change).await.map_err(failed)?;
            }
        }
    }
    if !database.keeps_time() {
        return Ok(());
    }
    let described = database.administer("DescribeTimeToLive", &named).await.map_err(failed)?;
    let stored = described.pointer("/TimeToLiveDescription/AttributeName").and_then(Value::as_str);
    for (attribute, enabled) in [(stored, false), (table.time_to_live.as_deref(), true)] {
        if let Some(attribute) = attribute
            && stored != table.time_to_live.as_deref()
        {
            let specification = json!({"AttributeName": attribute, "Enabled": enabled});
            let request = json!({"TableName": table.name, "TimeToLiveSpecification": specification});
            database.administer("UpdateTimeToLive", &request).await.map_err(failed)?;
        }
    }
    Ok(())
}

/// The `CreateTable` request.
fn declaration(table: &Table) -> Value {
    let mut declaration = json!({
        "TableName": table.name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": attributes(table),
        "KeySchema": schema(&table.key),
        "DeletionProtectionEnabled": table.deletion_protection,
    });
    if !table.indexes.is_empty() {
        let indexes = table.indexes.iter().map(|(name, index)| declared(name, index)).collect();
        merge(&mut declaration, "GlobalSecondaryIndexes", indexes);
    }
    if let Some(view) = &table.stream {
        merge(
            &mut declaration,
            "StreamSpecification",
            json!({"StreamEnabled": true, "StreamViewType": view}),
        );
    }
    declaration
}

/// The `UpdateTable` requests that lead from the stored table to the declared one.
fn changes(table: &Table, stored: &Value) -> Result<Vec<Value>, ProvisionError> {
    let changed = |what: String| ProvisionError::Changed { table: table.logical_id.clone(), what };
    if key_of(stored) != Some(table.key.clone()) {
        return Err(changed("primary key".to_owned()));
    }
    let mut types = BTreeMap::new();
    for attribute in stored.get("AttributeDefinitions").and_then(Value::as_array).into_iter().flatten() {
        types.insert(text(attribute, "AttributeName"), text(attribute, "AttributeType"));
    }
    if let Some((name, _)) = table
        .attributes
        .iter()
        .find(|(name, kind)| types.get(name.as_str()).is_some_and(|stored| *stored != kind.as_str()))
    {
        return Err(changed(format!("type of the attribute {name}")));
    }
    let mut stored_indexes = BTreeMap::new();
    for index in stored.get("GlobalSecondaryIndexes").and_then(Value::as_array).into_iter().flatten() {
        stored_indexes.insert(text(index, "IndexName").to_owned(), index_of(index));
    }
    let mut changes = Vec::new();
    for (name, index) in &stored_indexes {
        if table.indexes.get(name) != index.as_ref() {
            changes.push(json!({
                "TableName": table.name,
                "GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": name}}],
            }));
        }
    }
    for (name, index) in &table.indexes {
        if stored_indexes.get(name).and_then(Option::as_ref) != Some(index) {
            changes.push(json!({
                "TableName": table.name,
                "AttributeDefinitions": attributes(table),
                "GlobalSecondaryIndexUpdates": [{"Create": declared(name, index)}],
            }));
        }
    }
    let stream =
        stored.get("StreamSpecification").filter(|it| it.get("StreamEnabled") == Some(&Value::Bool(true)));
    let stream = stream.map(|it| text(it, "StreamViewType"));
    if stream != table.stream.as_deref() {
        if stream.is_some() {
            changes.push(json!({"TableName": table.name, "StreamSpecification": {"StreamEnabled": false}}));
        }
        if let Some(view) = &table.stream {
            let specification = json!({"StreamEnabled": true, "StreamViewType": view});
            changes.push(json!({"TableName": table.name, "StreamSpecification": specification}));
        }
    }
    let protected = stored.get("DeletionProtectionEnabled") == Some(&Value::Bool(true));
    if protected != table.deletion_protection {
        changes
            .push(json!({"TableName": table.name, "DeletionProtectionEnabled": table.deletion_protection}));
    }
    Ok(changes)
}

fn attributes(table: &Table) -> Value {
    let attributes = table.attributes.iter();
    attributes.map(|(name, kind)| json!({"AttributeName": name, "AttributeType": kind})).collect()
}

fn schema(key: &Key) -> Value {
    let partition = json!({"AttributeName": key.partition, "KeyType": "HASH"});
    let sort = key.sort.as_ref().map(|sort| json!({"AttributeName": sort, "KeyType": "RANGE"}));
    std::iter::once(partition).chain(sort).collect()
}

fn declared(name: &str, index: &Index) -> Value {
    let mut projection = json!({"ProjectionType": index.projection});
    if !index.included.is_empty() {
        merge(&mut projection, "NonKeyAttributes", json!(index.included));
    }
    json!({"IndexName": name, "KeySchema": schema(&index.key), "Projection": projection})
}

fn key_of(stored: &Value) -> Option<Key> {
    let (mut partition, mut sort) = (None, None);
    for element in stored.get("KeySchema")?.as_array()? {
        let name = Some(text(element, "AttributeName").to_owned());
        if text(element, "KeyType") == "HASH" { partition = name } else { sort = name }
    }
    Some(Key { partition: partition?, sort })
}

fn index_of(stored: &Value) -> Option<Index> {
    let projection = stored.get("Projection")?;
    let included = projection.get("NonKeyAttributes").and_then(Value::as_array).into_iter().flatten();
    let mut included: Vec<String> = included.filter_map(|it| it.as_str().map(str::to_owned)).collect();
    included.sort();
    Some(Index { key: key_of(stored)?, projection: text(projection, "ProjectionType").to_owned(), included })
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn merge(object: &mut Value, name: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}

/// Secrets are generated once and kept: what was sealed with them must be readable after a restart.
async fn make_secrets(secrets: &[Secret], engines: &Engines, keep: &Keep) -> Result<(), ProvisionError> {
    let mut kept: BTreeMap<String, String> = match keep.read(SECRETS_FILE)? {
        None => BTreeMap::new(),
        Some(content) => {
            serde_json::from_slice(&content).map_err(|_| DataError::Damaged { name: SECRETS_FILE })?
        }
    };
    let before = kept.len();
    for secret in secrets {
        let failed = || ProvisionError::Secret { secret: secret.logical_id.clone() };
        let value = match (kept.get(&secret.name), &secret.value) {
            (_, SecretValue::Fixed(value)) => value.clone(),
            (Some(value), _) => value.clone(),
            (None, SecretValue::Generated(length)) => random::alphanumeric(*length).ok_or_else(failed)?,
            (None, SecretValue::Inside { template, key, length }) => {
                let mut whole: Value = serde_json::from_str(template).map_err(|_| failed())?;
                merge(&mut whole, key, random::alphanumeric(*length).ok_or_else(failed)?.into());
                whole.to_string()
            }
        };
        let request = json!({"Name": secret.name, "SecretString": value}).to_string();
        let answer = engines.dispatch("secretsmanager.CreateSecret", Bytes::from(request)).await;
        if answer.status != 200 {
            return Err(failed());
        }
        if !matches!(secret.value, SecretValue::Fixed(_)) {
            kept.insert(secret.name.clone(), value);
        }
    }
    if kept.len() > before {
        // Text keys and values are always JSON.
        let content = serde_json::to_vec_pretty(&kept).unwrap_or_default();
        keep.write(SECRETS_FILE, &content, Survives::PowerFailure)?;
    }
    Ok(())
}
