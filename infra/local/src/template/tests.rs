use super::*;

const SMALL: &str = r#"
Parameters:
  Retry: { Type: Number, Default: 60 }
  Topic: { Type: String, Default: "" }
Conditions:
  HasTopic: !Not [!Equals [!Ref Topic, ""]]
Globals:
  Function:
    Timeout: 15
    AutoPublishAlias: live
    Environment:
      Variables:
        LOG_LEVEL: info
        SHARED: global
Resources:
  Core:
    Type: AWS::DynamoDB::Table
    Properties:
      AttributeDefinitions:
        - { AttributeName: pk, AttributeType: S }
        - { AttributeName: sk, AttributeType: S }
        - { AttributeName: due, AttributeType: N }
      KeySchema:
        - { AttributeName: pk, KeyType: HASH }
        - { AttributeName: sk, KeyType: RANGE }
      GlobalSecondaryIndexes:
        - IndexName: by-due
          KeySchema: [{ AttributeName: due, KeyType: HASH }]
          Projection: { ProjectionType: INCLUDE, NonKeyAttributes: [b, a] }
      StreamSpecification: { StreamViewType: NEW_IMAGE }
      TimeToLiveSpecification: { AttributeName: expires_at, Enabled: true }
  Jobs:
    Type: AWS::SQS::Queue
    Properties:
      VisibilityTimeout: 90
      RedrivePolicy: { deadLetterTargetArn: !GetAtt Faults.Arn, maxReceiveCount: 5 }
  Faults:
    Type: AWS::SQS::Queue
  Archive:
    Type: AWS::S3::Bucket
    Properties: { ObjectLockEnabled: true }
  Exports:
    Type: AWS::S3::Bucket
  Master:
    Type: AWS::SecretsManager::Secret
    Properties: { GenerateSecretString: { PasswordLength: 64, ExcludePunctuation: true } }
  Absent:
    Type: AWS::SQS::Queue
    Condition: HasTopic
  Alarm:
    Type: AWS::CloudWatch::Alarm
    Properties: { AlarmActions: !If [HasTopic, [!Ref Topic], !Ref AWS::NoValue], Odd: !Transform { Name: x } }
  Api:
    Type: AWS::Serverless::HttpApi
  Function:
    Type: AWS::Serverless::Function
    Metadata: { BuildMethod: rust-cargolambda, BuildProperties: { Binary: one } }
    Properties:
      Timeout: 60
      Environment:
        Variables:
          SHARED: own
          TABLE: !Ref Core
          ALIAS: !Ref Function.Alias
          QUEUE_URL: !Ref Jobs
          BUCKET: !Ref Archive
          BUCKET_ARN: !GetAtt Archive.Arn
          SECRET_ID: !GetAtt Master.Id
          RETRY: !Ref Retry
          ARN: !Sub "${Core.Arn}/index/*"
          JOINED: !Join ["-", [a, !Ref AWS::Region]]
          LITERAL: !Sub ["${A}${!B}", { A: x }]
          CHOSEN: !If [HasTopic, yes, no]
      Events:
        Get: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: get, Path: "/v1/things/{id}" } }
        Any: { Type: HttpApi, Properties: { Method: ANY, Path: $default } }
        Jobs:
          Type: SQS
          Properties:
            Queue: !GetAtt Jobs.Arn
            BatchSize: 5
            FunctionResponseTypes: [ReportBatchItemFailures]
            ScalingConfig: { MaximumConcurrency: 7 }
        Stream:
          Type: DynamoDB
          Properties:
            Stream: !GetAtt Core.StreamArn
            StartingPosition: TRIM_HORIZON
            MaximumRetryAttempts: 3
            BisectBatchOnFunctionError: true
            FilterCriteria: { Filters: [{ Pattern: '{"eventName":["INSERT"]}' }] }
            DestinationConfig: { OnFailure: { Type: SQS, Destination: !GetAtt Faults.Arn } }
        Nightly: { Type: Schedule, Properties: { Schedule: rate(1 day) } }
        Hourly: { Type: ScheduleV2, Properties: { ScheduleExpression: rate(3 hours), State: ENABLED } }
        Never: { Type: ScheduleV2, Properties: { ScheduleExpression: rate(5 minutes), State: DISABLED } }
        NoLonger: { Type: Schedule, Properties: { Schedule: rate(5 minutes), Enabled: false } }
