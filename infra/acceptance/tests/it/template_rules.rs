//! The template keeps the rules that hold for every resource of a kind, those that will be added too.

use std::collections::{BTreeMap, BTreeSet};

use artisan_local::template::{Condition, Function, Statement, Template};
use yaml_serde::Value as Yaml;

fn text() -> String {
    std::fs::read_to_string(testkit::template()).unwrap()
}

fn template() -> Template {
    Template::read(&testkit::template()).unwrap()
}

fn yaml(text: &str) -> Yaml {
    yaml_serde::from_str(text).unwrap()
}

/// The resources of a type as they are written, by name.
fn resources(kind: &str) -> BTreeMap<String, Yaml> {
    let document = yaml(&text());
    let all = document["Resources"].as_mapping().unwrap().iter();
    all.filter(|(_, resource)| resource["Type"].as_str() == Some(kind))
        .map(|(name, resource)| (name.as_str().unwrap().to_owned(), resource.clone()))
        .collect()
}

/// What stands at a path of property names; null where nothing does.
fn at<'a>(resource: &'a Yaml, path: &str) -> &'a Yaml {
    const NOTHING: &Yaml = &Yaml::Null;
    path.split('.').fold(resource, |value, name| value.get(name).unwrap_or(NOTHING))
}

/// What every resource of a type has to have: the type, the path, and what stands there; `*` is anything.
const RULES: [(&str, &str, &str); 27] = [
    ("AWS::DynamoDB::Table", "DeletionPolicy", "Retain"),
    ("AWS::DynamoDB::Table", "UpdateReplacePolicy", "Retain"),
    ("AWS::DynamoDB::Table", "Properties.BillingMode", "PAY_PER_REQUEST"),
    ("AWS::DynamoDB::Table", "Properties.DeletionProtectionEnabled", "true"),
    (
        "AWS::DynamoDB::Table",
        "Properties.PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled",
        "true",
    ),
    ("AWS::DynamoDB::Table", "Properties.SSESpecification.SSEEnabled", "true"),
    ("AWS::SQS::Queue", "Properties.SqsManagedSseEnabled", "true"),
    ("AWS::SQS::Queue", "Properties.MessageRetentionPeriod", "1209600"),
    ("AWS::S3::Bucket", "Properties.BucketEncryption.ServerSideEncryptionConfiguration", "*"),
    ("AWS::S3::Bucket", "Properties.PublicAccessBlockConfiguration.BlockPublicAcls", "true"),
    ("AWS::S3::Bucket", "Properties.PublicAccessBlockConfiguration.BlockPublicPolicy", "true"),
    ("AWS::S3::Bucket", "Properties.PublicAccessBlockConfiguration.IgnorePublicAcls", "true"),
    ("AWS::S3::Bucket", "Properties.PublicAccessBlockConfiguration.RestrictPublicBuckets", "true"),
    ("AWS::S3::Bucket", "Properties.LifecycleConfiguration.Rules", "*"),
    ("AWS::SecretsManager::Secret", "DeletionPolicy", "Retain"),
    ("AWS::SecretsManager::Secret", "UpdateReplacePolicy", "Retain"),
    ("AWS::Logs::LogGroup", "Properties.RetentionInDays", "!Ref LogRetentionDays"),
    ("AWS::CloudWatch::Alarm", "Properties.TreatMissingData", "*"),
    ("AWS::CloudWatch::Alarm", "Properties.AlarmDescription", "*"),
    (
        "AWS::CloudWatch::Alarm",
        "Properties.AlarmActions",
        "!If [HasAlarmTopic, [!Ref AlarmTopicArn], !Ref AWS::NoValue]",
    ),
    // Whoever was called out is told that it is over.
    (
        "AWS::CloudWatch::Alarm",
        "Properties.OKActions",
        "!If [HasAlarmTopic, [!Ref AlarmTopicArn], !Ref AWS::NoValue]",
    ),
    ("AWS::Serverless::HttpApi", "Properties.AccessLogSettings.DestinationArn", "*"),
    ("AWS::Serverless::HttpApi", "Properties.DefaultRouteSettings.ThrottlingBurstLimit", "*"),
    ("AWS::Serverless::HttpApi", "Properties.DefaultRouteSettings.ThrottlingRateLimit", "*"),
    ("AWS::Serverless::Function", "Properties.Role", "*"),
    ("AWS::Serverless::Function", "Properties.Description", "*"),
    // Without it a changed parameter would never reach the alias.
    ("AWS::Serverless::Function", "Properties.AutoPublishCodeSha256", "!Ref Release"),
];

