//! What lies outside of the deployment: the time, who sends its mail and hears its alarms, and whether people reach it.

use std::time::{Duration, SystemTime};

use aws_sdk_sesv2::Client;
use clock::Timestamp;
use serde::Deserialize;
use url::{Host, Url};

use super::{Examination, Trouble, trouble};

/// Limits and seals hold with clocks that are so far apart; AWS refuses signatures of clocks that are 5 minutes apart.
const APART: Duration = Duration::from_secs(60);

impl Examination<'_> {
    pub(super) async fn outside(&mut self) {
        self.time().await;
        self.reach().await;
        if self.is_local() {
            self.report.skip("sender of mails", "the local platform shows mails instead of sending them");
        } else {
            self.sender().await;
            self.listener();
        }
    }

    async fn time(&mut self) {
        const WHAT: &str = "clock";
        let config = &self.services.aws.config;
        let region = config.region().map_or("us-east-1", |it| it.as_ref());
        let url = config
            .endpoint_url()
            .map_or_else(|| format!("https://dynamodb.{region}.amazonaws.com/"), str::to_owned);
        let Some(theirs) = date_of(&url).await else {
            self.report.skip(WHAT, format!("{url} does not say what time it is"));
            return;
        };
        let ours = self.services.clock.now();
        let apart = if ours > theirs { ours.since(theirs) } else { theirs.since(ours) };
        if apart <= APART {
            self.report.pass();
        } else {
            self.report.error(
                "clock_skew",
                WHAT,
                format!("this machine's clock and that of {url} are {} s apart", apart.as_secs()),
                "set the clock by NTP: AWS refuses calls of a clock that is five minutes off, and records would bear the wrong time",
            );
        }
    }

    /// Whether people reach the deployment where its mails lead them.
    async fn reach(&mut self) {
        const WHAT: &str = "PUBLIC_URL";
        let Some(text) = self.value(WHAT) else { return };
        // Said to be malformed already.
        let Ok(url) = Url::parse(&text) else { return };
        let is_loopback = match url.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => true,
        };
        if is_loopback && !self.is_local() {
            self.report.error(
                "public_url_local",
                text,
                "links in mails, and identity providers, lead to the reader's own machine",
                "deploy with PublicUrl set to where the API answers: the output ApiUrl, or a domain that leads there",
            );
            return;
        }
        if url.scheme() != "https" && !self.is_local() {
            self.report.warning(
                "public_url_plain",
                &text,
                "links in mails carry tokens, and lead over plain HTTP",
                "deploy with PublicUrl set to an https URL",
            );
        }
        if self.is_local() && url.host_str() == Some("localhost") {
            self.report.skip("whether people reach it", "the local platform answers on this machine alone");
            return;
        }
        match health_of(&text).await {
            Ok(health) if health.version != env!("CARGO_PKG_VERSION") => self.report.warning(
                "version_different",
                text,
                format!("version {} answers there, and this program is of {}", health.version, env!("CARGO_PKG_VERSION")),
                "use the program of the version that is deployed: what should be there is read from its template",
            ),
            Ok(health) if health.status == "ok" => self.report.pass(),
            Ok(_) => self.report.error(
                "health_down",
                text,
                "its /health says that something it needs does not answer",
                "read what /health says, and what is found here of tables and queues",
            ),
            Err(why) => self.report.error(
                "public_url_elsewhere",
                text,
                format!("Artisan does not answer there: {why}"),
                "is the domain mapped to the API, does its record in DNS lead there, does the certificate hold?",
            ),
        }
    }

    /// Whether anybody is told of alarms.
    fn listener(&mut self) {
        match self.value("ALARM_TOPIC_ARN").as_deref() {
            Some("none") => self.report.warning(
                "alarms_unheard",
                "alarms",
                "no topic is named: they change state and tell nobody",
                "deploy with AlarmTopicArn, and subscribe somebody to it",
            ),
            Some(_) => self.report.pass(),
            None => self
                .report
                .skip("who hears the alarms", "ALARM_TOPIC_ARN is not set; it is an output of the stack"),
        }
    }

    async fn sender(&mut self) {
        let Some(address) = self.value("MAIL_FROM") else { return };
        let client = Client::new(&self.services.aws.config);
        let domain = address.rsplit('@').next().unwrap_or_default().to_owned();
        let mut known = false;
        for identity in [address.clone(), domain] {
            match client.get_email_identity().email_identity(&identity).send().await.map_err(trouble) {
                Ok(found) if found.verified_for_sending_status => known = true,
                Ok(_) | Err(Trouble::Missing) => {}
                Err(other) => return self.note(other, "sender of mails", "ses:GetEmailIdentity"),
            }
        }
        if known {
            self.report.pass();
        } else {
            self.report.error(
                "mail_sender_unverified",
                address,
                "SES has verified neither this address nor its domain: no mail goes out",
                "verify one of them in SES, in this region",
            );
        }
        match client.get_account().send().await.map_err(trouble) {
            Ok(account) if account.production_access_enabled => self.report.pass(),
            Ok(_) => self.report.warning(
                "mail_sandbox",
                "SES",
                "the account is in SES's sandbox: mails go to verified addresses only",
                "ask SES for production access",
            ),
            Err(other) => self.note(other, "sandbox of SES", "ses:GetAccount"),
        }
    }
}

/// What `/health` says.
#[derive(Deserialize)]
struct Health {
    status: String,
    version: String,
}

async fn health_of(base: &str) -> Result<Health, String> {
    let ask = async {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
        client.get(format!("{}/health", base.trim_end_matches('/'))).send().await?.text().await
    };
    let text = ask.await.map_err(|error| telemetry::chain(&error))?;
    serde_json::from_str(&text).map_err(|_| "what answers is no health document".to_owned())
}

/// What time a server says it is.
async fn date_of(url: &str) -> Option<Timestamp> {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().ok()?;
    let answer = client.get(url).send().await.ok()?;
    let date = httpdate::parse_http_date(answer.headers().get("date")?.to_str().ok()?).ok()?;
    let since = date.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(Timestamp::from_seconds(i64::try_from(since.as_secs()).ok()?))
}
