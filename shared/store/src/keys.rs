//! Every key, and nowhere else a key.
//!
//! | what | table | key condition |
//! |---|---|---|
//! | API key by its locator | directory | `pk = KEY#<locator>`, `sk = KEY` |
//! | session by id | directory | `pk = SES#<ses>`, `sk = SES` |
//! | identity and its organizations by e-mail | directory | `pk = EMAIL#<email>` |
//! | sign-up remembered for its idempotency key | directory | `pk = IDEM#<digest>`, `sk = IDEM` |
//! | sign-in with an address nobody has | directory | `pk = MISS#<digest>`, `sk = MISS` |
//! | an open invitation to an address | directory | `pk = EMAIL#<email>`, `sk = INV#<org>` |
//! | an address somebody signed in from | directory | `pk = EMAIL#<email>`, `sk = FROM#<digest>` |
//! | that somebody belonged to an organization once | directory | `pk = EMAIL#<email>`, `sk = LEFT#<org>` |
//! | which of a person's sessions hold | directory | `pk = USR#<usr>`, `sk = USR` |
//! | single-use token by hash | directory | `pk = ONCE#<sha256>`, `sk = ONCE` |
//! | failed attempts of a window | directory | `pk = TRY#<digest>#<window>`, `sk = TRY` |
//! | verified domain | directory | `pk = DOMAIN#<domain>`, `sk = DOMAIN` |
//! | organizations that list a web origin | directory | `pk = ORIGIN#<origin>` |
//! | how far items are brought up to the present format | directory | `pk = MIGRATION`, `sk = MIGRATION` |
//! | tasks that are due | directory | `pk = DUE#<part>`, `sk <= <time>`, one query a part |
//! | organization | core | `pk = ORG#<org>`, `sk = ORG` |
//! | workspaces of an organization | core | `pk = ORG#<org>`, `sk` begins `WS#` |
//! | organization with its workspaces | core | `pk = ORG#<org>`, `sk` between `ORG` and `WS#~` |
//! | members of an organization | core | `pk = ORG#<org>`, `sk` begins `MEMBER#` |
//! | invitations of an organization | core | `pk = ORG#<org>`, `sk` begins `INV#` |
//! | claims to domains of an organization | core | `pk = ORG#<org>`, `sk` begins `DOM#` |
//! | identity provider of an organization | core | `pk = ORG#<org>`, `sk = IDP` |
//! | API keys of an organization | core | `pk = ORG#<org>`, `sk` begins `KEY#` |
//! | endpoints of an organization | core | `pk = ORG#<org>`, `sk` begins `EP#` |
//! | campaigns of a workspace | core | `pk = ORG#<org>#WS#<ws>#<mode>#CAMP` |
//! | leads of a workspace | core | `pk = ORG#<org>#WS#<ws>#<mode>#LEAD#<shard>`, one query a shard |
//! | replies of a lead | core | `pk = ORG#<org>#WS#<ws>#<mode>#REPLY#<lead>` |
//! | meetings of a workspace | core | `pk = ORG#<org>#WS#<ws>#<mode>#MTG#<shard>`, one query a shard |
//! | event | activity | `pk = ORG#<org>#EVT#<month>#<shard>`, `sk = EVT#<evt>` |
//! | events of an organization | activity | the same, one query a shard and month |
//! | events that a request caused | activity, `by-request` | `request_pk = ORG#<org>#REQ#<request>#<shard>`, one query a shard |
//! | usage of an API key by day | activity | `pk = ORG#<org>#USE#<key>`, `sk` between two `USE#<day>` |
//! | what was sent to endpoints by day | activity | `pk = ORG#<org>#SENT`, `sk` between two `SENT#<day>#<ep>` |
//! | mail | activity | `pk = ORG#<org>#MAIL#<day>`, `sk = MAIL#<mail>` |
//! | delivery | activity | `pk = ORG#<org>#DLV#<tag>#<month>#<shard>`, `sk = DLV#<dlv>` |
//! | answers to the attempts at a delivery | activity | the same `pk`, `sk` begins `ATT#<dlv>#` |
//! | deliveries to an endpoint | activity | the same, one query a shard and month |
//! | how an endpoint does | activity | `pk = ORG#<org>#EPS`, `sk = EPS#<ep>` |
//! | replays of an organization | activity | `pk = ORG#<org>#RPL`, `sk` begins `RPL#` |
//! | which of them run or are paused | activity | `pk = ORG#<org>#RPL`, `sk = OPEN` |
//! | notices about endpoints | activity | `pk = ORG#<org>#NTC#<month>`, `sk` begins `NTC#` |
//! | deliveries to an endpoint that wait | activity, `by-state` | `state_pk = ORG#<org>#WAIT#<ep>#<shard>`, `state_sk <= <time>`, one query a shard |
//! | dead letters of an organization | activity, `by-state` | `state_pk = ORG#<org>#DEAD#<shard>`, one query a shard |
//! | mails of the last day | activity, `by-state` | `state_pk = ORG#<org>#MAIL`; read as a whole, never by tenant |
//! | endpoints, replays and long jobs that need attention | activity, `by-attention` | `attention_pk = ORG#<org>#ATTENTION`; read as a whole, never by tenant |
//! | long jobs of an organization | activity | `pk = ORG#<org>#JOB`, `sk` begins `JOB#` |
//! | which of them are not finished | activity | `pk = ORG#<org>#JOB`, `sk = UNFINISHED#<kind>` |
//! | remembered answer to an idempotency key | activity | `pk = ORG#<org>#IDEM#<part>`, `sk = IDEM#<digest>` |
//! | remembered answers of an organization | activity | the same `pk`, one query a part |
//! | personal values of an audit record | activity | `pk = ORG#<org>#PSN#<month>#<shard>`, `sk = PSN#<aud>` |
//! | audit records of a month | audit | `pk = ORG#<org>#AUD#<month>#<shard>`, `sk` begins `AUD#`, one query a shard |
//! | where a sealed record stands in the log | audit | the same `pk`, `sk = SEAL#<aud>` |
//! | audit records by who did it | audit, `by-actor` | `actor_pk = ORG#<org>#BY#<actor>#<shard>`, one query a shard |
//! | audit records by what it was done to | audit, `by-resource` | `resource_pk = ORG#<org>#ON#<resource>` |
//! | audit records by what was done | audit, `by-action` | `action_pk = ORG#<org>#DID#<action>#<shard>`, one query a shard |
//! | audit records of a workspace | audit, `by-place` | `place_pk = ORG#<org>#IN#<ws>#<shard>`, one query a shard |
//! | audit records with certain marks | audit, `by-mark` | `mark_pk = ORG#<org>#MARK#<marks>#<shard>`, one query a combination and shard |
//! | audit records of a request | audit, `by-request` | `request_pk = ORG#<org>#REQ#<request>#<shard>`, one query a shard |
//! | leaves of a tile of the log | audit | `pk = ORG#<org>#TILE#0#<tile>` |
//! | hashes of a tile above them | audit | `pk = ORG#<org>#TILE#<level>#<tile>` |
//! | checkpoints | audit | `pk = ORG#<org>#CHK`, `sk = CHK#<size>` |
//! | head of the log | core | `pk = ORG#<org>#LOG`, `sk = HEAD` |
//!
//! In `core`, `activity` and `audit`, and in every index on them, the organization comes first, so that one
//! `dynamodb:LeadingKeys` pattern fences a tenant. The day or month, where there is one, is that of the id's own time:
//! an id is all it takes to find its item. So is the shard, which spreads what one tenant writes at one moment, and so is the
//! tag of a delivery, which is its endpoint's and part of its id: the deliveries to an endpoint lie together, and listing
//! them takes no index. Ids have a fixed length, so no key is a prefix of another's.

