//! The API as the console sees it: another client of it, and no more than that.
//!
//! The console has no table, queue or secret. Whatever it shows it has asked the API for, and whatever it does the API does,
//! with the token of the person who looks at it: the same permissions, the same audit records, the same problems. It asks
//! the functions behind the API by Lambda's Invoke, with the event that API Gateway would send. Only IAM may invoke them, so
//! the visitor's address, which that event tells, is one that no client can forge; and nothing goes over the internet.

mod client;
mod failure;
mod functions;
mod me;

pub(crate) use client::{Api, Asked, Caller, Request};
pub(crate) use failure::{Failure, Fault, Ours, Problem, found};
pub(crate) use me::{Me, by_resource};

use serde::Deserialize;

/// A page of a list.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct List<T> {
    /// What is on it.
    pub(crate) data: Vec<T>,
    /// Where the next one begins.
    #[serde(default)]
    pub(crate) next_cursor: Option<String>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { data: Vec::new(), next_cursor: None }
    }
}
