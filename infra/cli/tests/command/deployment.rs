//! A deployment that `artisan` is pointed at: a platform of its own, as its operator reaches it.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use artisan_cli::cli::{Cli, Command};
use artisan_cli::doctor::{Report, examine};
use artisan_cli::error::Error;
use artisan_cli::terminal::Terminal;
use artisan_cli::{Verdict, run};
use aws_sdk_dynamodb::types::AttributeValue;
use clap::Parser as _;
use runtime::{AwsClients, Environment, Services};
use serde_json::Value;
use testkit::{Actor, TestApp};

pub(crate) struct Deployment {
    pub(crate) app: TestApp,
    /// Its variables, to be spoiled.
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) aws: AwsClients,
}

/// What a command said, and how it ended.
pub(crate) struct Said {
    pub(crate) outcome: Result<Verdict, Error>,
    pub(crate) text: String,
}

impl Said {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn fine(self) -> Self {
        assert_eq!(self.outcome.as_ref().ok(), Some(&Verdict::Fine), "{:?} {}", self.outcome, self.text);
        self
    }

    /// The error, with its causes.
    pub(crate) fn error(&self) -> String {
        telemetry::chain(self.outcome.as_ref().unwrap_err())
    }
}

#[derive(Clone, Default)]
struct Sheet(Arc<Mutex<Vec<u8>>>);

impl Write for Sheet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Deployment {
    pub(crate) async fn start() -> Self {
        let app = TestApp::start().await;
        let variables = app.platform().variables();
        let aws = AwsClients::from_config(&app.engines().sdk_config().await);
        Self { app, variables, aws }
    }

    pub(crate) fn services(&self) -> Services {
        let variables = self.variables.clone().into_iter().collect::<Environment>();
        Services::new(variables, self.aws.clone(), self.app.platform().clock().clone())
    }

    pub(crate) async fn examined(&self) -> Report {
        examine(&self.services()).await.unwrap()
    }

    /// Runs a command, whose questions are answered with `answer`; it says what it has to say as JSON.
    pub(crate) async fn run(&self, line: &[&str], answer: &'static str) -> Said {
        let cli = Cli::try_parse_from(["artisan", "--json"].iter().chain(line)).unwrap();
        self.command(&cli.command, cli.yes, answer).await
    }

    async fn command(&self, command: &Command, yes: bool, answer: &'static str) -> Said {
        let sheet = Sheet::default();
        let mut terminal = Terminal::scripted(true, yes, sheet.clone(), answer);
        let outcome = run(command, &self.services(), &mut terminal).await;
        let text = String::from_utf8(sheet.0.lock().unwrap().clone()).unwrap();
        Said { outcome, text }
    }

    /// The physical name of a table.
    pub(crate) fn table(&self, logical_id: &str) -> String {
        self.app.platform().table_name(logical_id).unwrap().to_owned()
    }

    pub(crate) async fn item(&self, table: &str, pk: &str, sk: &str) -> BTreeMap<String, AttributeValue> {
        let get = self.aws.dynamodb.get_item().table_name(self.table(table));
        let get = get.key("pk", AttributeValue::S(pk.to_owned())).key("sk", AttributeValue::S(sk.to_owned()));
        get.send().await.unwrap().item.unwrap_or_default().into_iter().collect()
    }

    /// The audit records of what was done as `action`.
    pub(crate) async fn records(&self, admin: &Actor, action: &str) -> Vec<Value> {
        self.app.drain().await;
        let path = format!("/api/admin/audit-logs?action={action}");
        admin.get(&path).await.expect(200).json["data"].as_array().unwrap().clone()
    }
}
