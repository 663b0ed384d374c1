//! Receivers that mean harm, on real sockets. Whatever one does, the attempt ends in time as an outcome of its own
//! class, and the sender's memory does not grow with what it is sent.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it should be")]

use std::sync::Arc;
use std::time::Duration;

use egress::{Answer, Failure, Sender};
use rcgen::{CertificateParams, date_time_ymd};
use standins::DnsServer;
use support::{Authority, LOCAL, LONG, Receiver, SHORT, attempt, hear, self_signed, sender};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

#[allow(dead_code, reason = "it supports two test binaries")]
mod support;

/// The most memory that this process, receivers and all, may ever have had.
const MOST_MEMORY_KIB: u64 = 150 * 1024;
/// What an attempt may take beyond its deadline on a machine that is busy with the other tests.
const MARGIN: Duration = Duration::from_secs(5);
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// Sends to a URL and holds the outcome to the bounds of time and memory.
async fn bounded(sender: &Sender, url: &str, deadline: Duration) -> Result<Answer, Failure> {
    let outcome = attempt(sender, url, deadline).await;
    let most = deadline + MARGIN;
    assert!(outcome.duration < most, "{url} took {:?}: {:?}", outcome.duration, outcome.result);
    assert!(peak_memory_kib().is_none_or(|peak| peak < MOST_MEMORY_KIB), "{url}: {:?}", peak_memory_kib());
    outcome.result
}

/// Only Linux tells.
fn peak_memory_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?.parse().ok()
}

/// What becomes of a POST to a receiver that behaves like this.
async fn post<F: Future<Output = ()> + Send + 'static>(
    behave: impl Fn(TcpStream) -> F + Send + 'static,
) -> Result<Answer, Failure> {
    post_within(LONG, behave).await
}

async fn post_within<F: Future<Output = ()> + Send + 'static>(
    deadline: Duration,
    behave: impl Fn(TcpStream) -> F + Send + 'static,
) -> Result<Answer, Failure> {
    let dns = DnsServer::start().await;
    let sender = sender(LOCAL, &dns);
    bounded(&sender, &Receiver::start(behave).await.url(), deadline).await
}

/// What becomes of a POST that is answered like this, then hung up on.
async fn answered(answer: impl Into<Vec<u8>>) -> Result<Answer, Failure> {
    let answer: Arc<[u8]> = answer.into().into();
    post(move |mut stream| {
        let answer = Arc::clone(&answer);
        async move {
            hear(&mut stream).await;
            let _ = stream.write_all(&answer).await;
            hang_up(stream).await;
        }
    })
    .await
}

/// What becomes of a POST that is answered by `head`, then by `rest` over and over.
async fn flooded(head: &'static str, rest: impl Into<Vec<u8>>) -> Result<Answer, Failure> {
    paced(LONG, Duration::ZERO, head, rest).await
}

/// The same, slowly.
async fn dripped(head: &'static str, rest: &str) -> Result<Answer, Failure> {
    paced(SHORT, Duration::from_millis(200), head, rest).await
}

async fn paced(
    deadline: Duration,
    pace: Duration,
    head: &'static str,
    rest: impl Into<Vec<u8>>,
) -> Result<Answer, Failure> {
    let rest: Arc<[u8]> = rest.into().into();
    post_within(deadline, move |mut stream| {
        let rest = Arc::clone(&rest);
        async move {
            hear(&mut stream).await;
            let _ = stream.write_all(head.as_bytes()).await;
            while stream.write_all(&rest).await.is_ok() {
                tokio::time::sleep(pace).await;
            }
        }
    })
    .await
}

/// Closes a connection without a reset, as a well-behaved receiver does: what was sent arrives.
async fn hang_up(mut stream: TcpStream) {
    let _ = stream.shutdown().await;
    drain(&mut stream).await;
}

async fn drain(stream: &mut (impl AsyncRead + Unpin)) {
    let mut buffer = vec![0; 16 * 1024];
    while stream.read(&mut buffer).await.is_ok_and(|length| length > 0) {}
}

