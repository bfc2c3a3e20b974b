//! Two presses of one button are one.
//!
//! Owns: which forms that begin a job were sent in the last seconds. The engine takes calls without a seed for wishes
//! of their own, since each makes another picture; a form that comes twice within a moment is a double click instead,
//! and gets the idempotency key of the first press, by which the engine finds its job. Pages without script need it:
//! there nothing locks the button.

use std::{
    hash::{DefaultHasher, Hash, Hasher as _},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use hub_core::{caller::Caller, ids::JobId};
use tokio::time::Instant;

/// How long a second press counts as the same one. Nobody reads the job's page, goes back and asks again in that time.
const MOMENT: Duration = Duration::from_secs(3);
/// Most presses that are remembered; the oldest go first.
const PRESSES_MAX: usize = 1024;

/// The presses of the last moment.
#[derive(Default)]
pub(crate) struct Presses(Mutex<Vec<Press>>);

struct Press {
    /// Of who sent which form.
    form: u64,
    /// By the time that passes: the clock may be set.
    at: Instant,
    key: String,
}

impl Presses {
    /// The idempotency key of a form: that of its first press, when `caller` sent the same form a moment ago.
    pub(crate) fn key(&self, caller: &Caller, form: impl Hash) -> String {
        let mut hasher = DefaultHasher::new();
        (caller, form).hash(&mut hasher);
        let form = hasher.finish();
        // A list of presses is whole whoever panicked beside it.
        let mut presses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        presses.retain(|press| press.at.elapsed() < MOMENT);
        if let Some(first) = presses.iter().find(|press| press.form == form) {
            return first.key.clone();
        }
        if presses.len() >= PRESSES_MAX {
            presses.remove(0);
        }
        // An id of its own, as good as any other.
        let key = format!("page-{}", JobId::new());
        presses.push(Press { form, at: Instant::now(), key: key.clone() });
        key
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_second_press_is_the_first_one_for_a_moment() {
        let presses = Presses::default();
        let admin = Caller::named("admin");
        let first = presses.key(&admin, "a fox");
        advance(Duration::from_secs(2)).await;
        assert_eq!(presses.key(&admin, "a fox"), first);
        assert_ne!(presses.key(&admin, "a hen"), first);
        assert_ne!(presses.key(&Caller::named("agent"), "a fox"), first);
        advance(Duration::from_secs(2)).await;
        assert_ne!(presses.key(&admin, "a fox"), first);
    }

    #[test]
    fn it_remembers_so_many_and_no_more() {
        let presses = Presses::default();
        for number in 0..2 * PRESSES_MAX {
            presses.key(&Caller::named("admin"), number);
        }
        assert_eq!(presses.0.lock().unwrap().len(), PRESSES_MAX);
    }
}