use clock::Timestamp;
use ids::{
    AuditId, CampaignId, DeliveryId, EndpointId, EventId, ExportId, InvitationId, KeyId, LeadId, MailId,
    MeetingId, NoticeId, OrganizationId, ReplayId, ReplyId, SessionId, UserId, WorkspaceId,
};

use sha2::{Digest as _, Sha256};

use crate::{Mode, WorkspaceScope};

/// Name of the partition key attribute of every table.
pub(crate) const PK: &str = "pk";
/// Name of the sort key attribute of every table.
pub(crate) const SK: &str = "sk";
/// Index on `activity`: deliveries that wait, dead letters, and mails.
pub const BY_STATE: &str = "by-state";
/// Index on `activity` and on `audit`: what a request caused.
pub const BY_REQUEST: &str = "by-request";
/// Index on `activity`: what the sweep has to look at.
pub const BY_ATTENTION: &str = "by-attention";
/// How many partitions the leads of a workspace are spread over. Part of the data format: it can't change
/// without a migration.
pub const LEAD_SHARDS: u8 = 4;
/// How many partitions a tenant's events of a month are spread over, and the deliveries to one endpoint; likewise fixed.
const ACTIVITY_SHARDS: u8 = 8;
/// How many partitions the deliveries that wait for one endpoint are spread over, and a tenant's dead letters; likewise
/// fixed.
const STATE_SHARDS: u8 = 4;
/// How many partitions a tenant's audit records of a month are spread over, and each list of them that grows with traffic;
/// likewise fixed.
const AUDIT_SHARDS: u8 = 4;
/// How many partitions is spread over what requests with one id caused; likewise fixed.
const REQUEST_SHARDS: u8 = 4;

/// The primary key of an item.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// Partition key.
    pub pk: String,
    /// Sort key.
    pub sk: String,
}

impl Key {
    fn new(pk: String, sk: impl Into<String>) -> Self {
        Self { pk, sk: sk.into() }
    }
}

fn organization_pk(organization: OrganizationId) -> String {
    format!("ORG#{organization}")
}

fn scope_prefix(scope: &WorkspaceScope) -> String {
    format!("ORG#{}#WS#{}#{}", scope.organization, scope.workspace, mode(scope.mode))
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Live => "live",
        Mode::Test => "test",
    }
}

/// Which of `shards` partitions an id falls in: its last, random byte decides.
fn shard(bytes: &[u8; 16], shards: u8) -> u8 {
    bytes[15] % shards
}

// ── directory ───────────────────────────────────────────────────────────────────────────────────

pub(crate) fn api_key_at(locator: &str) -> Key {
    Key::new(format!("KEY#{locator}"), "KEY")
}

pub(crate) fn session(id: SessionId) -> Key {
    Key::new(format!("SES#{id}"), "SES")
}

pub(crate) fn identity(email: &str) -> Key {
    Key::new(format!("EMAIL#{email}"), "IDENTITY")
}

pub(crate) fn identity_organization(email: &str, organization: OrganizationId) -> Key {
    Key::new(format!("EMAIL#{email}"), format!("ORG#{organization}"))
}

pub(crate) fn sign_up_idempotency(digest: &str) -> Key {
    Key::new(format!("IDEM#{digest}"), "IDEM")
}

pub(crate) fn unknown_sign_in(digest: &str) -> Key {
    Key::new(format!("MISS#{digest}"), "MISS")
}

/// How the sort key begins that says that somebody belonged to an organization once.
const LEFT: &str = "LEFT#";

pub(crate) fn left(email: &str, organization: OrganizationId) -> Key {
    Key::new(format!("EMAIL#{email}"), format!("{LEFT}{organization}"))
}

pub(crate) fn parse_left(sk: &str) -> Option<OrganizationId> {
    sk.strip_prefix(LEFT)?.parse().ok()
}

/// Whether a sort key in the partition of an e-mail address tells of a membership.
pub(crate) fn is_membership(sk: &str) -> bool {
    sk.starts_with("ORG#")
}

/// Whether a partition of the directory is that of an e-mail address.
pub(crate) fn is_under_address(pk: &str) -> bool {
    pk.starts_with("EMAIL#")
}

pub(crate) fn open_invitation(email: &str, organization: OrganizationId) -> Key {
    Key::new(format!("EMAIL#{email}"), format!("INV#{organization}"))
}

/// How the sort key of an address somebody signed in from begins.
pub(crate) const SIGNED_IN_FROM: &str = "FROM#";

pub(crate) fn signed_in_from(email: &str, digest: &str) -> Key {
    Key::new(format!("EMAIL#{email}"), format!("{SIGNED_IN_FROM}{digest}"))
}

pub(crate) fn person(id: UserId) -> Key {
    Key::new(format!("USR#{id}"), "USR")
}

pub(crate) fn single_use(digest: &str) -> Key {
    Key::new(format!("ONCE#{digest}"), "ONCE")
}

pub(crate) fn attempts(digest: &str, window: i64) -> Key {
    Key::new(format!("TRY#{digest}#{window}"), "TRY")
}

pub(crate) fn domain(domain: &str) -> Key {
    Key::new(format!("DOMAIN#{domain}"), "DOMAIN")
}

pub(crate) fn origins(origin: &str) -> String {
    format!("ORIGIN#{origin}")
}

pub(crate) fn origin(origin: &str, organization: OrganizationId) -> Key {
    Key::new(origins(origin), format!("ORG#{organization}"))
}

/// There is one for the whole deployment.
pub(crate) fn migration() -> Key {
    Key::new("MIGRATION".to_owned(), "MIGRATION")
}

/// How many partitions the list of due tasks is spread over. Part of the data format.
const DUE_PARTS: u8 = 4;

pub(crate) fn due(at: Timestamp, task: &str) -> Key {
    let part = task.bytes().fold(0_u8, u8::wrapping_add) % DUE_PARTS;
    Key::new(format!("DUE#{part}"), format!("{at}#{task}"))
}