#[test]
fn every_resource_has_what_its_kind_has_to_have() {
    for (kind, path, expected) in RULES {
        let all = resources(kind);
        assert!(!all.is_empty(), "there is no {kind}");
        for (name, resource) in all {
            let value = at(&resource, path);
            let holds = if expected == "*" { !value.is_null() } else { *value == yaml(expected) };
            assert!(holds, "{name}.{path} is {value:?}, not {expected}");
        }
    }
}

/// Tables that forget nothing by themselves.
const LASTING: [&str; 1] = ["CoreTable"];

#[test]
fn every_other_table_forgets_by_itself() {
    for table in &template().tables {
        assert_eq!(
            table.time_to_live.is_none(),
            LASTING.contains(&table.logical_id.as_str()),
            "{}",
            table.logical_id
        );
    }
}

/// The consumers of each queue, by the queue's name.
fn consumers(template: &Template) -> BTreeMap<String, Vec<&Function>> {
    let mut consumers: BTreeMap<String, Vec<&Function>> = BTreeMap::new();
    for function in &template.functions {
        for source in &function.queues {
            consumers.entry(source.queue.clone()).or_default().push(function);
        }
    }
    consumers
}

#[test]
fn every_queue_is_consumed_with_redrive_or_is_a_queue_of_faults_and_alarmed() {
    let template = template();
    let consumers = consumers(&template);
    let alarmed = |metric: &str, queue: &str| {
        resources("AWS::CloudWatch::Alarm").values().any(|alarm| {
            let properties = &alarm["Properties"];
            properties["MetricName"] == *metric
                && properties["Dimensions"][0]["Value"] == yaml(&format!("!GetAtt {queue}.QueueName"))
        })
    };
    let faults: BTreeSet<&str> = template
        .queues
        .iter()
        .filter_map(|queue| queue.redrive.as_ref())
        .map(|it| it.target.as_str())
        .collect();
    let given_up: BTreeSet<&str> = template
        .functions
        .iter()
        .flat_map(|it| &it.streams)
        .filter_map(|it| it.on_failure.as_deref())
        .collect();
    for queue in &template.queues {
        let id = queue.logical_id.as_str();
        let Some(consumers) = consumers.get(&queue.name) else {
            let is_target = faults.contains(queue.name.as_str()) || given_up.contains(queue.name.as_str());
            assert!(is_target, "{id}: nothing consumes it, and nothing ends there");
            assert!(
                alarmed("ApproximateNumberOfMessagesVisible", id),
                "{id}: no alarm says that something is in it"
            );
            continue;
        };
        assert!(queue.redrive.is_some(), "{id} has no faults queue");
        assert!(alarmed("ApproximateAgeOfOldestMessage", id), "{id}: no alarm says that something waits");
        for function in consumers {
            let least = 6 * function.timeout;
            assert!(queue.visibility_timeout >= least, "{id} is visible again before {least} s");
        }
    }
}

#[test]
fn every_event_source_reports_failures_and_is_bounded() {
    let template = template();
    for function in &template.functions {
        let binary = &function.binary;
        for source in &function.streams {
            let id = &source.id;
            assert!(source.reports_failures, "{binary} {id} does not report which records failed");
            assert!(source.bisect, "{binary} {id} does not halve batches that fail");
            assert!(source.on_failure.is_some(), "{binary} {id} has no destination for what is given up");
            assert!(source.max_age.is_some_and(|age| age < 24 * 3600), "{binary} {id} loses records unseen");
        }
    }
    for (name, function) in resources("AWS::Serverless::Function") {
        for (id, event) in function["Properties"]["Events"].as_mapping().into_iter().flatten() {
            if event["Type"] == *"SQS" {
                let properties = &event["Properties"];
                assert!(
                    !at(properties, "ScalingConfig.MaximumConcurrency").is_null(),
                    "{name} {id:?} is not bounded"
                );
                assert_eq!(
                    properties["FunctionResponseTypes"],
                    yaml("[ReportBatchItemFailures]"),
                    "{name} {id:?}"
                );
            }
        }
    }
}

