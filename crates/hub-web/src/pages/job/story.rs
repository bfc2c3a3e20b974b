//! What happened to a job: the points of its life, its attempts, its kin.

use crate::{
    language::{Said, apart},
    said,
};
use chrono::{DateTime, Utc};
use hub_core::job::Job;
use hub_engine::{AttemptView, TimelinePoint, TimelineStep};
use serde::Serialize;

use crate::pages::shown::{Moment, ShownState, duration};

/// A step of the job's life.
#[derive(Debug, Serialize)]
pub(super) struct Milestone {
    title: String,
    at: Moment,
    /// Since the step before.
    after: Option<String>,
    detail: Option<String>,
    tone: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct ShownAttempt {
    number: u32,
    part: Option<u32>,
    server: String,
    at: Moment,
    took: Option<String>,
    outcome: Said,
    tone: &'static str,
    error: Option<String>,
    hint: Option<String>,
    prompt_id: String,
}

/// One picture of a job that makes several.
#[derive(Debug, Serialize)]
pub(super) struct ShownPart {
    path: String,
    number: usize,
    state: ShownState,
}

impl ShownAttempt {
    pub(super) fn of(attempt: AttemptView, now: DateTime<Utc>) -> Self {
        let (outcome, tone) = match attempt.outcome.as_deref() {
            None => (said!("at work"), "busy"),
            Some("succeeded") => (said!("done"), "good"),
            Some("requeued") => (said!("given up: the server's fault"), "bad"),
            Some("returned") => (said!("taken back: nobody's fault"), "wait"),
            Some("failed") => (said!("failed"), "bad"),
            Some("cancelled") => (said!("cancelled"), "off"),
            Some(_) => (said!("over"), "off"),
        };
        let error = attempt.error.as_ref().map(apart::error);
        Self {
            number: attempt.number,
            part: attempt.part,
            server: attempt.server.unwrap_or_else(|| attempt.server_id.to_string()),
            at: Moment::of(attempt.assigned_at, now),
            took: attempt.ended_at.map(|end| duration(end - attempt.assigned_at)),
            outcome,
            tone,
            error: error.as_ref().map(|error| error.message.clone()),
            hint: error.and_then(|error| error.hint),
            prompt_id: attempt.prompt_id,
        }
    }
}

impl ShownPart {
    pub(super) fn of((at, part): (usize, &Job)) -> Self {
        Self { path: format!("/jobs/{}", part.id), number: at + 1, state: ShownState::of(part.state.kind()) }
    }
}

/// The points of a job's life, each with the time since the one before.
pub(super) fn milestones(timeline: Vec<TimelinePoint>, now: DateTime<Utc>) -> Vec<Milestone> {
    let mut before: Option<DateTime<Utc>> = None;
    timeline
        .into_iter()
        .map(|point| {
            let after = before.replace(point.at).map(|before| duration(point.at - before));
            let (title, tone) = match point.step {
                TimelineStep::Created => (said!("Accepted"), "off"),
                TimelineStep::Queued => (said!("Queued"), "wait"),
                TimelineStep::Assigned => (said!("Given to a server"), "busy"),
                TimelineStep::Running => (said!("Rendering"), "busy"),
                TimelineStep::AttemptEnded => (said!("Attempt given up"), "bad"),
                TimelineStep::Succeeded => (said!("Done"), "good"),
                TimelineStep::Failed => (said!("Failed"), "bad"),
                TimelineStep::Cancelled => (said!("Cancelled"), "off"),
                TimelineStep::Expired => (said!("Expired"), "off"),
            };
            let (title, of_part) = match (point.step, point.attempt) {
                (TimelineStep::Assigned, Some(number)) if point.server.is_some() => {
                    (said!("Attempt {number}", number), true)
                }
                (TimelineStep::AttemptEnded, Some(number)) => (said!("Attempt {number} given up", number), true),
                _ => (title.to_string(), false),
            };
            let title = match point.server.filter(|_| point.step != TimelineStep::AttemptEnded) {
                Some(server) => said!("{what} on {server}", what = title, server),
                None => title,
            };
            let title = match point.part.filter(|_| of_part) {
                Some(part) => said!("Picture {part}: {what}", part, what = title),
                None => title,
            };
            let detail = point.detail.map(|detail| apart::sentence(&detail).into_owned());
            Milestone { title, at: Moment::of(point.at, now), after, detail, tone }
        })
        .collect()
}

#[cfg(test)]
pub(super) fn sample() -> (Vec<Milestone>, Vec<ShownAttempt>) {
    use crate::pages::shown::sample::{HOSTILE, now};
    use hub_core::error::{ErrorCode, UserError};
    let attempt = AttemptView {
        number: 1,
        part: Some(2),
        server_id: hub_core::ids::ServerId::from_uuid(uuid::Uuid::from_u128(4)),
        server: Some("<gpu>\u{202e}".to_owned()),
        prompt_id: HOSTILE.to_owned(),
        assigned_at: now(),
        ended_at: Some(now()),
        outcome: Some("requeued".to_owned()),
        error: Some(UserError::new(ErrorCode::NodeFailed, HOSTILE).with_hint(HOSTILE)),
        loaded_models: None,
    };
    let point = |step| TimelinePoint {
        at: now(),
        step,
        attempt: Some(1),
        part: Some(2),
        server: Some("<gpu>\u{202e}".to_owned()),
        detail: Some(HOSTILE.to_owned()),
    };
    let timeline = [TimelineStep::Created, TimelineStep::Assigned, TimelineStep::AttemptEnded].map(point);
    (milestones(timeline.into(), now()), vec![ShownAttempt::of(attempt, now())])
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn each_point_tells_where_and_how_long_after_the_one_before() {
        let start = crate::pages::shown::sample::now();
        let point = |seconds, step, attempt, server: Option<&str>| TimelinePoint {
            at: start + TimeDelta::seconds(seconds),
            step,
            attempt,
            part: attempt.filter(|_| seconds > 5),
            server: server.map(str::to_owned),
            detail: None,
        };
        let shown = milestones(
            vec![
                point(0, TimelineStep::Created, None, None),
                point(2, TimelineStep::Assigned, Some(1), Some("gpu-1")),
                point(9, TimelineStep::AttemptEnded, Some(1), Some("gpu-1")),
            ],
            start,
        );
        let titles: Vec<&str> = shown.iter().map(|step| step.title.as_str()).collect();
        assert_eq!(titles, ["Accepted", "Attempt 1 on gpu-1", "Picture 1: Attempt 1 given up"]);
        assert_eq!((shown[0].after.as_deref(), shown[2].after.as_deref()), (None, Some("7.0 s")));
    }
}
