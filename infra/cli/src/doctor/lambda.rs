//! Lambda: what leads work to functions, and what holds functions back. Work that nobody polls raises no alarm by itself, as
//! whoever is never called neither fails nor is late.

use std::collections::BTreeMap;

use artisan_local::event_sources::filter::FilterCriteria;
use artisan_local::template::{Function, QueueSource, StreamSource};
use aws_sdk_lambda::Client;
use aws_sdk_lambda::types::{
    EventSourceMappingConfiguration as Mapping, FunctionConfiguration, FunctionResponseType, LastUpdateStatus,
};

use super::{Examination, Trouble, trouble};

/// The alias that a deployment moves, and that callers are led to.
const ALIAS: &str = "live";
const DEPLOY: &str = "deploy the stack again, or set it back by hand";
/// What Lambda leaves to functions that reserve nothing, at least; a new account has no more than ten.
const LEFT: usize = 100;
/// Ends of the names of variables that name something of this deployment.
const NAMES: [&str; 4] = ["_TABLE", "_BUCKET", "_QUEUE_URL", "_ID"];
const ALLOW_LOOPBACK: &str = "WEBHOOK_ALLOW_LOOPBACK";

impl Examination<'_> {
    pub(super) async fn lambda(&mut self) {
        let client = Client::new(&self.services.aws.config);
        if let Err((trouble, subject, call)) = self.sources_and_functions(&client).await {
            match trouble {
                // The local platform polls by itself, and has no functions but those in its own process.
                _ if self.is_local() => {
                    self.report.skip(subject, format!("the engine at hand does not answer {call}"));
                }
                other => self.note(other, subject, call),
            }
        }
        self.report.skip(
            "what each function's role allows, and the schedule of the sweep",
            "nothing here sees them; a role that lacks something shows as AccessDeniedException in the log, a schedule that is \
             disabled as tasks that are overdue (above)",
        );
    }

    async fn sources_and_functions(
        &mut self,
        client: &Client,
    ) -> Result<(), (Trouble, &'static str, &'static str)> {
        const MAPPINGS: (&str, &str) = ("event source mappings", "lambda:ListEventSourceMappings");
        for function in self.template.functions.clone() {
            for source in &function.queues {
                let Some(arn) = self.sources.get(&source.queue).cloned() else { continue };
                let found = mappings(client, &arn).await.map_err(|it| (it, MAPPINGS.0, MAPPINGS.1))?;
                self.source(&function, &arn, &found, |mapping| unlike_queue(source, mapping));
            }
            for source in &function.streams {
                let Some(arn) = self.sources.get(&source.table).cloned() else { continue };
                let found = mappings(client, &arn).await.map_err(|it| (it, MAPPINGS.0, MAPPINGS.1))?;
                let faults =
                    self.template.queues.iter().find(|it| Some(&it.name) == source.on_failure.as_ref());
                let faults = faults.cloned();
                self.source(&function, &arn, &found, |mapping| {
                    unlike_stream(source, faults.as_ref().map(|it| it.logical_id.as_str()), mapping)
                });
                // No variable names the queue that Lambda reports to by itself.
                if faults.is_some_and(|it| !self.sources.contains_key(&it.name)) {
                    for destination in found.iter().filter_map(destination) {
                        self.target(name_of_source(destination)).await;
                    }
                }
            }
        }
        let found =
            functions(client).await.map_err(|trouble| (trouble, "functions", "lambda:ListFunctions"))?;
        let (mut own, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|it| self.is_own(it));
        let callers: Vec<_> = others.into_iter().filter(|it| calls_one_of(it, &own)).collect();
        own.extend(callers);
        for function in self.template.functions.clone() {
            let named = own.iter().filter_map(FunctionConfiguration::function_name);
            match named.clone().find(|name| is_of(name, &function)) {
                Some(name) => self.function(client, &function, name).await?,
                None => self.report.error(
                    "function_missing",
                    &function.logical_id,
                    "no function in this region and account is this one, with the tables or functions of this deployment",
                    DEPLOY,
                ),
            }
        }
        self.concurrency(client).await
    }

    /// What polls a queue or stream for a function. `unlike` is what of its settings is not as the template has it.
    fn source(
        &mut self,
        function: &Function,
        arn: &str,
        found: &[Mapping],
        unlike: impl Fn(&Mapping) -> Vec<String>,
    ) {
        let Function { binary, .. } = function;
        let subject = format!("{} for `{binary}`", name_of_source(arn));
        let (own, others): (Vec<_>, Vec<_>) = found
            .iter()
            .partition(|it| is_of(name_of_function(it.function_arn().unwrap_or_default()), function));
        if own.is_empty() {
            self.report.error(
                "mapping_missing",
                &subject,
                "no event source mapping leads from it to the function: what comes is left lying",
                format!(
                    "{DEPLOY}; a stream that was switched on anew is another one, and wants another mapping"
                ),
            );
        }
        for mapping in own {
            let state = mapping.state().unwrap_or_default();
            if matches!(state, "Disabled" | "Disabling") {
                self.report.error(
                    "mapping_disabled",
                    &subject,
                    "its event source mapping is disabled: what comes is left lying, and a stream forgets it after a day",
                    format!(
                        "aws lambda update-event-source-mapping --enabled --uuid {}",
                        mapping.uuid().unwrap_or("…")
                    ),
                );
            } else {
                self.report.pass();
            }
            if let Some(problem) = mapping.last_processing_result().filter(|it| it.starts_with("PROBLEM")) {
                self.report.error(
                    "mapping_failing",
                    &subject,
                    format!("Lambda says of it: {problem}"),
                    format!("look at the log of `{binary}`, and at what its role allows"),
                );
            }
            if !mapping.function_arn().is_some_and(|it| it.ends_with(&format!(":{ALIAS}"))) {
                self.report.error(
                    "mapping_past_alias",
                    &subject,
                    format!("it does not lead to the alias `{ALIAS}`: a deployment neither shifts nor takes back what it calls"),
                    DEPLOY,
                );
            }
            let unlike = unlike(mapping);
            if unlike.is_empty() {
                self.report.pass();
            } else {
                self.report.error("mapping_different", &subject, unlike.join("; "), DEPLOY);
            }
        }
        // Each reader of a stream has all of it; what one reader of a queue takes the others miss.
        for other in others.iter().filter(|_| arn.contains(":sqs:")) {
            self.report.error(
                "mapping_foreign",
                &subject,
                format!(
                    "{} polls the same queue: what it takes is never done",
                    other.function_arn().unwrap_or("another")
                ),
                "take that mapping away, then put what was lost back in by a replay of `missing`",
            );
        }
    }

    /// Whether a function has the tables of this deployment.
    fn is_own(&self, function: &FunctionConfiguration) -> bool {
        let variables = function.environment().and_then(|it| it.variables());
        ["CORE_TABLE", "DIRECTORY_TABLE"].iter().any(|table| {
            let told = variables.and_then(|it| it.get(*table));
            told.is_some() && told.map(String::as_str) == self.services.environment.optional(table)
        })
    }

    async fn function(
        &mut self,
        client: &Client,
        function: &Function,
        name: &str,
    ) -> Result<(), (Trouble, &'static str, &'static str)> {
        let subject = format!("{} ({name})", function.logical_id);
        let alias = client.get_alias().function_name(name).name(ALIAS).send().await.map_err(trouble);
        let is_there = match alias {
            Ok(alias) => {
                let beside = alias.routing_config().and_then(|it| it.additional_version_weights());
                if let Some((version, part)) = beside.into_iter().flatten().next() {
                    self.report.warning(
                        "alias_split",
                        &subject,
                        format!("version {version} gets {:.0} % of the calls beside version {}", part * 100.0, alias.function_version().unwrap_or("?")),
                        "wait for the deployment under way; where there is none, lead the alias to one version",
                    );
                }
                true
            }
            Err(Trouble::Missing) => false,
            Err(other) => return Err((other, "aliases of functions", "lambda:GetAlias")),
        };
        if is_there {
            let asked = client.get_function_configuration().function_name(name).qualifier(ALIAS);
            let found = asked.send().await.map_err(|error| {
                (trouble(error), "configuration of functions", "lambda:GetFunctionConfiguration")
            })?;
            let told = found.environment().and_then(|it| it.variables()).cloned().unwrap_or_default();
            self.told(function, &subject, &told);
            self.able(function, &subject, found.timeout(), found.last_update_status());
        } else {
            self.report.error(
                "alias_missing",
                &subject,
                format!("it has no alias `{ALIAS}`, which all that calls it is led to"),
                DEPLOY,
            );
        }
        let reserved = client.get_function_concurrency().function_name(name).send().await;
        let reserved = reserved
            .map_err(|error| (trouble(error), "concurrency of functions", "lambda:GetFunctionConcurrency"))?;
        if reserved.reserved_concurrent_executions() == Some(0) {
            self.report.error(
                "function_stopped",
                &subject,
                "its reserved concurrency is 0: it is not called at all",
                format!(
                    "aws lambda delete-function-concurrency --function-name {name}; of the sweep it is 1"
                ),
            );
        } else {
            self.report.pass();
        }
        Ok(())
    }

    /// Whether a function is told the same as `artisan`.
    fn told(&mut self, function: &Function, subject: &str, told: &std::collections::HashMap<String, String>) {
        let told: BTreeMap<_, _> = told.iter().collect();
        let names = told.iter().filter(|(name, _)| {
            function.environment.contains_key(**name) && NAMES.iter().any(|end| name.ends_with(end))
        });
        let mut differs = Vec::new();
        for (name, theirs) in names {
            if let Some(ours) = self.value(name).filter(|ours| ours != *theirs) {
                differs.push(format!("{name} is {theirs} there and {ours} here"));
            }
        }
        let missing = function.environment.iter().filter(|(name, value)| {
            !value.is_empty() && NAMES.iter().any(|end| name.ends_with(end)) && !told.contains_key(name)
        });
        differs.extend(missing.map(|(name, _)| format!("{name} is not set there")));
        if differs.is_empty() {
            self.report.pass();
        } else {
            self.report.error(
                "function_variables",
                subject,
                differs.join("; "),
                "deploy with a new Release, which publishes what the parameters say; else take the stack's outputs anew",
            );
        }
        if told.get(&ALLOW_LOOPBACK.to_owned()).is_some_and(|value| value.as_str() == "true")
            && !self.is_local()
        {
            self.report.error(
                "loopback_allowed",
                subject,
                "it is told that endpoints on loopback are allowed, where Lambda's runtime API listens",
                format!("take {ALLOW_LOOPBACK} from its variables: it is for a laptop only"),
            );
        }
    }

    /// Whether a function can run, and for as long as what surrounds it reckons with.
    fn able(
        &mut self,
        function: &Function,
        subject: &str,
        timeout: Option<i32>,
        updated: Option<&LastUpdateStatus>,
    ) {
        if updated == Some(&LastUpdateStatus::Failed) {
            self.report.error("function_update_failed", subject, "its last update failed", DEPLOY);
        }
        match timeout.and_then(|it| u32::try_from(it).ok()) {
            Some(seconds) if seconds != function.timeout => self.report.warning(
                "function_timeout",
                subject,
                format!("it may take {seconds} s; queues and callers reckon with {} s", function.timeout),
                DEPLOY,
            ),
            _ => self.report.pass(),
        }
    }

    /// Whether the account has room for what the template lets run at once.
    async fn concurrency(&mut self, client: &Client) -> Result<(), (Trouble, &'static str, &'static str)> {
        let settings = client.get_account_settings().send().await;
        let settings = settings
            .map_err(|error| (trouble(error), "concurrency of the account", "lambda:GetAccountSettings"))?;
        let Some(limit) = settings.account_limit() else { return Ok(()) };
        let room = limit.unreserved_concurrent_executions().unwrap_or(limit.concurrent_executions());
        let polled: usize =
            self.template.functions.iter().flat_map(|it| &it.queues).map(|it| it.concurrency).sum();
        if usize::try_from(room).unwrap_or(0) < polled + LEFT {
            self.report.warning(
                "concurrency_small",
                "concurrency of the account",
                format!("{room} functions may run at once, and what polls queues alone may take {polled}: the API is throttled"),
                "ask for more (Service Quotas, Lambda, concurrent executions), or lower DeliverMaximumConcurrency and DeliverSlowMaximumConcurrency",
            );
        } else {
            self.report.pass();
        }
        Ok(())
    }
}

