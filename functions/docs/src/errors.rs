//! The error reference: one page with an entry for every problem, generated from the closed set of them.

use std::fmt::Write as _;

use axum::http::{HeaderName, header};
use axum::response::IntoResponse;
use problem::Code;

const STYLE: &str = "body{font:16px/1.55 system-ui,sans-serif;max-width:46rem;margin:2.5rem auto;padding:0 1.25rem;color:#1b2430;background:#fff}\
h1{font-size:1.6rem}section{border-top:1px solid #d9dee5;padding:1rem 0}h2{font-size:1.05rem;margin:0}\
code{font-family:ui-monospace,monospace;background:#f1f4f8;padding:.1em .35em;border-radius:4px}\
p{margin:.4rem 0 0}.status{color:#5a6675;font-weight:400}:target{background:#fff8e1}\
@media(prefers-color-scheme:dark){body{color:#e3e8ee;background:#12161c}section{border-color:#2b333d}\
code{background:#1d242d}.status{color:#9aa7b5}:target{background:#2b2611}}";

/// The error reference
#[utoipa::path(
    get, path = "/docs/errors", operation_id = "error_reference", tag = "meta",
    responses((status = 200, description = "Every problem the API can answer with", content_type = "text/html")),
    extensions(("x-problem-codes" = json!([Code::PayloadTooLarge, Code::Internal])))
)]
pub(crate) async fn errors() -> impl IntoResponse {
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
    let headers: [(HeaderName, &str); 2] =
        [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, policy)];
    (headers, page())
}

fn page() -> String {
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>Errors · Artisan</title><style>{STYLE}</style></head><body><main><h1>Errors</h1>\
         <p>Every error is an <code>application/problem+json</code> document (RFC 9457). Program against \
         <code>code</code>; quote <code>request_id</code> when you ask for help.</p>"
    );
    for code in Code::ALL {
        // Writing to a `String` cannot fail.
        let _ = write!(
            page,
            "<section id=\"{name}\"><h2><code>{name}</code> <span class=\"status\">{status} · {title}</span></h2><p>{help}</p></section>",
            name = code.as_str(),
            status = code.status(),
            title = code.title(),
            help = marked(code.help()),
        );
    }
    page.push_str("</main></body></html>");
    page
}

/// Backquotes become code. The texts are our own, so there is nothing to escape.
fn marked(text: &str) -> String {
    let parts = text.split('`').enumerate();
    parts
        .map(|(index, part)| if index % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_has_the_anchor_its_type_points_at() {
        let page = page();
        for code in Code::ALL {
            let anchor = code.type_url().split_once('#').map(|(_, anchor)| anchor.to_owned()).unwrap();
            assert!(page.contains(&format!("id=\"{anchor}\"")), "{anchor}");
        }
        assert!(!page.contains('`'));
    }
}