fn ok(body: &str, cut_short: Option<Failure>) -> Result<Answer, Failure> {
    Ok(Answer { status: 200, body: body.to_owned(), cut_short, retry_after: None })
}

#[tokio::test]
async fn a_body_without_end_is_left_and_noted() {
    let kept = ok(&"x".repeat(4096), Some(Failure::ResponseTooLarge));
    let chunk = format!("2000\r\n{}\r\n", "x".repeat(0x2000));
    assert_eq!(flooded("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", chunk).await, kept);
    let filler = "x".repeat(0x10000);
    assert_eq!(flooded("HTTP/1.1 200 OK\r\n\r\n", filler.clone()).await, kept);
    let announced = "HTTP/1.1 200 OK\r\ncontent-length: 9007199254740992\r\n\r\n";
    assert_eq!(flooded(announced, filler).await, kept);
    // One that announces too much and stops is not waited for once there is enough of it.
    let stuck = format!("HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n{}", "x".repeat(5000));
    assert_eq!(answered(stuck).await, kept);
}

#[tokio::test]
async fn a_body_up_to_what_is_read_is_whole_and_one_byte_more_is_not() {
    let answer =
        |length| format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{}", "x".repeat(length));
    assert_eq!(answered(answer(4096)).await, ok(&"x".repeat(4096), None));
    assert_eq!(answered(answer(65536)).await, ok(&"x".repeat(4096), None));
    assert_eq!(answered(answer(65537)).await, ok(&"x".repeat(4096), Some(Failure::ResponseTooLarge)));
}

#[tokio::test]
async fn what_comes_too_slowly_is_a_timeout_wherever_it_is() {
    let head = "HTTP/1.1 200 OK\r\n";
    let (body, headers, chunks, status) = tokio::join!(
        dripped("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n", "x"),
        dripped(head, "x-slow: 1\r\n"),
        dripped("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "1\r\nx\r\n"),
        dripped("HTTP/1.1", " "),
    );
    for result in [body, headers, chunks, status] {
        assert_eq!(result, Err(Failure::Timeout));
    }
}

#[tokio::test]
async fn silence_is_a_timeout_wherever_it_is() {
    let silent = |stream: TcpStream| async move {
        let _held = stream;
        std::future::pending::<()>().await;
    };
    let receiver = Receiver::start(silent).await;
    let dns = DnsServer::start().await;
    let sender = sender(LOCAL, &dns);
    let (plain, tls) = (receiver.url(), receiver.url().replace("http://", "https://"));
    // Accepted by the machine and by nobody else.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let unaccepted = format!("http://{}/", listener.local_addr().unwrap());
    let (plain, tls, unaccepted) = tokio::join!(
        bounded(&sender, &plain, SHORT),
        bounded(&sender, &tls, SHORT),
        bounded(&sender, &unaccepted, SHORT)
    );
    assert_eq!([plain, tls, unaccepted], [(); 3].map(|()| Err(Failure::Timeout)));
}

#[tokio::test]
async fn a_hundred_megabytes_of_headers_are_not_read() {
    let many = format!("x-filler: {}\r\n", "x".repeat(1000)).repeat(64);
    let one = "x".repeat(0x10000);
    for result in [
        flooded("HTTP/1.1 200 OK\r\n", many).await,
        flooded("HTTP/1.1 200 OK\r\nx-filler: ", one.clone()).await,
        flooded("HTTP/1.1 200 ", one).await,
        answered(format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(1000))).await,
        answered("HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551615\r\n\r\n").await,
    ] {
        assert_eq!(result, Err(Failure::ResponseTooLarge));
    }
}

#[tokio::test]
async fn interim_answers_are_no_answer_however_many() {
    let interim = "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".repeat(100);
    assert_eq!(paced(SHORT, Duration::from_millis(1), "", interim).await, Err(Failure::Timeout));
    let answer = format!("HTTP/1.1 100 Continue\r\n\r\n{}", String::from_utf8_lossy(OK));
    assert_eq!(answered(answer).await, ok("", None));
    let switched =
        answered("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n").await;
    assert_eq!(switched.map(|answer| answer.status), Ok(101));
}

