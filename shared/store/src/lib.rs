//! The one way to the tables.
//!
//! Access patterns in domain terms: nothing outside this crate sees a DynamoDB expression, and nothing inside it
//! knows HTTP. The layout is in [`keys`].
//!
//! **Tenancy.** Reads and writes of a tenant's data go through a [`Tenant`], which carries the organization into
//! every key. Functions get one only from an authenticated caller; the two that work for all tenants (fan-out
//! and delivery) name it by [`Store::tenant_of_job`], from a job that was written by us.
//!
//! **Changes.** Every mutation is one [`Change`] committed in one transaction: the change, its audit record, the
//! events and mails it caused and the remembered answer to its idempotency key. A change can't be made without its
//! audit record, as that is what a [`Change`] is built from.

mod admission;
mod api_keys;
mod audit;
mod campaigns;
mod change;
mod deliveries;
mod directory;
mod domains;
mod due;
mod endpoint_state;
mod endpoints;
mod error;
mod estate;
mod event_log;
mod expiry;
mod format;
mod idempotency;
mod invitations;
mod item;
pub mod keys;
mod leads;
mod leaks;
mod long_jobs;
mod mails;
mod meetings;
mod members;
mod migrate;
mod networks;
mod notices;
mod operator;
mod organizations;
mod outbox;
mod page;
mod replays;
mod sent;
mod single_use;
mod spread;
mod sso;
mod standing;
mod tally;
mod throttle;
mod usage;
mod workspaces;
mod write;

use std::sync::Arc;

use ids::{OrganizationId, WorkspaceId};
use runtime::{Environment, StartError};
use serde::{Deserialize, Serialize};

pub use admission::{Proof, Quota, Visit};
pub use api_keys::{ApiKey, KeyStatus, LastUse, Secret, Succession};
pub use audit::{
    Actor, AuditEntry, AuditFilter, AuditRecord, FieldChange, Image, Leaf, LogHead, MOST_SEALED, Outcome,
    SealedLeaf, Sealing, SealingOutcome, TileHash, audit_at,
};
pub use campaigns::{Campaign, CampaignStatus};
pub use change::{Change, CommitError, Refusal};
pub use deliveries::{
    Attempt, Backlog, Claim, DeadLetterFilter, Delivery, DeliveryFilter, DeliveryStatus, ErrorClass,
    NewDelivery, Reopening, SAFETY, Settlement, Waiting,
};
pub use directory::{
    Account, Admission, Identity, IdentityMembership, KeyCredential, SecondFactor, Session, SessionCredential,
};
pub use domains::{AutoJoin, DomainClaim, DomainOwner, DomainStatus};
pub use due::{Due, Task};
pub use endpoint_state::{
    EndpointState, LastError, NeedingAttention, NotedFailure, SLOTS, Slot, Told, Watched,
};
pub use endpoints::{Endpoint, EndpointStatus, Replaced, SealedHeader, SigningKeyRecord};
pub use error::{BoxError, StoreError};
pub use estate::{
    Erased, Forgotten, Holding, Holdings, Person, PersonWalk, PersonsAccount, PersonsEvents, PersonsSession,
    PersonsSessions, Position,
};
pub use event_log::{EventFilter, event_at};
pub use expiry::{ExpiryWarning, Notice};
pub use idempotency::{Answer, Idempotent};
pub use invitations::{Invitation, InvitationStatus};
pub use keys::delivery_id;
pub use leads::{Lead, LeadStanding, LeadStatus, Reply};
pub use leaks::Leak;
pub use long_jobs::{
    Cleared, ExportFormat, ExportedFile, LongClaim, LongJob, LongJobKind, LongJobStatus, LongTask,
    MOST_STARTS, MOST_UNFINISHED, Subject, long_job_at,
};
pub use mails::{Outboxed, OutgoingMail};
pub use meetings::{Meeting, MeetingStatus};
pub use members::{MOST_NOTIFIED, Member, MemberStatus, Role, WorkspaceRole, new_generation};
pub use migrate::{MigrateError, Migration, Segment, level as data_level, steps as migration_steps};
pub use networks::{MOST_NETWORKS, Networks};
pub use notices::{Mailed, Notice as EndpointNotice, NoticeType, notice_id};
pub use operator::Scanned;
pub use organizations::{
    GRACE_BEFORE_ERASURE, LeakedKeys, Organization, OrganizationStatus, Overview, Plan, Settings,
};
pub use outbox::{Event, StoredEvent};
pub use page::{Page, PageRequest};
pub use replays::{Replay, ReplayStatus, Replayed};
pub use sent::{Sending, SentCount, SentDay};
pub use single_use::{Errand, SingleUse};
pub use spread::Listed;
pub use sso::SsoConnection;
pub use standing::Standing;
pub use tally::{Limits, Usage};
pub use throttle::{Attempts, WINDOW as ATTEMPT_WINDOW};
pub use usage::{Counted, HourCount, RouteGroup};
pub use workspaces::{Bound, Workspace, WorkspaceStatus};

