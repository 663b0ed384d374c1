use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use axum::body::Body;
use bytes::Bytes;
use clock::{Clock, ManualClock, utc};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use crate::engines::{ADDRESS, Engines, Files, Place, Strike};

struct Fixture {
    engines: Engines,
    s3: Client,
    hand: ManualClock,
    directory: Option<tempfile::TempDir>,
}

async fn s3(engines: &Engines) -> Client {
    let config = aws_sdk_s3::config::Builder::from(&engines.sdk_config().await)
        .retry_config(RetryConfig::disabled())
        .force_path_style(true);
    Client::from_conf(config.build())
}

fn engines(clock: &Clock, directory: Option<&tempfile::TempDir>) -> Engines {
    let place = directory.map_or(Place::Memory, |directory| {
        let path = directory.path();
        Place::Files(Files { database: path.join("artisan.db"), objects: path.join("objects") })
    });
    let engines = Engines::open(&place, clock, false, ADDRESS).unwrap();
    engines.objects().create("plain", false);
    engines.objects().create("locked", true);
    engines
}

/// The same, in memory and in a directory.
async fn fixtures() -> [Fixture; 2] {
    let mut fixtures = Vec::new();
    for directory in [None, Some(tempfile::tempdir().unwrap())] {
        let (clock, hand) = Clock::manual(utc(2026, 1, 1, 0, 0));
        let engines = engines(&clock, directory.as_ref());
        let s3 = s3(&engines).await;
        fixtures.push(Fixture { engines, s3, hand, directory });
    }
    fixtures.try_into().unwrap_or_else(|_| panic!("two"))
}

async fn put(s3: &Client, bucket: &str, key: &str, content: &[u8]) -> Result<(), String> {
    let content = ByteStream::from(content.to_vec());
    let call = s3.put_object().bucket(bucket).key(key).content_type("text/csv").body(content);
    call.send().await.map(|_| ()).map_err(|error| code(&error))
}

async fn get(s3: &Client, bucket: &str, key: &str) -> Result<Bytes, String> {
    let answer = s3.get_object().bucket(bucket).key(key).send().await.map_err(|error| code(&error))?;
    Ok(answer.body.collect().await.unwrap().into_bytes())
}