/// Whether a name is one that CloudFormation makes for what the template calls so.
fn has_name_of(name: &str, logical_id: &str) -> bool {
    name.split('-').any(|part| part == logical_id)
}

fn is_of(name: &str, function: &Function) -> bool {
    has_name_of(name, &function.logical_id)
}

/// Whether a function is told to call one of these: the console has no table.
fn calls_one_of(function: &FunctionConfiguration, own: &[FunctionConfiguration]) -> bool {
    let told = function.environment().and_then(|it| it.variables()).into_iter().flatten();
    let mut called = told.filter(|(name, _)| name.ends_with("_FUNCTION"));
    called.any(|(_, value)| own.iter().any(|it| it.function_name() == Some(name_of_function(value))))
}

/// `arn:aws:lambda:REGION:ACCOUNT:function:NAME:QUALIFIER`.
fn name_of_function(arn: &str) -> &str {
    arn.split(':').nth(6).unwrap_or_default()
}

/// The queue's name, or the table's of a stream.
fn name_of_source(arn: &str) -> &str {
    let last = arn.rsplit(':').next().unwrap_or_default();
    match arn.split_once(":table/") {
        Some((_, rest)) => rest.split('/').next().unwrap_or_default(),
        None => last,
    }
}

async fn mappings(client: &Client, arn: &str) -> Result<Vec<Mapping>, Trouble> {
    let pages = client.list_event_source_mappings().event_source_arn(arn).into_paginator().items();
    pages.send().collect::<Result<_, _>>().await.map_err(trouble)
}

