//! `/_local/clock`: the platform's clock, which people may move forward: to the next retry, to a key's end, to next month.
//!
//! How far it is ahead is kept with the data, as what was written then has times of then. It never goes back: to return to
//! the present, begin with an empty data directory. Only a page of this machine moves it, or a program that is no browser.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Form, Json, Router};
use clock::{Clock, LeadingClock, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Platform;
use crate::data_directory::{DataError, Keep, Survives};
use crate::page::{STYLE, escape};
use crate::server::{is_asked_here, names_this_machine};

/// Where it is.
pub(crate) const PATH: &str = "/_local/clock";
/// How far the clock is ahead, in milliseconds.
const FILE: &str = "clock";
/// The furthest it is moved at once.
const FURTHEST: Duration = Duration::from_secs(366 * 86_400);
/// Where a browser may be sent back to.
const CONSOLE: &str = "/console";

/// Where it stops, long before times cannot be written any more: tokens and records end some time after now.
fn end() -> Timestamp {
    clock::utc(2200, 1, 1, 0, 0)
}

/// The platform's clock and the hand that moves it.
pub(crate) struct MovingClock {
    clock: Clock,
    hand: LeadingClock,
    keep: Arc<Keep>,
    /// Held while it is moved.
    moving: Mutex<()>,
}

/// Why the clock was not moved.
#[derive(Debug, thiserror::Error)]
enum MoveError {
    #[error("send `by`, in seconds, or `to`, a time such as 2026-11-22T15:04:05Z")]
    Unclear,
    #[error("{to} has passed; the clock, at {now}, never goes back")]
    Past { to: Timestamp, now: Timestamp },
    #[error("that is more than {} days ahead; go there in several steps", FURTHEST.as_secs() / 86_400)]
    TooFar,
    #[error("it goes no further than {}", end())]
    End,
    #[error(transparent)]
    Keep(#[from] DataError),
}

impl MovingClock {
    /// The clock as it was when the platform ran last.
    pub(crate) fn resume(clock: Clock, hand: LeadingClock, keep: &Arc<Keep>) -> Result<Self, DataError> {
        if let Some(content) = keep.read(FILE)? {
            let millis = std::str::from_utf8(&content).ok().and_then(|text| text.trim().parse().ok());
            let lead = millis.map(Duration::from_millis).filter(|lead| clock.now() + *lead <= end());
            hand.advance(lead.ok_or(DataError::Damaged { name: FILE })?);
        }
        Ok(Self { clock, hand, keep: Arc::clone(keep), moving: Mutex::default() })
    }

    fn advance(&self, asked: &Asked) -> Result<(), MoveError> {
        let _moving = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        let by = asked.distance(self.clock.now())?;
        let lead = self.hand.lead() + by;
        // Kept first: a time that was lived through is never lived through again.
        self.keep.write(FILE, lead.as_millis().to_string().as_bytes(), Survives::Process)?;
        self.hand.advance(by);
        Ok(())
    }
}

/// What a form asks for.
#[derive(Debug, Deserialize)]
struct Asked {
    by: Option<String>,
    to: Option<String>,
    back: Option<String>,
}

impl Asked {
    /// How far the clock has to go.
    fn distance(&self, now: Timestamp) -> Result<Duration, MoveError> {
        let filled = |field: &Option<String>| {
            field.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let by = match (filled(&self.by), filled(&self.to)) {
            (Some(by), None) => Duration::from_secs(by.parse().map_err(|_| MoveError::Unclear)?),
            (None, Some(to)) => {
                let to = Timestamp::parse(&to).ok_or(MoveError::Unclear)?;
                if to < now {
                    return Err(MoveError::Past { to, now });
                }
                to.since(now)
            }
            _ => return Err(MoveError::Unclear),
        };
        if now + by > end() {
            return Err(MoveError::End);
        }
        if by > FURTHEST { Err(MoveError::TooFar) } else { Ok(by) }
    }

    /// Where the browser goes afterwards: into the console or nowhere else.
    fn back(&self) -> &str {
        let back = self.back.as_deref().unwrap_or_default();
        match back.strip_prefix(CONSOLE) {
            Some(rest) if (rest.is_empty() || rest.starts_with(['/', '?'])) && is_plain(rest) => back,
            _ => PATH,
        }
    }
}

/// Whether an address is read as it stands: nothing in it leads upwards, and a header can hold it.
fn is_plain(address: &str) -> bool {
    let up = address.contains("..") || address.to_ascii_lowercase().contains("%2e");
    !up && address.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

/// The page, where there is a clock to move.
pub(crate) fn router(platform: &Platform) -> Router<Platform> {
    if platform.moving_clock().is_none() {
        return Router::new();
    }
    Router::new().route(PATH, get(show).post(advance))
}

async fn show(State(platform): State<Platform>, Query(asked): Query<Asked>, headers: HeaderMap) -> Response {
    let Some(moving) = platform.moving_clock() else { return StatusCode::NOT_FOUND.into_response() };
    if !is_asked_here(&headers) {
        return (StatusCode::FORBIDDEN, "The clock is shown on this machine only.\n").into_response();
    }
    if wants_json(&headers) {
        return Json(standing(moving, platform.engines().queues().next_of_all())).into_response();
    }
    shown(StatusCode::OK, &platform, moving, &asked, None)
}

fn shown(
    status: StatusCode,
    platform: &Platform,
    moving: &MovingClock,
    asked: &Asked,
    fault: Option<&MoveError>,
) -> Response {
    let next = platform.engines().queues().next_of_all();
    let policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
    let page = Html(page(moving, next, asked, fault));
    (status, [(header::CONTENT_SECURITY_POLICY, policy)], page).into_response()
}

async fn advance(State(platform): State<Platform>, headers: HeaderMap, Form(asked): Form<Asked>) -> Response {
    let Some(moving) = platform.moving_clock() else { return StatusCode::NOT_FOUND.into_response() };
    if !is_of_this_machine(&headers) {
        return (StatusCode::FORBIDDEN, "Only pages of this machine move the clock.\n").into_response();
    }
    match moving.advance(&asked) {
        Ok(()) => {
            platform.look_at_the_clock();
            if wants_json(&headers) {
                Json(standing(moving, platform.engines().queues().next_of_all())).into_response()
            } else {
                Redirect::to(asked.back()).into_response()
            }
        }
        Err(MoveError::Keep(error)) => {
            tracing::error!(error = crate::cli::one_line(&error), "the clock could not be moved");
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response()
        }
        Err(error) if wants_json(&headers) => {
            (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({"error": error.to_string()}))).into_response()
        }
        Err(error) => shown(StatusCode::UNPROCESSABLE_ENTITY, &platform, moving, &asked, Some(&error)),
    }
}

/// Whether a request is from a page of this machine, or from no page at all. Browsers say in `Origin` which page sent a form.
fn is_of_this_machine(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value: &header::HeaderValue| value.to_str().unwrap_or_default());
    let host = text(header::HOST).unwrap_or_default();
    names_this_machine(host)
        && text(header::ORIGIN).is_none_or(|origin| origin.strip_prefix("http://") == Some(host))
}

fn wants_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("application/json"))
}