fn code(error: &impl ProvideErrorMetadata) -> String {
    error.code().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn objects_are_put_fetched_looked_at_and_deleted() {
    for Fixture { s3, engines, .. } in fixtures().await {
        put(&s3, "plain", "a/b c+ü", b"hello").await.unwrap();
        put(&s3, "plain", "a", b"beside the directory").await.unwrap();
        assert_eq!(get(&s3, "plain", "a/b c+ü").await.unwrap(), "hello");
        let head = s3.head_object().bucket("plain").key("a/b c+ü").send().await.unwrap();
        assert_eq!((head.content_length, head.content_type.as_deref()), (Some(5), Some("text/csv")));
        assert_eq!(head.last_modified.unwrap().to_millis().unwrap(), utc(2026, 1, 1, 0, 0).millis());
        put(&s3, "plain", "a/b c+ü", b"another").await.unwrap();
        assert_eq!(get(&s3, "plain", "a/b c+ü").await.unwrap(), "another");

        for _ in 0..2 {
            s3.delete_object().bucket("plain").key("a/b c+ü").send().await.unwrap();
        }
        assert_eq!(get(&s3, "plain", "a/b c+ü").await.unwrap_err(), "NoSuchKey");
        let absent = s3.head_object().bucket("plain").key("a/b c+ü").send().await.unwrap_err();
        assert!(absent.into_service_error().is_not_found());
        assert_eq!(get(&s3, "absent", "a").await.unwrap_err(), "NoSuchBucket");
        s3.head_bucket().bucket("plain").send().await.unwrap();
        let counted = engines.meter().snapshot();
        assert_eq!((counted.calls_of("PutObject"), counted.calls_on("absent")), (3, 1));
    }
}

#[tokio::test]
async fn a_range_is_a_part_of_an_object() {
    for Fixture { s3, .. } in fixtures().await {
        // Long enough to be streamed from its file.
        let content: Vec<u8> = (0..1_000_000_u32).map(|it| (it % 251) as u8).collect();
        put(&s3, "plain", "long", &content).await.unwrap();
        assert_eq!(get(&s3, "plain", "long").await.unwrap(), content);
        let ranged = |range: &str| s3.get_object().bucket("plain").key("long").range(range).send();
        let part = ranged("bytes=100000-899999").await.unwrap();
        assert_eq!(part.content_range.as_deref(), Some("bytes 100000-899999/1000000"));
        assert_eq!(part.body.collect().await.unwrap().into_bytes(), content[100_000..900_000]);
        let end = ranged("bytes=-3").await.unwrap().body.collect().await.unwrap().into_bytes();
        assert_eq!(end, content[999_997..]);
        assert_eq!(code(&ranged("bytes=1000000-").await.unwrap_err()), "InvalidRange");
    }
}

#[tokio::test]
async fn lists_are_in_order_and_go_on_where_they_ended() {
    for Fixture { s3, .. } in fixtures().await {
        for key in ["b/2", "a/1", "b-1", "b/10", "b/1", "B", "b/<&>", "c"] {
            put(&s3, "plain", key, key.as_bytes()).await.unwrap();
        }
        let list = |prefix: &str| s3.list_objects_v2().bucket("plain").prefix(prefix);
        let keys = |answer: &aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output| {
            let keys = answer.contents().iter().filter_map(|it| it.key().map(str::to_owned));
            keys.collect::<Vec<_>>()
        };
        let all = list("").send().await.unwrap();
        assert_eq!(keys(&all), ["B", "a/1", "b-1", "b/1", "b/10", "b/2", "b/<&>", "c"]);
        assert_eq!(all.contents()[3].size(), Some(3));
        let first = list("b/").max_keys(2).send().await.unwrap();
        assert_eq!((keys(&first), first.is_truncated), (vec!["b/1".into(), "b/10".into()], Some(true)));
        let token = first.next_continuation_token.unwrap();
        let second = list("b/").max_keys(2).continuation_token(token).send().await.unwrap();
        assert_eq!((keys(&second), second.is_truncated), (vec!["b/2".into(), "b/<&>".into()], Some(false)));
        assert_eq!(keys(&list("b/1").start_after("b/1").send().await.unwrap()), ["b/10"]);
        assert!(keys(&list("b/1/").send().await.unwrap()).is_empty());
        let error = list("").continuation_token("?").send().await.unwrap_err();
        assert_eq!(code(&error), "InvalidArgument");
        let error = list("").delimiter("/").send().await.unwrap_err();
        assert_eq!(code(&error), "NotImplemented");
    }
}

#[tokio::test]
async fn what_is_locked_is_neither_deleted_nor_replaced() {
    for Fixture { s3, .. } in fixtures().await {
        let put = |content: &'static str, kind: &str| {
            let call = s3.put_object().bucket("locked").key("proof").content_type(kind);
            call.body(ByteStream::from_static(content.as_bytes())).send()
        };
        put("one", "text/plain").await.unwrap();
        put("one", "text/plain").await.expect("the same again");
        assert_eq!(code(&put("two", "text/plain").await.unwrap_err()), "AccessDenied");
        assert_eq!(code(&put("one", "text/html").await.unwrap_err()), "AccessDenied");
        let error = s3.delete_object().bucket("locked").key("proof").send().await.unwrap_err();
        assert_eq!(code(&error), "AccessDenied");
        s3.delete_object().bucket("locked").key("absent").send().await.unwrap();
        assert_eq!(get(&s3, "locked", "proof").await.unwrap(), "one");

        let config = s3.config().to_builder();
        let config =
            config.request_checksum_calculation(aws_sdk_s3::config::RequestChecksumCalculation::WhenRequired);
        let bare = Client::from_conf(config.build());
        let call = bare.put_object().bucket("locked").key("bare").body(ByteStream::from_static(b"x"));
        assert_eq!(code(&call.send().await.unwrap_err()), "InvalidRequest");
    }
}

