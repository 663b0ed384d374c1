//! The rules of an organization.

pub(crate) mod domains;
pub(crate) mod end;
pub(crate) mod organization;
pub(crate) mod placement;
pub(crate) mod settings;
pub(crate) mod sso;

use serde::Serialize;
use serde_json::Value;
use store::{AuditRecord, FieldChange};

/// Notes on `record` that a field became `after`, unless it was that before.
fn note<T: Serialize + PartialEq>(record: &mut AuditRecord, field: &str, before: &T, after: &T) {
    if before != after {
        let shown = |value: &T| serde_json::to_value(value).unwrap_or(Value::Null);
        record.changes.push(FieldChange {
            field: field.to_owned(),
            before: shown(before),
            after: shown(after),
        });
    }
}