pub(crate) fn due_parts() -> impl Iterator<Item = String> {
    (0..DUE_PARTS).map(|part| format!("DUE#{part}"))
}

// ── core ────────────────────────────────────────────────────────────────────────────────────────

/// The sort key of an organization's own item.
pub(crate) const ORGANIZATION: &str = "ORG";

pub(crate) fn organization(id: OrganizationId) -> Key {
    Key::new(organization_pk(id), ORGANIZATION)
}

/// Whether that is the key of an organization's own item.
pub(crate) fn is_organization(pk: &str, sk: &str) -> bool {
    sk == ORGANIZATION && parse_organization(pk).is_some()
}

pub(crate) fn workspace(organization: OrganizationId, id: WorkspaceId) -> Key {
    Key::new(organization_pk(organization), format!("WS#{id}"))
}

pub(crate) fn member(organization: OrganizationId, id: UserId) -> Key {
    Key::new(organization_pk(organization), format!("MEMBER#{id}"))
}

pub(crate) fn api_key(organization: OrganizationId, id: KeyId) -> Key {
    Key::new(organization_pk(organization), format!("KEY#{id}"))
}

/// The key in the sort key of its metadata.
pub(crate) fn parse_api_key(sk: &str) -> Option<KeyId> {
    sk.strip_prefix("KEY#")?.parse().ok()
}

pub(crate) fn endpoint(organization: OrganizationId, id: EndpointId) -> Key {
    Key::new(organization_pk(organization), format!("EP#{id}"))
}

pub(crate) fn invitation(organization: OrganizationId, id: InvitationId) -> Key {
    Key::new(organization_pk(organization), format!("INV#{id}"))
}

pub(crate) fn domain_claim(organization: OrganizationId, domain: &str) -> Key {
    Key::new(organization_pk(organization), format!("DOM#{domain}"))
}

pub(crate) fn sso(organization: OrganizationId) -> Key {
    Key::new(organization_pk(organization), "IDP")
}

/// A kind of item that shares the organization's own partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OfOrganization {
    Workspaces,
    ApiKeys,
    Endpoints,
    Members,
    Invitations,
    Domains,
}

/// Partition and sort-key prefix of everything of one kind in an organization.
pub(crate) fn of_organization(organization: OrganizationId, kind: OfOrganization) -> (String, &'static str) {
    let prefix = match kind {
        OfOrganization::Workspaces => "WS#",
        OfOrganization::ApiKeys => "KEY#",
        OfOrganization::Endpoints => "EP#",
        OfOrganization::Members => "MEMBER#",
        OfOrganization::Invitations => "INV#",
        OfOrganization::Domains => "DOM#",
    };
    (organization_pk(organization), prefix)
}

/// The partition that an organization's own items share.
pub(crate) fn organization_partition(organization: OrganizationId) -> String {
    organization_pk(organization)
}

pub(crate) fn campaigns(scope: &WorkspaceScope) -> String {
    format!("{}#CAMP", scope_prefix(scope))
}

pub(crate) fn campaign(scope: &WorkspaceScope, id: CampaignId) -> Key {
    Key::new(campaigns(scope), id.to_string())
}

pub(crate) fn lead_shards(scope: &WorkspaceScope) -> impl Iterator<Item = String> + use<> {
    let prefix = scope_prefix(scope);
    (0..LEAD_SHARDS).map(move |shard| format!("{prefix}#LEAD#{shard}"))
}

pub(crate) fn lead(scope: &WorkspaceScope, id: LeadId) -> Key {
    let shard = shard(id.as_bytes(), LEAD_SHARDS);
    Key::new(format!("{}#LEAD#{shard}", scope_prefix(scope)), id.to_string())
}

/// The workspace and the mode that a partition below a workspace belongs to.
pub(crate) fn workspace_of(pk: &str) -> Option<(WorkspaceId, Mode)> {
    let (_, rest) = pk.split_once("#WS#")?;
    let (workspace, rest) = rest.split_once('#')?;
    let mode = [Mode::Live, Mode::Test].into_iter().find(|it| rest.split('#').next() == Some(mode(*it)))?;
    Some((workspace.parse().ok()?, mode))
}

pub(crate) fn replies(scope: &WorkspaceScope, lead: LeadId) -> String {
    format!("{}#REPLY#{lead}", scope_prefix(scope))
}

pub(crate) fn reply(scope: &WorkspaceScope, lead: LeadId, id: ReplyId) -> Key {
    Key::new(replies(scope, lead), id.to_string())
}

/// How many partitions the meetings of a workspace are spread over; fixed as [`LEAD_SHARDS`] is.
const MEETING_SHARDS: u8 = 4;

pub(crate) fn meeting_shards(scope: &WorkspaceScope) -> impl Iterator<Item = String> + use<> {
    let prefix = scope_prefix(scope);
    (0..MEETING_SHARDS).map(move |shard| format!("{prefix}#MTG#{shard}"))
}

pub(crate) fn meeting(scope: &WorkspaceScope, id: MeetingId) -> Key {
    let shard = shard(id.as_bytes(), MEETING_SHARDS);
    Key::new(format!("{}#MTG#{shard}", scope_prefix(scope)), id.to_string())
}

// ── activity ────────────────────────────────────────────────────────────────────────────────────

/// How the sort key of an event begins. The stream filter in `template.yaml` selects by it, and by the next.
pub const EVENT_PREFIX: &str = "EVT#";

pub(crate) fn event(organization: OrganizationId, id: EventId) -> Key {
    let shard = shard(id.as_bytes(), ACTIVITY_SHARDS);
    Key::new(format!("ORG#{organization}#EVT#{}#{shard}", id.time().month()), format!("{EVENT_PREFIX}{id}"))
}

/// The sort key of an event.
pub(crate) fn event_sk(id: EventId) -> String {
    format!("{EVENT_PREFIX}{id}")
}

/// After the sort keys of all events.
pub(crate) fn event_sk_end() -> String {
    format!("{EVENT_PREFIX}~")
}

pub(crate) fn events_of(organization: OrganizationId, month: Timestamp) -> impl Iterator<Item = String> {
    let month = month.month();
    (0..ACTIVITY_SHARDS).map(move |shard| format!("ORG#{organization}#EVT#{month}#{shard}"))
}

const USAGE_PREFIX: &str = "USE#";

/// A key's usage in the day that `day` is in.
pub(crate) fn key_usage(organization: OrganizationId, key: KeyId, day: Timestamp) -> Key {
    Key::new(usage_of_key(organization, key), format!("{USAGE_PREFIX}{}", day.day()))
}

/// The partition of a key's usage.
pub(crate) fn usage_of_key(organization: OrganizationId, key: KeyId) -> String {
    format!("ORG#{organization}#USE#{key}")
}

