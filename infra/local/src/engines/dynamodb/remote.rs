//! A DynamoDB that is reached over HTTP, such as Amazon's own DynamoDB Local.
//!
//! Promises that it is one engine's own: DynamoDB Local keeps the tables of each access key apart, and every engine
//! here makes a key of its own. What it can't do is go by the platform's clock: nothing in it expires, and its stream
//! records are as old as their reading.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use clock::Clock;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Refused, StreamRecord, read};
use crate::engines::meter::Meter;
use crate::engines::{AMZ_JSON, EngineError, TARGET};
use crate::random;
use crate::template::REGION;

/// What changes items.
const WRITES: [&str; 5] = ["PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"];
/// What reads them.
const READS: [&str; 5] = ["GetItem", "Query", "Scan", "BatchGetItem", "TransactGetItems"];
const STREAMS: [&str; 4] = ["ListStreams", "DescribeStream", "GetShardIterator", "GetRecords"];

/// The engine.
pub struct Remote {
    address: Uri,
    /// Names the access key; nobody checks the signature.
    authorization: String,
    client: Client<HttpConnector, Full<Bytes>>,
    clock: Clock,
    meter: Arc<Meter>,
    /// Advances after every write, so that stream readers look again at once.
    written: watch::Sender<u64>,
}

impl Remote {
    /// The engine at `address`, with no tables yet.
    pub(in crate::engines) fn at(
        address: &Uri,
        clock: &Clock,
        meter: Arc<Meter>,
    ) -> Result<Self, EngineError> {
        let key = random::alphanumeric(20).ok_or_else(|| EngineError::Database("no randomness".into()))?;
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={key}/20260101/{REGION}/dynamodb/aws4_request, SignedHeaders=host, Signature=0"
        );
        Ok(Self {
            address: address.clone(),
            authorization,
            client: Client::builder(TokioExecutor::new()).build_http(),
            clock: clock.clone(),
            meter,
            written: watch::Sender::new(0),
        })
    }

    pub(super) fn written(&self) -> watch::Receiver<u64> {
        self.written.subscribe()
    }

    /// Answers one call, and counts it.
    pub(super) async fn dispatch(&self, operation: &str, body: Bytes) -> (u16, Bytes) {
        let is_write = WRITES.contains(&operation);
        if !is_write && !READS.contains(&operation) {
            self.meter.call(operation, "");
            return self.send(operation, body).await;
        }
        let mut request: Value = serde_json::from_slice(&body).unwrap_or_default();
        tables(&request).into_iter().for_each(|table| self.meter.call(operation, table));
        let asks = self.meter.is_metering() && ask_for_capacity(&mut request);
        let (status, mut answer) =
            self.send(operation, if asks { request.to_string().into() } else { body }).await;
        if status == 200 && is_write {
            self.written.send_modify(|version| *version = version.wrapping_add(1));
        }
        if status == 200 && self.meter.is_metering() {
            let mut told: Value = serde_json::from_slice(&answer).unwrap_or_default();
            for (table, units) in consumed(&told) {
                self.meter.units(operation, table, units);
            }
            if asks && let Some(told) = told.as_object_mut() {
                told.remove("ConsumedCapacity");
                answer = Value::Object(std::mem::take(told)).to_string().into();
            }
        }
        (status, answer)
    }

    /// Sends one call.
    pub(super) async fn send(&self, operation: &str, body: Bytes) -> (u16, Bytes) {
        match self.exchange(operation, body).await {
            Ok(answer) => answer,
            Err(error) => {
                let message = format!("the DynamoDB at {} does not answer: {error}", self.address);
                (500, json!({"__type": "InternalServerError", "message": message}).to_string().into())
            }
        }
    }

    async fn exchange(
        &self,
        operation: &str,
        body: Bytes,
    ) -> Result<(u16, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let service =
            if STREAMS.contains(&operation) { "DynamoDBStreams_20120810" } else { "DynamoDB_20120810" };
        let request = Request::post(&self.address)
            .header(TARGET, format!("{service}.{operation}"))
            .header(CONTENT_TYPE, AMZ_JSON)
            .header(AUTHORIZATION, &self.authorization)
            .body(Full::new(body))?;
        let response = self.client.request(request).await?;
        let status = response.status().as_u16();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }

    /// The next records of a stream, and where those after them begin.
    pub(super) async fn records(
        &self,
        iterator: &str,
        limit: usize,
    ) -> Result<(Vec<StreamRecord>, Option<String>), Refused> {
        let request = json!({"ShardIterator": iterator, "Limit": limit}).to_string();
        let (status, body) = self.send("GetRecords", request.into()).await;
        let mut answer = read(status, &body)?;
        let next = answer.get("NextShardIterator").and_then(Value::as_str).map(str::to_owned);
        let mut records = Vec::new();
        if let Some(Value::Array(raw)) = answer.get_mut("Records").map(Value::take) {
            let now = json!(self.clock.now().seconds());
            for mut record in raw {
                if let Some(made) = record.pointer_mut("/dynamodb/ApproximateCreationDateTime") {
                    made.clone_from(&now);
                }
                records.push(StreamRecord::Remote(record));
            }
        }
        Ok((records, next))
    }
}

