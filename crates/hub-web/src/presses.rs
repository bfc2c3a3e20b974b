//! Two presses of one button are one.
//!
//! Owns: which forms that begin a job were sent in the last seconds. The engine takes calls without a seed for wishes
//! of their own, since each makes another picture; a form that comes twice within a moment is a double click instead,
//! and gets the idempotency key of the first press, by which the engine finds its job. Pages without script need it:
//! there nothing locks the button.

use std::{
    hash::{DefaultHasher, Hash, Hasher as _},
    sync::{Mutex, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use hub_core::caller::Caller;

/// How long a second press counts as the same one. Nobody reads the job's page, goes back and asks again in that time.
const MOMENT: TimeDelta = TimeDelta::seconds(3);
/// Most presses that are remembered; the oldest go first.
const PRESSES_MAX: usize = 1024;

/// The presses of the last moment.
#[derive(Default)]
pub(crate) struct Presses(Mutex<Vec<(u64, DateTime<Utc>)>>);

impl Presses {
    /// The idempotency key of a form: that of its first press, when `caller` sent the same form a moment ago.
    pub(crate) fn key(&self, now: DateTime<Utc>, caller: &Caller, form: impl Hash) -> String {
        let mut hasher = DefaultHasher::new();
        (caller, form).hash(&mut hasher);
        let form = hasher.finish();
        // A list of numbers is whole whoever panicked beside it.
        let mut presses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        presses.retain(|(_, at)| now - *at < MOMENT);
        let first = presses.iter().find(|(known, _)| *known == form).map(|(_, at)| *at);
        let at = first.unwrap_or_else(|| {
            if presses.len() >= PRESSES_MAX {
                presses.remove(0);
            }
            presses.push((form, now));
            now
        });
        format!("page-{form:016x}-{}", at.timestamp_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_press_is_the_first_one_for_a_moment() {
        let presses = Presses::default();
        let begin: DateTime<Utc> = DateTime::UNIX_EPOCH;
        let admin = Caller::named("admin");
        let first = presses.key(begin, &admin, "a fox");
        assert_eq!(presses.key(begin + TimeDelta::seconds(2), &admin, "a fox"), first);
        assert_ne!(presses.key(begin, &admin, "a hen"), first);
        assert_ne!(presses.key(begin, &Caller::named("agent"), "a fox"), first);
        assert_ne!(presses.key(begin + TimeDelta::seconds(4), &admin, "a fox"), first);
    }

    #[test]
    fn it_remembers_so_many_and_no_more() {
        let presses = Presses::default();
        for number in 0..2 * PRESSES_MAX {
            presses.key(DateTime::UNIX_EPOCH, &Caller::named("admin"), number);
        }
        assert_eq!(presses.0.lock().unwrap().len(), PRESSES_MAX);
    }
}
