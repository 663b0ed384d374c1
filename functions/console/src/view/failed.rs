//! The page for what did not work: what happened, what can be done, and what to tell whoever can help.

use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use maud::{Markup, html};

use super::layout::{At, Page, bare};
use super::part::{Tone, banner, facts};
use crate::api::{Failure, Me, Ours, Problem};
use crate::visit::{Visit, href};

/// Makes a page of a failure.
pub(crate) async fn failed(visit: &Visit, failure: &Failure) -> Response {
    if failure.is_signed_out() {
        let next = if visit.back.starts_with("/console/sign-") { "" } else { visit.back.as_ref() };
        return Redirect::to(&href("/console/sign-in", [("next", next)])).into_response();
    }
    // A policy of the organization asks for more proof than the session has given.
    if failure.asks_for_proof() {
        return Redirect::to(&href(
            "/console/prove",
            [("by", failure.code()), ("next", visit.back.as_ref())],
        ))
        .into_response();
    }
    if !matches!(failure, Failure::Refused(_) | Failure::Ours(_)) {
        tracing::error!(
            request_id = visit.info.id,
            error = telemetry::chain(failure),
            "a page could not be made"
        );
    }
    let (status, title, body) = said(visit, failure);
    if visit.is_signed_in()
        && let Ok(me) = Me::of(&visit.api).await
    {
        return Page::new(visit, &me, At::Find, title).status(status).show(body);
    }
    bare(visit, status, title, body)
}

fn said<'a>(visit: &Visit, failure: &'a Failure) -> (StatusCode, &'a str, Markup) {
    let back = html! { p { a class="button" href="/console" { "To the overview" } } };
    match failure {
        Failure::Refused(problem) => refused(problem),
        Failure::NoAnswer { .. } | Failure::Unreadable { .. } => {
            let body = html! {
                @if visit.is_change {
                    (banner(Tone::Bad, html! { p { "A part of Artisan did not answer in time. It is not known whether what you sent was done: look, before you send it again." } }))
                } @else {
                    (banner(Tone::Bad, html! { p { "A part of Artisan did not answer. Nothing is lost; try again in a moment." } }))
                }
                (facts([("Request", html! { code { (visit.info.id) } })]))
                p { a class="button" href=(visit.back) { @if visit.is_change { "Look" } @else { "Try again" } } }
            };
            (StatusCode::SERVICE_UNAVAILABLE, "That did not work", body)
        }
        Failure::Ours(Ours::Forged) => {
            let body = html! {
                p { "The form did not come from a page of the console that is still good: it may have been open for long, or come from another site. Nothing was changed." }
                p { "Go back, load the page anew, and send the form once more." }
                (back)
            };
            (StatusCode::FORBIDDEN, "That form was not taken", body)
        }
        Failure::Ours(Ours::Malformed) => {
            let body = html! { p { "The form could not be read. Nothing was changed." } (back) };
            (StatusCode::BAD_REQUEST, "That form cannot be read", body)
        }
        Failure::Ours(Ours::NoSuchPage | Ours::SignedOut) => {
            let body =
                html! { p { "There is no such page, or what it showed is not there any more." } (back) };
            (StatusCode::NOT_FOUND, "Not found", body)
        }
    }
}

fn refused(problem: &Problem) -> (StatusCode, &str, Markup) {
    let body = html! {
        @if let Some(permission) = &problem.permission {
            (banner(Tone::Wary, html! { p { "This takes the permission " code { (permission) } ", which your role does not hold." } }))
            p { a class="button" href={ "/console/people/roles#" (permission) } { "See which roles have it" } }
        } @else if problem.code == "organization_deleted" {
            (banner(Tone::Bad, html! { p { (problem.detail) } }))
            p { a class="button" href="/console/settings/restore" { "Bring it back" } }
        } @else {
            (banner(Tone::Bad, html! { p { (problem.detail) } }))
            @if let Some(wait) = problem.retry_after { p { "Try again in " (wait) " seconds." } }
            @if !problem.errors.is_empty() { ul { @for fault in &problem.errors { li { code { (fault.pointer) } " " (fault.message) } } } }
            p { a class="button" href="/console" { "To the overview" } }
        }
        (facts([
            ("Problem", html! { @if problem.r#type.starts_with('/') || problem.r#type.starts_with("http") { a href=(problem.r#type) { code { (problem.code) } } } @else { code { (problem.code) } } }),
            ("Request", html! { code { (problem.request_id) } }),
        ]))
    };
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_GATEWAY);
    (status, problem.title.as_str(), body)
}
