use proptest::prelude::*;

use super::*;
use crate::error::ErrorCode;

fn attempt(number: u32) -> Attempt {
    Attempt { number, server: ServerId::new(), prompt_id: PromptId::random() }
}

fn failure() -> UserError {
    UserError::new(ErrorCode::Internal, "x")
}

#[test]
fn a_job_walks_from_planning_to_success() {
    let at = attempt(1);
    let end = JobState::Planning
        .apply(JobEvent::Planned)
        .and_then(|state| state.apply(JobEvent::Assign(at)))
        .and_then(|state| state.apply(JobEvent::Start { attempt: 1 }))
        .and_then(|state| state.apply(JobEvent::Collect { attempt: 1 }))
        .and_then(|state| state.apply(JobEvent::Succeed { attempt: Some(1) }));
    assert_eq!(end, Ok(JobState::Succeeded));
}

#[test]
fn a_job_in_parts_runs_while_they_do_and_has_no_attempt() {
    let begun = JobState::Queued.apply(JobEvent::Began).expect("its parts begin");
    assert_eq!((begun.kind(), begun.attempt()), (JobStateKind::Running, None));
    assert_eq!(begun.clone().apply(JobEvent::Complete(Outcome::Succeeded { warning: None })), Ok(JobState::Succeeded));
    assert!(begun.clone().apply(JobEvent::Expire).is_err(), "its parts expire, not the whole");
    assert!(begun.apply(JobEvent::Assign(attempt(1))).is_err());
}

#[test]
fn a_late_attempt_changes_nothing() {
    let running = JobState::Running(attempt(2));
    assert!(running.clone().apply(JobEvent::Collect { attempt: 1 }).is_err());
    assert!(running.clone().apply(JobEvent::Requeue { attempt: 1 }).is_err());
    assert_eq!(running.apply(JobEvent::Requeue { attempt: 2 }), Ok(JobState::Queued));
}

fn any_event() -> impl Strategy<Value = JobEvent> {
    prop_oneof![
        Just(JobEvent::Planned),
        Just(JobEvent::Began),
        Just(JobEvent::Complete(Outcome::Succeeded { warning: None })),
        Just(JobEvent::Complete(Outcome::Expired)),
        (1..4u32).prop_map(|n| JobEvent::Assign(attempt(n))),
        (1..4u32).prop_map(|attempt| JobEvent::Start { attempt }),
        (1..4u32).prop_map(|attempt| JobEvent::Collect { attempt }),
        proptest::option::of(1..4u32).prop_map(|attempt| JobEvent::Succeed { attempt }),
        (1..4u32).prop_map(|attempt| JobEvent::Requeue { attempt }),
        Just(JobEvent::Fail(failure())),
        Just(JobEvent::Cancel),
        Just(JobEvent::Expire),
    ]
}

proptest! {
    #[test]
    fn no_event_leaves_a_terminal_state(events in proptest::collection::vec(any_event(), 1..40)) {
        let mut state = JobState::Planning;
        let mut ends = 0;
        for event in events {
            let was_terminal = state.kind().is_terminal();
            if let Ok(next) = state.clone().apply(event) {
                prop_assert!(!was_terminal);
                ends += usize::from(next.kind().is_terminal());
                state = next;
            }
        }
        prop_assert!(ends <= 1);
    }
}
