//! Who looks at a page while it is drawn: what their forms must carry, and their language.
//!
//! It is known to whatever a request draws, at once or later in a stream, without being handed through.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::header,
    middleware::Next,
    response::Response,
};
use hub_access::LoggedIn;

use crate::{language::Language, router::App};

tokio::task_local! {
    static VIEWER: Viewer;
}

/// Who looks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Viewer {
    /// What each of their forms carries; `None` when nobody is logged in.
    pub(crate) form_token: Option<String>,
    /// `None` = English.
    pub(crate) language: Option<Arc<Language>>,
}

/// Remembers who looks while a request is served.
pub(crate) async fn remember(State(app): State<App>, request: Request, next: Next) -> Response {
    let wishes = request.headers().get(header::ACCEPT_LANGUAGE).and_then(|wishes| wishes.to_str().ok());
    let viewer = Viewer {
        form_token: request.extensions().get::<LoggedIn>().map(LoggedIn::form_token),
        language: wishes.and_then(|wishes| app.config.translations.for_wishes(wishes)),
    };
    later(viewer, next.run(request)).await
}

/// Who looks now; nobody outside of a request.
pub(crate) fn current() -> Viewer {
    VIEWER.try_with(Clone::clone).unwrap_or_default()
}

/// The language of who looks now; `None` = English.
pub(crate) fn language() -> Option<Arc<Language>> {
    VIEWER.try_with(|viewer| viewer.language.clone()).unwrap_or_default()
}

/// Draws something for them, perhaps later.
pub(crate) async fn later<T>(viewer: Viewer, draw: impl Future<Output = T>) -> T {
    VIEWER.scope(viewer, draw).await
}

/// Draws something at once for who looks now, in English.
pub(crate) fn in_english<T>(draw: impl FnOnce() -> T) -> T {
    VIEWER.sync_scope(Viewer { language: None, ..current() }, draw)
}

/// Draws something for them at once.
#[cfg(test)]
pub(crate) fn now<T>(viewer: Viewer, draw: impl FnOnce() -> T) -> T {
    VIEWER.sync_scope(viewer, draw)
}