"#;

#[test]
fn everything_the_platform_builds_is_read() {
    let template = Template::parse(SMALL).unwrap();
    let table = template.table("Core").unwrap();
    assert_eq!(table.name, "artisan-local-Core");
    assert_eq!(table.key, Key { partition: "pk".to_owned(), sort: Some("sk".to_owned()) });
    assert_eq!(table.attributes["due"], "N");
    assert_eq!(table.indexes["by-due"].included, ["a", "b"]);
    assert_eq!(table.stream.as_deref(), Some("NEW_IMAGE"));
    assert_eq!(table.time_to_live.as_deref(), Some("expires_at"));

    let queue = template.queue("Jobs").unwrap();
    assert_eq!((queue.visibility_timeout, queue.delay, queue.retention), (90, 0, 345_600));
    let redrive = Redrive { target: "artisan-local-Faults".to_owned(), max_receive_count: 5 };
    assert_eq!(queue.redrive, Some(redrive));
    assert!(template.queue("Absent").is_none(), "its condition does not hold");
    let bucket = template.bucket("Archive").unwrap();
    assert_eq!((bucket.name.as_str(), bucket.object_lock), ("artisan-local-archive", true));
    assert!(!template.bucket("Exports").unwrap().object_lock);
    assert_eq!(template.secrets[0].value, SecretValue::Generated(64));
}

#[test]
fn functions_have_their_environment_and_their_triggers() {
    let template = Template::parse(SMALL).unwrap();
    let function = template.function("one").unwrap();
    let expected = [
        ("ALIAS", "arn:aws:lambda:eu-central-1:000000000000:function:artisan-local-Function:live"),
        ("ARN", "arn:aws:dynamodb:eu-central-1:000000000000:table/artisan-local-Core/index/*"),
        ("BUCKET", "artisan-local-archive"),
        ("BUCKET_ARN", "arn:aws:s3:::artisan-local-archive"),
        ("CHOSEN", "no"),
        ("JOINED", "a-eu-central-1"),
        ("LITERAL", "x${B}"),
        ("LOG_LEVEL", "info"),
        ("QUEUE_URL", "http://sqs.eu-central-1.localhost/000000000000/artisan-local-Jobs"),
        ("RETRY", "60"),
        ("SECRET_ID", "artisan-local-Master"),
        ("SHARED", "own"),
        ("TABLE", "artisan-local-Core"),
    ];
    let actual: Vec<(&str, &str)> =
        function.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(actual, expected);
    assert_eq!(function.timeout, 60);
    assert_eq!((function.name.as_str(), function.alias.as_deref()), ("artisan-local-Function", Some("live")));
    let route = |method: Option<&str>, path: Option<&str>| Route {
        method: method.map(str::to_owned),
        path: path.map(str::to_owned),
    };
    assert!(function.routes.contains(&route(Some("GET"), Some("/v1/things/{id}"))));
    assert!(function.routes.contains(&route(None, None)));
    let source = &function.queues[0];
    assert_eq!((source.queue.as_str(), source.batch_size, source.concurrency), ("artisan-local-Jobs", 5, 7));
    assert!(source.reports_failures && source.window == 0);
    let source = &function.streams[0];
    assert_eq!((source.batch_size, source.parallelization, source.max_retries), (100, 1, Some(3)));
    assert!(source.from_start && source.bisect && !source.reports_failures && source.max_age.is_none());
    assert_eq!(source.on_failure.as_deref(), Some("artisan-local-Faults"));
    let schedules: Vec<_> =
        function.schedules.iter().map(|it| (it.id.as_str(), it.every.as_secs())).collect();
    assert_eq!(schedules, [("Hourly", 3 * 3600), ("Nightly", 24 * 3600)]);
    assert!(!source.filter.matches(&serde_json::json!({"eventName": "REMOVE"})));
}

