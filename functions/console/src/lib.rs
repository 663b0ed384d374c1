//! The admin console: the pages that an administrator lives in, at `/console`.
//!
//! Pages are made on the server and work without a script. The console is a client of the API (`api`) and can do no more
//! than the person who looks at it. The straight path of a request: `visit` (who is it, is the form ours) → a page of
//! `pages` (ask the API, choose what to say) → `view` (HTML).

mod api;
mod assets;
mod pages;
mod view;
mod visit;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::Redirect;
use axum::routing::get;
use runtime::{Services, StartError};

use crate::api::Api;

/// What all pages share. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Console(Arc<Shared>);

struct Shared {
    api: Api,
    site: Site,
}

/// Where the console is, as people see it.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    /// What addresses of this installation begin with, without a slash at the end.
    pub(crate) url: String,
    /// Whether it is reached by HTTPS, as everywhere but on a laptop.
    pub(crate) secure: bool,
    /// Where webhooks can be sent to be looked at, if there is such a place: on the local platform.
    pub(crate) inbox: Option<String>,
    /// Where the clock can be moved, if it can: on the local platform.
    pub(crate) clock: Option<String>,
}

impl Site {
    fn of(services: &Services) -> Result<Self, StartError> {
        let url = services.environment.required("PUBLIC_URL")?.trim_end_matches('/').to_owned();
        let inbox = services.environment.optional("WEBHOOK_INBOX_PATH").map(str::to_owned);
        let clock = services.environment.optional("CLOCK_PATH").map(str::to_owned);
        Ok(Self { secure: url.starts_with("https://"), url, inbox, clock })
    }
}

/// The function's routes, ready to serve.
///
/// # Errors
/// [`StartError`] when the environment is incomplete.
pub async fn router(services: &Services) -> Result<Router, StartError> {
    let console = Console(Arc::new(Shared { api: Api::start(services)?, site: Site::of(services)? }));
    let pages = pages::routes()
        .layer(from_fn_with_state(console.clone(), visit::around))
        .with_state(console)
        .merge(assets::routes());
    let console = Router::new().nest("/console", pages);
    // A slash too many leads to the same page.
    let console = console.route("/console/", get(async || Redirect::permanent("/console")));
    Ok(edge::serve_open(services, console))
}