#[tokio::test]
async fn a_redirect_loop_is_not_entered() {
    let receiver = Receiver::start(|mut stream| async move {
        hear(&mut stream).await;
        let again = b"HTTP/1.1 307 Temporary Redirect\r\nlocation: /\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(again).await.unwrap();
        hang_up(stream).await;
    })
    .await;
    let dns = DnsServer::start().await;
    let sender = sender(LOCAL, &dns);
    assert_eq!(bounded(&sender, &receiver.url(), LONG).await.unwrap().status, 307);
    assert_eq!(receiver.connections(), 1);
}

/// Ends the connection with a reset a second after the answer, by when it has been read: a reset takes along what has not.
async fn reset(mut stream: TcpStream, answer: &str) {
    hear(&mut stream).await;
    stream.write_all(answer.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    stream.set_zero_linger().unwrap();
}

#[tokio::test]
async fn a_connection_that_breaks_is_a_reset_or_noted_as_one() {
    let cut = Some(Failure::Reset);
    let part = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n01234";
    assert_eq!(post(move |stream| reset(stream, part)).await, ok("01234", cut));
    assert_eq!(post(|stream| reset(stream, "HTTP/1.1 200 OK\r\nx-a: b\r\n")).await, Err(Failure::Reset));
    assert_eq!(post(|stream| reset(stream, "")).await, Err(Failure::Reset));
    assert_eq!(answered(part).await, ok("01234", cut));
    assert_eq!(
        answered("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n01234\r\n").await,
        ok("01234", cut)
    );
    assert_eq!(answered("HTTP/1.1 200 OK\r\nx-a: b\r\n").await, Err(Failure::Reset));
    assert_eq!(answered("").await, Err(Failure::Reset));
}

#[tokio::test]
async fn what_is_not_http_is_a_failure_of_protocol() {
    for garbage in [
        "<html>It works!</html>",
        "SSH-2.0-OpenSSH_9.9\r\n",
        "220 mail.example.com ESMTP\r\n",
        "ICY 200 OK\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.1 2OO OK\r\n\r\n",
        "HTTP/1.1 99999 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: ten\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        "\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64",
    ] {
        assert_eq!(answered(garbage).await, Err(Failure::Protocol), "{garbage:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_not_http_is_noted() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    for garbage in ["zz\r\nxx\r\n", "ffffffffffffffffffff\r\nxx", "1\r\nxyz\r\n"] {
        let answer = answered(format!("{chunked}{garbage}")).await.unwrap();
        assert_eq!((answer.status, answer.cut_short), (200, Some(Failure::Protocol)), "{garbage:?}");
    }
    let extended = flooded("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;", "x".repeat(0x10000));
    assert_eq!(extended.await, ok("", Some(Failure::Protocol)));
    let extensions = format!("1;{}\r\nx\r\n", "x".repeat(1000));
    let answer = flooded("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", extensions).await.unwrap();
    assert_eq!((answer.status, answer.cut_short), (200, Some(Failure::Protocol)));
    let trailers = flooded(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n",
        "x-trailer: x\r\n".repeat(1000),
    );
    assert_eq!(trailers.await, ok("", Some(Failure::Protocol)));
}

#[tokio::test]
async fn what_follows_an_answer_is_not_part_of_it() {
    assert_eq!(
        answered("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 500 No\r\n\r\n").await,
        ok("ok", None)
    );
    for status in [204, 304] {
        let answer =
            answered(format!("HTTP/1.1 {status} X\r\ncontent-length: 5\r\n\r\nhello")).await.unwrap();
        assert_eq!((answer.status, answer.body.as_str(), answer.cut_short), (status, "", None));
    }
}

#[tokio::test]
async fn odd_headers_are_the_receiver_s_own_business() {
    let odd: &[&[u8]] = &[
        b"x-latin: \xe9\xff",
        b"x-empty:",
        b"set-cookie: a=b; x=\"",
        b"retry-after: \xff",
        b"server: \xf0\x9f\x98\x80",
    ];
    let answer =
        [&b"HTTP/1.1 200 \xe9\r\n"[..], &odd.join(&b"\r\n"[..]), b"\r\ncontent-length: 0\r\n\r\n"].concat();
    assert_eq!(answered(answer).await, ok("", None));
}

/// Nothing looks inside, so it does not matter how much would come out.
#[tokio::test]
async fn a_compressed_body_stays_as_small_as_it_came() {
    let (tell, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let answer = post(move |mut stream| {
        let tell = tell.clone();
        async move {
            let mut request = Vec::new();
            while !request.ends_with(support::BODY) {
                stream.read_buf(&mut request).await.unwrap();
            }
            tell.send(request).unwrap();
            let head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 64\r\n\r\n";
            stream.write_all(head).await.unwrap();
            let member = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3, 0x63, 0x18];
            stream.write_all(&member).await.unwrap();
            stream.write_all(&[0x05; 52]).await.unwrap();
            hang_up(stream).await;
        }
    })
    .await
    .unwrap();
    assert_eq!((answer.body.chars().count(), answer.cut_short), (64, None));
    let request = String::from_utf8(heard.recv().await.unwrap()).unwrap().to_lowercase();
    assert!(!request.contains("accept-encoding"), "{request}");
}

#[tokio::test]
async fn text_that_would_break_a_record_is_kept_as_text() {
    let nasty = b"a\0b\x1b[31m\xff\xed\xa0\x80\r\n\tc";
    let mut answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", nasty.len()).into_bytes();
    answer.extend(nasty);
    let kept = "a\u{fffd}b\u{fffd}[31m\u{fffd}\u{fffd}\u{fffd}\u{fffd}\r\n\tc";
    assert_eq!(answered(answer).await, ok(kept, None));
    let long = "ü".repeat(40_000);
    let answer = answered(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{long}", long.len())).await;
    assert_eq!(answer, ok(&"ü".repeat(2048), Some(Failure::ResponseTooLarge)));
}

#[tokio::test]
async fn an_answer_before_the_request_is_read_is_an_answer() {
    let answer = post(|mut stream| async move {
        let _ = stream.read_u8().await;
        stream.write_all(OK).await.unwrap();
        drain(&mut stream).await;
    });
    assert_eq!(answer.await, ok("", None));
    // Before it is sent it is nobody's.
    let early = post(|mut stream| async move {
        stream.write_all(OK).await.unwrap();
        drain(&mut stream).await;
    });
    let early = early.await;
    assert!(early == ok("", None) || early == Err(Failure::Protocol), "{early:?}");
}

#[tokio::test]
async fn an_ordinary_receiver_s_connection_is_used_again_and_one_that_says_too_much_is_not() {
    for (length, connections) in [(40_000, 1), (100_000, 2)] {
        let receiver = Receiver::start(move |mut stream| async move {
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{}", "x".repeat(length));
            while hear(&mut stream).await && stream.write_all(answer.as_bytes()).await.is_ok() {}
        })
        .await;
        let dns = DnsServer::start().await;
        let sender = sender(LOCAL, &dns);
        for _ in 0..2 {
            assert_eq!(bounded(&sender, &receiver.url(), LONG).await.unwrap().status, 200);
        }
        assert_eq!(receiver.connections(), connections, "{length}");
    }
}

#[tokio::test]
async fn two_hundred_that_hang_hold_up_nobody() {
    let hanging = Receiver::start(|mut stream| async move {
        hear(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let healthy = Receiver::start(|mut stream| async move {
        hear(&mut stream).await;
        stream.write_all(OK).await.unwrap();
        hang_up(stream).await;
    })
    .await;
    let dns = DnsServer::start().await;
    let sender = sender(LOCAL, &dns);
    let mut attempts = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let (sender, url) = (sender.clone(), hanging.url());
        attempts.spawn(async move { bounded(&sender, &url, LONG).await });
    }
    for _ in 0..20 {
        assert_eq!(bounded(&sender, &healthy.url(), LONG).await, ok("", None));
    }
    assert!(attempts.try_join_next().is_none());
    attempts.shutdown().await;
}

const NAME: &str = "hooks.example.com";

/// What becomes of a POST to this name where a receiver shows the certificate that the authority is asked for.
async fn shown(certificate: impl FnOnce(&Authority) -> TlsAcceptor) -> Result<Answer, Failure> {
    let (dns, authority) = (DnsServer::start().await, Authority::new());
    dns.set_addresses(NAME, &["127.0.0.1"]);
    let acceptor = certificate(&authority);
    let receiver = Receiver::start(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            hear(&mut stream).await;
            let _ = stream.write_all(OK).await;
            let _ = stream.shutdown().await;
            drain(&mut stream).await;
        }
    })
    .await;
    let sender = authority.sender(LOCAL, &dns);
    bounded(&sender, &format!("https://{NAME}:{}/", receiver.port), LONG).await
}

#[tokio::test]
async fn tls_is_verified() {
    assert_eq!(shown(|authority| authority.vouches_for(NAME)).await, ok("", None));
    let stranger = |_: &Authority| Authority::new().vouches_for(NAME);
    assert_eq!(shown(stranger).await, Err(Failure::Tls), "an authority that is not trusted");
    assert_eq!(shown(|_| self_signed(NAME)).await, Err(Failure::Tls), "self-signed");
    let other = |authority: &Authority| authority.vouches_for("hooks.example.org");
    assert_eq!(shown(other).await, Err(Failure::Tls), "another name");
    let wild = |authority: &Authority| authority.vouches_for("*.com");
    assert_eq!(shown(wild).await, Err(Failure::Tls), "a name that is too wide");
    let dated = |from: i32, to: i32| {
        move |authority: &Authority| {
            let mut params = CertificateParams::new([NAME.to_owned()]).unwrap();
            (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
            authority.vouches(params)
        }
    };
    assert_eq!(shown(dated(2000, 2001)).await, Err(Failure::Tls), "expired");
    assert_eq!(shown(dated(2900, 2901)).await, Err(Failure::Tls), "not yet valid");
}

#[tokio::test]
async fn what_is_not_tls_is_a_failure_of_it() {
    let dns = DnsServer::start().await;
    let sender = sender(LOCAL, &dns);
    let receiver = Receiver::start(|mut stream| async move {
        stream.write_all(OK).await.unwrap();
        drain(&mut stream).await;
    })
    .await;
    let url = receiver.url().replace("http://", "https://");
    assert_eq!(bounded(&sender, &url, LONG).await, Err(Failure::Tls));
}

/// Without the goodbye of TLS nobody can tell whether somebody cut the body off.
#[tokio::test]
async fn a_body_that_is_cut_off_under_tls_is_noted() {
    let (dns, authority) = (DnsServer::start().await, Authority::new());
    dns.set_addresses(NAME, &["127.0.0.1"]);
    let acceptor = authority.vouches_for(NAME);
    let receiver = Receiver::start(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            hear(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n01234").await.unwrap();
            stream.flush().await.unwrap();
            hang_up(stream.into_inner().0).await;
        }
    })
    .await;
    let sender = authority.sender(LOCAL, &dns);
    let result = bounded(&sender, &format!("https://{NAME}:{}/", receiver.port), LONG).await;
    assert_eq!(result, ok("01234", Some(Failure::Reset)));
}

#[tokio::test]
async fn dns_that_is_slow_or_fails_has_its_own_name() {
    let dns = DnsServer::start().await;
    dns.set_addresses(NAME, &["127.0.0.1"]);
    let sender = sender(LOCAL, &dns);
    let url = format!("https://{NAME}:9999/");
    dns.be_slow(Duration::from_secs(60));
    assert_eq!(bounded(&sender, &url, SHORT).await, Err(Failure::Timeout));
    dns.be_slow(Duration::ZERO);
    dns.fail();
    assert_eq!(bounded(&sender, &url, LONG).await, Err(Failure::Dns));
}
