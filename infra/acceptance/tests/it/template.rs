//! The template: what the code needs is what the template gives.

use std::collections::BTreeSet;
use std::path::Path;

use artisan_local::template::{ACCOUNT, Function, REGION, Template};
use yaml_serde::Value as Yaml;

fn template() -> Template {
    Template::read(&testkit::template()).unwrap()
}

/// The properties of the resources of a type, as they are written.
fn resources(kind: &str) -> Vec<(String, Yaml)> {
    let text = std::fs::read_to_string(testkit::template()).unwrap();
    let document: Yaml = yaml_serde::from_str(&text).unwrap();
    let all = document["Resources"].as_mapping().unwrap().iter();
    let of_kind = all.filter(|(_, resource)| resource["Type"].as_str() == Some(kind));
    of_kind
        .map(|(name, resource)| (name.as_str().unwrap().to_owned(), resource["Properties"].clone()))
        .collect()
}

fn yaml(text: &str) -> Yaml {
    yaml_serde::from_str(text).unwrap()
}

/// The variables a function's crate and the shared crates it is built from read.
fn read_by(function: &str) -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut folders = vec![root.join("functions").join(function).join("src")];
    // Of the console, one module knows the functions behind the API.
    folders.extend(Some(folders[0].join("api")).filter(|folder| function == "console" && folder.is_dir()));
    let manifest = std::fs::read_to_string(root.join("functions").join(function).join("Cargo.toml")).unwrap();
    for shared in ["edge", "jobs", "mailing", "store"] {
        if manifest.contains(&format!("\n{shared}.workspace")) {
            folders.push(root.join("shared").join(shared).join("src"));
        }
    }
    // Most functions that mail do so by the outbox; the queue is for those that name it.
    let mails_directly = sources(&folders[0]).any(|text| text.contains("MailQueue"));
    let mut names = BTreeSet::new();
    for folder in &folders {
        for text in sources(folder) {
            let words = text.split('"').skip(1).step_by(2);
            names.extend(words.filter(|word| is_variable(word)).map(str::to_owned));
        }
    }
    if !mails_directly {
        names.remove("MAIL_QUEUE_URL");
    }
    // Likewise of the two lanes of webhook jobs.
    for (lane, name) in [("FirstLane", "WEBHOOK_JOBS_QUEUE_URL"), ("SlowLane", "WEBHOOK_RETRIES_QUEUE_URL")] {
        let names_it = |text: String| text.contains(&format!("{lane}::from_services"));
        if !sources(&folders[0]).any(names_it) && function != "docs" {
            names.remove(name);
        }
    }
    // And of the queue of long jobs.
    if !sources(&folders[0]).any(|text| text.contains("LongJobs::from_services")) {
        names.remove("LONG_JOBS_QUEUE_URL");
    }
    names
}

fn sources(folder: &Path) -> impl Iterator<Item = String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap_or_default())
}

fn is_variable(word: &str) -> bool {
    ["_TABLE", "_URL", "_ID", "_SECONDS", "_LOOPBACK", "_FROM", "_BUCKET", "_RESOLVER", "_FUNCTION"]
        .iter()
        .any(|suffix| word.ends_with(suffix))
        && word.chars().all(|c| c.is_ascii_uppercase() || c == '_')
}

#[test]
fn every_function_is_given_the_variables_it_reads_and_no_others() {
    let template = template();
    // Has a default and is not to be set in AWS, where loopback is the Lambda runtime's.
    let never = "WEBHOOK_ALLOW_LOOPBACK";
    // A function names the tables it uses; the store takes those it is given.
    let optional = ["DIRECTORY_TABLE", "CORE_TABLE", "ACTIVITY_TABLE", "AUDIT_TABLE"];
    assert_eq!(template.functions.len(), 18);
    for function in &template.functions {
        let reads = read_by(&function.binary);
        let given: BTreeSet<String> =
            function.environment.keys().filter(|name| is_variable(name)).cloned().collect();
        assert!(!given.contains(never), "{}", function.binary);
        let unseen = function.environment.keys().filter(|name| !is_variable(name));
        let of_every_process = ["LOG_LEVEL", "METRICS_NAMESPACE", "SSL_CERT_FILE"];
        assert!(
            unseen.clone().all(|name| of_every_process.contains(&name.as_str())),
            "{:?}",
            unseen.collect::<Vec<_>>()
        );
        for name in &given {
            // Given ahead of the route that asks for a password reset.
            let ahead = function.binary == "auth" && name == "MAIL_QUEUE_URL";
            assert!(
                ahead || reads.contains(name),
                "{} is given {name}, which it does not read",
                function.binary
            );
        }
        // These build on the open part of the edge, which reads nothing.
        for name in reads.iter().filter(|name| *name != never && !optional.contains(&name.as_str())) {
            let open = ["console", "docs"].contains(&function.binary.as_str())
                && ["SESSION_SECRET_ID", "API_KEY_PEPPER_ID"].contains(&name.as_str());
            assert!(open || given.contains(name), "{} reads {name}, which it is not given", function.binary);
        }
    }
}

