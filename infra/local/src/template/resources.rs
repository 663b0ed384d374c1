//! The resource types the platform builds, read from a document.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::document::{Document, kind};
use super::intrinsics::{Intrinsics, bucket_name, physical_name, queue_arn, stream_arn};
use super::policies;
use super::reader::Reader;
use super::{
    Bucket, Function, Index, Key, Queue, QueueSource, Redrive, Route, ScheduleSource, Secret, SecretValue,
    StreamSource, Table, Template, TemplateError,
};
use crate::event_sources::filter::FilterCriteria;

/// Lambda's own default for a queue without `ScalingConfig` is far above what a laptop should start.
const DEFAULT_CONCURRENCY: u32 = 10;

pub(super) fn read(document: &Document) -> Result<Template, TemplateError> {
    let intrinsics = Intrinsics { document };
    let mut template =
        Template { tables: vec![], queues: vec![], buckets: vec![], secrets: vec![], functions: vec![] };
    let mut readers = Vec::new();
    for (id, resource) in document.resources() {
        let reader = Reader::new(intrinsics, id, resource);
        if intrinsics.exists(resource).map_err(|problem| reader.at("Condition").error(problem))? {
            readers.push((kind(resource), reader));
        }
    }
    for (kind, reader) in &readers {
        match *kind {
            "AWS::DynamoDB::Table" => template.tables.push(table(reader)?),
            "AWS::SQS::Queue" => template.queues.push(queue(reader)?),
            "AWS::S3::Bucket" => template.buckets.push(bucket(reader)?),
            "AWS::SecretsManager::Secret" => template.secrets.push(secret(reader)?),
            _ => {}
        }
    }
    for queue in &template.queues {
        if let Some(redrive) = &queue.redrive
            && !template.queues.iter().any(|other| other.name == redrive.target)
        {
            return Err(TemplateError::Property {
                resource: queue.logical_id.clone(),
                property: "Properties.RedrivePolicy.deadLetterTargetArn".to_owned(),
                problem: "is not the ARN of a queue in the template".to_owned(),
            });
        }
    }
    let globals = document.function_globals().unwrap_or(&Value::Null);
    let globals = Reader::new(intrinsics, "Globals.Function", globals);
    let roles = policies::roles(&readers, |value| intrinsics.resolve(&value))?;
    for (kind, reader) in &readers {
        if *kind == "AWS::Serverless::Function" {
            let mut function = function(reader, &globals, &template)?;
            let role = reader.at("Properties.Role").text()?;
            function.role = role.and_then(|role| roles.get(&role).cloned());
            template.functions.push(function);
        }
    }
    Ok(template)
}

fn table(resource: &Reader<'_>) -> Result<Table, TemplateError> {
    let properties = resource.at("Properties");
    let mut attributes = BTreeMap::new();
    for attribute in properties.at("AttributeDefinitions").items()? {
        attributes.insert(
            attribute.at("AttributeName").required_text()?,
            attribute.at("AttributeType").required_text()?,
        );
    }
    let mut indexes = BTreeMap::new();
    for index in properties.at("GlobalSecondaryIndexes").items()? {
        let mut included = Vec::new();
        for attribute in index.at("Projection.NonKeyAttributes").items()? {
            included.push(attribute.required_text()?);
        }
        included.sort();
        indexes.insert(
            index.at("IndexName").required_text()?,
            Index {
                key: key(&index.at("KeySchema"))?,
                projection: index.at("Projection.ProjectionType").required_text()?,
                included,
            },
        );
    }
    let time_to_live = properties.at("TimeToLiveSpecification");
    let time_to_live = if time_to_live.at("Enabled").flag()? {
        Some(time_to_live.at("AttributeName").required_text()?)
    } else {
        None
    };
    let local = properties.at("LocalSecondaryIndexes");
    if local.is_present() {
        return Err(local.error("is not supported by the local platform"));
    }
    Ok(Table {
        logical_id: resource.resource().to_owned(),
        name: physical_name(resource.resource()),
        attributes,
        key: key(&properties.at("KeySchema"))?,
        indexes,
        stream: properties.at("StreamSpecification.StreamViewType").text()?,
        time_to_live,
        deletion_protection: properties.at("DeletionProtectionEnabled").flag()?,
    })
}

fn key(schema: &Reader<'_>) -> Result<Key, TemplateError> {
    let (mut partition, mut sort) = (None, None);
    for element in schema.items()? {
        let name = Some(element.at("AttributeName").required_text()?);
        match element.at("KeyType").required_text()?.as_str() {
            "HASH" => partition = name,
            "RANGE" => sort = name,
            other => return Err(element.at("KeyType").error(format!("is {other}, neither HASH nor RANGE"))),
        }
    }
    Ok(Key { partition: partition.ok_or_else(|| schema.error("has no HASH element"))?, sort })
}

