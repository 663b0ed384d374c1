//! What time alone must bring about: a list of tasks by the instant they are due, for the sweep.
//!
//! A task is put on the list in the transaction that makes it necessary and taken off in the one that carries it out, so
//! none is forgotten. A task may come up twice, or after what made it necessary is gone: whoever carries it out looks
//! first. The list is spread over a few partitions; the sweep reads the front of each.

use audit_format::LONGEST_SILENCE;
use clock::Timestamp;
use futures::future::try_join_all;
use ids::{KeyId, OrganizationId, WorkspaceId};
use serde::{Deserialize, Serialize};

use crate::change::{Expression, Table, Write};
use crate::item::{self, primary, text};
use crate::{Change, Refusal, Store, StoreError, keys};

/// Something to be done at a certain time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case")]
pub enum Task {
    /// Look a verified domain's challenge up again.
    CheckDomain {
        /// The organization.
        organization_id: OrganizationId,
        /// The domain.
        domain: String,
    },
    /// Warn the admins that a key is about to expire.
    WarnOfExpiry {
        /// The organization.
        organization_id: OrganizationId,
        /// The key.
        key_id: KeyId,
        /// The expiry it is about. If the key expires at another time by now, the task is out of date.
        expires_at: Timestamp,
    },
    /// Erase what a deleted workspace held.
    EraseWorkspace {
        /// The organization.
        organization_id: OrganizationId,
        /// The workspace.
        workspace_id: WorkspaceId,
    },
    /// Put on record that nothing was, if nothing was for a day, so that a log that ends early shows.
    WitnessLog {
        /// The organization.
        organization_id: OrganizationId,
    },
    /// Erase a deleted organization.
    EraseOrganization {
        /// The organization.
        organization_id: OrganizationId,
    },
}

/// A task and when it is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    /// What.
    #[serde(flatten)]
    pub task: Task,
    /// When.
    pub due_at: Timestamp,
}

impl Task {
    /// Names the task among those due at the same instant.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::CheckDomain { organization_id, domain } => format!("{organization_id}#domain#{domain}"),
            Self::WarnOfExpiry { organization_id, key_id, .. } => format!("{organization_id}#key#{key_id}"),
            Self::EraseWorkspace { organization_id, workspace_id } => {
                format!("{organization_id}#workspace#{workspace_id}")
            }
            Self::WitnessLog { organization_id } => format!("{organization_id}#log"),
            Self::EraseOrganization { organization_id } => format!("{organization_id}#organization"),
        }
    }
}

impl Due {
    /// The next look at whether an organization's log has been silent.
    #[must_use]
    pub fn witness(organization_id: OrganizationId, last: Timestamp) -> Self {
        Self { task: Task::WitnessLog { organization_id }, due_at: last + LONGEST_SILENCE }
    }

    pub(crate) fn key(&self) -> keys::Key {
        keys::due(self.due_at, &self.task.name())
    }

    fn item(&self, operation: &'static str) -> Result<item::Item, StoreError> {
        let mut item = item::write(operation, &self.key(), self)?;
        item.insert("created_at".to_owned(), text(self.due_at.to_string()));
        item.insert("updated_at".to_owned(), text(self.due_at.to_string()));
        Ok(item)
    }
}

impl Change {
    /// Puts a task on the list.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when it cannot be written as an item.
    pub fn schedule(self, due: &Due) -> Result<Self, StoreError> {
        let put =
            Write::Put { item: due.item(self.operation())?, condition: String::new(), values: Vec::new() };
        Ok(self.step(Table::Directory, put, Refusal::Exists("task")))
    }

    /// Takes a task off the list, if it is on it.
    pub fn unschedule(self, due: &Due) -> Self {
        let delete = Expression { key: primary(&due.key()), ..Expression::default() };
        self.step(Table::Directory, Write::Delete(delete), Refusal::Raced)
    }
}

impl Store {
    /// Moves a task that could not be carried out to a later instant, out of the way of the others. Interrupted half-way,
    /// it leaves the task on the list twice, which does no harm.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be moved; it is then still on the list.
    pub async fn postpone(&self, due: &Due, until: Timestamp) -> Result<(), StoreError> {
        self.keep_task(&Due { due_at: until, ..due.clone() }).await?;
        self.drop_task(due).await
    }

    /// Writes down how far a task has come that takes several calls.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be written.
    pub async fn keep_task(&self, due: &Due) -> Result<(), StoreError> {
        const OPERATION: &str = "keep_task";
        let put = self.client.put_item().table_name(self.directory_table());
        let put = put.set_item(Some(due.item(OPERATION)?));
        put.send().await.map_err(|e| StoreError::from_sdk(OPERATION, e))?;
        Ok(())
    }

    /// Takes a task off the list that turned out to be needless.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be taken off.
    pub async fn drop_task(&self, due: &Due) -> Result<(), StoreError> {
        let key = primary(&keys::due(due.due_at, &due.task.name()));
        let delete = self.client.delete_item().table_name(self.directory_table()).set_key(Some(key));
        delete.send().await.map_err(|e| StoreError::from_sdk("drop_task", e))?;
        Ok(())
    }

    /// The tasks that are due, at most `limit` of each part of the list, the longest overdue first.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn due(&self, now: Timestamp, limit: u32) -> Result<Vec<Due>, StoreError> {
        let parts = keys::due_parts().map(|pk| {
            self.client
                .query()
                .table_name(self.directory_table())
                // `~` sorts after what follows the time in a key of this very millisecond.
                .key_condition_expression("pk = :pk AND sk <= :now")
                .expression_attribute_values(":pk", text(pk))
                .expression_attribute_values(":now", text(format!("{now}~")))
                .limit(i32::try_from(limit).unwrap_or(i32::MAX))
                .send()
        });
        let answers = try_join_all(parts).await.map_err(|e| StoreError::from_sdk("due", e))?;
        let items = answers.into_iter().flat_map(|answer| answer.items.unwrap_or_default());
        let mut due: Vec<Due> = item::read_all("due", items.collect())?;
        due.sort_by_key(|due| due.due_at);
        Ok(due)
    }
}