fn standing(moving: &MovingClock, next: Option<Timestamp>) -> Value {
    json!({
        "now": moving.clock.now(),
        "ahead_seconds": moving.hand.lead().as_secs(),
        "next_message_at": next,
    })
}

const HEAD: &str = r#"<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Clock · Artisan</title><style>"#;
const FORMS: &str = "
form{display:flex;flex-wrap:wrap;gap:.5rem;align-items:end;margin:.7rem 0 0}
button,input{font:inherit;padding:.4rem .8rem;border:1px solid var(--soft);border-radius:8px;background:var(--page);color:inherit}
label{display:block;color:var(--soft);font-size:.85rem}
button{cursor:pointer}:focus-visible{outline:2px solid var(--link);outline-offset:2px}
";
const STEPS: [(u32, &str); 6] = [
    (60, "1 minute"),
    (15 * 60, "15 minutes"),
    (3600, "1 hour"),
    (86_400, "1 day"),
    (7 * 86_400, "7 days"),
    (30 * 86_400, "30 days"),
];

fn page(moving: &MovingClock, next: Option<Timestamp>, asked: &Asked, fault: Option<&MoveError>) -> String {
    let now = moving.clock.now();
    let back = match asked.back() {
        PATH => String::new(),
        back => format!("<input type=hidden name=back value=\"{}\">", escape(back)),
    };
    let mut page = format!(
        "{HEAD}{STYLE}{FORMS}</style></head><body><main><h1>Clock</h1>\
         <p>Everything on this platform goes by it. It goes forward only, and stays there when the platform starts again; \
         an empty data directory begins in the present.</p>\
         <article><header><h2><time datetime=\"{now}\">{now}</time></h2><span class=name>{}</span></header></article>",
        ahead(moving.hand.lead()),
    );
    // Writing to a String cannot fail, here and below.
    if let Some(fault) = fault {
        let fault = escape(&fault.to_string());
        let _ = write!(page, "<article role=alert class=bad>The clock was not moved: {fault}.</article>");
    }
    let _ =
        write!(page, "<article><header><h2>Forward by</h2></header><form method=post action={PATH}>{back}");
    for (seconds, name) in STEPS {
        let _ = write!(page, "<button name=by value={seconds}>{name}</button>");
    }
    let to = asked.to.as_deref().and_then(Timestamp::parse).map(|to| to.to_string()).unwrap_or_default();
    let _ = write!(
        page,
        "</form></article><article><header><h2>Forward to</h2></header><form method=post action={PATH}>{back}\
         <div><label for=to>A time, with its offset from UTC</label>\
         <input id=to name=to size=26 value=\"{}\" placeholder=\"{now}\" required></div><button>Go there</button></form>",
        escape(&to),
    );
    if let Some(next) = next {
        let _ = write!(
            page,
            "<form method=post action={PATH}>{back}<input type=hidden name=to value=\"{next}\">\
             <button>To the next message that waits in a queue, {next}</button></form>",
        );
    }
    page.push_str("</article></main></body></html>");
    page
}

