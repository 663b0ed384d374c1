//! Reports of leaked keys, in the form of GitHub's secret scanning partner program.
//! <https://docs.github.com/en/code-security/secret-scanning/secret-scanning-partnership-program/secret-scanning-partner-program>
//!
//! Open: what vouches for a report is its signature, and nothing of it is looked at before that is verified. What a report
//! that is not signed costs: its bytes (256 KiB at most), one verification, and no call to the store. The answer tells for
//! each secret that was sent whether it is a key of ours, and nothing else: not whose, nor whether it still works.

use std::collections::{BTreeMap, HashSet};

use access::api_key::PlainKey;
use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use clock::Timestamp;
use edge::{Edge, Raw, Refused, Reply, RequestInfo, routes};
use futures::stream::{self, StreamExt as _};
use ids::KeyId;
use problem::{Code, Problem};
use secret_scanning::{IDENTIFIER_HEADER, SIGNATURE_HEADER, Signature, VerifyError};
use serde::{Deserialize, Serialize};
use store::{ApiKey, AuditRecord, CommitError, Leak, Organization, StoreError, Tenant};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use crate::Scanning;
use crate::app::leaks::{self, MOST_MATCHES, Remedy};

/// How many keys are dealt with side by side.
const AT_ONCE: usize = 8;
/// How often a key is looked at again that somebody else changed at the same moment.
const LOOKS: usize = 3;
/// How far the keys are followed that a leaked key has put in its own place, one after the other.
const MOST_SUCCESSORS: usize = 10;

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new().routes(routes!(report))
}

/// A secret that was found. More fields are taken and passed over: the form is the reporter's.
#[derive(Deserialize, ToSchema)]
#[schema(as = LeakedSecret, example = json!({
    "token": "sk_live_…", "type": "artisan_api_key", "url": "https://github.com/acme/site/blob/main/.env", "source": "content"
}))]
struct Match {
    /// The secret.
    token: String,
    /// The name of the pattern that it matches.
    r#type: String,
    /// Where it was found; may be empty.
    #[serde(default)]
    url: String,
    /// In what kind of place it was found.
    #[serde(default)]
    #[expect(dead_code, reason = "belongs to the form")]
    source: Option<String>,
}

/// Whether a secret is a key of ours.
#[derive(Serialize, ToSchema)]
#[schema(as = LeakedSecretLabel)]
struct Labelled<'a> {
    /// The secret, as it was sent.
    token_raw: &'a str,
    /// The type, as it was sent.
    token_type: &'a str,
    /// `true_positive` or `false_positive`.
    label: &'static str,
}

/// Report leaked keys
///
/// For GitHub, which signs its reports. A key that was found in public is revoked at once, or flagged where the
/// organization's setting `leaked_keys` says so, and its admins are told. Answers 404 where no reports are taken.
#[utoipa::path(
    post, path = "/api/secret-scanning/github", operation_id = "report_leaked_keys", tag = "api keys",
    params(("Github-Public-Key-Identifier" = String, Header, description = "The published key it is signed with"), ("Github-Public-Key-Signature" = String, Header,
         description = "ECDSA on P-256 with SHA-256 over the raw body: ASN.1 DER in Base64")),
    request_body = Vec<Match>,
    responses((status = 200, description = "Which of them are keys", body = Vec<Labelled<'static>>)),
    extensions(("x-problem-codes" = json!([Code::Unauthenticated, Code::NotFound, Code::Invalid])))
)]
async fn report(
    State(edge): State<Edge>,
    Extension(Scanning(verifier)): Extension<Scanning>,
    request: RequestInfo,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Reply {
    let Some(verifier) = verifier else { return Err(Refused(Problem::NotFound { what: "route" })) };
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let signature =
        Signature::read(header(IDENTIFIER_HEADER), header(SIGNATURE_HEADER)).map_err(unbelieved)?;
    verifier.verify(&signature, &body).await.map_err(unbelieved)?;
    let matches = parse(&body)?;
    let desk = Desk { edge: &edge, request: &request };
    let ours = desk.deal_with(&matches).await?;
    let label = |found: &Match| if ours.contains(&*found.token) { "true_positive" } else { "false_positive" };
    let labelled = matches.iter().map(|found| Labelled {
        token_raw: &found.token,
        token_type: &found.r#type,
        label: label(found),
    });
    edge::ok(&labelled.collect::<Vec<_>>(), None)
}

/// The problem for a report that is not believed.
fn unbelieved(error: VerifyError) -> Refused {
    Refused(match error {
        VerifyError::Unsigned | VerifyError::UnknownKey | VerifyError::Forged => {
            tracing::info!(%error, "a report of leaked keys is refused");
            Problem::Unauthenticated
        }
        VerifyError::NoKeys => Problem::Unavailable,
    })
}

/// The matches of a report. Its body came from whom it should, so no more is said about one that is wrong than that.
fn parse(body: &[u8]) -> Result<Vec<Match>, Problem> {
    let matches: Vec<Match> = serde_json::from_slice(body).map_err(|_| {
        Problem::invalid("", "format", "must be an array of objects with token, type and url")
    })?;
    if matches.len() > MOST_MATCHES {
        return Err(Problem::invalid("", "length", format!("must name at most {MOST_MATCHES} tokens")));
    }
    Ok(matches)
}

/// Something that has the form of a key, and where it was found.
struct Sighted {
    key: PlainKey,
    leak: Leak,
}

/// What has the form of a key among the matches, by its token. One that is named several times is dealt with once, with the
/// first place that is named for it.
fn sighted(matches: &[Match], now: Timestamp) -> BTreeMap<&str, Sighted> {
    let mut sighted: BTreeMap<&str, Sighted> = BTreeMap::new();
    for found in matches {
        let Ok(key) = PlainKey::parse(&found.token) else { continue };
        let entry = sighted.entry(&found.token);
        let leak = &mut entry.or_insert(Sighted { key, leak: Leak { at: now, url: None } }).leak;
        leak.url = leak.url.take().or_else(|| leaks::place(&found.url));
    }
    sighted
}

/// The key that took this one's place, if this one made it itself.
async fn own_successor(tenant: &Tenant, key: &ApiKey) -> Result<Option<KeyId>, StoreError> {
    let Some(id) = key.rotated_to else { return Ok(None) };
    let successor = tenant.api_key(id).await?;
    Ok(successor.filter(|successor| successor.created_by == key.id.to_string()).map(|successor| successor.id))
}

/// Where reports are worked on.
#[derive(Clone, Copy)]
struct Desk<'a> {
    edge: &'a Edge,
    request: &'a RequestInfo,
}