#[test]
fn every_alarm_has_a_runbook_and_every_runbook_an_alarm() {
    let path = testkit::template().with_file_name("docs/operations.md");
    let operations = std::fs::read_to_string(path).unwrap();
    let rows = operations.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("Alarm` | "));
    let runbooks: BTreeMap<String, usize> =
        rows.map(|(name, rest)| (format!("{name}Alarm"), rest.split(" | ").count())).collect();
    for (name, columns) in &runbooks {
        assert_eq!(*columns, 3, "{name}: when it fires, where to look, what to do");
    }
    let alarms: Vec<String> = resources("AWS::CloudWatch::Alarm").into_keys().collect();
    assert_eq!(runbooks.into_keys().collect::<Vec<_>>(), alarms);
}

/// Permissions on more than resources that are named: the policy, its statement, the resource as it is written, and why.
const WILDCARDS: [(&str, &str, &str, &str); 12] = [
    ("TracePolicy", "WriteTrace", "*", "X-Ray knows no resources"),
    (
        "audit-logs",
        "ReadRecords",
        "${AuditTable.Arn}/index/*",
        "every index of the one table is for searches",
    ),
    ("audit-logs", "LinkToExports", "${ExportsBucket.Arn}/*", "exports are objects of this bucket"),
    ("seal", "FindStream", "${AuditTable.Arn}/stream/*", "listing is granted on a table's streams"),
    ("seal", "Archive", "${ArchiveBucket.Arn}/*", "what is archived is an object of this bucket"),
    ("fanout", "FindStream", "${ActivityTable.Arn}/stream/*", "listing is granted on a table's streams"),
    (
        "mail",
        "SendMail",
        "arn:${AWS::Partition}:ses:${AWS::Region}:${AWS::AccountId}:identity/*",
        "the address is an identity, or its domain is; a condition says that it is this address",
    ),
    (
        "mail",
        "SendMail",
        "arn:${AWS::Partition}:ses:${AWS::Region}:${AWS::AccountId}:configuration-set/*",
        "the identity's default, whichever that is",
    ),
    ("worker", "ReadAuditLog", "${AuditTable.Arn}/index/*", "every index of the one table is for searches"),
    ("worker", "WriteExports", "${ExportsBucket.Arn}/*", "exports are objects of this bucket"),
    (
        "pre-traffic",
        "Answer",
        "arn:${AWS::Partition}:codedeploy:${AWS::Region}:${AWS::AccountId}:deploymentgroup:${ServerlessDeploymentApplication}/*",
        "every deployment group of this stack asks",
    ),
    (
        "traffic-shift",
        "WatchAlarms",
        "arn:${AWS::Partition}:cloudwatch:${AWS::Region}:${AWS::AccountId}:alarm:*",
        "CodeDeploy describes the alarms of a group in one call",
    ),
];

/// Every statement of every policy: which policy it stands in, and itself.
fn statements() -> Vec<(String, Yaml)> {
    let mut documents = Vec::new();
    for (name, policy) in resources("AWS::IAM::ManagedPolicy") {
        documents.push((name, policy["Properties"]["PolicyDocument"].clone()));
    }
    for role in resources("AWS::IAM::Role").values() {
        for policy in role["Properties"]["Policies"].as_sequence().into_iter().flatten() {
            documents
                .push((policy["PolicyName"].as_str().unwrap().to_owned(), policy["PolicyDocument"].clone()));
        }
    }
    let statements = documents.into_iter().flat_map(|(name, document)| {
        let statements = document["Statement"].as_sequence().unwrap().clone();
        statements.into_iter().map(move |statement| (name.clone(), statement))
    });
    statements.collect()
}

/// A list, or the one thing that stands in its place.
fn each(value: &Yaml) -> Vec<Yaml> {
    value.as_sequence().cloned().unwrap_or_else(|| vec![value.clone()])
}

#[test]
fn no_permission_is_on_more_than_named_resources_but_for_a_reason() {
    let mut found = BTreeSet::new();
    for (policy, statement) in statements() {
        for action in each(&statement["Action"]) {
            assert!(!action.as_str().unwrap().contains('*'), "{policy}: {action:?}");
        }
        for resource in each(&statement["Resource"]) {
            let written = match &resource {
                Yaml::Tagged(tagged) if tagged.tag == "Sub" => tagged.value.as_str().unwrap(),
                Yaml::Tagged(_) => continue,
                plain => plain.as_str().unwrap(),
            };
            if written.contains('*') {
                found.insert((
                    policy.clone(),
                    statement["Sid"].as_str().unwrap().to_owned(),
                    written.to_owned(),
                ));
            }
        }
    }
    let listed = WILDCARDS.iter().map(|(policy, sid, resource, reason)| {
        assert!(reason.len() > 10);
        ((*policy).to_owned(), (*sid).to_owned(), (*resource).to_owned())
    });
    assert_eq!(found, listed.collect());
}

