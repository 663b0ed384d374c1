//! Verifies a webhook from Artisan and handles its event once.
//!
//! ```sh
//! ARTISAN_WEBHOOK_SECRET=whsec_… cargo run -p sample-verify-webhook -- WAY headers.txt body.json
//! ```
//!
//! `WAY` is one of four; one is enough.
//!
//! | | |
//! |---|---|
//! | `library` | the `standardwebhooks` crate |
//! | `v1` | the same with `aws-lc-rs` |
//! | `v1a` | with the endpoint's public key, `ARTISAN_WEBHOOK_PUBLIC_KEY=whpk_…` |
//! | `artisan` | `X-Artisan-Signature`; does not notice that a webhook is an old one sent again |
//!
//! The files are a request as it came: its headers, one `name: value` a line, and its body, byte for byte.

use std::collections::HashSet;
use std::error::Error;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

const TOLERANCE_SECONDS: u64 = 300;

type BoxError = Box<dyn Error + Send + Sync>;

/// Not from Artisan, changed on the way, or old. Answer 400, and do nothing else.
#[derive(Debug)]
struct Refused(String);

fn verify_with_library(secret: &str, headers: &HeaderMap, body: &[u8]) -> Result<(), Refused> {
    let verified = standardwebhooks::Webhook::new(secret).and_then(|webhook| webhook.verify(body, headers));
    verified.map_err(|error| Refused(error.to_string()))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Refused> {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.ok_or_else(|| Refused(format!("it has no {name}")))
}

/// What Standard Webhooks signs, provided that it is recent.
fn signed_text(headers: &HeaderMap, body: &[u8]) -> Result<Vec<u8>, Refused> {
    let (id, timestamp) = (header(headers, "webhook-id")?, header(headers, "webhook-timestamp")?);
    let at: u64 = timestamp.parse().map_err(|_| Refused("its timestamp is not a number".into()))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    if now.abs_diff(at) > TOLERANCE_SECONDS {
        return Err(Refused("its timestamp is more than five minutes off".into()));
    }
    Ok([format!("{id}.{timestamp}.").as_bytes(), body].concat())
}

/// Whether one signature of a scheme fits. There may be several: while a secret is being changed, one by the new and one by
/// the old.
fn any_fits(headers: &HeaderMap, scheme: &str, fits: impl Fn(&[u8]) -> bool) -> Result<(), Refused> {
    let signatures = header(headers, "webhook-signature")?.split(' ').filter_map(|one| one.split_once(','));
    let mut decoded =
        signatures.filter(|(name, _)| *name == scheme).filter_map(|(_, text)| STANDARD.decode(text).ok());
    if decoded.any(|signature| fits(&signature)) { Ok(()) } else { Err(Refused("no signature fits".into())) }
}

fn secret_key(secret: &str) -> Result<hmac::Key, Refused> {
    let bytes = STANDARD.decode(secret.trim_start_matches("whsec_"));
    Ok(hmac::Key::new(HMAC_SHA256, &bytes.map_err(|_| Refused("the secret is not one".into()))?))
}

fn verify_v1(secret: &str, headers: &HeaderMap, body: &[u8]) -> Result<(), Refused> {
    let (key, text) = (secret_key(secret)?, signed_text(headers, body)?);
    // Takes the same time whatever differs.
    any_fits(headers, "v1", |signature| hmac::verify(&key, &text, signature).is_ok())
}

fn verify_v1a(public_key: &str, headers: &HeaderMap, body: &[u8]) -> Result<(), Refused> {
    let bytes = STANDARD.decode(public_key.trim_start_matches("whpk_"));
    let key =
        UnparsedPublicKey::new(&ED25519, bytes.map_err(|_| Refused("the public key is not one".into()))?);
    let text = signed_text(headers, body)?;
    any_fits(headers, "v1a", |signature| key.verify(&text, signature).is_ok())
}

fn verify_artisan(secret: &str, headers: &HeaderMap, body: &[u8]) -> Result<(), Refused> {
    let digest = hmac::sign(&secret_key(secret)?, body);
    let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let signature = header(headers, "x-artisan-signature")?;
    verify_slices_are_equal(format!("sha256={hex}").as_bytes(), signature.as_bytes())
        .map_err(|_| Refused("the signature does not fit".into()))
}

/// The ids of what was handled. In earnest, a table with a unique column: a program that starts again must know them.
#[derive(Default)]
struct Handled(HashSet<String>);

impl Handled {
    /// False if the event was handled before: a webhook may come more than once, with the same id each time.
    ///
    /// In a database, store the id in the same transaction as what the event leads to. So if that fails the id is not
    /// there either, and the next attempt does it. The id in the body is signed in all four ways, and the same as
    /// `webhook-id`.
    fn handle_once(&mut self, id: &str, event: &str) -> bool {
        let new = self.0.insert(id.to_owned());
        if new {
            println!("handled {id} {event}"); // What you do about the event.
        }
        new
    }
}

fn read_headers(text: &str) -> Result<HeaderMap, BoxError> {
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs
        .map(|(name, value)| Ok((name.parse::<HeaderName>()?, value.trim().parse::<HeaderValue>()?)))
        .collect()
}

fn run() -> Result<Result<(), Refused>, BoxError> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("usage: sample-verify-webhook WAY headers.txt body.json");
    let (way, headers, body) = (next()?, next()?, next()?);
    let headers = read_headers(&std::fs::read_to_string(headers)?)?;
    let body = std::fs::read(body)?;
    let set = |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set"));

    let verified = match way.as_str() {
        "library" => verify_with_library(&set("ARTISAN_WEBHOOK_SECRET")?, &headers, &body),
        "v1" => verify_v1(&set("ARTISAN_WEBHOOK_SECRET")?, &headers, &body),
        "v1a" => verify_v1a(&set("ARTISAN_WEBHOOK_PUBLIC_KEY")?, &headers, &body),
        "artisan" => verify_artisan(&set("ARTISAN_WEBHOOK_SECRET")?, &headers, &body),
        _ => return Err(format!("there is no way {way}").into()),
    };
    if let Err(refused) = verified {
        return Ok(Err(refused));
    }

    // Only now is it worth reading.
    let content: Value = serde_json::from_slice(&body)?;
    let text =
        |name: &str| content.get(name).and_then(Value::as_str).ok_or_else(|| format!("no {name} in it"));
    let (id, event) = (text("id")?, text("event")?);
    let mut handled = Handled::default();
    handled.handle_once(id, event);
    // As if the same webhook came again. Answer 2xx to it too.
    if !handled.handle_once(id, event) {
        println!("again {id}: nothing to do");
    }
    Ok(Ok(()))
}

fn main() -> ExitCode {
    match run() {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(Refused(reason))) => {
            eprintln!("refused: {reason}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}