impl Desk<'_> {
    /// Does what is to be done about each key, and gives the tokens that are keys of ours. Junk costs nothing.
    async fn deal_with(self, matches: &[Match]) -> Result<HashSet<&str>, Refused> {
        let sighted = sighted(matches, self.request.now);
        let tokens: Vec<&str> = sighted.keys().copied().collect();
        let keys: Vec<Sighted> = sighted.into_values().collect();
        let work = keys.into_iter().map(|it| async move { self.deal_with_key(&it.key, &it.leak).await });
        // One that fails holds up none of the others: the reporter may not come again.
        let ours: Vec<Result<bool, Refused>> = stream::iter(work).buffered(AT_ONCE).collect().await;
        let ours = ours.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(tokens.into_iter().zip(ours).filter_map(|(token, is_ours)| is_ours.then_some(token)).collect())
    }

    /// Whether it is a key of ours; after what is to be done about it has been done.
    async fn deal_with_key(self, plain: &PlainKey, leak: &Leak) -> Result<bool, Refused> {
        let store = self.edge.unscoped_store();
        let Some((tenant, id)) = store.owner_of_key(&plain.proof(self.edge.peppers())).await? else {
            return Ok(false);
        };
        // Whoever found a key may have rotated it: what it has made of itself has leaked with it.
        let mut next = Some(id);
        for _ in 0..MOST_SUCCESSORS {
            let Some(id) = next else { break };
            next = self.remedy(&tenant, id, leak).await?;
        }
        Ok(true)
    }

    /// Does what is to be done about one key, if there is anything. Gives the key that it has put in its own place.
    async fn remedy(self, tenant: &Tenant, id: KeyId, leak: &Leak) -> Result<Option<KeyId>, Refused> {
        for _ in 0..LOOKS {
            let (key, organization) = futures::try_join!(tenant.api_key(id), tenant.organization())?;
            // A credential of an organization that is being erased may be left for a moment.
            let (Some(key), Some(organization)) = (key, organization) else { return Ok(None) };
            let setting = organization.settings.leaked_keys;
            let done = match leaks::remedy(&key, setting, leak.at) {
                None => Ok(()),
                Some(remedy) => self.carry_out(tenant, &key, &organization, leak, remedy).await,
            };
            match done {
                Ok(()) => return Ok(own_successor(tenant, &key).await?),
                // Somebody else changed it at the same moment; perhaps there is nothing to do any more.
                Err(CommitError::Refused(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        tracing::error!(api_key = %id, "a leaked key could not be dealt with");
        Err(Refused(Problem::Unavailable))
    }

    /// Revokes or flags the key and tells the admins, in one transaction.
    async fn carry_out(
        self,
        tenant: &Tenant,
        key: &ApiKey,
        organization: &Organization,
        leak: &Leak,
        remedy: Remedy,
    ) -> Result<(), CommitError> {
        let predecessor = match key.rotated_from {
            Some(id) => tenant.api_key(id).await?,
            None => None,
        };
        let keys = (key, predecessor.as_ref());
        let mut change = leaks::change(keys, organization, leak, remedy, self.record(organization, key.id));
        let admins = if leaks::is_told(organization) { tenant.notified_admins().await? } else { Vec::new() };
        for admin in admins {
            let letter = leaks::letter(admin.email, key, organization, leak, remedy);
            let id = self.edge.ids().next();
            change = change.mailing(self.edge.mail_seal().outgoing(id, organization.id, letter, leak.at)?);
        }
        tenant.commit(change, None).await
    }

    fn record(self, organization: &Organization, key: KeyId) -> AuditRecord {
        AuditRecord {
            ip_address: self.request.ip.to_string(),
            user_agent: self.request.user_agent.clone(),
            request_id: self.request.id.clone(),
            ..AuditRecord::by_system(
                "github-secret-scanning",
                "api_key.leaked",
                ("api_key", Some(key.to_string())),
                organization.id,
                self.edge.ids(),
                self.request.now,
            )
        }
    }
}