/// Where keys are fenced, a request without any must be refused: `ForAllValues` is true of no values at all.
#[test]
fn every_fence_of_keys_has_its_guard() {
    let mut fences = 0;
    for (policy, statement) in statements() {
        let fenced = statement["Condition"].as_mapping().into_iter().flatten().any(|(operator, keys)| {
            operator.as_str().unwrap().starts_with("ForAllValues:")
                && keys.get("dynamodb:LeadingKeys").is_some()
        });
        if fenced {
            fences += 1;
            let guard = &statement["Condition"]["Null"]["dynamodb:LeadingKeys"];
            assert_eq!(guard.as_str(), Some("false"), "{policy} {:?}", statement["Sid"]);
        }
    }
    assert!(fences > 20);
}

#[test]
fn the_sender_reads_endpoints_and_nothing_else_of_directory_and_core() {
    let template = template();
    let name = |id: &str| template.table(id).unwrap().name.clone();
    let reads = ["dynamodb:GetItem", "dynamodb:BatchGetItem"];
    for statement in
        template.function("deliver").unwrap().role.as_ref().unwrap().iter().filter(|it| it.allows)
    {
        let is_on = |table: &str| {
            statement.resources.iter().any(|it| it.ends_with(&format!("table/{}", name(table))))
        };
        assert!(!is_on("DirectoryTable"), "{}", statement.sid);
        assert!(!is_on("AuditTable"), "{}", statement.sid);
        assert!(!is_on("CoreTable") || statement.actions == reads, "{}", statement.sid);
        assert!(!is_on("CoreTable") || fence(statement) == [OWN, PROBE], "{}", statement.sid);
    }
}

/// The partition of an organization's own items, and of nothing that lies in its workspaces; and what opens a connection.
const OWN: &str = "ORG#org_??????????????????????????";
const PROBE: &str = "SES#*";

/// The partitions that a statement is confined to; none where it is to all.
fn fence(statement: &Statement) -> &[String] {
    let of_keys = statement.conditions.iter().find_map(|condition| match condition {
        Condition::All { key, values } if key == "dynamodb:LeadingKeys" => Some(values.as_slice()),
        _ => None,
    });
    of_keys.unwrap_or_default()
}

/// Statements on all of `core` or `activity`: whose, and what for.
const UNFENCED: [(&str, &str, &str); 7] = [
    ("organizations", "ReadHistory", "an export has all that happened"),
    ("worker", "ReadTenants", "an export of a person looks wherever somebody may be named"),
    ("worker", "ReadScrubAndErase", "so does an erasure, in what happened"),
    ("sweep", "FindOldItems", "formats are brought up wherever they are old"),
    ("sweep", "EraseAndCheck", "an organization is erased whole"),
    ("sweep", "EraseOneByOne", "likewise"),
    ("sweep", "ReadEndpoints", "with how they do"),
];

#[test]
fn grants_on_tenants_items_are_fenced() {
    let id = ids::Id::<ids::kind::Organization>::derived(clock::utc(2026, 11, 27, 3, 0), [0; 16]).to_string();
    assert_eq!(format!("ORG#{id}").len(), OWN.len(), "an id is as long as the pattern reckons");
    let template = template();
    let arns: Vec<String> = ["CoreTable", "ActivityTable"]
        .into_iter()
        .map(|id| format!("table/{}", template.table(id).unwrap().name))
        .collect();
    let mut unfenced = BTreeSet::new();
    for function in &template.functions {
        for statement in function.role.iter().flatten().filter(|it| it.allows) {
            let on_items = statement.resources.iter().any(|it| arns.iter().any(|arn| it.ends_with(arn)));
            if on_items && fence(statement).is_empty() {
                unfenced.insert((statement.policy.clone(), statement.sid.clone()));
            }
            let all = fence(statement).iter().find(|pattern| ["*", "ORG#*"].contains(&pattern.as_str()));
            assert_eq!(all, None, "{} {}", statement.policy, statement.sid);
        }
    }
    let listed = UNFENCED.iter().map(|(policy, sid, _)| ((*policy).to_owned(), (*sid).to_owned()));
    assert_eq!(unfenced, listed.collect());
}

