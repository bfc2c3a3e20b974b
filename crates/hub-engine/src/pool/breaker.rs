//! Keeps work from a server at which it keeps failing. Pure: the time is an argument.
//!
//! Closed, it lets everything through. After some failures in a row it opens for a while; then one job
//! may try: its success closes the breaker, its failure opens it for longer.

use std::time::Duration;

use tokio::time::Instant;

use crate::BreakerView;

/// Failures in a row that open the breaker.
const FAILURES_MAX: u32 = 3;
/// Longest pause, unless the first one is longer.
const PAUSE_MAX: Duration = Duration::from_mins(1);

/// The breaker of one server.
#[derive(Debug)]
pub(crate) struct Breaker {
    /// First pause; doubles with every failed try.
    pause_min: Duration,
    failures: u32,
    open_until: Option<Instant>,
}

/// What the breaker lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passage {
    All,
    /// One job at a time, to see whether the server works again.
    One,
    None,
}

impl Breaker {
    /// A closed one.
    pub(crate) fn new(pause_min: Duration) -> Self {
        Self { pause_min, failures: 0, open_until: None }
    }

    /// A job failed by the server's fault.
    pub(crate) fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        if let Some(tries) = self.failures.checked_sub(FAILURES_MAX) {
            let longest = PAUSE_MAX.max(self.pause_min);
            let pause = self.pause_min.saturating_mul(1 << tries.min(8)).min(longest);
            self.open_until = Some(now + pause);
        }
    }

    /// A job came through, or the server is a new process.
    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.pause_min);
    }

    /// Failures in a row.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether it opened, and nothing came through since.
    pub(crate) fn is_open(&self) -> bool {
        self.open_until.is_some()
    }

    /// As people see it.
    pub(crate) fn view(&self, now: Instant) -> BreakerView {
        let retry_in_s = self.open_until.map(|until| until.saturating_duration_since(now).as_secs_f64());
        BreakerView { open: self.passage(now) == Passage::None, failures: self.failures, retry_in_s }
    }

    /// What may pass now.
    pub(crate) fn passage(&self, now: Instant) -> Passage {
        match self.open_until {
            None => Passage::All,
            Some(until) if now >= until => Passage::One,
            Some(_) => Passage::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(5);

    #[test]
    fn failures_in_a_row_open_it_and_one_try_decides() {
        let start = Instant::now();
        let mut breaker = Breaker::new(PAUSE);
        breaker.failed(start);
        breaker.failed(start);
        assert_eq!(breaker.passage(start), Passage::All);
        breaker.failed(start);
        assert_eq!(breaker.passage(start), Passage::None);
        let later = start + PAUSE;
        assert_eq!(breaker.passage(later), Passage::One);
        breaker.failed(later);
        assert_eq!(breaker.passage(later + PAUSE), Passage::None);
        assert_eq!(breaker.passage(later + PAUSE * 2), Passage::One);
        breaker.reset();
        assert_eq!(breaker.passage(later), Passage::All);
    }

    #[test]
    fn the_pause_is_bounded() {
        let start = Instant::now();
        let mut breaker = Breaker::new(PAUSE);
        (0..100).for_each(|_| breaker.failed(start));
        assert_eq!(breaker.passage(start + PAUSE_MAX), Passage::One);
        let long = PAUSE_MAX * 2;
        let mut breaker = Breaker::new(long);
        (0..100).for_each(|_| breaker.failed(start));
        assert_eq!(breaker.passage(start + PAUSE_MAX), Passage::None, "the first pause is kept, however long");
        assert_eq!(breaker.passage(start + long), Passage::One);
    }
}
