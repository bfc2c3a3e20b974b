//! The route list of this edge and the layers around it.

use std::sync::{Arc, OnceLock};

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRef, Request, State},
    http::Uri,
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{MethodRouter, get},
};
use bytes::Bytes;
use hub_access::Access;
use hub_core::limits;
use hub_engine::Engine;
use hub_store::SearchBounds;
use tokio::sync::Semaphore;
use tower_http::compression::{
    CompressionLayer,
    predicate::{NotForContentType, Predicate as _, SizeAbove},
};
use url::Url;

use crate::{
    api, archive, assets, audit, csrf,
    error::WebError,
    headers, health,
    language::Translations,
    metrics, outputs,
    pages::{self, MadeKeys},
    presses::{self, Presses},
    render::Renderer,
    undo::Undos,
    viewer,
};

/// Most event streams (pages and API together) that are open at once; beyond it callers are told to
/// poll.
const STREAMS_MAX: usize = 512;
/// Bytes around a picture in a form: field names, boundaries, the other fields.
const FORM_OVERHEAD_BYTES: usize = 256 * 1024;
/// Bodies below this are sent as they are: compressing them saves no packet.
const COMPRESS_MIN_BYTES: u64 = 1024;

/// What the binary says about this edge.
#[derive(Debug, Clone)]
pub struct WebConfig {
    /// Address under which others reach the hub; `None` = as the request's `Host` says.
    pub public_url: Option<Url>,
    /// Whether simulated servers are behind it; pages then say so.
    pub demo: bool,
    /// The program's version.
    pub version: &'static str,
    /// The pages' words in other languages than English.
    pub translations: Translations,
    /// When a page of jobs or pictures that are searched for ends.
    pub search: SearchBounds,
}

/// What the edge works with.
#[derive(Clone)]
pub struct WebState {
    /// The engine.
    pub engine: Engine,
    /// Who may come in.
    pub access: Access,
    /// The configuration.
    pub config: WebConfig,
}

/// What handlers are given; cheap to clone.
#[derive(Clone)]
pub(crate) struct App(Arc<Parts>);

/// The parts of [`App`].
pub(crate) struct Parts {
    pub(crate) engine: Engine,
    pub(crate) access: Access,
    pub(crate) config: WebConfig,
    pub(crate) renderer: Renderer,
    /// One permit per open event stream.
    pub(crate) streams: Arc<Semaphore>,
    /// Versions of what can be edited.
    pub(crate) versions: api::Versions,
    /// The API's document as JSON, made when first asked for.
    pub(crate) openapi: OnceLock<Bytes>,
    /// The last form of each viewer.
    pub(crate) presses: Presses,
    /// The API keys of the last moment.
    pub(crate) made_keys: MadeKeys,
    /// What `/metrics` counts.
    pub(crate) counters: metrics::Counters,
    /// What can be taken back.
    pub(crate) undos: Undos,
    /// What `/readyz` was told last.
    pub(crate) health: health::LastAnswers,
}

impl std::ops::Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl FromRef<App> for Engine {
    fn from_ref(app: &App) -> Self {
        app.engine.clone()
    }
}

/// All routes of this edge: pages, assets, pictures, `/api/v1`, `/healthz`, `/readyz`,
/// `/metrics`. Must be called within a Tokio runtime, which counts what ends. Requests may
/// carry a `hub_core::caller::Caller` as extension; without one they count as local (programs) or
/// admin (pages).
pub fn router(state: WebState) -> Router {
    let counters = metrics::Counters::default();
    counters.follow(&state.engine);
    let first = state.engine.store().clock().now().timestamp_millis().unsigned_abs();
    let app = App(Arc::new(Parts {
        counters,
        health: health::LastAnswers::default(),
        presses: Presses::default(),
        made_keys: MadeKeys::default(),
        renderer: Renderer::new(&state.config),
        undos: Undos::from(first),
        engine: state.engine,
        access: state.access,
        config: state.config,
        streams: Arc::new(Semaphore::new(STREAMS_MAX)),
        versions: api::Versions::default(),
        openapi: OnceLock::new(),
    }));
    // Event streams must leave at once, and pictures are compressed already.
    let compressible = SizeAbove::new(COMPRESS_MIN_BYTES)
        .and(NotForContentType::SSE)
        .and(NotForContentType::IMAGES)
        .and(NotForContentType::const_new("video/"))
        .and(NotForContentType::const_new("audio/"))
        .and(NotForContentType::const_new(api::TAR))
        .and(NotForContentType::const_new(archive::ZIP));
    Router::new()
        .merge(page_router(&app))
        .merge(Router::from(api::routes()).layer(DefaultBodyLimit::max(limits::BODY_MAX_BYTES)))
        .merge(collect(outputs::routes()))
        .merge(collect(assets::routes()))
        .route("/healthz", get(health::alive))
        .route("/livez", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::show))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(app.clone(), audit::note))
        .layer(middleware::from_fn_with_state(app.clone(), presses::once))
        .layer(middleware::from_fn_with_state(app.clone(), csrf::check))
        .layer(middleware::from_fn_with_state(app.clone(), pages::show_errors))
        .layer(middleware::from_fn_with_state(app.clone(), viewer::remember))
        .layer(middleware::from_fn(headers::secure))
        .layer(CompressionLayer::new().compress_when(compressible))
        .with_state(app)
}

/// Every path of this edge, with `{parameters}`: for tests that walk them all.
pub fn route_paths() -> Vec<String> {
    let tables = [pages::routes(), outputs::routes(), assets::routes()];
    let plain = tables.into_iter().flatten().map(|(path, _)| path.to_owned());
    let described = api::document().paths.paths.into_keys();
    plain.chain(described).chain(["/healthz", "/livez", "/readyz", "/metrics"].map(str::to_owned)).collect()
}

/// Routes as data, so that tests can walk them.
pub(crate) type Routes = Vec<(&'static str, MethodRouter<App>)>;

fn collect(routes: Routes) -> Router<App> {
    routes.into_iter().fold(Router::new(), |router, (path, methods)| router.route(path, methods))
}

fn page_router(app: &App) -> Router<App> {
    collect(pages::routes())
        .layer(middleware::from_fn_with_state(app.clone(), never_cached))
        .layer(DefaultBodyLimit::max(limits::INPUT_IMAGE_MAX_BYTES + FORM_OVERHEAD_BYTES))
}

/// Pages show live state: going back must ask again.
async fn never_cached(State(_): State<App>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().entry(http::header::CACHE_CONTROL).or_insert(http::HeaderValue::from_static("no-store"));
    response
}

async fn not_found(uri: Uri) -> Response {
    WebError::no_route(uri.path()).into_response()
}

async fn method_not_allowed(uri: Uri) -> Response {
    WebError::method_not_allowed(uri.path()).into_response()
}
