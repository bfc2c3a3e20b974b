//! One decision: which waiting jobs go where now.

mod pass;

use hub_core::ids::{JobId, ServerId};

use self::pass::Pass;
use crate::{Learned, Place, Seconds, eta::View, queue::Queue};

/// Jobs, from the front of the queue, among which a decision may prefer ones whose models are loaded.
pub const WINDOW: usize = 256;
/// Charged for a job whose time is not known at all until it is.
const GUESS_CHARGE_S: Seconds = 0.1;
/// Jobs that one decision assigns; more are left to the next one, which follows at once.
const ASSIGNED_MAX: usize = 64;
/// A job is held for at most so many times its own load and run …
const HOLD_SHARE: f64 = 4.0;
/// … but no less and no more than this, unless one load and run take longer.
const HOLD_S: std::ops::RangeInclusive<Seconds> = 10.0..=30.0;

/// A job and the place it goes to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Assignment {
    /// The job; it is out of the queue.
    pub job: JobId,
    /// Its place.
    pub server: ServerId,
    /// Expected load; 0 when the models are resident.
    pub load: Seconds,
    /// Expected run.
    pub run: Seconds,
    /// Whether the models were expected to be loaded anew.
    pub cold: bool,
    /// Whether the times rest on nothing but defaults.
    pub guessed: bool,
    /// Number of the turn, for [`Place::last_turn`].
    pub turn: u64,
}

impl Assignment {
    /// What the caller is charged for it beforehand. A guess must not count for much: who comes now begins with
    /// what the others are charged.
    pub fn charge(&self) -> Seconds {
        if self.guessed { GUESS_CHARGE_S } else { self.load + self.run }
    }
}

/// What a decision came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decision {
    /// Who goes where, in this order.
    pub assigned: Vec<Assignment>,
    /// When to decide again although nothing happened; in the past: at once.
    pub wake_at: Option<Seconds>,
}

/// How long, at most, a job waits for a better place or for others whose models are loaded, once a place had
/// room for it: then it takes the next room there is, before everybody else.
pub fn hold_limit(load: Seconds, run: Seconds) -> Seconds {
    (HOLD_SHARE * (load + run)).clamp(*HOLD_S.start(), *HOLD_S.end()).max(load + run)
}

/// Decides for all places at once. Jobs that are assigned leave the queue and are charged to their callers;
/// say the true cost with [`Queue::settle`] when it is known. `now` must not go back between decisions.
pub fn decide(queue: &mut Queue, places: &[Place], learned: &Learned, now: Seconds) -> Decision {
    if queue.is_empty() {
        return Decision::default();
    }
    let view = View::new(queue, places, learned, now);
    if view.state.rooms == 0 {
        return Decision { assigned: Vec::new(), wake_at: view.wake_at };
    }
    let mut pass = Pass::new(queue, view, learned, now);
    pass.run();
    let Pass { view, turns, assigned, passed_over, .. } = pass;
    let mut wake_at = view.wake_at;
    if assigned.len() >= ASSIGNED_MAX {
        wake_at = Some(now);
    }
    for assignment in &assigned {
        queue.serve(assignment.job, assignment.charge());
    }
    for job in passed_over {
        queue.pass_over(job, now);
    }
    queue.turns = turns;
    Decision { assigned, wake_at }
}

#[cfg(test)]
mod tests;