async fn functions(client: &Client) -> Result<Vec<FunctionConfiguration>, Trouble> {
    let pages = client.list_functions().into_paginator().items();
    pages.send().collect::<Result<_, _>>().await.map_err(trouble)
}

fn unlike_queue(source: &QueueSource, mapping: &Mapping) -> Vec<String> {
    let mut unlike = Vec::new();
    reports(source.reports_failures, mapping, &mut unlike);
    differs("batch size", source.batch_size, mapping.batch_size(), &mut unlike);
    if mapping.scaling_config().and_then(|it| it.maximum_concurrency()).is_none() {
        unlike.push("it has no maximum concurrency: it may take all there is".to_owned());
    }
    unlike
}

/// Where it reports what is given up.
fn destination(mapping: &Mapping) -> Option<&str> {
    mapping.destination_config()?.on_failure()?.destination()
}

fn unlike_stream(source: &StreamSource, faults: Option<&str>, mapping: &Mapping) -> Vec<String> {
    let mut unlike = Vec::new();
    reports(source.reports_failures, mapping, &mut unlike);
    differs("batch size", source.batch_size, mapping.batch_size(), &mut unlike);
    differs("parallelization factor", source.parallelization, mapping.parallelization_factor(), &mut unlike);
    if source.bisect && mapping.bisect_batch_on_function_error() != Some(true) {
        unlike.push("a batch that fails is not split: one bad record holds up all beside it".to_owned());
    }
    if let Some(seconds) = source.max_age {
        differs("maximum record age", seconds, mapping.maximum_record_age_in_seconds(), &mut unlike);
    }
    let told = destination(mapping).map(name_of_source).unwrap_or_default();
    if faults.is_some_and(|faults| !has_name_of(told, faults)) {
        unlike.push("what is given up is not reported to its faults queue".to_owned());
    }
    let patterns = mapping.filter_criteria().map(|it| it.filters()).unwrap_or_default();
    let patterns = patterns.iter().filter_map(|it| it.pattern());
    if !FilterCriteria::parse(patterns).is_ok_and(|found| found == source.filter) {
        unlike.push("it passes other records than the code reckons with".to_owned());
    }
    unlike
}

fn reports(wanted: bool, mapping: &Mapping, unlike: &mut Vec<String>) {
    let found = mapping.function_response_types().contains(&FunctionResponseType::ReportBatchItemFailures);
    if wanted && !found {
        unlike.push("it does not ask which records failed: what fails in part is taken for done".to_owned());
    }
}

fn differs<T>(what: &str, wanted: T, found: Option<i32>, unlike: &mut Vec<String>)
where
    T: TryInto<i64> + std::fmt::Display + Copy,
{
    let found = found.unwrap_or_default();
    if wanted.try_into().ok() != Some(i64::from(found)) {
        unlike.push(format!("its {what} is {found}, not {wanted}"));
    }
}
