//! Metrics, in CloudWatch's embedded metric format: one line of JSON on standard output, out of which CloudWatch makes them.
//! Nothing is kept between lines and nothing has to be flushed, so a process that Lambda freezes owes none.
//!
//! A dimension has few values: a function, a code. What has many, a request's id or a delivery's, goes with the line as a
//! field by which it is found, and a tenant's does neither.

use std::fmt;
use std::io::Write as _;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

/// Where metrics go, once that is said.
static SINK: OnceLock<Sink> = OnceLock::new();

struct Sink {
    namespace: String,
    function: String,
    write: Box<dyn Fn(String) + Send + Sync>,
}

/// Has the metrics of this process published in `namespace`, as those of `function`, by lines on standard output. A second
/// call does nothing; before the first one nothing is published.
pub fn publish_to_stdout(namespace: &str, function: &str) {
    publish_to(namespace, function, |line| {
        // Nobody can be told that standard output is closed.
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    });
}

/// The same with each line given to `write`.
pub fn publish_to(namespace: &str, function: &str, write: impl Fn(String) + Send + Sync + 'static) {
    // The first one stays, which is what tests in one process want.
    let _ = SINK.set(Sink {
        namespace: namespace.to_owned(),
        function: function.to_owned(),
        write: Box::new(write),
    });
}

/// In what a metric is measured, by CloudWatch's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Count,
    Milliseconds,
    Seconds,
}

/// Metrics that are told apart by the same dimension, or by none.
#[derive(Default)]
struct Group {
    dimension: Option<&'static str>,
    metrics: Vec<(&'static str, Unit)>,
}

/// What was measured of one thing that happened: one line.
#[derive(Default)]
#[must_use = "nothing is published until `publish` is called"]
pub struct Metrics {
    groups: Vec<Group>,
    members: Map<String, Value>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.members.fmt(f)
    }
}

impl Metrics {
    /// Metrics that have no dimension, until [`Metrics::by`] says otherwise.
    pub fn new() -> Self {
        Self::default()
    }

    /// What follows is told apart by this dimension.
    pub fn by(mut self, dimension: &'static str, value: &str) -> Self {
        self.groups.push(Group { dimension: Some(dimension), metrics: Vec::new() });
        self.members.insert(dimension.to_owned(), value.into());
        self
    }

    /// What follows is told apart by function.
    pub fn by_function(self) -> Self {
        let function = SINK.get().map_or("", |sink| sink.function.as_str());
        self.by("FunctionName", function)
    }

    /// So many of something.
    pub fn count(self, name: &'static str, count: usize) -> Self {
        self.measure(name, Unit::Count, u64::try_from(count).unwrap_or(u64::MAX))
    }

    /// A time in milliseconds.
    pub fn milliseconds(self, name: &'static str, milliseconds: u64) -> Self {
        self.measure(name, Unit::Milliseconds, milliseconds)
    }

    /// A time in seconds.
    pub fn seconds(self, name: &'static str, seconds: u64) -> Self {
        self.measure(name, Unit::Seconds, seconds)
    }

    /// A field by which the line is found; no metric.
    pub fn with(mut self, field: &'static str, value: impl fmt::Display) -> Self {
        self.members.insert(field.to_owned(), value.to_string().into());
        self
    }

    fn measure(mut self, name: &'static str, unit: Unit, value: u64) -> Self {
        self.members.insert(name.to_owned(), value.into());
        match self.groups.last_mut() {
            Some(group) => group.metrics.push((name, unit)),
            None => self.groups.push(Group { dimension: None, metrics: vec![(name, unit)] }),
        }
        self
    }

    /// Publishes them, if it was said where.
    pub fn publish(self) {
        if let Some(sink) = SINK.get() {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
            (sink.write)(self.line(&sink.namespace, millis));
        }
    }

    fn line(mut self, namespace: &str, timestamp: u64) -> String {
        let directives: Vec<_> = self
            .groups
            .iter()
            .map(|Group { dimension, metrics }| {
                let dimensions: Vec<_> = dimension.iter().collect();
                let metrics: Vec<_> = metrics
                    .iter()
                    .map(|(name, unit)| json!({ "Name": name, "Unit": format!("{unit:?}") }))
                    .collect();
                json!({ "Namespace": namespace, "Dimensions": [dimensions], "Metrics": metrics })
            })
            .collect();
        let metadata = json!({ "Timestamp": timestamp, "CloudWatchMetrics": directives });
        self.members.insert("_aws".to_owned(), metadata);
        Value::Object(self.members).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_cloudwatch_reads() {
        let metrics = Metrics::new()
            .count("Attempts", 1)
            .milliseconds("PublishToReceipt", 250)
            .by("Code", "rate_limited")
            .count("Problems", 1)
            .with("request_id", "req_1");
        let line: Value = serde_json::from_str(&metrics.line("Artisan/test", 1_700_000_000_000)).unwrap();
        let expected = json!({
            "_aws": {
                "Timestamp": 1_700_000_000_000_u64,
                "CloudWatchMetrics": [
                    {
                        "Namespace": "Artisan/test",
                        "Dimensions": [[]],
                        "Metrics": [
                            { "Name": "Attempts", "Unit": "Count" },
                            { "Name": "PublishToReceipt", "Unit": "Milliseconds" }
                        ]
                    },
                    {
                        "Namespace": "Artisan/test",
                        "Dimensions": [["Code"]],
                        "Metrics": [{ "Name": "Problems", "Unit": "Count" }]
                    }
                ]
            },
            "Attempts": 1,
            "PublishToReceipt": 250,
            "Code": "rate_limited",
            "Problems": 1,
            "request_id": "req_1"
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn a_line_that_was_published_says_which_function_and_when() {
        let (sender, lines) = std::sync::mpsc::channel();
        let sender = std::sync::Mutex::new(sender);
        publish_to("Artisan/test", "leads", move |line| drop(sender.lock().unwrap().send(line)));
        publish_to("Artisan/other", "other", |_| panic!("the first one stays"));
        Metrics::new().by_function().count("Requests", 1).seconds("Age", 3).publish();
        let line: Value = serde_json::from_str(&lines.recv().unwrap()).unwrap();
        assert!(!line.to_string().contains('\n'));
        assert_eq!((line["FunctionName"].as_str(), line["Requests"].as_u64()), (Some("leads"), Some(1)));
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Namespace"], "Artisan/test");
        assert_eq!(directive["Metrics"][1], json!({ "Name": "Age", "Unit": "Seconds" }));
        assert!(line["_aws"]["Timestamp"].as_u64().unwrap() > 1_700_000_000_000);
    }
}