fn ahead(lead: Duration) -> String {
    let seconds = lead.as_secs();
    if seconds == 0 {
        return "the time of this machine".to_owned();
    }
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    format!("{days} d {hours} h {minutes} min {} s ahead of this machine", seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(by: &str, to: &str) -> Asked {
        Asked { by: Some(by.to_owned()), to: Some(to.to_owned()), back: None }
    }

    fn moving(keep: &Arc<Keep>) -> MovingClock {
        let (clock, hand) = Clock::ahead();
        MovingClock::resume(clock, hand, keep).unwrap()
    }

    #[test]
    fn it_goes_forward_and_stays_there_over_a_restart() {
        let keep = Arc::new(Keep::memory());
        let first = moving(&keep);
        first.advance(&asked("3600", "")).unwrap();
        let there = first.clock.now() + Duration::from_secs(86_400);
        first.advance(&asked("", &there.to_string())).unwrap();
        assert!(first.clock.now() >= there);
        assert_eq!(moving(&keep).hand.lead(), first.hand.lead());
    }

    #[test]
    fn what_is_unclear_past_or_far_moves_nothing() {
        let keep = Arc::new(Keep::memory());
        let clock = moving(&keep);
        let past = (clock.clock.now() - Duration::from_secs(60)).to_string();
        for (by, to) in [
            ("", ""),
            ("-1", ""),
            ("1.5", ""),
            ("60", "2026-11-22T15:04:05Z"),
            ("", "tomorrow"),
            ("", past.as_str()),
            ("99999999999999999999", ""),
            ("40000000", ""),
            ("", "9999-12-31T23:59:59Z"),
        ] {
            clock.advance(&asked(by, to)).unwrap_err();
        }
        assert_eq!(clock.hand.lead(), Duration::ZERO);
        assert_eq!(keep.read(FILE).unwrap(), None);
        for damaged in ["tomorrow", "-1", "999999999999999999"] {
            keep.write(FILE, damaged.as_bytes(), Survives::Process).unwrap();
            let (clock, hand) = Clock::ahead();
            assert!(matches!(MovingClock::resume(clock, hand, &keep), Err(DataError::Damaged { .. })));
        }
    }

    #[test]
    fn it_leads_back_into_the_console_alone() {
        for (back, leads) in [
            ("/console", "/console"),
            ("/console/keys/key_1?by=day", "/console/keys/key_1?by=day"),
            ("/consoles", PATH),
            ("//evil.example", PATH),
            ("https://evil.example/console", PATH),
            ("/console/../_local/mail", PATH),
            ("/console/%2E%2e/x", PATH),
            ("/console/\\evil.example", PATH),
            ("/console/\nx: y", PATH),
            ("", PATH),
        ] {
            let asked = Asked { by: None, to: None, back: Some(back.to_owned()) };
            assert_eq!(asked.back(), leads, "{back}");
        }
    }

    #[test]
    fn pages_of_elsewhere_do_not_move_it() {
        let headers = |host: &'static str, origin: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, header::HeaderValue::from_static(host));
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, header::HeaderValue::from_static(origin));
            }
            headers
        };
        assert!(is_of_this_machine(&headers("localhost:8000", None)));
        assert!(is_of_this_machine(&headers("localhost:8000", Some("http://localhost:8000"))));
        for (host, origin) in [
            ("localhost:8000", Some("https://evil.example")),
            ("localhost:8000", Some("http://localhost:9000")),
            ("localhost:8000", Some("null")),
            ("rebound.example", None),
            ("rebound.example", Some("http://rebound.example")),
        ] {
            assert!(!is_of_this_machine(&headers(host, origin)), "{host} {origin:?}");
        }
    }

    #[test]
    fn what_an_address_says_is_text() {
        let keep = Arc::new(Keep::memory());
        let asked = Asked {
            by: None,
            to: Some("\"><script>".to_owned()),
            back: Some("/console?\"><script>".to_owned()),
        };
        let page = page(&moving(&keep), None, &asked, Some(&MoveError::Unclear));
        assert!(!page.contains("<script"), "{page}");
    }
}
