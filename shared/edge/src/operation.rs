//! What a handler's arguments say about its operation in the OpenAPI document: credentials and permission, parameters,
//! and the problems it can be refused with. They are told by the types themselves, so a handler that asks for something
//! is documented as asking for it; [`routes!`](crate::routes) puts the two together.
//!
//! What a handler answers of its own accord stands in its annotation, as `x-problem-codes`.

use access::permission::Permit;
use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, RawQuery, State};
use axum::routing::MethodRouter;
use http::HeaderMap;
use ids::{Id, Kind};
use problem::Code;
use serde_json::Value;
use utoipa::openapi::path::{Operation, ParameterIn, PathItem, Paths};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema as _};
use utoipa_axum::router::UtoipaMethodRouter;

use crate::authority::{SIGNED_IN, reaches_what_has_no_mode};
use crate::openapi::{IdempotencyParameter, IfMatchParameter, PageParameters, WorkspaceParameter};
use crate::{
    Authorized, Context, Edge, Everywhere, EverywhereOrSelf, IdempotencyKey, IfMatch, InWorkspace, Json,
    Narrow, Narrowed, Paging, PathId, PathIds, Person, Raw, Reinstating, RequestInfo, Unproven,
};

/// The problems of an operation.
pub const PROBLEM_CODES: &str = "x-problem-codes";
/// What a caller must hold.
pub const PERMISSION: &str = "x-permission";

/// The problems that come of what several operations have in common, by what that is.
pub const LAYERS: &[(&str, &[Code])] = &[
    ("any", ANY),
    ("store", STORE),
    ("caller", CALLER),
    ("policy", POLICY),
    ("permission", &[Code::Forbidden]),
    ("live", &[Code::TestKey]),
    ("resource", RESOURCE),
    ("workspace", WORKSPACE),
    ("body", BODY),
    ("idempotency", IDEMPOTENCY),
    ("version", VERSION),
    ("page", PAGE),
];

const ANY: &[Code] = &[Code::PayloadTooLarge, Code::Internal];
const STORE: &[Code] = &[Code::Unavailable];
const CALLER: &[Code] = &[
    Code::MalformedRequest,
    Code::Unauthenticated,
    Code::KeyUnknown,
    Code::KeyRevoked,
    Code::KeyExpired,
    Code::SessionExpired,
    Code::IpNotAllowed,
    Code::OrganizationDeleted,
    Code::RateLimited,
];
const POLICY: &[Code] = &[Code::MfaRequired, Code::SsoRequired, Code::DomainNotAllowed];
const WORKSPACE: &[Code] =
    &[Code::Forbidden, Code::NotFound, Code::WorkspaceArchived, Code::WorkspaceRequired];
const RESOURCE: &[Code] = &[Code::NotFound];
const BODY: &[Code] = &[Code::MalformedRequest, Code::UnsupportedMediaType, Code::Invalid];
const IDEMPOTENCY: &[Code] = &[Code::Invalid, Code::IdempotencyInProgress, Code::IdempotencyKeyReused];
const VERSION: &[Code] = &[Code::PreconditionFailed];
const PAGE: &[Code] = &[Code::Invalid, Code::InvalidCursor];

/// An operation that is being described.
pub struct Description<'a>(&'a mut Operation);

impl Description<'_> {
    /// It can be refused with these.
    pub fn refuses(&mut self, codes: &[Code]) {
        let extensions = self.0.extensions.get_or_insert_default();
        let known = extensions.entry(PROBLEM_CODES.to_owned()).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(known) = known {
            known.extend(codes.iter().map(|code| Value::from(code.as_str())));
        }
    }

    /// It takes these parameters.
    pub(crate) fn takes<P: IntoParams>(&mut self) {
        let parameters = P::into_params(|| None).into_iter().map(RefOr::T);
        self.0.parameters.get_or_insert_default().extend(parameters);
    }

    /// Its path names things whose ids look like this, in this order.
    fn names(&mut self, ids: impl IntoIterator<Item = RefOr<Schema>>) {
        let parameters = self.0.parameters.iter_mut().flatten().filter_map(|parameter| match parameter {
            RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Path => Some(parameter),
            _ => None,
        });
        for (parameter, mut id) in parameters.zip(ids) {
            // Examples are among the components alone.
            if let RefOr::T(Schema::Object(text)) = &mut id {
                text.examples.clear();
            }
            parameter.schema = Some(id);
        }
    }

    /// It asks for a credential that holds `permission`.
    fn asks_for(&mut self, permission: &str) {
        self.0.security = Some(vec![bearer()]);
        self.0.extensions.get_or_insert_default().insert(PERMISSION.to_owned(), permission.into());
        self.refuses(CALLER);
    }

    /// A credential is looked at where there is one.
    pub fn may_be_signed_in(&mut self) {
        self.0.security = Some(vec![SecurityRequirement::default(), bearer()]);
        self.refuses(CALLER);
    }

    fn permits<P: Permit>(&mut self) {
        self.asks_for(&P::PERMISSION.to_string());
        self.refuses(POLICY);
        self.refuses(&[Code::Forbidden]);
        if reaches_what_has_no_mode(P::PERMISSION) {
            self.refuses(&[Code::TestKey]);
        }
    }
}

fn bearer() -> SecurityRequirement {
    SecurityRequirement::new("bearer", [""; 0])
}