/// The time of a change of something that was last changed at `before`: now, but always later than that, so that no two
/// versions of a thing bear the same time.
#[must_use]
pub fn touched(before: clock::Timestamp, now: clock::Timestamp) -> clock::Timestamp {
    now.max(before + std::time::Duration::from_millis(1))
}

/// Test and live are separate data, not a naming habit: the mode is part of every key below a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Production data.
    Live,
    /// Data for trying things out.
    Test,
}

/// One workspace of one organization in one mode: the walls that developer data lives in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WorkspaceScope {
    /// The tenant.
    pub organization: OrganizationId,
    /// The workspace.
    pub workspace: WorkspaceId,
    /// Test or live.
    pub mode: Mode,
}

/// The names of the four tables; a function is given those it uses.
#[derive(Debug, Clone)]
pub(crate) struct Tables {
    directory: Option<String>,
    core: Option<String>,
    activity: Option<String>,
    audit: Option<String>,
}

/// The tables, reached through one client. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    client: aws_sdk_dynamodb::Client,
    tables: Arc<Tables>,
    memory: Arc<admission::Memory>,
    sent: Arc<sent::Memory>,
}

impl Store {
    /// The store that `DIRECTORY_TABLE`, `CORE_TABLE`, `ACTIVITY_TABLE` and `AUDIT_TABLE` name. A function that
    /// never touches a table need not name it; using one that isn't named is refused by DynamoDB.
    ///
    /// # Errors
    /// [`StartError::Missing`] when not even one table is named.
    pub fn from_environment(
        environment: &Environment,
        client: aws_sdk_dynamodb::Client,
    ) -> Result<Self, StartError> {
        let table = |name| environment.optional(name).map(str::to_owned);
        let tables = Tables {
            directory: table("DIRECTORY_TABLE"),
            core: table("CORE_TABLE"),
            activity: table("ACTIVITY_TABLE"),
            audit: table("AUDIT_TABLE"),
        };
        if tables.core.is_none() && tables.activity.is_none() && tables.directory.is_none() {
            return Err(StartError::Missing { name: "CORE_TABLE" });
        }
        Ok(Self { client, tables: Arc::new(tables), memory: Arc::default(), sent: Arc::default() })
    }

    /// The data of one tenant, for work that follows from something already authorized and written by us: a
    /// stream record or a queued job. Never with an id that a caller chose.
    #[must_use]
    pub fn tenant_of_job(&self, organization: OrganizationId) -> Tenant {
        Tenant { store: self.clone(), organization }
    }

    /// Opens the connection during init by a cheap read that the function is permitted (a key that does not
    /// exist), so that no customer waits for the TLS handshake. Failure is not an error: the first request
    /// will meet it and answer for itself.
    pub async fn warm_up(&self) {
        let key = keys::session(ids::Ids::new(clock::Clock::system()).next());
        let table = self.tables.core.as_deref().or(self.tables.activity.as_deref()).unwrap_or_default();
        let read = self.client.get_item().table_name(table).set_key(Some(item::primary(&key))).send();
        let _ = tokio::time::timeout(std::time::Duration::from_secs(2), read).await;
    }

    /// Whether the tables answer, for the health check: one read of a key that does not exist, on each.
    ///
    /// # Errors
    /// The first table that does not answer.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let key = keys::session(ids::Ids::new(clock::Clock::system()).next());
        let reads = [&self.tables.directory, &self.tables.core, &self.tables.activity, &self.tables.audit]
            .into_iter()
            .flatten()
            .map(|table| self.client.get_item().table_name(table).set_key(Some(item::primary(&key))).send());
        futures::future::try_join_all(reads).await.map_err(|e| StoreError::from_sdk("ping", e))?;
        Ok(())
    }

    fn directory_table(&self) -> &str {
        self.tables.directory.as_deref().unwrap_or_default()
    }

    fn core_table(&self) -> &str {
        self.tables.core.as_deref().unwrap_or_default()
    }

    fn activity_table(&self) -> &str {
        self.tables.activity.as_deref().unwrap_or_default()
    }

    fn audit_table(&self) -> &str {
        self.tables.audit.as_deref().unwrap_or_default()
    }
}

/// One tenant's data.
#[derive(Debug, Clone)]
pub struct Tenant {
    store: Store,
    organization: OrganizationId,
}

impl Tenant {
    /// The organization.
    #[must_use]
    pub fn organization_id(&self) -> OrganizationId {
        self.organization
    }

    /// One workspace of it.
    #[must_use]
    pub fn workspace(&self, workspace: WorkspaceId, mode: Mode) -> WorkspaceStore {
        WorkspaceStore {
            store: self.store.clone(),
            scope: WorkspaceScope { organization: self.organization, workspace, mode },
        }
    }
}

/// The developer data of one workspace in one mode.
#[derive(Debug, Clone)]
pub struct WorkspaceStore {
    store: Store,
    scope: WorkspaceScope,
}

impl WorkspaceStore {
    /// Which workspace.
    #[must_use]
    pub fn scope(&self) -> WorkspaceScope {
        self.scope
    }
}
