//! Names that lead elsewhere than when they were looked at, asked of a real DNS server.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it should be")]

use std::time::Duration;

use egress::{Failure, Policy, Sender};
use standins::DnsServer;
use support::{Authority, LOCAL, LONG, Receiver, SHORT, attempt, hear, sender};
use tokio::io::AsyncWriteExt as _;

#[allow(dead_code, reason = "it supports two test binaries")]
mod support;

const NAME: &str = "hooks.example.com";
const STRICT: Policy = Policy { allow_loopback: false };

/// A name with a receiver, which is permitted on loopback, and nothing else on this machine is.
struct Stage {
    dns: DnsServer,
    sender: Sender,
    receiver: Receiver,
}

impl Stage {
    /// The receiver ends each connection after so many answers.
    async fn set(answers: usize) -> Self {
        let (dns, authority) = (DnsServer::start().await, Authority::new());
        let acceptor = authority.vouches_for(NAME);
        let receiver = Receiver::start(move |stream| {
            let acceptor = acceptor.clone();
            async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                for left in (0..answers).rev() {
                    hear(&mut stream).await;
                    let connection = if left > 0 { "keep-alive" } else { "close" };
                    let answer =
                        format!("HTTP/1.1 200 OK\r\nconnection: {connection}\r\ncontent-length: 0\r\n\r\n");
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
                let _ = stream.shutdown().await;
            }
        })
        .await;
        let sender = authority.sender(LOCAL, &dns);
        Self { dns, sender, receiver }
    }

    async fn post(&self) -> Result<u16, Failure> {
        self.post_within(LONG).await
    }

    async fn post_within(&self, deadline: Duration) -> Result<u16, Failure> {
        let url = format!("https://{NAME}:{}/", self.receiver.port);
        attempt(&self.sender, &url, deadline).await.result.map(|answer| answer.status)
    }
}

#[tokio::test]
async fn a_name_that_was_public_when_it_was_saved_is_refused_when_it_points_inward() {
    let stage = Stage::set(1).await;
    for inward in
        ["10.0.0.1", "169.254.169.254", "::ffff:10.0.0.1", "fd00:ec2::254", "64:ff9b::a00:1", "::1.2.3.4"]
    {
        stage.dns.set_addresses(NAME, &["127.0.0.1"]);
        assert_eq!(stage.post().await, Ok(200));
        stage.dns.set_addresses(NAME, &[inward]);
        assert_eq!(stage.post().await, Err(Failure::ForbiddenAddress), "{inward}");
    }
}

#[tokio::test]
async fn loopback_is_inward_where_the_policy_does_not_open_it() {
    let dns = DnsServer::start().await;
    let sender = sender(STRICT, &dns);
    for loopback in ["127.0.0.1", "127.0.0.53", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::"] {
        dns.set_addresses(NAME, &[loopback]);
        let result = attempt(&sender, &format!("https://{NAME}:9001/"), LONG).await.result;
        assert_eq!(result.unwrap_err(), Failure::ForbiddenAddress, "{loopback}");
    }
}

/// An answer for whoever judges and another for whoever dials: there is no second question.
#[tokio::test]
async fn a_connection_is_made_to_the_addresses_that_were_judged() {
    let stage = Stage::set(1).await;
    stage.dns.set_addresses_in_turn(NAME, &[&["127.0.0.1"], &["10.0.0.1"]]);
    assert_eq!(stage.post().await, Ok(200));
    assert_eq!(stage.dns.asked(), [NAME, NAME], "one question for each kind of address");
    assert_eq!(stage.post().await, Err(Failure::ForbiddenAddress));
    assert_eq!(stage.receiver.connections(), 1);
}

