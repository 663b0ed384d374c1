//! What lies outside of the deployment: the time, and who sends its mail.

use std::time::{Duration, SystemTime};

use aws_sdk_sesv2::Client;
use clock::Timestamp;

use super::{Examination, Trouble, trouble};

/// Limits and seals hold with clocks that are so far apart; AWS refuses signatures of clocks that are 5 minutes apart.
const APART: Duration = Duration::from_secs(60);

impl Examination<'_> {
    pub(super) async fn outside(&mut self) {
        self.time().await;
        if self.is_local() {
            self.report.skip("sender of mails", "the local platform shows mails instead of sending them");
        } else {
            self.sender().await;
        }
        self.report.skip(
            "what each function's role allows, and event source mappings",
            "nothing here sees them; a role that lacks something shows as AccessDeniedException in the log, a mapping that is \
             disabled as work that is left undone (above)",
        );
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

/// What time a server says it is.
async fn date_of(url: &str) -> Option<Timestamp> {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().ok()?;
    let answer = client.get(url).send().await.ok()?;
    let date = httpdate::parse_http_date(answer.headers().get("date")?.to_str().ok()?).ok()?;
    let since = date.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(Timestamp::from_seconds(i64::try_from(since.as_secs()).ok()?))
}
