//! Lookups against a real server on loopback.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it should be")]

use std::net::IpAddr;
use std::time::{Duration, Instant};

use dns::{Resolver, SetupError, Unanswered};
use standins::DnsServer;

const NAME: &str = "_artisan.example.com";

fn resolver(server: &DnsServer) -> Resolver {
    Resolver::new(Some(&server.address())).unwrap()
}

#[tokio::test]
async fn records_are_found_and_fresh() {
    let server = DnsServer::start().await;
    let resolver = resolver(&server);
    assert!(resolver.txt(NAME).await.unwrap().is_empty());
    server.add_txt(NAME, "artisan-verification=abc");
    server.add_txt(NAME, "v=spf1 -all");
    assert_eq!(resolver.txt(NAME).await.unwrap(), ["artisan-verification=abc", "v=spf1 -all"]);
    assert_eq!(resolver.txt("_ARTISAN.Example.Com.").await.unwrap().len(), 2);
    server.remove_txt(NAME);
    assert!(resolver.txt(NAME).await.unwrap().is_empty());
    assert!(server.asked().iter().all(|name| name == NAME), "{:?}", server.asked());
}

#[tokio::test]
async fn a_name_without_such_records_is_an_answer_too() {
    let server = DnsServer::start().await;
    server.add_empty(NAME);
    assert!(resolver(&server).txt(NAME).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_long_record_comes_whole_and_over_tcp() {
    let server = DnsServer::start().await;
    let long = "0123456789".repeat(200);
    server.add_txt(NAME, &long);
    assert_eq!(resolver(&server).txt(NAME).await.unwrap(), [long]);
}

#[tokio::test]
async fn an_alias_is_followed() {
    let server = DnsServer::start().await;
    server.add_alias(NAME, "claims.example.net");
    assert!(resolver(&server).txt(NAME).await.unwrap().is_empty());
    server.add_txt("claims.example.net", "artisan-verification=abc");
    assert_eq!(resolver(&server).txt(NAME).await.unwrap(), ["artisan-verification=abc"]);
}

#[tokio::test]
async fn an_alias_of_itself_leads_nowhere() {
    let server = DnsServer::start().await;
    server.add_alias(NAME, NAME);
    let answer = resolver(&server).txt(NAME).await;
    assert!(answer.is_err() || answer.is_ok_and(|records| records.is_empty()));
}

#[tokio::test]
async fn a_server_that_fails_is_not_an_absent_record() {
    let server = DnsServer::start().await;
    server.add_txt(NAME, "artisan-verification=abc");
    let resolver = resolver(&server);
    server.fail();
    assert!(matches!(resolver.txt(NAME).await, Err(Unanswered::Failed(_))));
    server.recover();
    assert_eq!(resolver.txt(NAME).await.unwrap().len(), 1);
}

#[tokio::test]
async fn silence_is_left_in_time_and_is_not_an_absent_record() {
    let server = DnsServer::start().await;
    server.be_silent();
    let started = Instant::now();
    let resolver = resolver(&server).within(Duration::from_millis(200));
    assert!(matches!(resolver.txt(NAME).await, Err(Unanswered::Timeout)));
    assert!(started.elapsed() < Duration::from_secs(3), "by itself it tries twice, for 1.5 s each");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_not_an_absent_record() {
    let server = DnsServer::start().await;
    let resolver = resolver(&server).within(Duration::from_secs(1));
    drop(server);
    assert!(resolver.txt(NAME).await.is_err());
}

#[tokio::test]
async fn addresses_are_found_and_fresh_and_aliases_of_them_followed() {
    let server = DnsServer::start().await;
    let resolver = resolver(&server);
    server.set_addresses(NAME, &["2001:db8::1", "192.0.2.1", "192.0.2.2"]);
    server.add_alias("www.example.com", NAME);
    let found = resolver.addresses("www.example.com").await.unwrap();
    assert_eq!(found, ["192.0.2.1", "192.0.2.2", "2001:db8::1"].map(|a| a.parse::<IpAddr>().unwrap()));
    server.set_addresses(NAME, &[]);
    assert!(resolver.addresses("www.example.com").await.unwrap().is_empty());
    assert!(resolver.addresses("nobody.example.com").await.unwrap().is_empty());
    server.fail();
    assert!(matches!(resolver.addresses(NAME).await, Err(Unanswered::Failed(_))));
}

#[tokio::test]
async fn a_slow_answer_is_waited_for_and_left_in_time() {
    let server = DnsServer::start().await;
    server.set_addresses(NAME, &["192.0.2.1"]);
    server.be_slow(Duration::from_millis(100));
    assert_eq!(resolver(&server).addresses(NAME).await.unwrap().len(), 1);
    server.be_slow(Duration::from_secs(60));
    let hasty = resolver(&server).within(Duration::from_millis(200));
    assert!(matches!(hasty.addresses(NAME).await, Err(Unanswered::Timeout)));
}

#[tokio::test]
async fn a_name_that_does_not_fit_is_not_asked_for() {
    let server = DnsServer::start().await;
    for name in ["a..b", &"a".repeat(64), &"a.".repeat(200)] {
        assert!(matches!(resolver(&server).txt(name).await, Err(Unanswered::Name(_))), "{name}");
    }
    assert!(server.asked().is_empty());
}

#[test]
fn the_server_is_an_address_and_a_port() {
    for wrong in ["", "127.0.0.1", "localhost:53", "127.0.0.1:99999"] {
        assert!(matches!(Resolver::new(Some(wrong)), Err(SetupError::Address(_))), "{wrong}");
    }
    assert!(Resolver::new(Some("[::1]:53")).is_ok());
}
