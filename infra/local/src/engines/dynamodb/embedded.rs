//! The embedded engine behind DynamoDB's JSON protocol.
//!
//! Calls run inline: the engine is synchronous and answers an item operation in tens of microseconds, less than
//! handing it to another thread would cost. Answers and errors are the engine's own; this module only reads the
//! request, counts it and writes the answer.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use clock::Clock;
use dynoxide::actions::get_records::{GetRecordsRequest, GetRecordsResponse};
use dynoxide::actions::{
    batch_execute_statement as batch_statement, batch_get_item, batch_write_item, delete_item,
    execute_statement, execute_transaction, get_item, put_item, query, scan, transact_get_items,
    transact_write_items, update_item,
};
use dynoxide::types::ConsumedCapacity;
use dynoxide::{Database, DynoxideError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::stream_table::StreamTable;
use super::tokens::{Fingerprint, Tokens};
use crate::engines::EngineError;
use crate::engines::meter::Meter;

/// The longest client request token, in bytes.
const MAX_TOKEN: usize = 36;

/// The engine.
pub struct Embedded {
    database: Database,
    meter: Arc<Meter>,
    tokens: Tokens,
    /// Advances after every write, so that stream readers look again at once.
    written: watch::Sender<u64>,
    streams: Option<StreamTable>,
}

/// The engine's view of the platform's clock, used for stream times and time to live.
struct EngineClock(Clock);

impl dynoxide::storage_backend::Clock for EngineClock {
    fn now_unix_secs(&self) -> u64 {
        u64::try_from(self.0.now().seconds()).unwrap_or(0)
    }

    #[allow(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit the 53 bits of an f64")]
    fn now_unix_secs_f64(&self) -> f64 {
        self.0.now().millis() as f64 / 1000.0
    }
}

impl Embedded {
    /// An engine that forgets everything when it is dropped, and lives by `clock`.
    pub(in crate::engines) fn in_memory(clock: &Clock, meter: Arc<Meter>) -> Result<Self, EngineError> {
        let database = Database::memory_with_clock(Arc::new(EngineClock(clock.clone())))
            .map_err(|source| EngineError::Database(source.into()))?;
        Ok(Self { database, meter, tokens: Tokens::default(), written: watch::Sender::new(0), streams: None })
    }

    /// An engine over the file at `path`, which is made if it does not exist.
    pub(in crate::engines) fn on_disk(path: &Path, meter: Arc<Meter>) -> Result<Self, EngineError> {
        let text = path.to_str().ok_or_else(|| EngineError::Database("the path is not UTF-8".into()))?;
        let database = Database::new(text).map_err(|source| EngineError::Database(source.into()))?;
        // Leaves the connection with synchronous=NORMAL instead of the FULL it opens with. In WAL mode a killed
        // process still loses nothing; only a power failure can take the last commits along, and no commit waits
        // for the disk.
        database
            .enable_bulk_loading()
            .and_then(|()| database.disable_bulk_loading())
            .map_err(|source| EngineError::Database(source.into()))?;
        let streams = StreamTable::prepare(path).map_err(|source| EngineError::Database(source.into()))?;
        Ok(Self {
            database,
            meter,
            tokens: Tokens::default(),
            written: watch::Sender::new(0),
            streams: Some(streams),
        })
    }

    pub(super) fn written(&self) -> watch::Receiver<u64> {
        self.written.subscribe()
    }

    pub(super) fn stream_table(&self) -> Option<&StreamTable> {
        self.streams.as_ref()
    }

    pub(super) fn sweep(&self) -> Result<usize, EngineError> {
        let swept = self.database.sweep_ttl().map_err(|source| EngineError::Database(source.into()))?;
        if swept > 0 {
            self.note_write();
        }
        Ok(swept)
    }

    fn note_write(&self) {
        self.written.send_modify(|version| *version = version.wrapping_add(1));
    }

    /// The next records of a stream, in the engine's own form: turning them into JSON costs more than reading them.
    pub(super) fn records(&self, request: GetRecordsRequest) -> Result<GetRecordsResponse, DynoxideError> {
        self.database.get_records(request)
    }

    /// Answers one call: the status and the JSON body.
    pub(super) fn dispatch(&self, operation: &str, body: &[u8]) -> (u16, String) {
        told(self.run(operation, body))
    }

    /// Answers a call about tables and streams as a whole, and counts it nowhere.
    pub(super) fn administer(&self, operation: &str, body: &[u8]) -> (u16, String) {
        told(self.run_uncounted(operation, body))
    }

    fn run(&self, operation: &str, body: &[u8]) -> Result<(u16, String), DynoxideError> {
        let answer = match operation {
            "PutItem" => self.write(operation, body, Database::put_item),
            "UpdateItem" => self.write(operation, body, Database::update_item),
            "DeleteItem" => self.write(operation, body, Database::delete_item),
            "BatchWriteItem" => self.write(operation, body, Database::batch_write_item),
            "TransactWriteItems" => self.transact(operation, body),
            "ExecuteStatement" => self.write(operation, body, Database::execute_statement),
            "ExecuteTransaction" => self.write(operation, body, Database::execute_transaction),
            "BatchExecuteStatement" => self.write(operation, body, Database::batch_execute_statement),
            "GetItem" => self.measured(operation, body, Database::get_item),
            "Query" => self.measured(operation, body, Database::query),
            "Scan" => self.measured(operation, body, Database::scan),
            "BatchGetItem" => self.measured(operation, body, Database::batch_get_item),
            "TransactGetItems" => self.measured(operation, body, Database::transact_get_items),
            _ => {
                self.meter.call(operation, "");
                return self.run_uncounted(operation, body);
            }
        };
        answer.map(|body| (200, body))
    }

    fn run_uncounted(&self, operation: &str, body: &[u8]) -> Result<(u16, String), DynoxideError> {
        let answer = match operation {
            "CreateTable" => self.plain(body, Database::create_table),
            "DeleteTable" => self.plain(body, Database::delete_table),
            "DescribeTable" => self.plain(body, Database::describe_table),
            "ListTables" => self.plain(body, Database::list_tables),
            "UpdateTable" => self.plain(body, Database::update_table),
            "UpdateTimeToLive" => self.plain(body, Database::update_time_to_live),
            "DescribeTimeToLive" => self.plain(body, Database::describe_time_to_live),
            "ListStreams" => self.plain(body, Database::list_streams),
            "DescribeStream" => self.plain(body, Database::describe_stream),
            "GetShardIterator" => self.plain(body, Database::get_shard_iterator),
            "GetRecords" => self.plain(body, Database::get_records),
            "TagResource" => self.plain(body, Database::tag_resource),
            "UntagResource" => self.plain(body, Database::untag_resource),
            "ListTagsOfResource" => self.plain(body, Database::list_tags_of_resource),
            _ => {
                let unknown = r#"{"__type":"com.amazon.coral.service#UnknownOperationException"}"#;
                return Ok((400, unknown.to_owned()));
            }
        };
        answer.map(|body| (200, body))
    }

    /// Carries a transaction out, unless one with the same token has been.
    fn transact(&self, operation: &str, body: &[u8]) -> Result<String, DynoxideError> {
        let Some((token, items)) = token(body) else {
            return self.write(operation, body, Database::transact_write_items);
        };
        let carry_out =
            |database: &Database, mut request: transact_write_items::TransactWriteItemsRequest| {
                request.client_request_token = None;
                database.transact_write_items(request)
            };
        self.tokens.once(token, items, || self.write(operation, body, carry_out))
    }

    fn write<Q: Metered, A: Reports>(
        &self,
        operation: &str,
        body: &[u8],
        call: impl FnOnce(&Database, Q) -> Result<A, DynoxideError>,
    ) -> Result<String, DynoxideError> {
        let answer = self.measured(operation, body, call)?;
        self.note_write();
        Ok(answer)
    }

    fn measured<Q: Metered, A: Reports>(
        &self,
        operation: &str,
        body: &[u8],
        call: impl FnOnce(&Database, Q) -> Result<A, DynoxideError>,
    ) -> Result<String, DynoxideError> {
        let mut request: Q = read(body)?;
        request.tables(&mut |table| self.meter.call(operation, table));
        let asked = self.meter.is_metering() && request.ask_for_capacity();
        let mut answer = call(&self.database, request)?;
        if self.meter.is_metering() {
            answer.consumed(&mut |it| self.meter.units(operation, &it.table_name, it.capacity_units));
            if asked {
                answer.forget_capacity();
            }
        }
        write(&answer)
    }

    fn plain<Q: DeserializeOwned, A: Serialize>(
        &self,
        body: &[u8],
        call: impl FnOnce(&Database, Q) -> Result<A, DynoxideError>,
    ) -> Result<String, DynoxideError> {
        let request: Q = read(body)?;
        write(&call(&self.database, request)?)
    }
}

/// A request whose cost can be asked for.
trait Metered: DeserializeOwned {
    /// Calls `each` with every table the request names, once.
    fn tables(&self, each: &mut dyn FnMut(&str));
    /// Asks for the consumed capacity; whether the caller had not.
    fn ask_for_capacity(&mut self) -> bool;
}

/// An answer that may say what it cost.
trait Reports: Serialize {
    fn consumed(&self, each: &mut dyn FnMut(&ConsumedCapacity));
    fn forget_capacity(&mut self);
}

fn told(answer: Result<(u16, String), DynoxideError>) -> (u16, String) {
    answer.unwrap_or_else(|error| (error.status_code(), error.to_json()))
}

fn ask(field: &mut Option<String>) -> bool {
    let asked = field.as_deref().is_none_or(|it| it == "NONE");
    if asked {
        *field = Some("TOTAL".to_owned());
    }
    asked
}

fn each_once<'t>(tables: impl Iterator<Item = &'t str>, each: &mut dyn FnMut(&str)) {
    let mut seen: Vec<&str> = Vec::new();
    for table in tables {
        if !seen.contains(&table) {
            seen.push(table);
            each(table);
        }
    }
}