fn queue(resource: &Reader<'_>) -> Result<Queue, TemplateError> {
    let properties = resource.at("Properties");
    let fifo = properties.at("FifoQueue");
    if fifo.flag()? {
        return Err(fifo.error("is true; the local platform has standard queues only"));
    }
    let policy = properties.at("RedrivePolicy");
    let redrive = if policy.is_present() {
        let target = policy.at("deadLetterTargetArn").required_text()?;
        Some(Redrive {
            target: target.rsplit(':').next().unwrap_or_default().to_owned(),
            max_receive_count: policy.at("maxReceiveCount").count(10)?,
        })
    } else {
        None
    };
    let name = physical_name(resource.resource());
    Ok(Queue {
        logical_id: resource.resource().to_owned(),
        arn: queue_arn(&name),
        name,
        visibility_timeout: properties.at("VisibilityTimeout").count(30)?,
        retention: properties.at("MessageRetentionPeriod").count(4 * 24 * 3600)?,
        delay: properties.at("DelaySeconds").count(0)?,
        redrive,
    })
}

fn bucket(resource: &Reader<'_>) -> Result<Bucket, TemplateError> {
    let named = resource.at("Properties.BucketName");
    if named.is_present() {
        return Err(named.error("is given; names are left to CloudFormation"));
    }
    Ok(Bucket {
        logical_id: resource.resource().to_owned(),
        name: bucket_name(resource.resource()),
        object_lock: resource.at("Properties.ObjectLockEnabled").flag()?,
    })
}

fn secret(resource: &Reader<'_>) -> Result<Secret, TemplateError> {
    let properties = resource.at("Properties");
    let generate = properties.at("GenerateSecretString");
    let value = if generate.is_present() {
        let length = generate.at("PasswordLength").count(32)?;
        if !(1..=4096).contains(&length) {
            return Err(generate.at("PasswordLength").error(format!("is {length}, not within 1 to 4096")));
        }
        let length = length as usize;
        match generate.at("SecretStringTemplate").text()? {
            Some(template) => SecretValue::Inside {
                template,
                key: generate.at("GenerateStringKey").required_text()?,
                length,
            },
            None => SecretValue::Generated(length),
        }
    } else {
        let fixed = properties.at("SecretString");
        SecretValue::Fixed(fixed.text()?.ok_or_else(|| generate.error("and SecretString are both missing"))?)
    };
    Ok(Secret { logical_id: resource.resource().to_owned(), name: physical_name(resource.resource()), value })
}

fn function(
    resource: &Reader<'_>,
    globals: &Reader<'_>,
    template: &Template,
) -> Result<Function, TemplateError> {
    let properties = resource.at("Properties");
    let mut environment = BTreeMap::new();
    for variables in [globals.at("Environment.Variables"), properties.at("Environment.Variables")] {
        for (name, value) in variables.members()? {
            environment.insert(name.to_owned(), value.text()?.unwrap_or_default());
        }
    }
    let timeout = properties.at("Timeout").count(globals.at("Timeout").count(3)?)?;
    let mut function = Function {
        logical_id: resource.resource().to_owned(),
        name: physical_name(resource.resource()),
        alias: properties.at("AutoPublishAlias").text()?.or(globals.at("AutoPublishAlias").text()?),
        binary: resource.at("Metadata.BuildProperties.Binary").required_text()?,
        environment,
        timeout,
        role: None,
        routes: vec![],
        queues: vec![],
        streams: vec![],
        schedules: vec![],
    };
    for (id, event) in properties.at("Events").members()? {
        match event.at("Type").required_text()?.as_str() {
            "HttpApi" => function.routes.push(route(&event.at("Properties"))?),
            "SQS" => function.queues.push(queue_source(id, &event.at("Properties"), template)?),
            "DynamoDB" => function.streams.push(stream_source(id, &event.at("Properties"), template)?),
            "Schedule" => {
                let rate = event.at("Properties.Schedule");
                function.schedules.extend(schedule(id, &rate, &event.at("Properties"))?);
            }
            "ScheduleV2" => {
                let rate = event.at("Properties.ScheduleExpression");
                function.schedules.extend(schedule(id, &rate, &event.at("Properties"))?);
            }
            // Other triggers have nothing to run them here.
            _ => {}
        }
    }
    Ok(function)
}

fn route(properties: &Reader<'_>) -> Result<Route, TemplateError> {
    let method = properties.at("Method").text()?.map(|method| method.to_ascii_uppercase());
    let method = method
        .filter(|method| method != "ANY" && method != "*" && method != "X-AMAZON-APIGATEWAY-ANY-METHOD");
    let path = properties.at("Path").text()?.filter(|path| path != "$default" && path != "/$default");
    if let Some(path) = &path
        && !path.starts_with('/')
    {
        return Err(properties.at("Path").error("does not begin with a slash"));
    }
    Ok(Route { method, path })
}

