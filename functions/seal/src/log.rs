//! Appending to the log.

use std::collections::BTreeSet;
use std::time::Duration;

use ids::OrganizationId;
use sealing::{MasterSecret, Purpose};
use secrecy::ExposeSecret as _;
use store::{Leaf, LogHead, MOST_SEALED, Sealing, SealingOutcome, StoreError, Tenant, TileHash};
use tlog::{Checkpoint, Frontier, Hash, NoteSigner};

use crate::Seal;

/// How often somebody else may move the head before a batch is given back to the stream.
const TRIES: u32 = 20;
const WAIT: Duration = Duration::from_millis(20);

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
    /// The head lies behind what is sealed, or others kept moving it.
    #[error("the head of the log does not fit what is sealed")]
    Raced,
}

impl SealError {
    /// Whether it will be so the next time, too: somebody has to look at it.
    pub(crate) fn is_lasting(&self) -> bool {
        matches!(self, Self::Altered)
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

/// A log on which more can be sealed.
struct Log {
    origin: String,
    signers: Vec<NoteSigner>,
    head: LogHead,
    frontier: Frontier,
}

impl Log {
    /// The log with that head, if it is what was signed.
    fn open(signers: &Signers, organization: OrganizationId, head: LogHead) -> Result<Self, SealError> {
        if head.size == 0 {
            let origin = signers.origin(organization);
            let signers = signers.of(&origin)?;
            return Ok(Self { origin, signers, head, frontier: Frontier::new() });
        }
        // A log keeps the name it began with, wherever it is served by now.
        let origin = head.checkpoint.lines().next().unwrap_or_default().to_owned();
        if !origin.ends_with(&format!("/audit/{organization}")) {
            return Err(SealError::Altered);
        }
        let signers = signers.of(&origin)?;
        let keys: Vec<_> = signers.iter().map(|signer| signer.verifier().clone()).collect();
        let signed = Checkpoint::open(&head.checkpoint, &keys).map_err(|_| SealError::Altered)?;
        let frontier = Frontier::from_bytes(&head.frontier).map_err(|_| SealError::Altered)?;
        let is_signed =
            signed.size == head.size && frontier.size() == head.size && frontier.root() == signed.root;
        if is_signed { Ok(Self { origin, signers, head, frontier }) } else { Err(SealError::Altered) }
    }

    /// What sealing `leaves` makes of it.
    fn append(&self, leaves: &[Leaf], now: clock::Timestamp) -> Result<Sealing, SealError> {
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
            updated_at: now,
        };
        Ok(Sealing { leaves: leaves.to_vec(), completed, head })
    }
}

impl Seal {
    /// Seals records that are not sealed yet, in this order; the head by then, if there were any records.
    pub(crate) async fn seal(
        &self,
        tenant: &Tenant,
        leaves: Vec<Leaf>,
    ) -> Result<Option<LogHead>, SealError> {
        let mut log = None;
        for some in leaves.chunks(MOST_SEALED) {
            log = Some(self.seal_some(tenant, some.to_vec(), log).await?);
        }
        Ok(log.map(|log| log.head))
    }

    async fn seal_some(
        &self,
        tenant: &Tenant,
        mut leaves: Vec<Leaf>,
        known: Option<Log>,
    ) -> Result<Log, SealError> {
        let mut log = match known {
            Some(log) => log,
            None => self.log(tenant).await?,
        };
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
                    log = self.log(tenant).await?;
                }
            }
        }
        Err(SealError::Raced)
    }

    async fn log(&self, tenant: &Tenant) -> Result<Log, SealError> {
        let head = match tenant.log_head().await? {
            Some(head) => head,
            // A log that was signed has a head: who took it away would have another one begun in its place.
            None if tenant.has_checkpoints().await? => return Err(SealError::Altered),
            None => LogHead::empty(self.0.clock.now()),
        };
        Log::open(&self.0.signers, tenant.organization_id(), head)
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
