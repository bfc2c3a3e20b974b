//! What people do to jobs: cancel, try again, move, cancel many.

use axum::{
    extract::{Path, State},
    response::Response,
};
use hub_core::{error::UserError, ids::JobId, job::JobStateKind};
use hub_engine::{CancelledJobs, Precedence};
use serde::Deserialize;

use super::filter::ListQuery;
use crate::{
    api,
    asker::Asker,
    audit::about_some,
    error::WebError,
    pages::{back::Back, form::Sent, see_other},
    presses::{self, MoreIsLeft},
    router::App,
    said,
    undo::Undo,
};

/// Most jobs that one form cancels.
pub(super) const CANCEL_MAX: usize = 1000;

/// A button pressed, in the list or on a job's own page.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Pressed {
    /// Where: empty on a job's own page.
    back: String,
    /// `first` or `last`, of a move.
    to: String,
}

impl Pressed {
    /// Where the button was.
    fn place(&self, id: JobId) -> Back {
        Back::of(&self.back, "/jobs").unwrap_or_else(|| Back::job(id))
    }

    fn done(&self, id: JobId, what: &str) -> Response {
        see_other(&self.place(id).with(what))
    }
}

pub(crate) async fn cancel(
    State(app): State<App>,
    Path(id): Path<String>,
    Sent(pressed): Sent<Pressed>,
) -> Result<Response, WebError> {
    let id = api::parse_id(&id)?;
    let view = app.engine.cancel(id).await?;
    let cancelled = view.job.state.kind() == JobStateKind::Cancelled;
    Ok(pressed.done(id, if cancelled { "cancelled" } else { "already-ended" }))
}

/// A new job with the same request. Leads to its page: that is what one wants to see.
pub(crate) async fn retry(
    State(app): State<App>,
    Asker(caller): Asker,
    Path(id): Path<String>,
) -> Result<Response, WebError> {
    let submitted = app.engine.retry(&caller, api::parse_id(&id)?, Some(presses::wish())).await?;
    Ok(see_other(&format!("/jobs/{}?done=retried", submitted.job.id)))
}

pub(crate) async fn shift(
    State(app): State<App>,
    Path(id): Path<String>,
    Sent(pressed): Sent<Pressed>,
) -> Result<Response, WebError> {
    let id = api::parse_id(&id)?;
    let to = if pressed.to == "last" { Precedence::Last } else { Precedence::First };
    let moved = app.engine.job_move(id, to).await?;
    let back = pressed.place(id);
    let number = if moved.changed() {
        Some(app.undos.keep(Undo::Move(moved), &back))
    } else {
        // A second press moves nothing, and can be taken back as the first one can.
        app.undos.find(|kept| matches!(kept, Undo::Move(first) if (first.job, first.after) == (id, moved.after)))
    };
    Ok(see_other(&back.with_undo("moved", number)))
}

/// Ticked jobs, or all that a filter finds.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct CancelForm {
    back: String,
    job: Vec<String>,
    /// The button that means the whole filter.
    all: String,
    /// The filter as a query string.
    matching: String,
}

pub(crate) async fn cancel_many(State(app): State<App>, Sent(form): Sent<CancelForm>) -> Result<Response, WebError> {
    let outcome = if form.all.is_empty() {
        let ids: Vec<JobId> = form.job.iter().take(CANCEL_MAX).map(|id| api::parse_id(id)).collect::<Result<_, _>>()?;
        app.engine.cancel_jobs(&ids).await?
    } else {
        // One that cannot be read must not become the one that fits every job.
        let query: ListQuery = serde_html_form::from_str(&form.matching)
            .map_err(|error| UserError::argument("matching", said!("The filter cannot be read: {error}.", error)))?;
        app.engine.cancel_matching(&query.filter(&app).await?, CANCEL_MAX).await?
    };
    let (more, count) = (outcome.more, outcome.cancelled.len());
    let done = match outcome {
        CancelledJobs { more: true, .. } => "jobs-cancelled-more",
        CancelledJobs { cancelled, .. } if cancelled.is_empty() => "jobs-none-cancelled",
        _ => "jobs-cancelled",
    };
    let mut response = see_other(&Back::to(&form.back, "/jobs").with(done));
    if more {
        response.extensions_mut().insert(MoreIsLeft);
    }
    Ok(about_some(response, count, "job"))
}