#[tokio::test]
async fn checksums_are_held_against_the_content() {
    for Fixture { s3, .. } in fixtures().await {
        let put = || s3.put_object().bucket("plain").key("a").body(ByteStream::from_static(b"hello"));
        let wrong = put().checksum_sha256("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").send().await;
        assert_eq!(code(&wrong.unwrap_err()), "BadDigest");
        assert_eq!(get(&s3, "plain", "a").await.unwrap_err(), "NoSuchKey");
        let put = put().checksum_algorithm(ChecksumAlgorithm::Sha256).send().await.unwrap();
        assert_eq!(put.checksum_sha256.as_deref(), Some("LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="));
        let again = s3.put_object().bucket("plain").key("a").if_none_match("*");
        let again = again.body(ByteStream::from_static(b"x")).send().await;
        assert_eq!(code(&again.unwrap_err()), "PreconditionFailed");
    }
}

/// A body that is not in memory is sent in chunks, with its checksum behind it.
#[tokio::test]
async fn streamed_bodies_are_taken() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let content: Vec<u8> = (0..300_000_u32).map(|it| (it % 253) as u8).collect();
    std::fs::write(file.path(), &content).unwrap();
    for Fixture { s3, .. } in fixtures().await {
        let body = ByteStream::from_path(file.path()).await.unwrap();
        let put = s3.put_object().bucket("plain").key("streamed").content_encoding("gzip").body(body);
        assert!(put.send().await.unwrap().checksum_crc32.is_some());
        let got = s3.get_object().bucket("plain").key("streamed").send().await.unwrap();
        assert_eq!(got.content_encoding.as_deref(), Some("gzip"));
        assert_eq!(got.body.collect().await.unwrap().into_bytes(), content);
    }
}

struct Parts<'a> {
    s3: &'a Client,
    bucket: &'a str,
    id: String,
    sent: Vec<CompletedPart>,
}

impl<'a> Parts<'a> {
    async fn begin(s3: &'a Client, bucket: &'a str) -> Self {
        let begun = s3.create_multipart_upload().bucket(bucket).key("whole").content_type("text/csv");
        let begun = begun.checksum_algorithm(ChecksumAlgorithm::Sha256).send().await.unwrap();
        Self { s3, bucket, id: begun.upload_id.unwrap(), sent: Vec::new() }
    }

    async fn part(&mut self, number: i32, content: &[u8]) -> Result<(), String> {
        let call = self.s3.upload_part().bucket(self.bucket).key("whole").upload_id(&self.id);
        let call = call.part_number(number).checksum_algorithm(ChecksumAlgorithm::Sha256);
        let call = call.body(ByteStream::from(content.to_vec())).send().await.map_err(|e| code(&e))?;
        let part = CompletedPart::builder().part_number(number).set_e_tag(call.e_tag);
        self.sent.push(part.set_checksum_sha256(call.checksum_sha256).build());
        Ok(())
    }

    async fn complete(&self, parts: &[CompletedPart]) -> Result<String, String> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts.to_vec())).build();
        let call = self.s3.complete_multipart_upload().bucket(self.bucket).key("whole").upload_id(&self.id);
        let call = call.multipart_upload(parts).send().await.map_err(|error| code(&error))?;
        Ok(call.checksum_sha256.unwrap_or_default())
    }
}

