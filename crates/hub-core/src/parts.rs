//! Jobs that make several pictures: which seeds their parts have, and how the whole ends when they have.

use crate::{
    error::{ErrorCode, UserError},
    job::{Job, JobState},
};

/// How a job in parts ends.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// At least one part has a result.
    Succeeded {
        /// What is to be known of the others.
        warning: Option<String>,
    },
    /// No part has one, and this is the first one's reason.
    Failed(UserError),
    /// No part has one, nor a reason: all waited too long.
    Expired,
    /// No part has one, since somebody cancelled them.
    Cancelled,
}

/// The seeds of `count` pictures: the first one and those after it, going on at 0 beyond `largest`, the
/// largest seed that the workflow takes. A first one beyond that stays for all: it will be refused anyway.
pub fn seeds(first: u64, count: u32, largest: u64) -> impl Iterator<Item = u64> {
    let range = u128::from(largest) + 1;
    (0..u128::from(count)).map(move |offset| {
        let seed = (u128::from(first) + offset) % range;
        u64::try_from(seed).ok().filter(|_| first <= largest).unwrap_or(first)
    })
}

/// How the whole ends; `None` while a part has not.
pub fn outcome(parts: &[Job]) -> Option<Outcome> {
    if parts.iter().any(|part| !part.state.kind().is_terminal()) {
        return None;
    }
    let good = parts.iter().filter(|part| part.state == JobState::Succeeded).count();
    let first_error = parts.iter().find_map(|part| match &part.state {
        JobState::Failed(error) => Some(error),
        _ => None,
    });
    let expired = parts.iter().any(|part| part.state == JobState::Expired);
    if good == 0 {
        return Some(match first_error {
            Some(error) => Outcome::Failed(error.clone()),
            None if expired => Outcome::Expired,
            None if parts.is_empty() => {
                Outcome::Failed(UserError::new(ErrorCode::Internal, "The job lost all of its parts."))
            }
            None => Outcome::Cancelled,
        });
    }
    let bad = parts.len() - good;
    let warning = (bad > 0).then(|| {
        let why = match first_error {
            Some(error) => error.message.clone(),
            None if expired => "They waited in the queue for too long.".to_owned(),
            None => "They were cancelled.".to_owned(),
        };
        format!("{bad} of {} pictures could not be made. {why}", parts.len())
    });
    Some(Outcome::Succeeded { warning })
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::{
        caller::Caller,
        ids::JobId,
        job::{JobTimes, Part},
        placement::Placement,
        request::{ImageRequest, JobRequest},
    };

    fn part(index: u32, state: JobState) -> Job {
        Job {
            id: JobId::new(),
            caller: Caller::local(),
            request: JobRequest::Image(ImageRequest::generate("x")),
            state,
            recipe: None,
            text: None,
            warnings: Vec::new(),
            attempts: 1,
            excluded: Vec::new(),
            priority: 0,
            placement: Placement::Anywhere,
            idempotency_key: None,
            server: None,
            times: JobTimes { created_at: DateTime::UNIX_EPOCH, queued_at: None, started_at: None, finished_at: None },
            parent: None,
            trace: None,
            part: Some(Part { of: JobId::new(), index }),
        }
    }

    fn parts(states: impl IntoIterator<Item = JobState>) -> Vec<Job> {
        (0..).zip(states).map(|(index, state)| part(index, state)).collect()
    }

    fn failed(message: &str) -> JobState {
        JobState::Failed(UserError::new(ErrorCode::NodeFailed, message))
    }

    #[test]
    fn seeds_follow_each_other_and_go_on_at_zero_beyond_the_largest() {
        let of = |first, count, largest| seeds(first, count, largest).collect::<Vec<_>>();
        assert_eq!(of(7, 4, u64::MAX), [7, 8, 9, 10]);
        assert_eq!(of(u64::MAX - 1, 4, u64::MAX), [u64::MAX - 1, u64::MAX, 0, 1]);
        assert_eq!(of(99, 3, 100), [99, 100, 0]);
        assert_eq!(of(100, 3, 100), [100, 0, 1]);
        assert_eq!(of(5, 1, 100), [5]);
        assert_eq!(of(500, 2, 100), [500, 500]);
    }

    #[test]
    fn the_whole_ends_with_its_last_part() {
        assert_eq!(outcome(&parts([JobState::Succeeded, JobState::Queued])), None);
        let whole = outcome(&parts([JobState::Succeeded, JobState::Succeeded]));
        assert_eq!(whole, Some(Outcome::Succeeded { warning: None }));
    }

    #[test]
    fn one_picture_is_a_success_that_tells_what_is_missing() {
        let whole = outcome(&parts([failed("A."), JobState::Succeeded, JobState::Expired, failed("B.")]));
        let Some(Outcome::Succeeded { warning: Some(warning) }) = whole else { panic!("{whole:?}") };
        assert_eq!(warning, "3 of 4 pictures could not be made. A.");
    }

    #[test]
    fn without_a_picture_the_first_error_counts() {
        let Some(Outcome::Failed(error)) = outcome(&parts([JobState::Expired, failed("A."), failed("B.")])) else {
            panic!("it failed");
        };
        assert_eq!(error.message, "A.");
        assert_eq!(outcome(&parts([JobState::Expired, JobState::Cancelled])), Some(Outcome::Expired));
        assert_eq!(outcome(&parts([JobState::Cancelled])), Some(Outcome::Cancelled));
        assert!(matches!(outcome(&[]), Some(Outcome::Failed(_))));
    }
}
