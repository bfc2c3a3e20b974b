//! Tells a client how far its job is: numbers that only rise, at most ten messages a second.

use std::time::Duration;

use hub_engine::JobProgress;
use rmcp::{
    Peer, RoleServer,
    model::{ProgressNotificationParam, ProgressToken},
};
use tokio::time::Instant;

/// Least time between two messages.
const PACE: Duration = Duration::from_millis(100);
/// The number that means done.
const TOTAL: f64 = 100.0;
/// What a change of state without progress adds, so that the number rises nevertheless.
const NUDGE: f64 = 0.001;
/// Longest time that a message may take to leave; a stalled client must not hold up its own result.
const SEND_MAX: Duration = Duration::from_secs(1);

/// Sends the progress of one call.
pub(crate) struct ProgressTeller {
    peer: Peer<RoleServer>,
    token: ProgressToken,
    scale: Scale,
}

/// Turns what a job tells into numbers and texts worth sending.
#[derive(Debug, Default)]
struct Scale {
    last: Option<(f64, String, Instant)>,
}

impl Scale {
    /// What to send now, if anything: a rising number below the total, and a text.
    fn next(&mut self, progress: &JobProgress, now: Instant) -> Option<(f64, String)> {
        if progress.state.is_terminal() {
            return None;
        }
        let message = progress.describe();
        let wanted = f64::from(progress.fraction.clamp(0.0, 1.0)) * TOTAL;
        let number = match &self.last {
            None => wanted,
            Some((last, text, at)) => {
                if now.duration_since(*at) < PACE || (*text == message && wanted <= *last) {
                    return None;
                }
                wanted.max(last + NUDGE)
            }
        };
        if number >= TOTAL {
            return None;
        }
        self.last = Some((number, message.clone(), now));
        Some((number, message))
    }
}

impl ProgressTeller {
    /// Tells `peer` under the token it gave.
    pub(crate) fn new(peer: Peer<RoleServer>, token: ProgressToken) -> Self {
        Self { peer, token, scale: Scale::default() }
    }

    /// Sends `progress` if it is worth a message.
    pub(crate) async fn tell(&mut self, progress: &JobProgress) {
        let Some((number, message)) = self.scale.next(progress, Instant::now()) else { return };
        let message =
            ProgressNotificationParam::new(self.token.clone(), number).with_total(TOTAL).with_message(message);
        match tokio::time::timeout(SEND_MAX, self.peer.notify_progress(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "progress did not reach the client"),
            Err(_) => tracing::debug!("the client takes no progress"),
        }
    }
}

#[cfg(test)]
mod tests {
    use hub_core::job::{JobState, JobStateKind};

    use super::*;
    use crate::samples;

    fn at(state: JobStateKind, fraction: f32, steps: Option<(u32, u32)>, before: Option<u32>) -> JobProgress {
        let mut progress = JobProgress::of(&samples::job(JobState::Queued));
        progress.state = state;
        progress.fraction = fraction;
        progress.steps = steps;
        progress.node = steps.map(|_| "KSampler".into());
        progress.queue_position = before;
        progress
    }

    #[test]
    fn numbers_rise_strictly_and_repeats_are_left_out() {
        let mut scale = Scale::default();
        let start = Instant::now();
        let steps = [
            at(JobStateKind::Queued, 0.0, None, Some(2)),
            at(JobStateKind::Queued, 0.0, None, Some(2)),
            at(JobStateKind::Queued, 0.0, None, Some(1)),
            at(JobStateKind::Running, 0.25, Some((5, 20)), None),
            at(JobStateKind::Running, 0.10, Some((2, 20)), None),
            at(JobStateKind::Running, 1.0, Some((20, 20)), None),
            at(JobStateKind::Succeeded, 1.0, None, None),
        ];
        let sent: Vec<(f64, String)> =
            (1..).zip(&steps).filter_map(|(tick, progress)| scale.next(progress, start + PACE * tick)).collect();
        let texts: Vec<&str> = sent.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts, ["waiting, 2 before it", "waiting, 1 before it", "KSampler 5/20", "KSampler 2/20"]);
        assert!(sent.windows(2).all(|pair| pair[0].0 < pair[1].0), "{sent:?}");
    }

    #[test]
    fn at_most_ten_messages_a_second_are_sent() {
        let mut scale = Scale::default();
        let start = Instant::now();
        let sent = (0..1000u32).filter(|tick| {
            let progress = at(JobStateKind::Running, *tick as f32 / 1001.0, Some((*tick, 1000)), None);
            scale.next(&progress, start + Duration::from_millis(u64::from(*tick))).is_some()
        });
        assert_eq!(sent.count(), 10);
    }
}
