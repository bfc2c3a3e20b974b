//! Growing pauses between tries, with jitter, so that many sessions do not come back in step.

use std::time::Duration;

use rand::Rng as _;

/// Shortest pause.
const PAUSE_MIN: Duration = Duration::from_millis(200);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Pauses from 0.2 s to 10 s.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self { next: PAUSE_MIN }
    }

    /// The next pause: between a half and the whole of the current step.
    pub(super) fn pause(&mut self) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(PAUSE_MAX);
        step.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    /// Starts over.
    pub(super) fn reset(&mut self) {
        self.next = PAUSE_MIN;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_start_over() {
        let mut backoff = Backoff::new();
        assert!(backoff.pause() <= PAUSE_MIN);
        for _ in 0..20 {
            assert!(backoff.pause() <= PAUSE_MAX);
        }
        assert!(backoff.pause() >= PAUSE_MAX / 2);
        backoff.reset();
        assert!(backoff.pause() <= PAUSE_MIN);
    }
}