macro_rules! metered {
    ($($request:ty => $answer:ty, $tables:expr;)*) => {$(
        impl Metered for $request {
            fn tables(&self, each: &mut dyn FnMut(&str)) {
                let tables: fn(&Self, &mut dyn FnMut(&str)) = $tables;
                tables(self, each);
            }
            fn ask_for_capacity(&mut self) -> bool {
                ask(&mut self.return_consumed_capacity)
            }
        }
        impl Reports for $answer {
            fn consumed(&self, each: &mut dyn FnMut(&ConsumedCapacity)) {
                self.consumed_capacity.as_slice().iter().flat_map(Several::several).for_each(each);
            }
            fn forget_capacity(&mut self) {
                self.consumed_capacity = None;
            }
        }
    )*};
}

/// One capacity report or a list of them.
trait Several {
    fn several(&self) -> &[ConsumedCapacity];
}

impl Several for ConsumedCapacity {
    fn several(&self) -> &[ConsumedCapacity] {
        std::slice::from_ref(self)
    }
}

impl Several for Vec<ConsumedCapacity> {
    fn several(&self) -> &[ConsumedCapacity] {
        self
    }
}

fn names<V>(items: &HashMap<String, V>, each: &mut dyn FnMut(&str)) {
    items.keys().for_each(|table| each(table));
}

