//! The rules of webhooks.

pub(crate) mod alteration;
pub(crate) mod endpoint;
pub(crate) mod health;
pub(crate) mod redrive;
pub(crate) mod replay;
pub(crate) mod stats;