#[tokio::test]
async fn an_upload_in_parts_becomes_an_object_when_it_is_complete() {
    let big = vec![b'x'; 5 * 1024 * 1024];
    for Fixture { s3, engines, .. } in fixtures().await {
        let mut parts = Parts::begin(&s3, "plain").await;
        parts.part(1, &big).await.unwrap();
        parts.part(3, b"end").await.unwrap();
        assert_eq!(parts.part(10_001, b"x").await.unwrap_err(), "InvalidArgument");
        assert_eq!(get(&s3, "plain", "whole").await.unwrap_err(), "NoSuchKey");

        let [one, three] = [parts.sent[0].clone(), parts.sent[1].clone()];
        let other = |part: &CompletedPart, number| {
            let other = CompletedPart::builder().part_number(number).set_e_tag(part.e_tag.clone());
            other.set_checksum_sha256(part.checksum_sha256.clone()).build()
        };
        let complete = async |list: &[CompletedPart]| parts.complete(list).await;
        assert_eq!(complete(&[three.clone(), one.clone()]).await.unwrap_err(), "InvalidPartOrder");
        assert_eq!(complete(&[one.clone(), other(&three, 2)]).await.unwrap_err(), "InvalidPart");
        assert_eq!(complete(&[other(&three, 1)]).await.unwrap_err(), "InvalidPart");
        assert_eq!(complete(&[]).await.unwrap_err(), "MalformedXML");
        let unproven = CompletedPart::builder().part_number(1).set_e_tag(one.e_tag.clone()).build();
        assert_eq!(complete(&[unproven]).await.unwrap_err(), "InvalidRequest");
        let checksum = complete(&[one.clone(), three.clone()]).await.unwrap();
        assert!(checksum.ends_with("=-2"), "{checksum}");
        assert_eq!(complete(&[one, three]).await.unwrap_err(), "NoSuchUpload");

        let whole = s3.get_object().bucket("plain").key("whole").send().await.unwrap();
        assert_eq!(whole.content_type.as_deref(), Some("text/csv"));
        let whole = whole.body.collect().await.unwrap().into_bytes();
        assert_eq!((whole.len(), &whole[big.len()..]), (big.len() + 3, &b"end"[..]));
        assert_eq!(
            engines.meter().snapshot().calls_of("UploadPart"),
            2,
            "what cannot be read is not counted"
        );
    }
}

#[tokio::test]
async fn parts_that_are_too_small_or_given_up_become_nothing() {
    for Fixture { s3, directory, .. } in fixtures().await {
        let mut parts = Parts::begin(&s3, "plain").await;
        parts.part(1, b"small").await.unwrap();
        parts.part(2, b"end").await.unwrap();
        assert_eq!(parts.complete(&parts.sent).await.unwrap_err(), "EntityTooSmall");
        let abort =
            |key: &str| s3.abort_multipart_upload().bucket("plain").key(key).upload_id(&parts.id).send();
        assert_eq!(code(&abort("another").await.unwrap_err()), "NoSuchUpload");
        abort("whole").await.unwrap();
        assert_eq!(code(&abort("whole").await.unwrap_err()), "NoSuchUpload");
        if let Some(directory) = directory {
            assert!(!directory.path().join("objects/.uploads").exists());
        }
        let astray = s3.upload_part().bucket("plain").key("whole").upload_id("../../plain+").part_number(1);
        let astray = astray.body(ByteStream::from_static(b"x")).send().await.unwrap_err();
        assert_eq!(code(&astray), "NoSuchUpload");
    }
}

#[tokio::test]
async fn a_locked_object_is_not_replaced_by_parts_either() {
    for Fixture { s3, .. } in fixtures().await {
        for (content, expected) in [("one", Ok(())), ("one", Ok(())), ("two", Err("AccessDenied".to_owned()))]
        {
            let mut parts = Parts::begin(&s3, "locked").await;
            parts.part(1, content.as_bytes()).await.unwrap();
            assert_eq!(parts.complete(&parts.sent).await.map(|_| ()), expected);
        }
        assert_eq!(get(&s3, "locked", "whole").await.unwrap(), "one");
    }
}