metered! {
    put_item::PutItemRequest => put_item::PutItemResponse, |it, each| each(&it.table_name);
    update_item::UpdateItemRequest => update_item::UpdateItemResponse, |it, each| each(&it.table_name);
    delete_item::DeleteItemRequest => delete_item::DeleteItemResponse, |it, each| each(&it.table_name);
    get_item::GetItemRequest => get_item::GetItemResponse, |it, each| each(&it.table_name);
    query::QueryRequest => query::QueryResponse, |it, each| each(&it.table_name);
    scan::ScanRequest => scan::ScanResponse, |it, each| each(&it.table_name);
    batch_get_item::BatchGetItemRequest => batch_get_item::BatchGetItemResponse,
        |it, each| names(&it.request_items, each);
    batch_write_item::BatchWriteItemRequest => batch_write_item::BatchWriteItemResponse,
        |it, each| names(&it.request_items, each);
    transact_get_items::TransactGetItemsRequest => transact_get_items::TransactGetItemsResponse,
        |it, each| each_once(it.transact_items.iter().map(|item| item.get.table_name.as_str()), each);
    transact_write_items::TransactWriteItemsRequest => transact_write_items::TransactWriteItemsResponse,
        |it, each| each_once(it.transact_items.iter().filter_map(written_table), each);
    execute_statement::ExecuteStatementRequest => execute_statement::ExecuteStatementResponse, |_, each| each("");
    execute_transaction::ExecuteTransactionRequest => execute_transaction::ExecuteTransactionResponse,
        |_, each| each("");
    batch_statement::BatchExecuteStatementRequest => batch_statement::BatchExecuteStatementResponse,
        |_, each| each("");
}

fn written_table(item: &transact_write_items::TransactWriteItem) -> Option<&str> {
    let put = item.put.as_ref().map(|it| it.table_name.as_str());
    let update = item.update.as_ref().map(|it| it.table_name.as_str());
    let delete = item.delete.as_ref().map(|it| it.table_name.as_str());
    put.or(update).or(delete).or_else(|| item.condition_check.as_ref().map(|it| it.table_name.as_str()))
}

/// The token that a transaction bears, and what stands for its items. What is not as it should be, too long a token for
/// one, is the engine's to refuse.
fn token(body: &[u8]) -> Option<(String, Fingerprint)> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Transaction {
        client_request_token: Option<String>,
        transact_items: Fingerprint,
    }
    let transaction: Transaction = serde_json::from_slice(body).ok()?;
    let token = transaction.client_request_token.filter(|token| (1..=MAX_TOKEN).contains(&token.len()))?;
    Some((token, transaction.transact_items))
}

fn read<Q: DeserializeOwned>(body: &[u8]) -> Result<Q, DynoxideError> {
    serde_json::from_slice(body).map_err(|error| {
        // The engine's readers say in a prefix which DynamoDB error a refused value is.
        let text = error.to_string();
        let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
        let validation = ["VALIDATION_REQUEST:", "VALIDATION:", "VALIDATION_AS_READ:"];
        let serialization = ["SERIALIZATION:", "SERIALIZATION_AS_READ:"];
        if let Some(rest) = validation.iter().find_map(|prefix| text.strip_prefix(prefix)) {
            DynoxideError::ValidationException(rest.to_owned())
        } else if let Some(rest) = serialization.iter().find_map(|prefix| text.strip_prefix(prefix)) {
            DynoxideError::SerializationException(rest.to_owned())
        } else if ["missing field", "unknown variant", "invalid type: null", "AttributeValue"]
            .iter()
            .any(|part| text.contains(part))
        {
            DynoxideError::ValidationException(text.to_owned())
        } else {
            DynoxideError::SerializationException(text.to_owned())
        }
    })
}

fn write<A: Serialize>(answer: &A) -> Result<String, DynoxideError> {
    serde_json::to_string(answer).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}
