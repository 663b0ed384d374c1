//! Sealing: from audit records to a log that cannot be edited unnoticed.
//!
//! The stream of the `audit` table brings what happens to it. New records become leaves of their organization's Merkle log,
//! in batches, under a checkpoint signed each time; what is sealed goes to the archive. A record is sealed once, whatever
//! comes twice and wherever it broke off: its place is written under the condition that it has none.
//!
//! Nothing else may happen to that table. A record that is changed, or removed before its time, is somebody's doing whom no
//! function lets: an alarm goes on record, and into the log like any other. So does what is put among the records and is
//! none of this time: nobody writes into the past, and it is not sealed.
//!
//! Before anything is sealed on top of a head, the head must be what its own checkpoint signs. So nobody without the key
//! moves the log, neither back nor aside, and has it go on from there.

mod archive;
mod log;
mod records;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lambda_events::event::dynamodb::Event;
use aws_lambda_events::event::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use futures::future::join_all;
use ids::{Ids, OrganizationId};
use objects::Bucket;
use runtime::{Services, StartError};
use store::{Leaf, Store};
use telemetry::metrics::Metrics;

use crate::log::Signers;
use crate::records::{Happened, read};

pub use crate::log::SealError;

/// The sealing. Cheap to clone.
#[derive(Clone)]
pub struct Seal(Arc<Shared>);

struct Shared {
    store: Store,
    signers: Signers,
    archive: Bucket,
    clock: clock::Clock,
    ids: Ids,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

/// Builds the function from `CORE_TABLE`, `AUDIT_TABLE`, `ARCHIVE_BUCKET`, `AUDIT_SIGNING_SECRET_ID` and
/// `PUBLIC_URL`, and opens the connections.
///
/// # Errors
/// [`StartError`] when a variable or the secret is missing.
pub async fn handler(services: &Services) -> Result<Seal, StartError> {
    let environment = &services.environment;
    let store = Store::from_environment(environment, services.aws.dynamodb.clone())?;
    let archive =
        Bucket::from_environment(environment, "ARCHIVE_BUCKET", &objects::Client::from_services(services))?;
    let (secret, ()) = tokio::join!(services.secret("AUDIT_SIGNING_SECRET_ID"), store.warm_up());
    let signers = Signers::new(&secret?, &environment.required("PUBLIC_URL")?)
        .ok_or(StartError::Unreadable { name: "PUBLIC_URL" })?;
    let (clock, ids) = (services.clock.clone(), services.ids.clone());
    Ok(Seal(Arc::new(Shared { store, signers, archive, clock, ids })))
}

/// What a batch holds of one organization, and where in the stream that begins.
#[derive(Default)]
struct Share {
    first: usize,
    leaves: Vec<(Leaf, watch::Offence)>,
    offences: Vec<watch::Offence>,
}

impl Seal {
    /// Seals what a batch brings. The answer names the record from which the stream is to be read again, if any.
    pub async fn handle(&self, batch: Event) -> DynamoDbEventResponse {
        let mut shares: BTreeMap<OrganizationId, Share> = BTreeMap::new();
        for (index, record) in batch.records.iter().enumerate() {
            let (organization, happened) = match read(record) {
                Ok(Some(known)) => known,
                Ok(None) => continue,
                Err(error) => {
                    // Nobody's log would miss it.
                    tracing::error!(%error, "an item of the audit table is nobody's");
                    continue;
                }
            };
            let share =
                shares.entry(organization).or_insert_with(|| Share { first: index, ..Share::default() });
            match happened {
                Happened::Written(leaf, if_not_in_time) => share.leaves.push((leaf, if_not_in_time)),
                Happened::Offence(offence) => share.offences.push(offence),
            }
        }
        let sealed = join_all(shares.into_iter().map(async |(organization, share)| {
            let first = share.first;
            self.take(organization, share).await.map_err(|error| (first, organization, error))
        }));
        let mut first: Option<usize> = None;
        for (index, organization, error) in sealed.await.into_iter().filter_map(Result::err) {
            let error_text = telemetry::chain(&error);
            if error.is_lasting() {
                // Trying again changes nothing, and would hold up every other organization. Its records stay unsealed, and
                // the verifier names them.
                tracing::error!(organization.id = %organization, error = error_text, "a log is not gone on with");
                continue;
            }
            tracing::warn!(error = error_text, "a batch will be tried again");
            first = Some(first.map_or(index, |first| first.min(index)));
        }
        let mut answer = DynamoDbEventResponse::default();
        if let Some(record) = first.and_then(|index| batch.records.get(index)) {
            let mut failure = DynamoDbBatchItemFailure::default();
            failure.item_identifier = record.change.sequence_number.clone();
            answer.batch_item_failures.push(failure);
        }
        answer
    }

    async fn take(&self, organization: OrganizationId, share: Share) -> Result<(), SealError> {
        let tenant = self.0.store.tenant_of_job(organization);
        for offence in &share.offences {
            self.raise(&tenant, offence).await?;
        }
        if share.leaves.is_empty() {
            return Ok(());
        }
        let (log, now) = (self.log(&tenant).await?, self.0.clock.now());
        let mut leaves = Vec::with_capacity(share.leaves.len());
        for (leaf, offence) in share.leaves {
            if log.is_in_time(&leaf, now) {
                leaves.push(leaf);
            } else {
                self.raise(&tenant, &offence).await?;
            }
        }
        leaves.sort_unstable_by_key(|leaf| leaf.id);
        leaves.dedup_by_key(|leaf| leaf.id);
        let (records, oldest) = (leaves.len(), leaves.first().map(|leaf| leaf.id.time()));
        let head = self.seal(&tenant, leaves, log).await?;
        if let Some(oldest) = oldest {
            let lag = u64::try_from(self.0.clock.now().since(oldest).as_millis()).unwrap_or(u64::MAX);
            Metrics::new().count("SealedRecords", records).milliseconds("SealLag", lag).publish();
        }
        self.archive(&tenant, &head).await
    }
}