#[test]
fn queues_and_streams_are_wired_as_the_code_relies_on() {
    let text = std::fs::read_to_string(testkit::template()).unwrap();
    for prefix in [store::keys::EVENT_PREFIX, store::keys::MAIL_PREFIX, store::keys::AUDIT_PREFIX] {
        assert!(
            text.contains(&format!(r#"{{"prefix":"{prefix}"}}"#)),
            "the stream filter selects by {prefix}"
        );
    }
    assert_eq!(text.matches("ReportBatchItemFailures").count(), 6);
    assert!(!text.contains("WEBHOOK_ALLOW_LOOPBACK"));
    let template = template();
    for (jobs, faults, binary) in [
        ("WebhookJobsQueue", "WebhookFaultsQueue", "deliver"),
        ("WebhookRetriesQueue", "WebhookFaultsQueue", "deliver"),
        ("MailQueue", "MailFaultsQueue", "mail"),
        ("LongJobsQueue", "LongJobsFaultsQueue", "worker"),
    ] {
        let (jobs, faults) = (template.queue(jobs).unwrap(), template.queue(faults).unwrap());
        assert_eq!(
            jobs.redrive.as_ref().unwrap().target,
            faults.name,
            "our faults end in a queue of their own"
        );
        let timeout = template.function(binary).unwrap().timeout;
        assert_eq!(jobs.visibility_timeout, 6 * timeout, "as Lambda asks of a queue it polls");
    }
    let retries = &template.queue("WebhookRetriesQueue").unwrap().name;
    let sources = &template.function("deliver").unwrap().queues;
    let slow = sources.iter().find(|source| source.queue == *retries).unwrap();
    assert_eq!((slow.batch_size, slow.concurrency), (1, 100), "what hangs keeps nothing else waiting");
    let activity = template.table("ActivityTable").unwrap();
    assert!(activity.stream.is_some());
    let indexes: BTreeSet<&str> = activity.indexes.keys().map(String::as_str).collect();
    assert_eq!(
        indexes,
        BTreeSet::from([store::keys::BY_ATTENTION, store::keys::BY_REQUEST, store::keys::BY_STATE])
    );
}

#[test]
fn no_function_may_change_or_remove_anything_in_the_audit_table() {
    let policies = resources("AWS::IAM::ManagedPolicy");
    let (_, policy) = policies.iter().find(|(name, _)| name == "AppendOnlyAuditPolicy").unwrap();
    let statements = policy["PolicyDocument"]["Statement"].as_sequence().unwrap();
    let [statement] = statements.as_slice() else { panic!("{statements:?}") };
    assert_eq!(statement["Effect"].as_str(), Some("Deny"));
    assert_eq!(statement["Resource"], yaml("!GetAtt AuditTable.Arn"));
    assert!(statement.get("Condition").is_none(), "under all conditions");
    let denied = statement["Action"].as_sequence().unwrap();
    let denied: BTreeSet<&str> = denied.iter().map(|action| action.as_str().unwrap()).collect();
    for action in [
        "BatchWriteItem",
        "DeleteItem",
        "DeleteTable",
        "PartiQLDelete",
        "PartiQLInsert",
        "PartiQLUpdate",
        "UpdateItem",
        "UpdateTable",
        "UpdateTimeToLive",
    ] {
        assert!(denied.contains(format!("dynamodb:{action}").as_str()), "{action} is not denied");
    }

    let mut roles = resources("AWS::IAM::Role");
    let attached = yaml("!Ref AppendOnlyAuditPolicy");
    let lambda = yaml("{ Service: lambda.amazonaws.com }");
    roles.retain(|(_, role)| role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == lambda);
    for (name, role) in &roles {
        let policies = role["ManagedPolicyArns"].as_sequence();
        assert!(policies.is_some_and(|policies| policies.contains(&attached)), "{name} is not bound by it");
    }
    // And there is no function but under one of these, of its own.
    let functions = resources("AWS::Serverless::Function");
    assert_eq!(functions.len(), roles.len());
    for (role, _) in &roles {
        let its = yaml(&format!("!GetAtt {role}.Arn"));
        let under_it = functions.iter().filter(|(_, function)| function["Role"] == its).count();
        assert_eq!(under_it, 1, "functions under {role}");
    }
}

/// What Lambda does with a function's role by itself: polls what calls it, and reports what it gives up.
fn of_lambda(function: &Function, template: &Template) -> BTreeSet<(&'static str, String)> {
    let mut does = BTreeSet::new();
    for source in &function.queues {
        let queue = template.queues.iter().find(|queue| queue.name == source.queue).unwrap();
        let polls = [
            "sqs:ReceiveMessage",
            "sqs:DeleteMessage",
            "sqs:ChangeMessageVisibility",
            "sqs:GetQueueAttributes",
        ];
        does.extend(polls.map(|action| (action, queue.arn.clone())));
    }
    for source in &function.streams {
        let table = format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{}", source.table);
        let reads = ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"];
        does.extend(reads.map(|action| (action, format!("{table}/stream/local"))));
        does.insert(("dynamodb:ListStreams", format!("{table}/stream/*")));
        let reported = template.queues.iter().filter(|queue| Some(&queue.name) == source.on_failure.as_ref());
        does.extend(reported.map(|queue| ("sqs:SendMessage", queue.arn.clone())));
    }
    does
}

/// What functions are seen to do by their policies in all of the tests here: a policy that is made wider, or is no longer
/// needed as it is, fails. `GRANTS_SEEN=seen cargo test -p acceptance; sort seen > …/it/grants.txt` writes
/// it anew. The tests themselves see to it that nothing is done that a policy does not allow.
const GRANTS: &str = include_str!("grants.txt");

/// Granted, needed, and not seen here.
const UNSEEN: [(&str, &str, &str); 3] = [
    // Pages that call with no credential, or with one that nobody knows.
    ("CallerPolicy", "FindOrigin", "dynamodb:Query"),
    // SES asks for the configuration set itself.
    ("mail", "SendMail", "ses:SendEmail"),
    // A link is worth what its signer may, and is followed by whoever has it.
    ("audit-logs", "LinkToExports", "s3:GetObject"),
];

#[test]
fn every_permission_is_needed() {
    let template = template();
    let seen: BTreeSet<String> = GRANTS.lines().map(str::to_owned).collect();
    let mut granted = BTreeSet::new();
    for function in &template.functions {
        let by_itself = of_lambda(function, &template);
        for statement in function.role.as_ref().unwrap().iter().filter(|it| it.allows) {
            // Logs and traces are written by Lambda and the tracing daemon.
            if statement.policy == "ObservabilityPolicy" {
                continue;
            }
            for (action, resource) in statement
                .actions
                .iter()
                .flat_map(|action| statement.resources.iter().map(move |it| (action, it)))
            {
                let (policy, sid) = (statement.policy.as_str(), statement.sid.as_str());
                let line = format!("{policy} {sid} {action} {resource}");
                // Of an index nothing is read but by queries and scans.
                let is_void = resource.contains("/index/") && action == "dynamodb:BatchGetItem";
                let is_needed = is_void
                    || seen.contains(&line)
                    || by_itself.iter().any(|(does, to)| does == action && to == resource)
                    || UNSEEN.contains(&(policy, sid, action.as_str()));
                assert!(is_needed, "nothing here is seen to need what is granted: {line}");
                granted.insert(line);
            }
        }
    }
    let stale: Vec<_> = seen.difference(&granted).collect();
    assert!(stale.is_empty(), "no longer granted: {stale:#?}");
}
