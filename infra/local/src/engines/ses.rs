//! SES, as far as functions use it: the v2 API's `SendEmail`, which puts the mail into the [`Mailbox`].
//!
//! Refuses what SES refuses for its form: no sender, no recipient, a line break in a header, no text. Knows no
//! identities, quotas or suppression lists; orders those from [`Faults`](super::Faults).

use bytes::Bytes;
use serde::Deserialize;
use uuid::Uuid;

use super::Answer;
use crate::mailbox::Mailbox;

/// The operation's name, for faults and counters.
pub(super) const SEND_EMAIL: &str = "SendEmail";
/// Where the operation is posted to.
/// <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html>
pub(super) const PATH: &str = "/v2/email/outbound-emails";
/// SES takes 50 recipients in a message; the text is bounded far below SES's 40 MB, as the mailbox lives in memory.
const MAX_RECIPIENTS: usize = 50;
const MAX_TEXT: usize = 256 * 1024;

const JSON: &str = "application/json";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SendEmail {
    from_email_address: Option<String>,
    destination: Option<Destination>,
    content: Content,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Destination {
    #[serde(default)]
    to_addresses: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Content {
    simple: Option<Simple>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Simple {
    subject: Data,
    body: Body,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Body {
    text: Option<Data>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Data {
    data: String,
}

/// Answers one call.
pub(super) fn send(mailbox: &Mailbox, body: &[u8]) -> Answer {
    match read(body) {
        Ok((to, subject, text)) => {
            mailbox.accept(to, subject, text);
            let id = Uuid::new_v4();
            answer(200, format!(r#"{{"MessageId":"{id}"}}"#))
        }
        Err(problem) => {
            let problem = serde_json::json!({"__type": "BadRequestException", "message": problem});
            answer(400, problem.to_string())
        }
    }
}

fn answer(status: u16, body: String) -> Answer {
    Answer { status, content_type: JSON, body: Bytes::from(body) }
}

fn read(body: &[u8]) -> Result<(String, String, String), &'static str> {
    let request: SendEmail = serde_json::from_slice(body).map_err(|_| "The request is not a SendEmail.")?;
    if !request.from_email_address.as_deref().is_some_and(is_address) {
        return Err("Missing or illegal FromEmailAddress.");
    }
    let to = request.destination.map(|destination| destination.to_addresses).unwrap_or_default();
    if to.is_empty() || to.len() > MAX_RECIPIENTS || !to.iter().all(|to| is_address(to)) {
        return Err("Missing or illegal ToAddresses.");
    }
    let simple = request.content.simple.ok_or("The local platform takes Simple content only.")?;
    let (subject, text) = (simple.subject.data, simple.body.text.ok_or("The body has no Text.")?.data);
    if subject.chars().any(char::is_control) {
        return Err("The subject has control characters.");
    }
    if text.len() > MAX_TEXT {
        return Err("The text is too long.");
    }
    Ok((to.join(", "), subject, text))
}

fn is_address(text: &str) -> bool {
    text.contains('@') && !text.chars().any(char::is_control)
}
