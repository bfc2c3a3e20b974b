//! Live parts of pages: streams of HTML fragments, each of which replaces one region.
//!
//! A region never holds a form that somebody types in. Streams hold a permit, send the present state
//! first (so a reconnect needs no history) and are paced: however fast jobs change, a page is
//! redrawn at most every [`PACE`].

use std::{convert::Infallible, pin::Pin, sync::Arc, time::Duration};

use async_stream::stream;
use axum::{
    http::StatusCode,
    response::{
        IntoResponse as _, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::Stream;
use hub_core::ids::JobId;
use tokio::sync::{OwnedSemaphorePermit, broadcast};

use crate::{error::WebError, router::App, viewer};

/// Shortest time between two redraws of a region.
const PACE: Duration = Duration::from_millis(400);
/// A region is redrawn this often although no job changed: ages and server states move on.
const REFRESH: Duration = Duration::from_secs(10);
/// How often an idle stream says that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

type Fragments = Pin<Box<dyn Stream<Item = Result<Event, Infallible>> + Send>>;

/// Leave to hold one event stream open.
///
/// # Errors
/// 503 when too many are open.
pub(crate) fn permit(app: &App) -> Result<OwnedSemaphorePermit, WebError> {
    Arc::clone(&app.streams).try_acquire_owned().map_err(|_| WebError::Request {
        status: StatusCode::SERVICE_UNAVAILABLE,
        detail: "Too many event streams are open.".to_owned(),
        hint: Some("Close some, or ask for the job's state instead.".to_owned()),
    })
}

/// A stream that draws a region now and after each change of any job. `draw` must answer a fragment
/// with its own target.
pub(crate) fn on_changes<F, R>(app: &App, draw: F) -> Result<Response, WebError>
where
    F: Fn() -> R + Send + 'static,
    R: Future<Output = Result<String, WebError>> + Send,
{
    let permit = permit(app)?;
    let mut changes = app.engine.changes();
    let viewer = viewer::current();
    let fragments = stream! {
        let _permit = permit;
        let mut drawn = String::new();
        loop {
            // A failure is logged where it arises; the page keeps what it shows.
            if let Ok(fragment) = viewer::later(viewer.clone(), draw()).await && fragment != drawn {
                yield Ok(Event::default().data(&fragment));
                drawn = fragment;
            }
            tokio::time::sleep(PACE).await;
            if let Ok(false) = tokio::time::timeout(REFRESH, changed(&mut changes)).await {
                break;
            }
        }
    };
    Ok(answer(Box::pin(fragments)))
}

/// A stream that draws one job with each of its changes, ends with the event `done`, and closes.
/// `draw` is told whether only the progress has moved.
pub(crate) async fn on_job<F, R>(app: &App, id: JobId, draw: F) -> Result<Response, WebError>
where
    F: Fn(Option<hub_engine::JobProgress>) -> R + Send + 'static,
    R: Future<Output = Result<String, WebError>> + Send,
{
    let permit = permit(app)?;
    let mut watch = app.engine.watch(id).await?;
    let viewer = viewer::current();
    let fragments = stream! {
        let _permit = permit;
        let mut state = None;
        let mut progress = Some(watch.now());
        while let Some(now) = progress.take().filter(|now| !now.state.is_terminal()) {
            let whole = state != Some(now.state);
            state = Some(now.state);
            if let Ok(fragment) = viewer::later(viewer.clone(), draw(if whole { None } else { Some(now) })).await {
                yield Ok(Event::default().data(&fragment));
            }
            // Paced only between two drawings of progress: what was drawn last is always the newest.
            if !whole {
                tokio::time::sleep(PACE).await;
            }
            progress = watch.next().await;
        }
        if let Ok(fragment) = viewer::later(viewer, draw(None)).await {
            yield Ok(Event::default().data(&fragment));
        }
        yield Ok(Event::default().event("done").data("end"));
    };
    Ok(answer(Box::pin(fragments)))
}

fn answer(fragments: Fragments) -> Response {
    Sse::new(fragments).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

/// Waits for a change and takes all that are there; false when the engine is gone.
async fn changed(changes: &mut broadcast::Receiver<JobId>) -> bool {
    if let Err(broadcast::error::RecvError::Closed) = changes.recv().await {
        return false;
    }
    while matches!(changes.try_recv(), Ok(_) | Err(broadcast::error::TryRecvError::Lagged(_))) {}
    true
}