#[tokio::test]
async fn one_forbidden_address_among_many_refuses_the_name() {
    let stage = Stage::set(1).await;
    for mixed in [
        &["127.0.0.1", "10.0.0.1"][..],
        &["10.0.0.1", "127.0.0.1"],
        &["127.0.0.1", "fd00::1"],
        &[
            "127.0.0.1",
            "::1",
            "127.0.0.2",
            "127.0.0.3",
            "127.0.0.4",
            "127.0.0.5",
            "127.0.0.6",
            "127.0.0.7",
            "127.0.0.8",
            "192.168.0.1",
        ],
    ] {
        stage.dns.set_addresses(NAME, mixed);
        assert_eq!(stage.post().await, Err(Failure::ForbiddenAddress), "{mixed:?}");
    }
    assert_eq!(stage.receiver.connections(), 0);
}

#[tokio::test]
async fn an_alias_is_judged_by_where_it_ends() {
    let stage = Stage::set(1).await;
    stage.dns.add_alias(NAME, "a.example.net");
    stage.dns.add_alias("a.example.net", "b.example.net");
    stage.dns.set_addresses("b.example.net", &["127.0.0.1"]);
    assert_eq!(stage.post().await, Ok(200));
    stage.dns.set_addresses("b.example.net", &["172.16.0.1"]);
    assert_eq!(stage.post().await, Err(Failure::ForbiddenAddress));
    stage.dns.add_alias("b.example.net", "db.internal");
    assert_eq!(stage.post().await, Err(Failure::Dns), "nobody has that name here");
    stage.dns.set_addresses("db.internal", &["10.0.0.1"]);
    assert_eq!(stage.post().await, Err(Failure::ForbiddenAddress));
}

#[tokio::test]
async fn a_name_without_an_address_is_a_failure_of_dns() {
    let stage = Stage::set(1).await;
    assert_eq!(stage.post().await, Err(Failure::Dns), "no such name");
    stage.dns.add_empty(NAME);
    assert_eq!(stage.post().await, Err(Failure::Dns), "no address");
    stage.dns.fail();
    assert_eq!(stage.post().await, Err(Failure::Dns), "no answer");
}

#[tokio::test]
async fn dns_that_is_slow_or_silent_costs_the_deadline_and_no_more() {
    let stage = Stage::set(1).await;
    stage.dns.set_addresses(NAME, &["127.0.0.1"]);
    stage.dns.be_slow(Duration::from_secs(60));
    assert_eq!(stage.post_within(SHORT).await, Err(Failure::Timeout));
    stage.dns.be_silent();
    assert_eq!(stage.post_within(SHORT).await, Err(Failure::Timeout));
    assert_eq!(stage.receiver.connections(), 0);
}

/// It stays with the address that was judged, so it is as safe as on the day it was made.
#[tokio::test]
async fn an_idle_connection_is_used_again_and_a_new_one_judged_again() {
    let stage = Stage::set(2).await;
    stage.dns.set_addresses(NAME, &["127.0.0.1"]);
    assert_eq!(stage.post().await, Ok(200));
    stage.dns.set_addresses(NAME, &["10.0.0.1"]);
    assert_eq!(stage.post().await, Ok(200));
    assert_eq!((stage.receiver.connections(), stage.dns.asked().len()), (1, 2));
    assert_eq!(stage.post().await, Err(Failure::ForbiddenAddress));
    assert_eq!(stage.receiver.connections(), 1);
}

#[tokio::test]
async fn localhost_is_loopback_without_dns() {
    let stage = Stage::set(1).await;
    stage.dns.set_addresses("app.localhost", &["10.0.0.1"]);
    for name in ["localhost", "app.localhost"] {
        let url = format!("http://{name}:{}/", stage.receiver.port);
        // It speaks TLS only, so it hangs up on what it is sent.
        let result = attempt(&stage.sender, &url, LONG).await.result;
        assert!(!matches!(result, Err(Failure::Dns | Failure::ForbiddenAddress)), "{name}: {result:?}");
    }
    assert_eq!((stage.receiver.connections(), stage.dns.asked().len()), (2, 0));
}