fn queue_source(
    id: &str,
    properties: &Reader<'_>,
    template: &Template,
) -> Result<QueueSource, TemplateError> {
    Ok(QueueSource {
        id: id.to_owned(),
        queue: queue_of(&properties.at("Queue"), template)?,
        batch_size: positive(&properties.at("BatchSize"), 10)?,
        window: properties.at("MaximumBatchingWindowInSeconds").count(0)?,
        concurrency: positive(&properties.at("ScalingConfig.MaximumConcurrency"), DEFAULT_CONCURRENCY)?,
        reports_failures: reports_failures(properties)?,
    })
}

fn stream_source(
    id: &str,
    properties: &Reader<'_>,
    template: &Template,
) -> Result<StreamSource, TemplateError> {
    let stream = properties.at("Stream");
    let arn = stream.required_text()?;
    let table = template
        .tables
        .iter()
        .find(|table| table.stream.is_some() && stream_arn(&table.name) == arn)
        .ok_or_else(|| stream.error("is not the stream of a table in the template"))?;
    let from_start = match properties.at("StartingPosition").required_text()?.as_str() {
        "TRIM_HORIZON" => true,
        "LATEST" => false,
        other => {
            return Err(properties.at("StartingPosition").error(format!("is {other}, which is unknown")));
        }
    };
    let destination = properties.at("DestinationConfig.OnFailure.Destination");
    let on_failure = if destination.is_present() { Some(queue_of(&destination, template)?) } else { None };
    Ok(StreamSource {
        id: id.to_owned(),
        table: table.name.clone(),
        batch_size: positive(&properties.at("BatchSize"), 100)?,
        window: properties.at("MaximumBatchingWindowInSeconds").count(0)?,
        from_start,
        filter: filter(&properties.at("FilterCriteria.Filters"))?,
        parallelization: positive(&properties.at("ParallelizationFactor"), 1)?,
        max_retries: limit(&properties.at("MaximumRetryAttempts"))?,
        max_age: limit(&properties.at("MaximumRecordAgeInSeconds"))?,
        bisect: properties.at("BisectBatchOnFunctionError").flag()?,
        on_failure,
        reports_failures: reports_failures(properties)?,
    })
}

/// The schedule, unless it is switched off.
fn schedule(
    id: &str,
    rate: &Reader<'_>,
    properties: &Reader<'_>,
) -> Result<Option<ScheduleSource>, TemplateError> {
    let enabled = properties.at("Enabled");
    let off = (enabled.is_present() && !enabled.flag()?)
        || properties.at("State").text()?.is_some_and(|state| state.starts_with("DISABLED"));
    let text = rate.required_text()?;
    let every = every(&text).ok_or_else(|| {
        rate.error(format!("is {text}; the local platform understands rate(5 minutes) and the like"))
    })?;
    Ok((!off).then(|| ScheduleSource { id: id.to_owned(), every }))
}

/// The period of a rate expression: `rate(1 hour)`, `rate(5 minutes)`. A one takes the singular, as with EventBridge.
fn every(expression: &str) -> Option<Duration> {
    let (number, unit) = expression.trim().strip_prefix("rate(")?.strip_suffix(')')?.split_once(' ')?;
    let number: u32 = number.parse().ok().filter(|number| *number > 0)?;
    let unit = if number == 1 { unit } else { unit.strip_suffix('s')? };
    let minutes = match unit {
        "minute" => 1,
        "hour" => 60,
        "day" => 24 * 60,
        _ => return None,
    };
    Some(Duration::from_secs(u64::from(number) * minutes * 60))
}

fn filter(filters: &Reader<'_>) -> Result<FilterCriteria, TemplateError> {
    let mut patterns = Vec::new();
    for filter in filters.items()? {
        let pattern = filter.at("Pattern");
        patterns.push(pattern.required_text()?);
        FilterCriteria::parse(patterns.iter()).map_err(|error| pattern.error(error.to_string()))?;
    }
    FilterCriteria::parse(patterns.iter()).map_err(|error| filters.error(error.to_string()))
}

fn queue_of(arn: &Reader<'_>, template: &Template) -> Result<String, TemplateError> {
    let text = arn.required_text()?;
    let queue = template.queues.iter().find(|queue| queue.arn == text);
    queue
        .map(|queue| queue.name.clone())
        .ok_or_else(|| arn.error("is not the ARN of a queue in the template"))
}

fn reports_failures(properties: &Reader<'_>) -> Result<bool, TemplateError> {
    for kind in properties.at("FunctionResponseTypes").items()? {
        if kind.required_text()? == "ReportBatchItemFailures" {
            return Ok(true);
        }
    }
    Ok(false)
}

fn positive(number: &Reader<'_>, default: u32) -> Result<usize, TemplateError> {
    match number.count(default)? {
        0 => Err(number.error("is 0, but must be at least 1")),
        count => Ok(count as usize),
    }
}

/// Lambda writes "no limit" as -1.
fn limit(number: &Reader<'_>) -> Result<Option<u32>, TemplateError> {
    match number.number(-1)? {
        -1 => Ok(None),
        count => {
            u32::try_from(count).map(Some).map_err(|_| number.error(format!("is {count}, out of range")))
        }
    }
}