/// The tables that a request names.
fn tables(request: &Value) -> BTreeSet<&str> {
    fn named(request: &Value) -> Option<&str> {
        request.get("TableName")?.as_str()
    }
    let batch = request.get("RequestItems").and_then(Value::as_object).into_iter().flatten();
    let transaction = request.get("TransactItems").and_then(Value::as_array).into_iter().flatten();
    let transaction = transaction.filter_map(Value::as_object).flat_map(serde_json::Map::values);
    named(request)
        .into_iter()
        .chain(batch.map(|(table, _)| table.as_str()))
        .chain(transaction.filter_map(named))
        .collect()
}

/// Asks for the consumed capacity; whether the caller had not.
fn ask_for_capacity(request: &mut Value) -> bool {
    const NAME: &str = "ReturnConsumedCapacity";
    let asked = request.get(NAME).is_none_or(|it| it == "NONE");
    if asked && let Some(request) = request.as_object_mut() {
        request.insert(NAME.to_owned(), "TOTAL".into());
    }
    asked
}

/// The capacity units that an answer reports, by table: one report, or a list of them.
fn consumed(answer: &Value) -> Vec<(&str, f64)> {
    let reports = match answer.get("ConsumedCapacity") {
        None => &[],
        Some(Value::Array(reports)) => reports.as_slice(),
        Some(report) => std::slice::from_ref(report),
    };
    let units = |it: &Value| it.get("CapacityUnits").and_then(Value::as_f64).unwrap_or_default();
    reports.iter().filter_map(|it| Some((it.get("TableName")?.as_str()?, units(it)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_named_in_three_ways() {
        let of = |request: Value| tables(&request).into_iter().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(of(json!({"TableName": "core"})), ["core"]);
        assert_eq!(of(json!({"RequestItems": {"core": {}, "audit": {}}})), ["audit", "core"]);
        let put = |table| json!({"Put": {"TableName": table}});
        let check = json!({"ConditionCheck": {"TableName": "audit"}});
        assert_eq!(of(json!({"TransactItems": [put("core"), check, put("core")]})), ["audit", "core"]);
        assert!(of(json!([])).is_empty());
    }

    #[test]
    fn capacity_is_asked_for_where_it_is_not_and_is_told_in_two_ways() {
        let mut request = json!({"TableName": "core"});
        assert!(ask_for_capacity(&mut request));
        assert_eq!(request["ReturnConsumedCapacity"], "TOTAL");
        assert!(!ask_for_capacity(&mut request));
        let report = json!({"TableName": "core", "CapacityUnits": 1.5});
        assert_eq!(consumed(&json!({"ConsumedCapacity": report})), [("core", 1.5)]);
        assert_eq!(consumed(&json!({"ConsumedCapacity": [report, report]})), [("core", 1.5); 2]);
        assert!(consumed(&json!({})).is_empty());
    }

    #[tokio::test]
    async fn an_engine_that_is_not_there_is_an_internal_error_that_says_where_it_was_sought() {
        let clock = Clock::manual(clock::utc(2026, 1, 1, 0, 0)).0;
        // Held, and not listened on.
        let held = tokio::net::TcpSocket::new_v4().unwrap();
        held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address: Uri = format!("http://{}", held.local_addr().unwrap()).parse().unwrap();
        let remote = Remote::at(&address, &clock, Arc::new(Meter::new(false))).unwrap();
        let (status, body) = remote.dispatch("GetItem", Bytes::from_static(b"{}")).await;
        assert_eq!(status, 500);
        assert!(String::from_utf8_lossy(&body).contains(&address.to_string()), "{body:?}");
    }
}