/// The day in the sort key of a key's usage: Unix time in days.
pub(crate) fn parse_usage_day(sk: &str) -> Option<i64> {
    days_of(sk.strip_prefix(USAGE_PREFIX)?)
}

const SENT_PREFIX: &str = "SENT#";

/// The partition of what was sent to the organization's endpoints. Of an endpoint a process writes there once a minute.
pub(crate) fn sent_of(organization: OrganizationId) -> String {
    format!("ORG#{organization}#SENT")
}

/// What was sent to an endpoint in the day that `day` is in.
pub(crate) fn sent(organization: OrganizationId, day: Timestamp, endpoint: EndpointId) -> Key {
    Key::new(sent_of(organization), format!("{SENT_PREFIX}{}#{endpoint}", day.day()))
}

/// Before and after the sort keys of what was sent in these days and those between.
pub(crate) fn sent_between(first: Timestamp, last: Timestamp) -> (String, String) {
    (format!("{SENT_PREFIX}{}", first.day()), format!("{SENT_PREFIX}{}#~", last.day()))
}

/// The day in the sort key of what was sent: Unix time in days.
pub(crate) fn parse_sent(sk: &str) -> Option<i64> {
    let (day, _) = sk.strip_prefix(SENT_PREFIX)?.split_once('#')?;
    days_of(day)
}

/// A day as Unix time in days.
fn days_of(day: &str) -> Option<i64> {
    Some(Timestamp::parse(&format!("{day}T00:00:00.000Z"))?.seconds().div_euclid(24 * 60 * 60))
}

/// How the sort key of a mail begins.
pub const MAIL_PREFIX: &str = "MAIL#";

/// A tenant's mails of a day share a partition: they are few.
pub(crate) fn mail(organization: OrganizationId, id: MailId) -> Key {
    Key::new(format!("ORG#{organization}#MAIL#{}", id.time().day()), format!("{MAIL_PREFIX}{id}"))
}

pub(crate) fn mails_of(organization: OrganizationId, day: Timestamp) -> String {
    format!("ORG#{organization}#MAIL#{}", day.day())
}

pub(crate) fn mails(organization: OrganizationId) -> String {
    format!("ORG#{organization}#MAIL")
}

/// Sort key of a mail in `by-state`.
pub(crate) fn mail_since(since: Timestamp, id: MailId) -> String {
    format!("{since}#{id}")
}

/// The organization and the id in the primary key of a mail.
pub(crate) fn parse_mail(pk: &str, sk: &str) -> Option<(OrganizationId, MailId)> {
    let (organization, _) = pk.strip_prefix("ORG#")?.split_once("#MAIL#")?;
    Some((organization.parse().ok()?, sk.strip_prefix(MAIL_PREFIX)?.parse().ok()?))
}

/// How the sort key of a delivery begins.
const DELIVERY_PREFIX: &str = "DLV#";

/// What the ids of all deliveries to one endpoint have in common: 32 bits. Two endpoints of one tenant may share it, if
/// rarely; whoever lists deliveries by it looks at whose they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EndpointTag(pub(crate) u32);

impl EndpointTag {
    const AT: std::ops::Range<usize> = 9..13;

    /// An endpoint's, which is random as its id is.
    pub(crate) fn of(endpoint: EndpointId) -> Self {
        let [.., a, b, c, d] = *endpoint.as_bytes();
        Self(u32::from_be_bytes([a, b, c, d]))
    }

    /// That of the endpoint which a delivery is to.
    pub(crate) fn in_id(delivery: DeliveryId) -> Self {
        let bytes = delivery.as_bytes();
        Self(
            bytes
                .iter()
                .take(Self::AT.end)
                .skip(Self::AT.start)
                .fold(0, |tag, byte| (tag << 8) | u32::from(*byte)),
        )
    }
}

/// The one delivery of an event to an endpoint: its id follows from theirs. It bears the time of the event.
#[must_use]
pub fn delivery_id(event: EventId, endpoint: EndpointId) -> DeliveryId {
    let digest = Sha256::new().chain_update(event.as_bytes()).chain_update(endpoint.as_bytes()).finalize();
    let mut seed = [0; 16];
    for (to, from) in seed.iter_mut().zip(digest) {
        *to = from;
    }
    for (to, from) in
        seed.iter_mut().skip(EndpointTag::AT.start).zip(EndpointTag::of(endpoint).0.to_be_bytes())
    {
        *to = from;
    }
    DeliveryId::derived(event.time(), seed)
}

pub(crate) fn delivery(organization: OrganizationId, id: DeliveryId) -> Key {
    let partition =
        deliveries(organization, EndpointTag::in_id(id), id.time(), shard(id.as_bytes(), ACTIVITY_SHARDS));
    Key::new(partition, delivery_sk(id))
}

/// The sort key of a delivery.
pub(crate) fn delivery_sk(id: DeliveryId) -> String {
    format!("{DELIVERY_PREFIX}{id}")
}

/// Before and after the sort keys of all deliveries.
pub(crate) fn delivery_sk_start() -> String {
    DELIVERY_PREFIX.to_owned()
}

pub(crate) fn delivery_sk_end() -> String {
    format!("{DELIVERY_PREFIX}~")
}

fn deliveries(organization: OrganizationId, tag: EndpointTag, month: Timestamp, shard: u8) -> String {
    format!("ORG#{organization}#DLV#{:08x}#{}#{shard}", tag.0, month.month())
}

pub(crate) fn deliveries_of(
    organization: OrganizationId,
    tag: EndpointTag,
    month: Timestamp,
) -> impl Iterator<Item = String> {
    (0..ACTIVITY_SHARDS).map(move |shard| deliveries(organization, tag, month, shard))
}

const ATTEMPT_PREFIX: &str = "ATT#";

/// What was answered to an attempt, where it does not fit into the delivery.
pub(crate) fn attempt(organization: OrganizationId, delivery_id: DeliveryId, number: u32) -> Key {
    let Key { pk, .. } = delivery(organization, delivery_id);
    Key::new(pk, format!("{}{number:04}", attempts_at(delivery_id)))
}

/// The partition of what is known of how the organization's endpoints do.
pub(crate) fn endpoint_states(organization: OrganizationId) -> String {
    format!("ORG#{organization}#EPS")
}

const STATE_PREFIX: &str = "EPS#";

pub(crate) fn endpoint_state(organization: OrganizationId, endpoint: EndpointId) -> Key {
    Key::new(endpoint_states(organization), format!("{STATE_PREFIX}{endpoint}"))
}

/// The endpoint in the sort key of its state.
pub(crate) fn parse_endpoint_state(sk: &str) -> Option<EndpointId> {
    sk.strip_prefix(STATE_PREFIX)?.parse().ok()
}

