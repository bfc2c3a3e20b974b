//! Live parts of pages: streams of HTML fragments, each of which replaces one region.
//!
//! A region never holds a form that somebody types in. Streams hold a permit, send the present state
//! first (so a reconnect needs no history) and are paced: however fast jobs change, a page is
//! redrawn at most every [`PACE`], and a page that takes long to draw less often.

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
use hub_core::{ids::JobId, job::JobStateKind};
use hub_engine::{Alert, FeedEvent, FeedNews, FeedReader};
use tokio::{
    sync::{OwnedSemaphorePermit, broadcast},
    time::Instant,
};

use crate::{error::WebError, pages::ToastLive, router::App, viewer};

/// Shortest time between two redraws of a region.
const PACE: Duration = Duration::from_millis(400);
/// A region rests this many times as long as it took to draw: what is watched costs some hundredths of a core, however
/// much a page shows.
const RESTS: u32 = 40;
/// But not longer than this: who watches wants to see something move.
const REST_MAX: Duration = Duration::from_secs(2);
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

/// A stream that draws a region now and after each change of any job or server. `draw` must answer a fragment
/// with its own target. What happens to servers comes with it as toasts: a page needs one stream, of which a browser
/// holds few open.
pub(crate) fn on_changes<F, R>(app: &App, draw: F) -> Result<Response, WebError>
where
    F: Fn() -> R + Send + 'static,
    R: Future<Output = Result<String, WebError>> + Send,
{
    let permit = permit(app)?;
    let mut changes = app.engine.changes();
    let mut news = app.engine.follow_changes();
    let (viewer, app) = (viewer::current(), app.clone());
    let fragments = stream! {
        let _permit = permit;
        let mut drawn = String::new();
        loop {
            let begun = Instant::now();
            // A failure is logged where it arises; the page keeps what it shows.
            if let Ok(fragment) = viewer::later(viewer.clone(), draw()).await && fragment != drawn {
                yield Ok(Event::default().data(&fragment));
                drawn = fragment;
            }
            // What was drawn has been taken by now: sending it counts too.
            tokio::time::sleep((begun.elapsed() * RESTS).clamp(PACE, REST_MAX)).await;
            match reason(&mut changes, &mut news).await {
                Reason::Change => {}
                Reason::Alert(alert) => {
                    let toast = async { app.renderer.render(&ToastLive::of(&alert)) };
                    if let Ok(toast) = viewer::later(viewer.clone(), toast).await {
                        yield Ok(Event::default().data(&toast));
                    }
                }
                Reason::End => break,
            }
        }
    };
    Ok(answer(Box::pin(fragments)))
}

/// Why a region is drawn again.
enum Reason {
    /// Something moved, or enough time has passed.
    Change,
    /// Something happened to a server that people want to know.
    Alert(Alert),
    /// It is not: the engine is gone.
    End,
}

async fn reason(changes: &mut broadcast::Receiver<JobId>, news: &mut FeedReader) -> Reason {
    let refresh = Instant::now() + REFRESH;
    loop {
        tokio::select! {
            goes_on = changed(changes) => return if goes_on { Reason::Change } else { Reason::End },
            told = news.next() => match told {
                Some(FeedNews::Event(_, event)) => match &*event {
                    FeedEvent::Alert(alert) => return Reason::Alert(alert.clone()),
                    FeedEvent::Server(_) => return Reason::Change,
                    // Of jobs the other receiver knows more.
                    FeedEvent::Job(_) | FeedEvent::Queue(_) => {}
                },
                Some(FeedNews::Anew(..)) => return Reason::Change,
                None => return Reason::End,
            },
            () = tokio::time::sleep_until(refresh) => return Reason::Change,
        }
    }
}

/// A stream that draws one job with each of its changes, ends with the event `done`, and closes.
/// `draw` is given the progress where only that has moved. While a job waits all of it is drawn: why it waits is more
/// than its progress, and changes without it.
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
        let (mut state, mut drawn) = (None, String::new());
        let mut progress = Some(watch.now());
        while let Some(now) = progress.take().filter(|now| !now.state.is_terminal()) {
            let waits = now.state == JobStateKind::Queued;
            let moved_on = state != Some(now.state);
            state = Some(now.state);
            let only = if moved_on || waits { None } else { Some(now) };
            if let Ok(fragment) = viewer::later(viewer.clone(), draw(only)).await && fragment != drawn {
                yield Ok(Event::default().data(&fragment));
                drawn = fragment;
            }
            // Paced only between two drawings of one state: what was drawn last is always the newest.
            if !moved_on {
                tokio::time::sleep(PACE).await;
            }
            progress = match tokio::time::timeout(REFRESH, watch.next()).await {
                Ok(next) => next,
                Err(_) => Some(watch.now()),
            };
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
