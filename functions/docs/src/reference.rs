//! The interactive reference: Swagger UI on the OpenAPI document, from this function alone.
//!
//! Its files are bundled when the function is built. The page loads nothing from elsewhere, and its policy would not let it:
//! what is typed into it, a key for example, goes to this API and nowhere else.

use std::sync::Arc;

use axum::extract::Path;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use edge::Refused;
use problem::{Code, Problem};
use utoipa_swagger_ui::{Config, SwaggerFile};

/// Where the page is. Its files are beside it, so it has to have a name of its own.
const PAGE: &str = "/docs/index.html";
/// Swagger UI sets styles on elements; scripts are files of its own.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
/// The files change only with the function.
const KEPT: HeaderValue = HeaderValue::from_static("public, max-age=3600");

/// The interactive reference
///
/// Leads to a page on which every operation can be tried out, with a key or an access token of yours.
#[utoipa::path(
    get, path = "/docs", operation_id = "reference", tag = "meta",
    responses((status = 308, description = "The page", headers(("location" = String, description = "Where it is")))),
    extensions(("x-problem-codes" = json!([Code::PayloadTooLarge, Code::Internal])))
)]
pub(crate) async fn reference() -> impl IntoResponse {
    Redirect::permanent(PAGE)
}

/// A file of the interactive reference
///
/// Its page is `index.html`.
#[utoipa::path(
    get, path = "/docs/{file}", operation_id = "reference_file", tag = "meta",
    params(("file" = String, Path, description = "The name of the file")),
    responses((status = 200, description = "The file", content(
        (String = "text/html"), (String = "text/css"), (String = "text/javascript"), (String = "image/png")
    ))),
    extensions(("x-problem-codes" = json!([Code::PayloadTooLarge, Code::RouteNotFound, Code::Internal])))
)]
pub(crate) async fn reference_file(Path(name): Path<String>) -> Result<Response, Refused> {
    match utoipa_swagger_ui::serve(&name, Arc::new(config())) {
        Ok(Some(file)) => Ok(served(&name, file)),
        // What can't be made of a file that is there is a fault of the build, which a test would have met.
        Ok(None) | Err(_) => Err(Refused(Problem::RouteNotFound)),
    }
}

fn config() -> Config<'static> {
    Config::new(["/openapi.json"])
        .use_base_layout()
        .deep_linking(true)
        .display_operation_id(true)
        .display_request_duration(true)
        .filter(true)
        .try_it_out_enabled(true)
        .show_common_extensions(true)
        // A key in a browser's storage outlives the wish to try something out.
        .persist_authorization(false)
        // The schemas are shown with the operations that have them.
        .default_models_expand_depth(-1)
}

fn served(name: &str, file: SwaggerFile<'_>) -> Response {
    let SwaggerFile { bytes, content_type, gzpipped, .. } = file;
    let bytes = match name {
        // Swagger UI asks somebody else's server to check the document, unless it is told not to.
        "swagger-initializer.js" => {
            let script = String::from_utf8_lossy(&bytes);
            script.replacen("SwaggerUIBundle({", "SwaggerUIBundle({\n    validatorUrl: null,", 1).into_bytes()
        }
        _ => bytes.into_owned(),
    };
    let content_type = HeaderValue::try_from(content_type);
    let content_type = content_type.unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let headers: [(HeaderName, HeaderValue); 3] = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, KEPT),
    ];
    let mut response = (StatusCode::OK, headers, bytes).into_response();
    if gzpipped {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_asks_nobody_else() {
        let file = utoipa_swagger_ui::serve("swagger-initializer.js", Arc::new(config())).unwrap().unwrap();
        let response = served("swagger-initializer.js", file);
        assert_eq!(response.headers()[header::CONTENT_SECURITY_POLICY], POLICY);
        let body = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(async { axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap() });
        let script = String::from_utf8(body.to_vec()).unwrap();
        assert!(script.contains("validatorUrl: null"), "{script}");
        assert!(script.contains("/openapi.json") && !script.contains("petstore"), "{script}");
    }
}