/// What is said when `from` in the template above is replaced with `to`.
fn complaint(from: &str, to: &str) -> String {
    assert!(SMALL.contains(from), "{from}");
    Template::parse(&SMALL.replacen(from, to, 1)).unwrap_err().to_string()
}

#[test]
fn what_cannot_be_read_is_named_in_one_line() {
    for (from, to, expected) in [
        ("Binary: one", "Other: one", "Function.Metadata.BuildProperties.Binary is missing"),
        ("!Ref Core", "!Ref Cores", "Function.Properties.Environment.Variables.TABLE refers to Cores"),
        (
            "!Ref Function.Alias",
            "!Ref Core.Alias",
            "ALIAS refers to an alias of Core, which is not a function",
        ),
        ("AutoPublishAlias: live", "MemorySize: 256", "refers to an alias of Function, which has none"),
        ("VisibilityTimeout: 90", "VisibilityTimeout: long", "Jobs.Properties.VisibilityTimeout is long"),
        ("{ AttributeName: pk, KeyType: HASH }", "{ AttributeName: pk, KeyType: MAIN }", "KeyType is MAIN"),
        ("BatchSize: 5", "BatchSize: 0", "BatchSize is 0"),
        ("!GetAtt Jobs.Arn", "!GetAtt Master.Id", "Queue is not the ARN of a queue"),
        ("!GetAtt Core.StreamArn", "!GetAtt Core.Arn", "Stream is not the stream of a table"),
        (r#"{"eventName":["INSERT"]}"#, r#"{"eventName":"INSERT"}"#, "Filters.0.Pattern must give a list"),
        ("Default: 60", "MinValue: 1", "parameter Retry, which has no Default"),
        ("StartingPosition: TRIM_HORIZON", "StartingPosition: NEWEST", "StartingPosition is NEWEST"),
        ("!Join [\"-\", [a, !Ref AWS::Region]]", "!ImportValue x", "uses Fn::ImportValue"),
        ("rate(1 day)", "cron(0 12 * * ? *)", "Nightly.Properties.Schedule is cron(0 12 * * ? *)"),
        ("rate(3 hours)", "rate(1 hours)", "Hourly.Properties.ScheduleExpression is rate(1 hours)"),
        ("rate(3 hours)", "rate(0 hours)", "ScheduleExpression is rate(0 hours)"),
        ("ObjectLockEnabled: true", "BucketName: mine", "Archive.Properties.BucketName is given"),
        ("Path: \"/v1/things/{id}\"", "Path: v1", "Path does not begin with a slash"),
    ] {
        let complaint = complaint(from, to);
        assert!(complaint.contains(expected), "{to}: {complaint}");
        assert!(!complaint.contains('\n'), "{complaint}");
    }
}

#[test]
fn what_is_no_template_is_said_to_be_none() {
    assert!(matches!(Template::parse("{"), Err(TemplateError::Yaml(_))));
    assert!(matches!(Template::parse("Outputs: {}"), Err(TemplateError::Shape(_))));
    let absent = Template::read(Path::new("/nowhere/template.yaml")).unwrap_err();
    assert!(absent.to_string().contains("/nowhere/template.yaml"));
}

#[test]
fn conditions_in_a_circle_are_an_error() {
    let circle = SMALL.replacen(
        "HasTopic: !Not [!Equals [!Ref Topic, \"\"]]",
        "HasTopic: !Not [!Condition HasTopic]",
        1,
    );
    assert!(Template::parse(&circle).unwrap_err().to_string().contains("circle"));
}

#[test]
fn the_template_that_is_deployed_can_be_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../template.yaml");
    let template = Template::read(&path).unwrap();
    assert!(!template.tables.is_empty() && !template.functions.is_empty());
    assert!(template.functions.iter().any(|function| !function.streams.is_empty()));
}
