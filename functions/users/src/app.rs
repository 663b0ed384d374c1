//! The rules of membership.

pub(crate) mod invitations;
pub(crate) mod members;

use access::permission::{Level, held_on};
use input::Fault;
use serde::Serialize;
use store::{FieldChange, Role};

/// Checks that a role can be held on `level`.
fn role_on(level: Level, role: Role) -> Result<Role, Fault> {
    if held_on(role).contains(&level) {
        return Ok(role);
    }
    Err(Fault::new(
        "value",
        match level {
            Level::Organization => "must be admin or read_only, without a workspace",
            Level::Workspace => "must be manager, member or read_only, in a workspace",
        },
    ))
}

fn changed<T: Serialize>(field: &str, before: Option<T>, after: Option<T>) -> FieldChange {
    let value = |it: Option<T>| serde_json::to_value(it).unwrap_or_default();
    FieldChange { field: field.to_owned(), before: value(before), after: value(after) }
}