pub(crate) fn replays(organization: OrganizationId) -> String {
    format!("ORG#{organization}#RPL")
}

const REPLAY_PREFIX: &str = "RPL#";

pub(crate) fn replay(organization: OrganizationId, id: ReplayId) -> Key {
    Key::new(replays(organization), format!("{REPLAY_PREFIX}{id}"))
}

pub(crate) fn open_replays(organization: OrganizationId) -> Key {
    Key::new(replays(organization), "OPEN")
}

/// The replay in its sort key.
pub(crate) fn parse_replay(sk: &str) -> Option<ReplayId> {
    sk.strip_prefix(REPLAY_PREFIX)?.parse().ok()
}

pub(crate) fn notices_of(organization: OrganizationId, month: Timestamp) -> String {
    format!("ORG#{organization}#NTC#{}", month.month())
}

pub(crate) fn notice_sk(id: NoticeId) -> String {
    format!("NTC#{id}")
}

pub(crate) fn notice(organization: OrganizationId, id: NoticeId) -> Key {
    Key::new(notices_of(organization, id.time()), notice_sk(id))
}

/// The partition of `by-attention` that an organization's endpoints and replays are in.
pub(crate) fn attention(organization: OrganizationId) -> String {
    format!("ORG#{organization}#ATTENTION")
}

/// The organization in the primary key of an endpoint's state or of a replay.
pub(crate) fn parse_organization(pk: &str) -> Option<OrganizationId> {
    pk.strip_prefix("ORG#")?.split('#').next()?.parse().ok()
}

const WAIT: &str = "#WAIT#";

pub(crate) fn waiting(organization: OrganizationId, endpoint: EndpointId, delivery: DeliveryId) -> String {
    waiting_in(organization, endpoint, shard(delivery.as_bytes(), STATE_SHARDS))
}

fn waiting_in(organization: OrganizationId, endpoint: EndpointId, shard: u8) -> String {
    format!("ORG#{organization}{WAIT}{endpoint}#{shard}")
}

pub(crate) fn all_waiting(
    organization: OrganizationId,
    endpoint: EndpointId,
) -> impl Iterator<Item = String> {
    (0..STATE_SHARDS).map(move |shard| waiting_in(organization, endpoint, shard))
}

/// The organization and the endpoint in a `state_pk` that says that a delivery waits.
pub(crate) fn parse_waiting(state_pk: &str) -> Option<(OrganizationId, EndpointId)> {
    let (organization, rest) = state_pk.strip_prefix("ORG#")?.split_once(WAIT)?;
    Some((organization.parse().ok()?, rest.split('#').next()?.parse().ok()?))
}

pub(crate) fn dead(organization: OrganizationId, delivery: DeliveryId) -> String {
    dead_in(organization, shard(delivery.as_bytes(), STATE_SHARDS))
}

fn dead_in(organization: OrganizationId, shard: u8) -> String {
    format!("ORG#{organization}#DEAD#{shard}")
}

pub(crate) fn all_dead(organization: OrganizationId) -> impl Iterator<Item = String> {
    (0..STATE_SHARDS).map(move |shard| dead_in(organization, shard))
}

/// Sort key in `by-state`: by time, then by delivery.
pub(crate) fn state_since(since: Timestamp, delivery: DeliveryId) -> String {
    format!("{since}#{delivery}")
}

/// The id in the sort key of a delivery.
pub(crate) fn parse_delivery(sk: &str) -> Option<DeliveryId> {
    sk.strip_prefix(DELIVERY_PREFIX)?.parse().ok()
}

/// How the sort key of a long job begins.
const LONG_JOB_PREFIX: &str = "JOB#";

/// An organization's long jobs share a partition: they are few.
pub(crate) fn long_jobs(organization: OrganizationId) -> String {
    format!("ORG#{organization}#JOB")
}

pub(crate) fn long_job(organization: OrganizationId, id: ExportId) -> Key {
    Key::new(long_jobs(organization), format!("{LONG_JOB_PREFIX}{id}"))
}

/// Before and after the sort keys of all long jobs.
pub(crate) fn long_job_bounds() -> (String, String) {
    (LONG_JOB_PREFIX.to_owned(), format!("{LONG_JOB_PREFIX}~"))
}

/// The long job in its sort key.
pub(crate) fn parse_long_job(sk: &str) -> Option<ExportId> {
    sk.strip_prefix(LONG_JOB_PREFIX)?.parse().ok()
}

/// Names the long jobs of a kind that are not finished.
pub(crate) fn unfinished_jobs(organization: OrganizationId, kind: &str) -> Key {
    Key::new(long_jobs(organization), format!("UNFINISHED#{kind}"))
}

/// A remembered answer. The first byte of the digest says in which of 256 parts it lies, so that all can be walked.
pub(crate) fn idempotency(organization: OrganizationId, digest: &str) -> Key {
    let part = digest.get(..2).unwrap_or("00");
    Key::new(format!("ORG#{organization}#IDEM#{part}"), format!("IDEM#{digest}"))
}

/// The partitions of all remembered answers.
pub(crate) fn remembered_answers(organization: OrganizationId) -> impl Iterator<Item = String> {
    (0..=u8::MAX).map(move |part| format!("ORG#{organization}#IDEM#{part:02x}"))
}

// ── audit ───────────────────────────────────────────────────────────────────────────────────────

/// How the sort key of an audit record begins. The stream filter in `template.yaml` knows it.
pub const AUDIT_PREFIX: &str = "AUD#";
const SEAL_PREFIX: &str = "SEAL#";

fn audit_partition(organization: OrganizationId, month: &str, shard: u8) -> String {
    format!("ORG#{organization}#AUD#{month}#{shard}")
}

pub(crate) fn audit(organization: OrganizationId, id: AuditId) -> Key {
    let shard = shard(id.as_bytes(), AUDIT_SHARDS);
    Key::new(audit_partition(organization, &id.time().month(), shard), audit_sk(id))
}

pub(crate) fn audit_sk(id: AuditId) -> String {
    format!("{AUDIT_PREFIX}{id}")
}

/// After the sort keys of all audit records.
pub(crate) fn audit_sk_end() -> String {
    format!("{AUDIT_PREFIX}~")
}

/// The organization that a partition belongs to.
pub(crate) fn parse_owner(pk: &str) -> Option<OrganizationId> {
    let rest = pk.strip_prefix("ORG#")?;
    rest.split_once('#').map_or(rest, |(organization, _)| organization).parse().ok()
}

/// The organization and the id in the primary key of an audit record.
pub(crate) fn parse_audit(pk: &str, sk: &str) -> Option<(OrganizationId, AuditId)> {
    let (organization, _) = pk.strip_prefix("ORG#")?.split_once("#AUD#")?;
    Some((organization.parse().ok()?, sk.strip_prefix(AUDIT_PREFIX)?.parse().ok()?))
}