/// Lambda tells the age of records only of those that it reads: where nobody reads, nothing is late.
#[test]
fn every_stream_has_an_alarm_for_when_nobody_reads_it() {
    let alarms = resources("AWS::CloudWatch::Alarm");
    for function in template().functions.iter().filter(|it| !it.streams.is_empty()) {
        let its = yaml(&format!("[{{ Name: FunctionName, Value: !Ref {} }}]", function.logical_id));
        let notices = alarms.values().any(|alarm| {
            let mut metrics = each(&alarm["Properties"]["Metrics"]).into_iter();
            metrics.any(|it| {
                at(&it, "MetricStat.Metric.MetricName") == "Invocations"
                    && *at(&it, "MetricStat.Metric.Dimensions") == its
            })
        });
        assert!(notices, "{}", function.binary);
    }
}

/// A function that is left out here is not checked before it is given traffic, or cannot be.
#[test]
fn every_function_is_checked_before_traffic_and_its_alias_can_be_moved() {
    let functions = resources("AWS::Serverless::Function");
    let roles = resources("AWS::IAM::Role");
    let pre_traffic = &functions["PreTrafficFunction"]["Properties"];
    let checked = functions.keys().filter(|name| *name != "PreTrafficFunction");
    let versions: Vec<Yaml> = checked.clone().map(|name| yaml(&format!("!Ref {name}.Version"))).collect();
    let aliases: Vec<Yaml> = checked
        .flat_map(|name| [yaml(&format!("!GetAtt {name}.Arn")), yaml(&format!("!Sub ${{{name}.Arn}}:live"))])
        .collect();
    let Yaml::Tagged(join) = &pre_traffic["Environment"]["Variables"]["VERSIONS"] else { panic!("no !Join") };
    let of_role = |role: &str, statement: usize| {
        let statements = &roles[role]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"];
        each(&statements[statement]["Resource"])
    };
    let same = |mut left: Vec<Yaml>, right: &[Yaml]| {
        let sorted =
            |values: &mut Vec<Yaml>| values.sort_by_key(|value| yaml_serde::to_string(value).unwrap());
        let mut right = right.to_vec();
        sorted(&mut left);
        sorted(&mut right);
        assert_eq!(left, right);
    };
    same(each(&join.value[1]), &versions);
    same(of_role("PreTrafficRole", 0), &versions);
    same(of_role("TrafficShiftRole", 2), &aliases);
    // And traces, where they are written, by all of them.
    let traced = each(&resources("AWS::IAM::ManagedPolicy")["TracePolicy"]["Properties"]["Roles"]);
    let theirs: Vec<Yaml> = functions
        .iter()
        .filter(|(name, _)| *name != "PreTrafficFunction")
        .map(|(name, _)| yaml(&format!("!Ref {}Role", name.trim_end_matches("Function"))))
        .collect();
    same(traced, &theirs);
}

/// The names of all metrics that functions publish, as the code has them.
fn published_metrics() -> BTreeSet<String> {
    fn sources(folder: &std::path::Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                sources(&entry, found);
            } else if entry.extension().is_some_and(|kind| kind == "rs")
                && !entry.ends_with("telemetry/src/metrics.rs")
            {
                found.push(std::fs::read_to_string(&entry).unwrap());
            }
        }
    }
    let mut texts = Vec::new();
    for folder in ["functions", "shared"] {
        sources(&testkit::template().with_file_name(folder), &mut texts);
    }
    let published = texts.iter().filter(|text| text.contains("metrics::Metrics")).flat_map(|text| {
        [".count(\"", ".milliseconds(\"", ".seconds(\""].into_iter().flat_map(move |call| {
            text.split(call).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned())
        })
    });
    published.collect()
}

#[test]
fn every_metric_is_on_the_dashboard_and_explained() {
    let dashboards = resources("AWS::CloudWatch::Dashboard");
    let body = &dashboards["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"];
    let body = body.as_str().unwrap();
    // What CloudFormation puts in is text without quotes, so the rest must be JSON.
    let parsed: serde_json::Value = serde_json::from_str(body).unwrap();
    assert!(parsed["widgets"].as_array().unwrap().len() > 8);
    let operations =
        std::fs::read_to_string(testkit::template().with_file_name("docs/operations.md")).unwrap();
    let metrics = published_metrics();
    assert!(metrics.len() > 10, "{metrics:?}");
    for metric in metrics {
        assert!(
            body.contains(&format!("\"{metric}\"")) || body.contains(&format!("\\\"{metric}\\\"")),
            "{metric}"
        );
        assert!(operations.contains(&format!("`{metric}`")), "{metric} is not explained");
    }
}
