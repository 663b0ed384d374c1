//! The pages. A stranger finds a page by its address: `/console/keys` is made in `keys`.

mod audit;
mod dead_letters;
mod deliveries;
mod events;
mod find;
mod keys;
mod overview;
mod people;
mod profile;
mod replays;
mod requests;
mod sales;
mod session;
mod settings;
mod webhooks;
mod workspaces;

use axum::Router;
use axum::response::Response;

use crate::Console;
use crate::api::{Failure, Ours};

/// A page, or why there is none.
type Answer = Result<Response, Failure>;

pub(crate) fn routes() -> Router<Console> {
    Router::new()
        .merge(overview::routes())
        .merge(session::routes())
        .merge(profile::routes())
        .merge(keys::routes())
        .merge(audit::routes())
        .merge(find::routes())
        .merge(people::routes())
        .merge(workspaces::routes())
        .merge(settings::routes())
        .merge(sales::routes())
        .merge(webhooks::routes())
        .merge(deliveries::routes())
        .merge(dead_letters::routes())
        .merge(replays::routes())
        .merge(events::routes())
        .fallback(async || Failure::from(Ours::NoSuchPage))
        .method_not_allowed_fallback(async || Failure::from(Ours::NoSuchPage))
}