pub(crate) fn audit_shards(organization: OrganizationId, month: Timestamp) -> impl Iterator<Item = String> {
    let month = month.month();
    (0..AUDIT_SHARDS).map(move |shard| audit_partition(organization, &month, shard))
}

/// Where an audit record stands in the log, once it is sealed: beside the record.
pub(crate) fn seal(organization: OrganizationId, id: AuditId) -> Key {
    Key::new(audit(organization, id).pk, format!("{SEAL_PREFIX}{id}"))
}

/// The personal values of an audit record: apart from it, so that they can be erased.
pub(crate) fn audit_personal(organization: OrganizationId, id: AuditId) -> Key {
    let shard = shard(id.as_bytes(), AUDIT_SHARDS);
    Key::new(format!("ORG#{organization}#PSN#{}#{shard}", id.time().month()), format!("PSN#{id}"))
}

/// The partitions of the personal values of a month's audit records.
pub(crate) fn audit_personals(
    organization: OrganizationId,
    month: Timestamp,
) -> impl Iterator<Item = String> {
    let month = month.month();
    (0..AUDIT_SHARDS).map(move |shard| format!("ORG#{organization}#PSN#{month}#{shard}"))
}

/// Partitions in `by-actor`.
pub(crate) fn audit_actor_shards(organization: OrganizationId, actor: &str) -> Vec<String> {
    (0..AUDIT_SHARDS).map(|shard| format!("ORG#{organization}#BY#{actor}#{shard}")).collect()
}

pub(crate) fn audit_actor(organization: OrganizationId, actor: &str, id: AuditId) -> String {
    format!("ORG#{organization}#BY#{actor}#{}", shard(id.as_bytes(), AUDIT_SHARDS))
}

/// Partition in `by-resource`.
pub(crate) fn audit_resource(organization: OrganizationId, resource: &str) -> String {
    format!("ORG#{organization}#ON#{resource}")
}

/// Partitions in `by-action`.
pub(crate) fn audit_action_shards(organization: OrganizationId, action: &str) -> Vec<String> {
    (0..AUDIT_SHARDS).map(|shard| format!("ORG#{organization}#DID#{action}#{shard}")).collect()
}

pub(crate) fn audit_action(organization: OrganizationId, action: &str, id: AuditId) -> String {
    format!("ORG#{organization}#DID#{action}#{}", shard(id.as_bytes(), AUDIT_SHARDS))
}

/// Partitions in `by-place`.
pub(crate) fn audit_workspace_shards(organization: OrganizationId, workspace: WorkspaceId) -> Vec<String> {
    (0..AUDIT_SHARDS).map(|shard| format!("ORG#{organization}#IN#{workspace}#{shard}")).collect()
}

pub(crate) fn audit_workspace(organization: OrganizationId, workspace: WorkspaceId, id: AuditId) -> String {
    format!("ORG#{organization}#IN#{workspace}#{}", shard(id.as_bytes(), AUDIT_SHARDS))
}

/// Partitions in `by-mark`: of the records with exactly these marks.
pub(crate) fn audit_marks_shards(organization: OrganizationId, marks: u8) -> Vec<String> {
    (0..AUDIT_SHARDS).map(|shard| format!("ORG#{organization}#MARK#{marks:02}#{shard}")).collect()
}

pub(crate) fn audit_marks(organization: OrganizationId, marks: u8, id: AuditId) -> String {
    format!("ORG#{organization}#MARK#{marks:02}#{}", shard(id.as_bytes(), AUDIT_SHARDS))
}

/// Partitions in `by-request`, of either table. A caller may send the same request id for ever, so these are spread too.
pub(crate) fn request_shards(organization: OrganizationId, request: &str) -> Vec<String> {
    (0..REQUEST_SHARDS).map(|shard| format!("ORG#{organization}#REQ#{request}#{shard}")).collect()
}

pub(crate) fn request<K: ids::Kind>(organization: OrganizationId, request: &str, id: ids::Id<K>) -> String {
    format!("ORG#{organization}#REQ#{request}#{}", shard(id.as_bytes(), REQUEST_SHARDS))
}

/// The head of an organization's log: what is sealed.
pub(crate) fn log_head(organization: OrganizationId) -> Key {
    Key::new(format!("ORG#{organization}#LOG"), "HEAD")
}

/// The checkpoints of an organization's log, by size.
pub(crate) fn checkpoint(organization: OrganizationId, size: u64) -> Key {
    Key::new(format!("ORG#{organization}#CHK"), format!("CHK#{size:016}"))
}

const LEAVES_PREFIX: &str = "LEAF#";
const NODE_PREFIX: &str = "NODE#";

/// A bundle of leaves, which all lie in one tile of level 0.
pub(crate) fn leaves(organization: OrganizationId, first: u64) -> Key {
    Key::new(tile(organization, 0, first >> 8), format!("{LEAVES_PREFIX}{first:016}"))
}

/// A hash in a tile above level 0.
pub(crate) fn node(organization: OrganizationId, level: u8, index: u64) -> Key {
    Key::new(tile(organization, level, index >> 8), format!("{NODE_PREFIX}{index:016}"))
}

/// Which hash of its level is the first in an item of a tile, by its sort key.
pub(crate) fn parse_place(sk: &str) -> Option<u64> {
    sk.strip_prefix(LEAVES_PREFIX).or_else(|| sk.strip_prefix(NODE_PREFIX))?.parse().ok()
}

/// The partition of a tile.
pub(crate) fn tile(organization: OrganizationId, level: u8, tile: u64) -> String {
    format!("ORG#{organization}#TILE#{level}#{tile:012}")
}

// ── what an item is ─────────────────────────────────────────────────────────────────────────────

/// What an item in a partition of an organization or of its activity is, by its sort key, as exports name it.
pub(crate) fn kind_of(sk: &str) -> &'static str {
    const KINDS: [(&str, &str); 20] = [
        ("WS#", "workspace"),
        ("MEMBER#", "member"),
        ("INV#", "invitation"),
        ("DOM#", "domain"),
        ("IDP", "sso"),
        ("KEY#", "api_key"),
        ("EP#", "endpoint"),
        (EVENT_PREFIX, "event"),
        (MAIL_PREFIX, "mail"),
        (USAGE_PREFIX, "api_key_usage"),
        (SENT_PREFIX, "sent"),
        (STATE_PREFIX, "endpoint_state"),
        (REPLAY_PREFIX, "replay"),
        ("OPEN", "open_replays"),
        ("NTC#", "notice"),
        (LONG_JOB_PREFIX, "long_job"),
        ("UNFINISHED#", "unfinished_jobs"),
        (AUDIT_PREFIX, "audit_record"),
        (SEAL_PREFIX, "audit_seal"),
        ("PSN#", "personal_values"),
    ];
    match sk {
        ORGANIZATION => "organization",
        _ if delivery_of_attempt(sk).is_some() => "attempt",
        _ if sk.starts_with(DELIVERY_PREFIX) => "delivery",
        _ => KINDS.iter().find(|(prefix, _)| sk.starts_with(prefix)).map_or("other", |(_, kind)| kind),
    }
}

