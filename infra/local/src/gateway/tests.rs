use axum::routing::any;
use clock::utc;
use http_body_util::BodyExt as _;

use super::*;

fn route(method: Option<&str>, path: Option<&str>) -> Route {
    Route { method: method.map(str::to_owned), path: path.map(str::to_owned) }
}

/// A function that answers with its name, the route key and the caller's address.
fn function(name: &'static str) -> Router {
    Router::new().fallback(any(move |request: Request| async move {
        let Some(RequestContext::ApiGatewayV2(context)) = request.extensions().get::<RequestContext>() else {
            panic!("no context");
        };
        let http = &context.http;
        assert_eq!(http.path.as_deref(), Some(request.uri().path()));
        format!(
            "{name} {} {}",
            context.route_key.clone().unwrap_or_default(),
            http.source_ip.clone().unwrap_or_default()
        )
    }))
}

fn gateway(routes: &[(&'static str, Option<&str>, Option<&str>)]) -> Gateway {
    let (clock, _) = Clock::manual(utc(2026, 1, 1, 0, 0));
    let declared: Vec<([Route; 1], Router)> =
        routes.iter().map(|(name, method, path)| ([route(*method, *path)], function(name))).collect();
    Gateway::new(clock, declared.iter().map(|(routes, router)| (routes.as_slice(), router.clone()))).unwrap()
}

async fn answer(gateway: &Gateway, method: &str, path: &str) -> (StatusCode, String) {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    text(gateway.answer(request).await).await
}

async fn text(response: Response) -> (StatusCode, String) {
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn the_most_specific_route_wins() {
    let gateway = gateway(&[
        ("default", None, None),
        ("greedy", None, Some("/v1/{proxy+}")),
        ("item", Some("GET"), Some("/v1/leads/{id}")),
        ("literal", Some("GET"), Some("/v1/leads/export")),
        ("any", None, Some("/v1/leads/{id}")),
        ("root", Some("GET"), Some("/")),
    ]);
    for (method, path, name) in [
        ("GET", "/v1/leads/export", "literal"),
        ("GET", "/v1/leads/lead_1", "item"),
        ("PATCH", "/v1/leads/lead_1", "any"),
        ("PATCH", "/v1/leads/export", "any"),
        ("GET", "/v1/leads/lead_1/replies", "greedy"),
        ("GET", "/v1/leads/", "greedy"),
        ("GET", "/v1", "default"),
        ("POST", "/", "default"),
        ("GET", "/", "root"),
        ("DELETE", "/nowhere", "default"),
    ] {
        let (status, body) = answer(&gateway, method, path).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(body.split(' ').next(), Some(name), "{method} {path}");
    }
}

#[tokio::test]
async fn without_a_default_route_the_gateway_itself_answers() {
    let gateway = gateway(&[("one", Some("GET"), Some("/one"))]);
    let not_found = (StatusCode::NOT_FOUND, r#"{"message":"Not Found"}"#.to_owned());
    assert_eq!(answer(&gateway, "GET", "/two").await, not_found);
    assert_eq!(answer(&gateway, "POST", "/one").await, not_found);
}

#[tokio::test]
async fn the_address_is_the_connection_s_whatever_headers_say() {
    let gateway = gateway(&[("one", Some("GET"), Some("/one/{id}"))]);
    let mut request =
        Request::get("/one/1").header("x-forwarded-for", "9.9.9.9").body(Body::empty()).unwrap();
    request.extensions_mut().insert(Peer("192.0.2.7".parse().unwrap()));
    let (_, body) = text(gateway.answer(request).await).await;
    assert_eq!(body, "one GET /one/{id} 192.0.2.7");
}

#[tokio::test]
async fn a_body_above_the_limit_never_reaches_a_function() {
    let gateway = gateway(&[("one", None, None)]);
    let body = Body::from(vec![b'x'; MAX_BODY + 1]);
    let (status, _) = text(gateway.answer(Request::post("/").body(body).unwrap()).await).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let body = Body::from(vec![b'x'; MAX_BODY]);
    let (status, _) = text(gateway.answer(Request::post("/").body(body).unwrap()).await).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn a_function_that_fails_is_an_answer() {
    let (clock, _) = Clock::manual(utc(2026, 1, 1, 0, 0));
    let panics = Router::new().fallback(any(|| async {
        if true {
            panic!("a bug")
        }
    }));
    let hangs = Router::new().fallback(any(std::future::pending::<()>));
    let routes = [[route(None, Some("/panics"))], [route(None, Some("/hangs"))]];
    let mut gateway =
        Gateway::new(clock, [(routes[0].as_slice(), panics), (routes[1].as_slice(), hangs)]).unwrap();
    gateway.timeout = Duration::from_millis(20);
    let (status, body) = answer(&gateway, "GET", "/panics").await;
    assert_eq!(
        (status, body.as_str()),
        (StatusCode::INTERNAL_SERVER_ERROR, r#"{"message":"Internal Server Error"}"#)
    );
    let (status, body) = answer(&gateway, "GET", "/hangs").await;
    assert_eq!(
        (status, body.as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, r#"{"message":"Service Unavailable"}"#)
    );
}

#[test]
fn impossible_routes_are_refused() {
    let (clock, _) = Clock::manual(utc(2026, 1, 1, 0, 0));
    let new =
        |route: Route| Gateway::new(clock.clone(), [(std::slice::from_ref(&route), Router::new())]).err();
    assert_eq!(
        new(route(None, Some("/{all+}/more"))),
        Some(RouteError::Greedy("ANY /{all+}/more".to_owned()))
    );
    assert_eq!(new(route(Some("GE T"), Some("/"))), Some(RouteError::Method("GE T /".to_owned())));
}