/// Follows a link as a browser does.
async fn follow(engines: &Engines, link: &str) -> (u16, http::HeaderMap, Bytes) {
    let (_, target) = link.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let request = http::Request::get(format!("/{target}")).header("host", "localhost:8001");
    let answer = engines.endpoint().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = answer.into_parts();
    (parts.status.as_u16(), parts.headers, body.collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn links_end_when_the_clock_says_so() {
    for Fixture { s3, engines, hand, .. } in fixtures().await {
        put(&s3, "plain", "export", &[7; 300_000]).await.unwrap();
        let since = std::time::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
        let signing = PresigningConfig::builder().start_time(since).expires_in(Duration::from_secs(60));
        let config = s3.config().to_builder();
        let config =
            config.response_checksum_validation(aws_sdk_s3::config::ResponseChecksumValidation::WhenRequired);
        let links = Client::from_conf(config.build());
        let call = links.get_object().bucket("plain").key("export").response_content_type("text/plain");
        let call = call.response_content_disposition("attachment; filename=\"a b.csv\"");
        let link = call.presigned(signing.build().unwrap()).await.unwrap().uri().to_owned();

        let (status, headers, body) = follow(&engines, &link).await;
        assert_eq!((status, body.len()), (200, 300_000), "{link}");
        assert_eq!(headers["content-type"], "text/plain");
        assert_eq!(headers["content-disposition"], "attachment; filename=\"a b.csv\"");
        hand.advance(Duration::from_secs(60));
        assert_eq!(follow(&engines, &link).await.0, 200);
        hand.advance(Duration::from_secs(1));
        let (status, headers, body) = follow(&engines, &link).await;
        assert_eq!((status, &headers["content-type"]), (403, &"application/xml".parse().unwrap()));
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert!(body.contains("<Code>AccessDenied</Code><Message>Request has expired</Message>"), "{body}");
        let (status, ..) = follow(&engines, &link.replace("X-Amz-Expires=60", "X-Amz-Expires=700000")).await;
        assert_eq!(status, 400);
        let unsigned = link.split('?').next().unwrap();
        assert_eq!(follow(&engines, unsigned).await.0, 403, "not meant for the port at all");
    }
}

#[tokio::test]
async fn faults_strike_and_answers_get_lost() {
    for Fixture { s3, engines, .. } in fixtures().await {
        let slow = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";
        engines.faults().order("PutObject", 1, 1, Strike::Before, 503, slow);
        put(&s3, "plain", "a", b"1").await.unwrap();
        assert_eq!(put(&s3, "plain", "b", b"1").await.unwrap_err(), "SlowDown");
        assert_eq!(get(&s3, "plain", "b").await.unwrap_err(), "NoSuchKey");
        engines.faults().order("PutObject", 0, 1, Strike::After, 503, slow);
        put(&s3, "plain", "b", b"1").await.unwrap_err();
        assert_eq!(get(&s3, "plain", "b").await.unwrap(), "1");
    }
}

#[tokio::test]
async fn a_directory_holds_its_objects_and_uploads_when_the_process_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let (clock, _) = Clock::manual(utc(2026, 1, 1, 0, 0));
    let before = engines(&clock, Some(&directory));
    let client = s3(&before).await;
    put(&client, "plain", "../up/./\u{1f600}", b"kept").await.unwrap();
    let mut parts = Parts::begin(&client, "plain").await;
    parts.part(1, b"half").await.unwrap();
    let (id, sent) = (parts.id, parts.sent);
    std::fs::write(directory.path().join("objects/.new/torn"), "x").unwrap();
    drop((client, before));

    let after = engines(&clock, Some(&directory));
    let client = s3(&after).await;
    assert_eq!(get(&client, "plain", "../up/./\u{1f600}").await.unwrap(), "kept");
    let parts = Parts { s3: &client, bucket: "plain", id, sent };
    parts.complete(&parts.sent).await.unwrap();
    assert_eq!(get(&client, "plain", "whole").await.unwrap(), "half");
    assert!(!directory.path().join("objects/.new/torn").exists());
    let names: Vec<_> =
        std::fs::read_dir(directory.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| name == "objects" || name.to_string_lossy().starts_with("artisan.db")));
}

#[tokio::test]
async fn the_port_takes_what_the_sdk_sends() {
    let [_, Fixture { engines, directory: _kept, .. }] = fixtures().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (trigger, shutdown) = crate::shutdown::channel();
    let server = tokio::spawn(crate::server::serve(listener, engines.endpoint(), shutdown));
    let config = engines.sdk_config().await;
    let config = aws_config::SdkConfig::builder()
        .behavior_version(runtime::behavior())
        .region(config.region().cloned())
        .credentials_provider(config.credentials_provider().unwrap())
        .endpoint_url(url)
        .build();
    let client = Client::from_conf(aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![1; 600_000]).unwrap();
    let body = ByteStream::from_path(file.path()).await.unwrap();
    client.put_object().bucket("plain").key("a").body(body).send().await.unwrap();
    assert_eq!(get(&client, "plain", "a").await.unwrap().len(), 600_000);
    let head = client.head_object().bucket("plain").key("a").send().await.unwrap();
    assert_eq!(head.content_length, Some(600_000));
    assert!(client.head_object().bucket("plain").key("b").send().await.is_err());
    client.delete_object().bucket("plain").key("a").send().await.unwrap();
    drop(client);
    trigger.request();
    server.await.unwrap();
}