/// How the sort keys of the attempts at a delivery begin.
pub(crate) fn attempts_at(delivery: DeliveryId) -> String {
    format!("{ATTEMPT_PREFIX}{delivery}#")
}

/// The delivery that an attempt belongs to, by the attempt's sort key; `None` for what is no attempt.
pub(crate) fn delivery_of_attempt(sk: &str) -> Option<DeliveryId> {
    let (delivery, _) = sk.strip_prefix(ATTEMPT_PREFIX)?.split_once('#')?;
    delivery.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn scope() -> WorkspaceScope {
        WorkspaceScope { organization: id(1), workspace: id(2), mode: Mode::Live }
    }

    fn id<K: ids::Kind>(seed: u8) -> ids::Id<K> {
        ids::Id::derived(clock::utc(2026, 11, 22, 15, 4), [seed; 16])
    }

    /// The data format. A line that changes here is a migration there.
    #[test]
    fn golden_keys() {
        let scope = scope();
        let keys = [
            api_key_at("00ff"),
            session(id(3)),
            identity("ada@example.com"),
            identity_organization("ada@example.com", id(1)),
            sign_up_idempotency("00ff"),
            unknown_sign_in("00ff"),
            open_invitation("ada@example.com", id(1)),
            signed_in_from("ada@example.com", "00ff"),
            left("ada@example.com", id(1)),
            person(id(4)),
            single_use("00ff"),
            attempts("00ff", 2_983_405),
            domain("example.com"),
            origin("https://app.example.com", id(1)),
            due(clock::utc(2026, 11, 22, 15, 4), "org_1#domain#example.com"),
            migration(),
            organization(id(1)),
            workspace(id(1), id(2)),
            member(id(1), id(4)),
            api_key(id(1), id(5)),
            endpoint(id(1), id(6)),
            invitation(id(1), id(13)),
            domain_claim(id(1), "example.com"),
            sso(id(1)),
            campaign(&scope, id(7)),
            lead(&scope, id(8)),
            reply(&scope, id(8), id(9)),
            event(id(1), id(10)),
            delivery(id(1), id(11)),
            attempt(id(1), id(11), 3),
            idempotency(id(1), "00ff"),
            audit(id(1), id(12)),
            seal(id(1), id(12)),
            audit_personal(id(1), id(12)),
            Key::new(audit_actor(id(1), "usr_1", id(12)), audit_sk(id(12))),
            Key::new(audit_resource(id(1), "lead_1"), ""),
            Key::new(audit_action(id(1), "lead.create", id(12)), ""),
            Key::new(audit_workspace(id(1), id(2), id(12)), ""),
            Key::new(audit_marks(id(1), 3, id(12)), ""),
            Key::new(request::<ids::kind::Audit>(id(1), "req_1", id(12)), ""),
            log_head(id(1)),
            checkpoint(id(1), 300),
            leaves(id(1), 300),
            node(id(1), 1, 300),
            Key::new(waiting(id(1), id(6), id(11)), state_since(clock::utc(2026, 11, 22, 15, 4), id(11))),
            Key::new(dead(id(1), id(11)), ""),
            Key::new(attention(id(1)), ""),
            endpoint_state(id(1), id(6)),
            replay(id(1), id(14)),
            open_replays(id(1)),
            notice(id(1), id(15)),
            long_job(id(1), id(16)),
            unfinished_jobs(id(1), "erasure"),
            key_usage(id(1), id(5), clock::utc(2026, 11, 22, 15, 4)),
            sent(id(1), clock::utc(2026, 11, 22, 15, 4), id(6)),
            mail(id(1), id(13)),
            Key::new(mails(id(1)), mail_since(clock::utc(2026, 11, 22, 15, 4), id(13))),
            meeting(&scope, id(14)),
        ];
        let text: Vec<_> = keys.iter().map(|key| format!("{}  {}", key.pk, key.sk)).collect();
        insta::assert_snapshot!(text.join("\n"));
    }

    #[test]
    fn keys_of_deliveries_and_mails_read_back_and_nothing_else_does() {
        let key = delivery(id(1), id(11));
        assert_eq!(parse_delivery(&key.sk), Some(id(11)));
        assert_eq!(parse_delivery(&attempt(id(1), id(11), 1).sk), None);
        assert_eq!(parse_waiting(&waiting(id(1), id(6), id(11))), Some((id(1), id(6))));
        assert_eq!(parse_waiting(&dead(id(1), id(11))), None);
        let state = endpoint_state(id(1), id(6));
        assert_eq!(
            (parse_organization(&state.pk), parse_endpoint_state(&state.sk)),
            (Some(id(1)), Some(id(6)))
        );
        assert_eq!(parse_replay(&replay(id(1), id(14)).sk), Some(id(14)));
        let unfinished = unfinished_jobs(id(1), "erasure");
        assert_eq!(parse_long_job(&long_job(id(1), id(16)).sk), Some(id(16)));
        assert_eq!(parse_long_job(&unfinished.sk), None);
        let (start, end) = long_job_bounds();
        assert!(
            start < long_job(id(1), id(16)).sk && long_job(id(1), id(16)).sk < end && end < unfinished.sk
        );
        let record = audit(id(1), id(12));
        assert_eq!(parse_audit(&record.pk, &record.sk), Some((id(1), id(12))));
        let seal = seal(id(1), id(12));
        assert_eq!((parse_audit(&seal.pk, &seal.sk), &seal.pk), (None, &record.pk));
        assert_eq!(parse_place(&leaves(id(1), 300).sk), Some(300));
        assert_eq!(parse_place(&node(id(1), 1, 300).sk), Some(300));
        assert_eq!(parse_place(&checkpoint(id(1), 300).sk), None);
        let mail = mail(id(1), id(13));
        assert_eq!(parse_mail(&mail.pk, &mail.sk), Some((id(1), id(13))));
        assert_eq!((parse_mail(&key.pk, &key.sk), parse_delivery(&mail.sk)), (None, None));
        assert_eq!(parse_waiting(&mails(id(1))), None);
    }

    #[test]
    fn what_was_sent_lies_between_the_bounds_of_its_day() {
        let day = |day| clock::utc(2026, 11, day, 15, 4);
        let (first, last) = sent_between(day(21), day(22));
        let range = first..=last;
        let within = |at| range.contains(&sent(id(1), at, id(6)).sk);
        assert_eq!([20, 21, 22, 23].map(|at| within(day(at))), [false, true, true, false]);
        assert_eq!(parse_sent(&sent(id(1), day(22), id(6)).sk), Some(day(22).seconds() / 86_400));
        assert_eq!(parse_sent(&key_usage(id(1), id(5), day(22)).sk), None);
    }

    #[test]
    fn every_kind_of_item_is_told_by_its_sort_key() {
        for (key, kind) in [
            (organization(id(1)), "organization"),
            (workspace(id(1), id(2)), "workspace"),
            (member(id(1), id(4)), "member"),
            (invitation(id(1), id(13)), "invitation"),
            (domain_claim(id(1), "example.com"), "domain"),
            (sso(id(1)), "sso"),
            (api_key(id(1), id(5)), "api_key"),
            (endpoint(id(1), id(6)), "endpoint"),
            (event(id(1), id(10)), "event"),
            (mail(id(1), id(13)), "mail"),
            (key_usage(id(1), id(5), clock::utc(2026, 11, 22, 15, 4)), "api_key_usage"),
            (sent(id(1), clock::utc(2026, 11, 22, 15, 4), id(6)), "sent"),
            (endpoint_state(id(1), id(6)), "endpoint_state"),
            (replay(id(1), id(14)), "replay"),
            (open_replays(id(1)), "open_replays"),
            (notice(id(1), id(15)), "notice"),
            (long_job(id(1), id(16)), "long_job"),
            (unfinished_jobs(id(1), "erasure"), "unfinished_jobs"),
            (delivery(id(1), id(11)), "delivery"),
            (attempt(id(1), id(11), 3), "attempt"),
            (audit(id(1), id(12)), "audit_record"),
            (seal(id(1), id(12)), "audit_seal"),
            (audit_personal(id(1), id(12)), "personal_values"),
        ] {
            assert_eq!(kind_of(&key.sk), kind, "{}", key.sk);
        }
        assert_eq!(kind_of("NEW#1"), "other");
        assert_eq!(delivery_of_attempt(&attempt(id(1), id(11), 3).sk), Some(id(11)));
    }

    /// What an export and an erasure walk is where things are put.
    #[test]
    fn the_partitions_of_a_time_are_those_that_its_items_are_in() {
        let at = clock::utc(2026, 11, 22, 15, 4);
        let events: Vec<_> = events_of(id(1), at).collect();
        let deliveries: Vec<_> = deliveries_of(id(1), EndpointTag::of(id(6)), at).collect();
        for seed in 0..50 {
            assert!(events.contains(&event(id(1), id(seed)).pk));
            let delivery_id = delivery_id(id(seed), id(6));
            assert!(deliveries.contains(&delivery(id(1), delivery_id).pk));
            assert!(all_waiting(id(1), id(6)).any(|pk| pk == waiting(id(1), id(6), delivery_id)));
            assert!(all_dead(id(1)).any(|pk| pk == dead(id(1), delivery_id)));
            let of_request = request_shards(id(1), "req_1");
            assert!(of_request.contains(&request::<ids::kind::Event>(id(1), "req_1", id(seed))));
            assert!(of_request.contains(&request::<ids::kind::Audit>(id(1), "req_1", id(seed))));
            assert_eq!(notices_of(id(1), at), notice(id(1), id(seed)).pk);
            assert_eq!(mails_of(id(1), at), mail(id(1), id(seed)).pk);
            assert!(audit_shards(id(1), at).any(|pk| pk == audit(id(1), id(seed)).pk));
            let answer = idempotency(id(1), &format!("{seed:02x}ff"));
            assert!(remembered_answers(id(1)).any(|pk| pk == answer.pk));
            assert!(audit_personals(id(1), at).any(|pk| pk == audit_personal(id(1), id(seed)).pk));
            assert!(audit_actor_shards(id(1), "usr_1").contains(&audit_actor(id(1), "usr_1", id(seed))));
            assert!(audit_marks_shards(id(1), 3).contains(&audit_marks(id(1), 3, id(seed))));
            let actions = audit_action_shards(id(1), "lead.create");
            assert!(actions.contains(&audit_action(id(1), "lead.create", id(seed))));
            assert!(audit_workspace_shards(id(1), id(2)).contains(&audit_workspace(id(1), id(2), id(seed))));
        }
        assert_eq!(organization_partition(id(1)), sso(id(1)).pk);
        assert_eq!(replies(&scope(), id(8)), reply(&scope(), id(8), id(9)).pk);
        let test = WorkspaceScope { mode: Mode::Test, ..scope() };
        assert_eq!(workspace_of(&lead(&scope(), id(8)).pk), Some((id(2), Mode::Live)));
        assert_eq!(workspace_of(&meeting(&test, id(8)).pk), Some((id(2), Mode::Test)));
        assert_eq!(workspace_of(&organization(id(1)).pk), None);
    }

    #[test]
    fn a_delivery_has_one_id_per_event_and_endpoint() {
        let ids = ids::Ids::new(clock::Clock::system());
        let (event, endpoint) = (ids.next(), ids.next());
        assert_eq!(delivery_id(event, endpoint), delivery_id(event, endpoint));
        assert_ne!(delivery_id(event, endpoint), delivery_id(event, ids.next()));
        assert_ne!(delivery_id(event, endpoint), delivery_id(ids.next(), endpoint));
        assert_eq!(delivery_id(event, endpoint).time(), event.time());
    }

    #[test]
    fn nothing_sorts_between_an_organization_and_its_workspaces() {
        let (profile, workspace) = (organization(id(1)).sk, workspace(id(1), id(2)).sk);
        let others = [
            member(id(1), id(4)).sk,
            api_key(id(1), id(5)).sk,
            endpoint(id(1), id(6)).sk,
            invitation(id(1), id(13)).sk,
            domain_claim(id(1), "zzz.example").sk,
            sso(id(1)).sk,
        ];
        assert!(profile < workspace);
        for other in others {
            assert!(other < profile, "{other}");
        }
    }

    #[test]
    fn leads_spread_over_all_shards_and_are_listed_from_all() {
        let scope = scope();
        let (clock, hand) = clock::Clock::manual(clock::utc(2026, 1, 1, 0, 0));
        let ids = ids::Ids::new(clock);
        let shards: Vec<_> = lead_shards(&scope).collect();
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..200 {
            hand.advance(Duration::from_millis(1));
            let key = lead(&scope, ids.next());
            assert!(shards.contains(&key.pk));
            seen.insert(key.pk);
        }
        assert_eq!(seen.len(), shards.len());
    }

    #[test]
    fn meetings_are_listed_from_all_the_shards_they_are_in() {
        let scope = scope();
        let shards: Vec<_> = meeting_shards(&scope).collect();
        let used: std::collections::BTreeSet<_> = (0..50).map(|seed| meeting(&scope, id(seed)).pk).collect();
        assert!(used.iter().all(|pk| shards.contains(pk)) && used.len() == shards.len());
    }
}
