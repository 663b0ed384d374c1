//! Appending to the log.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use audit_format::LATEST_SEAL;
use clock::Timestamp;
use ids::OrganizationId;
use sealing::{MasterSecret, Purpose};
use secrecy::ExposeSecret as _;
use store::{Leaf, LogHead, MOST_SEALED, Sealing, SealingOutcome, StoreError, Tenant, TileHash};
use tlog::{Checkpoint, Frontier, Hash, NoteSigner, Plan};

use crate::Seal;

/// How often somebody else may move the head before a batch is given back to the stream.
const TRIES: u32 = 20;
const WAIT: Duration = Duration::from_millis(20);
/// What can't be written although the head does not move, so often, is there already.
const UNMOVED: u32 = 5;

/// Why records could not be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// The archive failed.
    #[error("the archive failed")]
    Archive(#[from] objects::ObjectError),
    /// A checkpoint could not be signed.
    #[error("a checkpoint could not be signed")]
    Sign(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The head is not what its checkpoint signs.
    #[error("the head of the log is not what its checkpoint signs: it was altered")]
    Altered,
    /// What comes next is sealed already, and the head does not move: it was brought back from another time.
    #[error("the head of the log lies behind what is sealed: it was brought back from another time")]
    Behind,
    /// Others kept moving the head.
    #[error("the head of the log kept moving")]
    Raced,
}

impl SealError {
    /// Whether it will be so the next time, too: somebody has to look at it.
    pub(crate) fn is_lasting(&self) -> bool {
        matches!(self, Self::Altered | Self::Behind | Self::Store(StoreError::Malformed { .. }))
    }
}

/// Signs checkpoints. The first secret is the present one; those after it are being replaced.
pub(crate) struct Signers {
    secrets: Vec<MasterSecret>,
    host: String,
}

impl Signers {
    /// From a secret with one key a line, and the URL that the logs are named after; `None` when that has no host.
    pub(crate) fn new(secret: &str, public_url: &str) -> Option<Self> {
        let host = runtime::host_of(public_url)?;
        let lines = secret.lines().map(str::trim).filter(|line| !line.is_empty());
        Some(Self { secrets: lines.map(|line| MasterSecret::new(line.to_owned())).collect(), host })
    }

    fn origin(&self, organization: OrganizationId) -> String {
        format!("{}/audit/{organization}", self.host)
    }

    /// The signers of the log with this name.
    fn of(&self, origin: &str) -> Result<Vec<NoteSigner>, SealError> {
        let signer = |secret: &MasterSecret| {
            let seed = secret.derive(Purpose::AuditLog).map_err(|e| SealError::Sign(Box::new(e)))?;
            NoteSigner::from_seed(origin, seed.expose_secret()).map_err(|e| SealError::Sign(Box::new(e)))
        };
        self.secrets.iter().map(signer).collect()
    }
}

/// A record of no more than this ahead of our clock was made by a clock that is.
const SKEW: Duration = Duration::from_mins(5);

/// A log on which more can be sealed.
pub(crate) struct Log {
    origin: String,
    signers: Vec<NoteSigner>,
    head: LogHead,
    frontier: Frontier,
}

/// What a checkpoint of an organization says, and who goes on signing.
fn signed(
    signers: &Signers,
    organization: OrganizationId,
    note: &str,
) -> Result<(Checkpoint, Vec<NoteSigner>), SealError> {
    // A log keeps the name it began with, wherever it is served by now.
    let origin = note.lines().next().unwrap_or_default();
    if !origin.ends_with(&format!("/audit/{organization}")) {
        return Err(SealError::Altered);
    }
    let signers = signers.of(origin)?;
    let keys: Vec<_> = signers.iter().map(|signer| signer.verifier().clone()).collect();
    let signed = Checkpoint::open(note, &keys).map_err(|_| SealError::Altered)?;
    Ok((signed, signers))
}

impl Log {
    /// The log with that head, if it is what was signed.
    fn open(signers: &Signers, organization: OrganizationId, head: LogHead) -> Result<Self, SealError> {
        if head.size == 0 {
            let origin = signers.origin(organization);
            let signers = signers.of(&origin)?;
            return Ok(Self { origin, signers, head, frontier: Frontier::new() });
        }
        let (signed, signers) = signed(signers, organization, &head.checkpoint)?;
        let origin = signed.origin.clone();
        let frontier = Frontier::from_bytes(&head.frontier).map_err(|_| SealError::Altered)?;
        let is_signed =
            signed.size == head.size && frontier.size() == head.size && frontier.root() == signed.root;
        if is_signed { Ok(Self { origin, signers, head, frontier }) } else { Err(SealError::Altered) }
    }

    /// Whether a record is of a time that can be sealed now: not of the future, and not of more than a day before what is sealed
    /// already. That it was written then nobody could tell from the log any more.
    pub(crate) fn is_in_time(&self, leaf: &Leaf, now: Timestamp) -> bool {
        let at = leaf.id.time();
        at <= now + SKEW && self.head.newest.is_none_or(|newest| newest.since(at) <= LATEST_SEAL)
    }

    /// What sealing `leaves` makes of it.
    fn append(&self, leaves: &[Leaf], now: Timestamp) -> Result<Sealing, SealError> {
        let mut frontier = self.frontier.clone();
        let mut completed = Vec::new();
        for leaf in leaves {
            for whole in frontier.push(Hash::from_bytes(leaf.hash)) {
                let (level, index) = (whole.tile.level + 1, whole.tile.index);
                completed.push(TileHash { level, index, hash: *whole.root.as_bytes() });
            }
        }
        let checkpoint =
            Checkpoint { origin: self.origin.clone(), size: frontier.size(), root: frontier.root() };
        let signers: Vec<&NoteSigner> = self.signers.iter().collect();
        let note = checkpoint.sign(&signers).map_err(|e| SealError::Sign(Box::new(e)))?;
        let head = LogHead {
            size: frontier.size(),
            frontier: frontier.to_bytes(),
            checkpoint: note,
            keys: self.signers.iter().map(|signer| signer.verifier().to_string()).collect(),
            archived: self.head.archived,
            newest: self.head.newest.max(leaves.iter().map(|leaf| leaf.id.time()).max()),
            updated_at: now,
        };
        Ok(Sealing { leaves: leaves.to_vec(), completed, head })
    }
}

impl Seal {
    /// Seals records that are not sealed yet, in this order, on top of a log; its head by then.
    pub(crate) async fn seal(
        &self,
        tenant: &Tenant,
        leaves: Vec<Leaf>,
        mut log: Log,
    ) -> Result<LogHead, SealError> {
        for some in leaves.chunks(MOST_SEALED) {
            let head = log.head.clone();
            log = match self.seal_some(tenant, some.to_vec(), log).await {
                Err(SealError::Behind) => {
                    let beyond = head.size;
                    let log = self.recover(tenant, Some(head), beyond).await?;
                    self.seal_some(tenant, some.to_vec(), log).await?
                }
                sealed => sealed?,
            };
        }
        Ok(log.head)
    }

    async fn seal_some(
        &self,
        tenant: &Tenant,
        mut leaves: Vec<Leaf>,
        mut log: Log,
    ) -> Result<Log, SealError> {
        let mut unmoved = 0;
        for attempt in 0..TRIES {
            if leaves.is_empty() {
                return Ok(log);
            }
            let sealing = log.append(&leaves, self.0.clock.now())?;
            match tenant.seal(&log.head, &sealing).await? {
                SealingOutcome::Done => {
                    return Log::open(&self.0.signers, tenant.organization_id(), sealing.head);
                }
                SealingOutcome::Sealed(sealed) => {
                    let sealed: BTreeSet<_> = sealed.into_iter().collect();
                    leaves.retain(|leaf| !sealed.contains(&leaf.id));
                    log = self.log(tenant).await?;
                }
                SealingOutcome::Raced => {
                    tokio::time::sleep(WAIT * attempt).await;
                    let moved = self.log(tenant).await?;
                    unmoved = if moved.head == log.head { unmoved + 1 } else { 0 };
                    if unmoved == UNMOVED {
                        return Err(SealError::Behind);
                    }
                    log = moved;
                }
            }
        }
        Err(SealError::Raced)
    }

    /// The log as it is.
    pub(crate) async fn log(&self, tenant: &Tenant) -> Result<Log, SealError> {
        let organization = tenant.organization_id();
        match tenant.log_head().await? {
            Some(head) => match Log::open(&self.0.signers, organization, head.clone()) {
                Err(SealError::Altered) => self.recover(tenant, Some(head), 0).await,
                opened => opened,
            },
            // A log that was signed has a head: who took it away would have another one begun in its place.
            None if tenant.last_checkpoint().await?.is_some() => self.recover(tenant, None, 0).await,
            None => Log::open(&self.0.signers, organization, LogHead::empty(self.0.clock.now())),
        }
    }

    /// The log as it was signed last, made of its tiles: for when its head was altered, lost, or brought back from another
    /// time with its table. A checkpoint is believed for its signature, and the tiles for the root that it signs; it must be
    /// of more than `beyond` records.
    async fn recover(&self, tenant: &Tenant, found: Option<LogHead>, beyond: u64) -> Result<Log, SealError> {
        let organization = tenant.organization_id();
        let note = tenant.last_checkpoint().await?.ok_or(SealError::Altered)?;
        let (signed, signers) = signed(&self.0.signers, organization, &note)?;
        if signed.size <= beyond {
            return Err(SealError::Behind);
        }
        let plan = Plan::frontier(signed.size);
        let mut tiles = HashMap::new();
        for id in plan.tiles() {
            let hashes = tenant.tile(id.level, id.index).await?;
            tiles.insert(id, hashes.into_iter().map(Hash::from_bytes).collect::<Vec<_>>());
        }
        let roots = plan.compute(|id| tiles.get(&id).map(Vec::as_slice)).map_err(|_| SealError::Altered)?;
        let frontier = Frontier::from_roots(signed.size, roots).map_err(|_| SealError::Altered)?;
        let head = LogHead {
            size: signed.size,
            frontier: frontier.to_bytes(),
            checkpoint: note,
            keys: signers.iter().map(|signer| signer.verifier().to_string()).collect(),
            archived: found.as_ref().map_or(0, |found| found.archived.min(signed.size)),
            newest: found.as_ref().and_then(|found| found.newest),
            updated_at: self.0.clock.now(),
        };
        let log = Log::open(&self.0.signers, organization, head)?;
        tracing::error!(
            organization.id = %organization, size = signed.size,
            "the head of a log was altered or brought back; it goes on from its last checkpoint"
        );
        tenant.restore_log_head(found.as_ref(), &log.head).await?;
        Ok(log)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn organization() -> OrganizationId {
        OrganizationId::derived(clock::utc(2026, 11, 22, 15, 4), [1; 16])
    }

    fn leaves(count: u8) -> Vec<Leaf> {
        let leaf = |seed| Leaf {
            id: ids::AuditId::derived(clock::utc(2026, 11, 22, 15, 4), [seed; 16]),
            hash: *tlog::leaf_hash(&[seed]).as_bytes(),
        };
        (0..count).map(leaf).collect()
    }

    fn signers(secret: &str) -> Signers {
        Signers::new(secret, "https://artisan.example.com/").unwrap()
    }

    fn sealed(signers: &Signers, count: u8) -> LogHead {
        let now = clock::utc(2026, 11, 22, 15, 4);
        let log = Log::open(signers, organization(), LogHead::empty(now)).unwrap();
        log.append(&leaves(count), now).unwrap().head
    }

    #[test]
    fn a_log_is_named_after_where_it_is_served() {
        let named = |url| signers_at(url).map(|it| it.host);
        fn signers_at(url: &str) -> Option<Signers> {
            Signers::new("a", url)
        }
        assert_eq!(named("https://artisan.example.com/base").as_deref(), Some("artisan.example.com"));
        assert_eq!(named("http://localhost:8000").as_deref(), Some("localhost:8000"));
        assert_eq!(named("mailto:a@example.com"), None);
        assert!(
            sealed(&signers("a"), 3)
                .checkpoint
                .starts_with(&format!("artisan.example.com/audit/{}\n3\n", organization()))
        );
    }

    #[test]
    fn a_head_that_was_altered_is_not_gone_on_from() {
        let signers = signers("a");
        let head = sealed(&signers, 7);
        assert!(Log::open(&signers, organization(), head.clone()).is_ok());
        let rolled_back = LogHead { checkpoint: head.checkpoint.clone(), ..sealed(&signers, 6) };
        let other = OrganizationId::derived(clock::utc(2026, 11, 22, 15, 4), [2; 16]);
        for (organization, head) in [
            (organization(), rolled_back),
            (organization(), LogHead { size: 6, ..head.clone() }),
            (
                organization(),
                LogHead { checkpoint: head.checkpoint.replace("\n7\n", "\n8\n"), ..head.clone() },
            ),
            (other, head.clone()),
        ] {
            assert!(matches!(Log::open(&signers, organization, head), Err(SealError::Altered)));
        }
        let elsewhere = Signers::new("b", "https://artisan.example.com").unwrap();
        assert!(matches!(Log::open(&elsewhere, organization(), head), Err(SealError::Altered)));
    }

    #[test]
    fn nobody_writes_into_the_past_or_the_future() {
        let signers = signers("a");
        let now = clock::utc(2026, 11, 22, 15, 4);
        let at = |time| Leaf { id: ids::AuditId::derived(time, [9; 16]), hash: [0; 32] };
        let empty = Log::open(&signers, organization(), LogHead::empty(now)).unwrap();
        assert!(empty.is_in_time(&at(now - LATEST_SEAL * 1_000), now), "a log may begin whenever it does");
        let log = Log::open(&signers, organization(), sealed(&signers, 3)).unwrap();
        for (time, is) in [
            (now - LATEST_SEAL, true),
            (now - LATEST_SEAL - Duration::from_millis(1), false),
            (now + SKEW, true),
            (now + SKEW + Duration::from_millis(1), false),
        ] {
            assert_eq!(log.is_in_time(&at(time), now), is, "{time}");
        }
    }

    #[test]
    fn a_log_keeps_its_name_when_it_is_served_elsewhere() {
        let head = sealed(&signers("a"), 3);
        let moved = Signers::new("a", "https://audit.example.org").unwrap();
        let log = Log::open(&moved, organization(), head).unwrap();
        let head = log.append(&leaves(2), clock::utc(2026, 11, 22, 15, 5)).unwrap().head;
        assert!(head.checkpoint.starts_with("artisan.example.com/audit/"));
    }

    #[test]
    fn keys_are_replaced_by_signing_with_both() {
        let (old, both, new) = (signers("old"), signers("new\nold\n"), signers("new"));
        let head = sealed(&old, 3);
        let log = Log::open(&both, organization(), head).unwrap();
        let head = log.append(&leaves(2), clock::utc(2026, 11, 22, 15, 5)).unwrap().head;
        assert_eq!(head.keys.len(), 2);
        assert!(Log::open(&old, organization(), head.clone()).is_ok());
        assert!(Log::open(&new, organization(), head).is_ok());
    }
}
