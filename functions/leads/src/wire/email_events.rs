//! What happened to e-mails, on the wire.

use std::borrow::Cow;
use std::collections::BTreeMap;

use access::permission::LeadsWrite;
use clock::Timestamp;
use edge::{Committed, Edge, IdempotencyKey, InWorkspace, Json, Refused, Reply, routes};
use ids::{EventId, LeadId, WorkspaceId};
use problem::Problem;
use serde::{Deserialize, Serialize};
use store::{Answer, CommitError, LeadStanding, Refusal};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use crate::app::email_events::{self as app, Draft, EmailEvent};

pub(crate) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new().routes(routes!(create))
}

/// What happened to e-mails.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"events": [{"type": "sent", "lead_id": "lead_01kaq8zr3yfe2r4m8n5p6q7s8t", "message_id": "<1@example.com>"}]}))]
struct CreateEmailEvents {
    /// 1 to 100.
    #[schema(min_items = 1, max_items = 100)]
    events: Vec<CreateEmailEvent>,
}

/// What can happen to an e-mail.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its description is used")]
enum EmailEventType {
    Sent,
    Opened,
    Bounced,
}

/// What happened to one e-mail.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateEmailEvent {
    /// `sent`, `opened` or `bounced`.
    #[schema(value_type = EmailEventType)]
    r#type: String,
    /// A lead of the same workspace.
    #[schema(value_type = LeadId)]
    lead_id: String,
    /// When; now if not given. Not more than 30 days ago.
    #[serde(default)]
    #[schema(value_type = Option<Timestamp>)]
    occurred_at: Option<String>,
    /// The message as you name it, up to 255 characters.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 255, pattern = r"\S")]
    message_id: Option<String>,
}

/// The schema of an [`EmailEvent`].
#[derive(Debug, ToSchema)]
#[schema(as = EmailEvent)]
#[expect(dead_code, reason = "only its shape matters")]
struct EmailEventBody {
    /// The id of the event, as webhooks have it.
    id: EventId,
    #[schema(value_type = EmailEventType)]
    r#type: String,
    workspace_id: WorkspaceId,
    lead_id: LeadId,
    occurred_at: Timestamp,
    message_id: Option<String>,
}

/// What was recorded, in the order in which it was sent.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct EmailEventList {
    #[schema(value_type = Vec<EmailEventBody>)]
    data: Vec<EmailEvent>,
}

/// Record what happened to e-mails
///
/// Causes `email.sent`, `email.opened` and `email.bounced`. What is sent to a `new` lead moves it to `contacted`. More than
/// 48 events are recorded in parts, each as a whole; with an `Idempotency-Key` a request that was cut off can be sent
/// again and goes on where it ended.
#[utoipa::path(
    post, path = "/v1/email-events", operation_id = "create_email_events", tag = "leads",
    request_body = CreateEmailEvents,
    responses((status = 201, description = "Recorded", body = EmailEventList))
)]
async fn create(
    caller: InWorkspace<LeadsWrite>,
    key: IdempotencyKey,
    body: Json<CreateEmailEvents>,
) -> Reply {
    let (scope, ids, now) =
        (caller.workspace.scope(), caller.context.edge().ids(), caller.context.request.now);
    let drafts = body.value.events.into_iter().map(|event| Draft {
        kind: event.r#type,
        lead_id: event.lead_id,
        occurred_at: event.occurred_at,
        message_id: event.message_id,
    });
    let mut list = EmailEventList { data: app::check(drafts.collect(), scope, ids, now)? };
    let standings = caller.workspace.lead_standings(&app::leads(&list.data)).await?;
    app::all_found(&list.data, &standings)?;

    // The first part remembers the answer as a whole. Who finds it remembered goes on with the events that it names.
    let mut remembered = None;
    let first = Part { number: 0, key: Some((&key, &body.bytes)) };
    if let Some(answer) = first.record(&caller, &list, &standings).await? {
        list = serde_json::from_str(&answer.body).map_err(|_| Refused(Problem::Internal))?;
        remembered = Some(answer);
    }
    for number in 1..app::parts(&list.data).count() {
        Part { number, key: None }.record(&caller, &list, &standings).await?;
    }
    match remembered {
        Some(answer) => edge::replay(answer),
        None => edge::answer(axum::http::StatusCode::CREATED, &list),
    }
}

/// How often a part is tried whose leads are moved on by somebody else at the same moment.
const TRIES: usize = 4;

type Standings = BTreeMap<LeadId, LeadStanding>;

/// A part of a request.
struct Part<'a> {
    number: usize,
    /// The key that the answer is remembered for, with the body of the request.
    key: Option<(&'a IdempotencyKey, &'a [u8])>,
}

impl Part<'_> {
    /// Records a part, unless it is recorded already; gives the answer that was remembered, if the key asks for one.
    async fn record(
        &self,
        caller: &InWorkspace<LeadsWrite>,
        list: &EmailEventList,
        standings: &Standings,
    ) -> Result<Option<Answer>, Refused> {
        let (scope, now) = (caller.workspace.scope(), caller.context.request.now);
        let Some(part) = app::parts(&list.data).nth(self.number) else { return Ok(None) };
        let Some(first) = part.first() else { return Ok(None) };
        let mut standings = Cow::Borrowed(standings);
        for _ in 0..TRIES {
            let record = caller.record("email_event.create", "email_event", &first.id.to_string());
            let change = app::record(part, &standings, scope, record, now)?;
            let outcome = match self.key {
                Some((key, body)) => caller.carry_out(change, key, body, &Committed::created(list)).await,
                None => caller.carry_on(change).await,
            };
            match outcome {
                Ok(()) => return Ok(None),
                Err(CommitError::Replayed(answer)) => return Ok(Some(answer)),
                // It was recorded before the request was cut off.
                Err(CommitError::Refused(Refusal::Exists("event"))) => return Ok(None),
                Err(CommitError::Refused(Refusal::Raced)) => {
                    standings = Cow::Owned(caller.workspace.lead_standings(&app::leads(part)).await?);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Refused(Problem::Unavailable))
    }
}
