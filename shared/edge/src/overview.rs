//! What an organization looks like, remembered for a moment.
//!
//! A request that names no workspace acts in the only one there is, one that names a workspace must name one of its own
//! organization, and a key's request is bound by its organization's networks, origins and retention. Asking the store each
//! time would cost every such request a round trip; remembering the answer for [`FRESH`] costs one now and then. Ids
//! are never given to another organization, so a stale answer can't open a door to another tenant: at worst a workspace
//! that was archived stays open for that long, and a network that was struck off to keys. People's roles and the policies they
//! meet are never remembered: their standing is read with each request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clock::Timestamp;
use ids::{OrganizationId, WorkspaceId};
use store::{Organization, Overview, StoreError, Tenant, Workspace};

const FRESH: Duration = Duration::from_secs(10);
/// Beyond this many organizations the memory is emptied; a function instance rarely sees as many within [`FRESH`].
const CAPACITY: usize = 1024;

/// An organization and its workspaces, shared by the requests that ask for them.
#[derive(Debug)]
pub(crate) struct Remembered {
    /// `None` once it is erased.
    pub(crate) organization: Option<Arc<Organization>>,
    /// The workspaces that are not deleted.
    pub(crate) workspaces: Vec<Workspace>,
}

#[derive(Debug, Default)]
pub(crate) struct Overviews(Mutex<HashMap<OrganizationId, (Timestamp, Arc<Remembered>)>>);

impl Overviews {
    /// The organization and its workspaces. With `expecting`, an answer that lacks that workspace is asked for anew: it
    /// may be new.
    pub(crate) async fn of(
        &self,
        tenant: &Tenant,
        expecting: Option<WorkspaceId>,
        now: Timestamp,
    ) -> Result<Arc<Remembered>, StoreError> {
        let organization = tenant.organization_id();
        let remembered = {
            let memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            memory
                .get(&organization)
                .filter(|(at, _)| now.since(*at) < FRESH)
                .map(|(_, known)| Arc::clone(known))
        };
        let has = |known: &Remembered, id| known.workspaces.iter().any(|workspace| workspace.id == id);
        if let Some(known) = remembered
            && expecting.is_none_or(|expected| has(&known, expected))
        {
            return Ok(known);
        }
        let Overview { organization: profile, workspaces } = tenant.overview().await?;
        let known = Arc::new(Remembered { organization: profile.map(Arc::new), workspaces });
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if memory.len() >= CAPACITY {
            memory.clear();
        }
        memory.insert(organization, (now, Arc::clone(&known)));
        Ok(known)
    }

    /// Forgets an organization that this very process has changed.
    pub(crate) fn forget(&self, organization: OrganizationId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&organization);
    }
}
