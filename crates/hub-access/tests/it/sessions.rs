//! When a session ends.

use chrono::TimeDelta;
use hub_access::{SESSION_IDLE, SESSION_LIFE};
use secrecy::{ExposeSecret as _, SecretString};

use crate::Bed;

/// The smallest step of time that is stored.
const MOMENT: TimeDelta = TimeDelta::milliseconds(1);

async fn logged_in(bed: &Bed) -> String {
    let session = bed.access.set_up("", SecretString::from("correct horse battery"), None).await.unwrap();
    session.token().expose_secret().to_owned()
}

async fn lasts(bed: &Bed, token: &str) -> bool {
    bed.access.session(token).await.unwrap().is_some()
}

#[tokio::test]
async fn a_session_ends_when_nothing_was_asked_for_too_long() {
    let bed = Bed::new().await;
    let token = logged_in(&bed).await;
    for _ in 0..2 {
        bed.clock.advance(SESSION_IDLE);
        assert!(lasts(&bed, &token).await, "each request counts anew");
    }
    bed.clock.advance(SESSION_IDLE + MOMENT);
    assert!(!lasts(&bed, &token).await);
    bed.clock.advance(-SESSION_IDLE);
    assert!(!lasts(&bed, &token).await, "an ended session does not come back");
}

#[tokio::test]
async fn a_session_ends_some_day_however_busy_it_is() {
    let bed = Bed::new().await;
    let token = logged_in(&bed).await;
    let end = bed.now() + SESSION_LIFE;
    let step = SESSION_IDLE / 2;
    while bed.now() + step < end {
        bed.clock.advance(step);
        assert!(lasts(&bed, &token).await, "{} of {end}", bed.now());
    }
    bed.clock.advance(end - bed.now());
    assert!(lasts(&bed, &token).await, "to its last moment");
    bed.clock.advance(MOMENT);
    assert!(!lasts(&bed, &token).await);
}

#[tokio::test]
async fn a_session_that_was_ended_by_hand_is_over() {
    let bed = Bed::new().await;
    let token = logged_in(&bed).await;
    let session = bed.access.session(&token).await.unwrap().unwrap();
    bed.access.log_out(&session).await.unwrap();
    assert!(!lasts(&bed, &token).await);
}