/// An argument of a handler.
pub trait Argument {
    /// Says what it means for the operation.
    fn describe(operation: &mut Description<'_>);
}

/// Arguments that mean nothing for it.
macro_rules! silent {
    ($($argument:ty),*) => {
        $(impl Argument for $argument {
            fn describe(_: &mut Description<'_>) {}
        })*
    };
}

silent!(HeaderMap, RawQuery, RequestInfo, State<Edge>);

impl<T> Argument for Extension<T> {
    fn describe(_: &mut Description<'_>) {}
}

/// What a path names may not be there.
impl<T> Argument for Path<T> {
    fn describe(operation: &mut Description<'_>) {
        operation.refuses(RESOURCE);
    }
}

impl<T> Argument for Result<Query<T>, QueryRejection> {
    fn describe(operation: &mut Description<'_>) {
        operation.refuses(&[Code::Invalid]);
    }
}

impl<K: Kind> Argument for PathId<K> {
    fn describe(operation: &mut Description<'_>) {
        operation.names([Id::<K>::schema()]);
        operation.refuses(RESOURCE);
    }
}

impl<A: Kind, B: Kind> Argument for PathIds<A, B> {
    fn describe(operation: &mut Description<'_>) {
        operation.names([Id::<A>::schema(), Id::<B>::schema()]);
        operation.refuses(RESOURCE);
    }
}

impl<T> Argument for Json<T> {
    fn describe(operation: &mut Description<'_>) {
        operation.refuses(BODY);
    }
}

impl<T> Argument for Option<Json<T>> {
    fn describe(operation: &mut Description<'_>) {
        operation.refuses(BODY);
    }
}

impl Argument for Raw {
    fn describe(operation: &mut Description<'_>) {
        operation.refuses(&[Code::MalformedRequest]);
    }
}

impl Argument for IdempotencyKey {
    fn describe(operation: &mut Description<'_>) {
        operation.takes::<IdempotencyParameter>();
        operation.refuses(IDEMPOTENCY);
    }
}

impl Argument for IfMatch {
    fn describe(operation: &mut Description<'_>) {
        operation.takes::<IfMatchParameter>();
        operation.refuses(VERSION);
    }
}

impl Argument for Paging {
    fn describe(operation: &mut Description<'_>) {
        operation.takes::<PageParameters>();
        operation.refuses(PAGE);
    }
}

impl<F: Narrow> Argument for Narrowed<F> {
    fn describe(operation: &mut Description<'_>) {
        Paging::describe(operation);
    }
}

impl Argument for Context {
    fn describe(operation: &mut Description<'_>) {
        operation.asks_for("authenticated");
        operation.refuses(POLICY);
    }
}

impl Argument for Person {
    fn describe(operation: &mut Description<'_>) {
        operation.asks_for(SIGNED_IN);
        operation.refuses(POLICY);
        operation.refuses(&[Code::Forbidden]);
    }
}

impl Argument for Unproven {
    fn describe(operation: &mut Description<'_>) {
        operation.asks_for(SIGNED_IN);
        operation.refuses(&[Code::Forbidden]);
    }
}

impl<P: Permit> Argument for Authorized<P> {
    fn describe(operation: &mut Description<'_>) {
        operation.permits::<P>();
    }
}

impl<P: Permit> Argument for Everywhere<P> {
    fn describe(operation: &mut Description<'_>) {
        operation.permits::<P>();
    }
}

impl<P: Permit> Argument for Reinstating<P> {
    fn describe(operation: &mut Description<'_>) {
        operation.permits::<P>();
    }
}

/// The person is named by the path.
impl<P: Permit> Argument for EverywhereOrSelf<P> {
    fn describe(operation: &mut Description<'_>) {
        operation.permits::<P>();
        operation.refuses(RESOURCE);
    }
}

impl<P: Permit> Argument for InWorkspace<P> {
    fn describe(operation: &mut Description<'_>) {
        operation.takes::<WorkspaceParameter>();
        operation.permits::<P>();
        operation.refuses(WORKSPACE);
    }
}

/// A handler, by its arguments.
pub trait Described<Arguments> {
    /// Says what the arguments mean for the operation.
    fn describe(operation: &mut Description<'_>);
}

macro_rules! described {
    ($($argument:ident)*) => {
        impl<F, R, $($argument: Argument),*> Described<($($argument,)*)> for F
        where
            F: Fn($($argument),*) -> R,
        {
            fn describe(operation: &mut Description<'_>) {
                $($argument::describe(operation);)*
            }
        }
    };
}

described!(A);
described!(A B);
described!(A B C);
described!(A B C D);
described!(A B C D E);
described!(A B C D E G);

/// A route whose operation is described by its handler, too. For [`routes!`](crate::routes).
pub fn described<S, A, H: Described<A>>(mut route: UtoipaMethodRouter<S>, _: H) -> UtoipaMethodRouter<S> {
    for operation in route.1.paths.values_mut().flat_map(operations) {
        let mut description = Description(operation);
        description.refuses(ANY);
        description.refuses(STORE);
        H::describe(&mut description);
    }
    route
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [get, put, post, delete, patch].into_iter().flatten()
}

/// Several methods of one path. For [`routes!`](crate::routes).
pub fn joined<S: Clone + Send + Sync + 'static>(
    routes: impl IntoIterator<Item = UtoipaMethodRouter<S>>,
) -> UtoipaMethodRouter<S> {
    let nothing = (Vec::new(), Paths::new(), MethodRouter::new());
    routes.into_iter().fold(nothing, |(mut schemas, mut paths, router), route| {
        schemas.extend(route.0);
        paths.merge(route.1);
        (schemas, paths, router.merge(route.2))
    })
}

/// The route of one path, for `OpenApiRouter::routes`: its handlers, one a method, each with its `utoipa::path`.
#[macro_export]
macro_rules! routes {
    ($($handler:path),+ $(,)?) => {
        $crate::joined([$($crate::described($crate::utoipa_axum::routes!($handler), $handler)),+])
    };
}
