//! A clock that notices when it is set, so that nothing is thought a day old because somebody corrected the date.
//!
//! The time of day is held against the time that has passed: what one gained on the other since the last look is a step.
//! Steps forward are left out of every age that they lie in. After a step back ages are too small, so things live longer
//! by it, but nothing ends too early: of two times that look alike nobody can say which came before the step.
//! Sleep of the machine looks like a step forward, and rightly: who slept did not wait.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Clock, SharedClock};

/// A smaller difference is how clocks are kept right, and not a step.
const STEP_MIN: TimeDelta = TimeDelta::seconds(5);
/// Steps that are remembered one by one; older ones count as one.
const STEPS_MAX: usize = 32;

/// A clock over another one, whose steps it notices.
pub struct SteadyClock {
    clock: SharedClock,
    told: Box<dyn Fn(TimeDelta) + Send + Sync>,
    seen: Mutex<Seen>,
}

struct Seen {
    now: DateTime<Utc>,
    at: Instant,
    steps: Vec<Step>,
}

/// A step forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    /// The time of day right after it.
    to: DateTime<Utc>,
    by: TimeDelta,
}

impl SteadyClock {
    /// Over `clock`; `told` hears of each step, in either direction, when it is noticed.
    pub fn over(clock: SharedClock, told: impl Fn(TimeDelta) + Send + Sync + 'static) -> Self {
        let seen = Seen { now: clock.now(), at: Instant::now(), steps: Vec::new() };
        Self { clock, told: Box::new(told), seen: Mutex::new(seen) }
    }

    /// Now, and what `ask` makes of it and of the steps so far.
    fn look<T>(&self, ask: impl FnOnce(DateTime<Utc>, &[Step]) -> T) -> T {
        let (answer, step) = {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let (now, at) = (self.clock.now(), Instant::now());
            let passed = TimeDelta::from_std(at - seen.at).unwrap_or(TimeDelta::MAX);
            let step = (now - seen.now).checked_sub(&passed).filter(|step| step.abs() >= STEP_MIN);
            (seen.now, seen.at) = (now, at);
            if let Some(by) = step {
                note(&mut seen.steps, Step { to: now, by });
            }
            (ask(now, &seen.steps), step)
        };
        if let Some(by) = step {
            (self.told)(by);
        }
        answer
    }
}

/// Adds a step. What was gained by steps to times that are yet to come again is taken off it: after a step forward and
/// one back the time of day is what it was, and so are all ages.
fn note(steps: &mut Vec<Step>, new: Step) {
    let mut by = new.by;
    while let Some(last) = steps.pop_if(|last| last.to > new.to) {
        by += last.by;
    }
    if by >= STEP_MIN {
        steps.push(Step { to: new.to, by });
    }
    if steps.len() > STEPS_MAX {
        let oldest = steps.remove(0);
        steps[0].by += oldest.by;
    }
}

fn age(now: DateTime<Utc>, steps: &[Step], at: DateTime<Utc>) -> TimeDelta {
    let since = steps.iter().filter(|step| at < step.to).map(|step| step.by);
    since.fold(now - at, |age, by| age - by)
}

fn before(now: DateTime<Utc>, steps: &[Step], age: TimeDelta) -> Option<DateTime<Utc>> {
    let mut before = now.checked_sub_signed(age)?;
    for step in steps.iter().rev() {
        if before >= step.to {
            break;
        }
        before = before.checked_sub_signed(step.by)?;
    }
    Some(before)
}

impl Clock for SteadyClock {
    fn now(&self) -> DateTime<Utc> {
        self.look(|now, _| now)
    }

    fn age(&self, at: DateTime<Utc>) -> TimeDelta {
        self.look(|now, steps| age(now, steps, at))
    }

    fn before(&self, age: TimeDelta) -> Option<DateTime<Utc>> {
        self.look(|now, steps| before(now, steps, age))
    }
}

impl fmt::Debug for SteadyClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SteadyClock").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::MockClock;

    const DAY: TimeDelta = TimeDelta::days(1);
    const HOUR: TimeDelta = TimeDelta::hours(1);

    fn start() -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
    }

    #[test]
    fn a_step_either_way_makes_nothing_old_and_is_told_once() {
        for step in [DAY, -DAY] {
            let (wall, told) = (Arc::new(MockClock::at(start())), Arc::new(Mutex::new(Vec::new())));
            let heard = told.clone();
            let clock = SteadyClock::over(wall.clone(), move |by| heard.lock().expect("whole").push(by));
            wall.advance(step);
            assert_eq!(clock.now(), start() + step, "the time of day is the machine's");
            assert!(clock.age(start()) < STEP_MIN, "{}", clock.age(start()));
            assert!(clock.before(HOUR).is_some_and(|before| before < start()));
            let told = told.lock().expect("whole");
            assert!(told.len() == 1 && (told[0] - step).abs() < STEP_MIN, "{told:?}");
        }
    }

    #[test]
    fn what_comes_after_a_step_ages_by_the_clock_and_what_was_before_by_the_time_that_passed() {
        let mut steps = Vec::new();
        let to = start() + DAY;
        note(&mut steps, Step { to, by: DAY });
        let now = to + HOUR * 2;
        assert_eq!(age(now, &steps, to + HOUR), HOUR);
        assert_eq!(age(now, &steps, start()), HOUR * 2);
        assert_eq!(before(now, &steps, HOUR), Some(to + HOUR));
        assert_eq!(before(now, &steps, HOUR * 3), Some(start() - HOUR));
        assert_eq!(before(now, &steps, HOUR * 2), Some(to), "everything from before the step is old enough by now");
    }

    #[test]
    fn a_mistake_that_is_corrected_leaves_nothing_behind() {
        let mut steps = Vec::new();
        note(&mut steps, Step { to: start() + DAY, by: DAY });
        note(&mut steps, Step { to: start() + HOUR, by: -DAY });
        assert_eq!(steps, []);
        // Back first, and then right again: what was stored in between looks a day older than it is.
        let stored = start() - DAY;
        note(&mut steps, Step { to: start() - DAY, by: -DAY });
        note(&mut steps, Step { to: start() + HOUR, by: DAY });
        assert_eq!(age(start() + HOUR * 2, &steps, stored), HOUR * 2);
    }

    #[test]
    fn an_age_and_a_limit_never_disagree_and_few_steps_are_kept() {
        let mut steps = Vec::new();
        let mut now = start();
        for step in 0..100 {
            now += HOUR;
            let by = if step % 7 == 3 { -HOUR } else { TimeDelta::minutes(step * 11 % 50 + 1) };
            now += by;
            note(&mut steps, Step { to: now, by });
            for minutes in 0..200 {
                let (at, limit) = (now - TimeDelta::minutes(minutes * 7), TimeDelta::minutes(minutes * 5));
                // A time that was stepped over never was.
                if steps.iter().any(|step| (step.to - step.by..step.to).contains(&at)) {
                    continue;
                }
                let cut = before(now, &steps, limit).expect("no time is that far");
                assert_eq!(age(now, &steps, at) > limit, at < cut, "{minutes} after {step}");
            }
        }
        assert!(steps.len() <= STEPS_MAX, "{}", steps.len());
    }
}
