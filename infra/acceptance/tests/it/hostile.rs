//! Receivers that mean harm, at the end of the whole pipeline: each ends as a recorded attempt with a class of its own, which
//! the detail of the delivery shows. How the sender holds its own against many more is tested with `egress`.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use serde_json::{Value, json};
use testkit::TestApp;

use crate::delivering::{acme, deliveries, detail, leads, pass};

/// What does as it likes with each connection, in a thread of its own.
fn wild(behave: impl Fn(TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || listener.incoming().flatten().for_each(behave));
    port
}

/// Reads a request to its end.
fn hear(stream: &mut TcpStream) {
    let (mut request, mut byte) = (Vec::new(), [0]);
    while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        request.extend(byte);
    }
    let head = String::from_utf8_lossy(&request).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).unwrap_or_default();
    let mut body = vec![0; length.trim().parse().unwrap_or(0)];
    let _ = stream.read_exact(&mut body);
}

/// Hears, answers, and closes as a well-behaved receiver does.
fn answering(answer: impl Into<Vec<u8>>) -> impl Fn(TcpStream) + Send + 'static {
    let answer = answer.into();
    move |mut stream| {
        hear(&mut stream);
        let _ = stream.write_all(&answer);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    }
}

struct Case {
    name: &'static str,
    url: String,
    status: &'static str,
    answer: Value,
    error: Value,
    body: Option<String>,
}

fn cases() -> Vec<Case> {
    let http = |port: u16| format!("http://127.0.0.1:{port}/hook");
    let endless = |mut stream: TcpStream| {
        hear(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'x'; 0x10000]).is_ok() {}
    };
    let silent = |mut stream: TcpStream| drop(stream.read_to_end(&mut Vec::new()));
    let binary: Vec<u8> = (0..4096_u32).map(|n| (n % 256) as u8).collect();
    let binary = [&b"HTTP/1.1 500 No\r\ncontent-length: 4096\r\n\r\n"[..], &binary].concat();
    let case = |name, url, status, answer: Value, error: &str, body: Option<&str>| Case {
        name,
        url,
        status,
        answer,
        error: if error.is_empty() { Value::Null } else { error.into() },
        body: body.map(str::to_owned),
    };
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n01234";
    let moved = "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n";
    let odd = "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nhello";
    let plain = |mut stream: TcpStream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let _ = stream.read_to_end(&mut Vec::new());
    };
    let tls = format!("https://127.0.0.1:{}/hook", wild(plain));
    let x = "x".repeat(4096);
    vec![
        case("endless", http(wild(endless)), "succeeded", json!(200), "response_too_large", Some(&x)),
        case("cut", http(wild(answering(cut))), "succeeded", json!(200), "reset", Some("01234")),
        case("hung up", http(wild(answering(""))), "dead", Value::Null, "reset", None),
        case("silent", http(wild(silent)), "dead", Value::Null, "timeout", None),
        case("no TLS", tls, "dead", Value::Null, "tls", None),
        case("redirect", http(wild(answering(moved))), "dead", json!(302), "redirect", None),
        case("204 with a body", http(wild(answering(odd))), "succeeded", json!(204), "", None),
        case("not HTTP", http(wild(answering("220 mail ESMTP\r\n"))), "dead", Value::Null, "protocol", None),
        case("binary", http(wild(answering(binary))), "dead", json!(500), "status", None),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_receiver_does_is_recorded_under_its_name() {
    let app = TestApp::start().await;
    let admin = acme(&app).await;
    app.upgrade(&admin, "business").await;
    let mut endpoints = Vec::new();
    for case in cases() {
        // Only one of them takes all the time there is.
        let timeout = if case.error == "timeout" { 1 } else { 30 };
        let request = json!({
            "url": case.url, "events": ["lead.created"], "max_retries": 0, "timeout_seconds": timeout,
        });
        endpoints.push((admin.post("/api/admin/webhooks", request).await.expect(201).text("/id"), case));
    }
    leads(&admin, 1).await;
    app.drain().await;
    pass(&app, 2).await;
    for (endpoint, case) in endpoints {
        let all = deliveries(&admin, &endpoint).await;
        assert_eq!(all.len(), 1, "{}", case.name);
        let delivery = detail(&admin, &all[0]).await;
        let attempt = &delivery["attempts"][0];
        assert_eq!(delivery["status"], case.status, "{}: {delivery}", case.name);
        assert_eq!(delivery["attempt_count"], 1, "{}", case.name);
        assert_eq!(attempt["response_status"], case.answer, "{}: {attempt}", case.name);
        assert_eq!(attempt["error"], case.error, "{}: {attempt}", case.name);
        assert!(attempt["duration_ms"].as_u64().unwrap() < 30_000, "{}: {attempt}", case.name);
        let body = attempt["response_body"].as_str();
        if case.name == "binary" {
            let body = body.unwrap();
            assert!(body.len() <= 4096 && body.contains("ABCDEFG"), "{body}");
            assert!(!body.chars().any(|c| c.is_control() && !"\n\r\t".contains(c)));
        } else {
            assert_eq!(body.map(str::to_owned), case.body, "{}", case.name);
        }
    }
}
