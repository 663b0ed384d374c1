//! Which workspaces an organization has, remembered for a moment.
//!
//! A request that names no workspace acts in the only one there is, and one that names a workspace must name one of
//! its own organization. Asking the store each time would cost every such request a round trip; remembering the
//! answer for [`FRESH`] costs one now and then. Workspace ids are never given to another organization, so a stale
//! answer can't open a door: at worst a second workspace goes unnoticed for that long by requests that name none.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clock::Timestamp;
use ids::{OrganizationId, WorkspaceId};
use store::{StoreError, Tenant};

const FRESH: Duration = Duration::from_secs(10);
/// Beyond this many organizations the memory is emptied; a function instance rarely sees as many within [`FRESH`].
const CAPACITY: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct Workspaces(Mutex<HashMap<OrganizationId, (Timestamp, Vec<WorkspaceId>)>>);

impl Workspaces {
    /// The organization's workspaces. With `expecting`, an answer that lacks it is asked for anew: it may be new.
    pub(crate) async fn of(
        &self,
        tenant: &Tenant,
        expecting: Option<WorkspaceId>,
        now: Timestamp,
    ) -> Result<Vec<WorkspaceId>, StoreError> {
        let organization = tenant.organization_id();
        let remembered = {
            let memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            memory.get(&organization).filter(|(at, _)| now.since(*at) < FRESH).map(|(_, known)| known.clone())
        };
        if let Some(known) = remembered
            && expecting.is_none_or(|expected| known.contains(&expected))
        {
            return Ok(known);
        }
        let known: Vec<_> = tenant.workspaces().await?.into_iter().map(|workspace| workspace.id).collect();
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if memory.len() >= CAPACITY {
            memory.clear();
        }
        memory.insert(organization, (now, known.clone()));
        Ok(known)
    }
}
