//! The time of day as an argument: whoever stores or compares a time is given a [`Clock`], so that
//! tests decide what time it is.

mod steady;

use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};

/// Tells the time of day, in UTC.
///
/// Whoever asks whether something is old enough to be given up, ended or deleted asks [`age`](Self::age) or
/// [`before`](Self::before) and computes nothing from [`now`](Self::now): the clock may have been set since.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> DateTime<Utc>;

    /// How long ago that was, negative for what is to come. A clock that knows that it was set forward since then
    /// leaves the step out.
    fn age(&self, at: DateTime<Utc>) -> TimeDelta {
        self.now() - at
    }

    /// The time before which everything is older than `age`; `None` where that is before all times.
    fn before(&self, age: TimeDelta) -> Option<DateTime<Utc>> {
        self.now().checked_sub_signed(age)
    }
}

pub use steady::SteadyClock;

/// A clock that many owners share.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// A clock that stands still until it is moved: for tests.
#[derive(Debug)]
pub struct MockClock(Mutex<DateTime<Utc>>);

impl MockClock {
    /// A clock that stands at `start`.
    pub fn at(start: DateTime<Utc>) -> Self {
        Self(Mutex::new(start))
    }

    /// Moves the clock by `step`, which may be negative.
    pub fn advance(&self, step: TimeDelta) {
        *self.0.lock().expect("nothing panics while it holds the clock") += step;
    }
}

impl Clock for MockClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().expect("nothing panics while it holds the clock")
    }
}
