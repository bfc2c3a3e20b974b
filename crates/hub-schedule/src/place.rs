//! A server as the scheduler sees it.

use std::{collections::HashSet, sync::Arc};

use hub_core::ids::{ServerId, WorkflowId};

use crate::{ModelSet, Seconds};

/// A job is staged behind a running one no earlier than this before the place is expected to be free: early
/// enough that no gap comes up, late enough that it can still go where it ends first. Where the running
/// time is a guess, staging is not delayed.
pub const STAGE_AHEAD_S: Seconds = 2.0;

/// One prompt of ours on a server.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prompt {
    /// Expected time from its beginning to its end, load included.
    pub expected: Seconds,
    /// When the server began it; `None` while it waits there.
    pub began: Option<Seconds>,
    /// Whether `expected` rests on nothing but defaults.
    pub guessed: bool,
}

impl Prompt {
    /// Time it still takes. One that is late is expected to be late as much again; of a guess, which says little
    /// about when it should have ended, at most as long as the guess.
    pub fn remaining(&self, now: Seconds) -> Seconds {
        let Some(began) = self.began else { return self.expected };
        let left = self.expected - (now - began).max(0.0);
        match -left {
            late if late <= 0.0 => left,
            late if self.guessed => late.min(self.expected),
            late => late,
        }
    }
}

/// One enabled server.
#[derive(Debug, Clone)]
pub struct Place {
    /// Which.
    pub server: ServerId,
    /// Its group, for pinned jobs.
    pub group: Option<Arc<str>>,
    /// Preference against its peers; > 0. A server of weight 2 is taken until it would end a job twice as late.
    pub weight: f64,
    /// Prompts of ours it may have at once.
    pub max_in_flight: u32,
    /// Prompts of ours it has, the oldest first.
    pub prompts: Vec<Prompt>,
    /// Prompts of others in its queue.
    pub foreign: u32,
    /// Whether it takes new work now.
    pub takes_work: bool,
    /// Models that will be loaded after its prompts; `None` when that is not known.
    pub resident: Option<ModelSet>,
    /// Turn in which it last got a job; of equal places the one that waited longest is next.
    pub last_turn: u64,
    /// Workflows that it lacks model files or nodes for: asked last.
    pub lacks: Arc<HashSet<WorkflowId>>,
    /// Workflows that it must not get, since somebody said so: never asked.
    pub barred: Arc<HashSet<WorkflowId>>,
}

impl Place {
    /// An idle place without limits but two prompts in flight.
    pub fn idle(server: ServerId) -> Self {
        Self {
            server,
            group: None,
            weight: 1.0,
            max_in_flight: 2,
            prompts: Vec::new(),
            foreign: 0,
            takes_work: true,
            resident: None,
            last_turn: 0,
            lacks: Arc::default(),
            barred: Arc::default(),
        }
    }

    /// Work before a job that came now; a prompt of somebody else counts `foreign_run`.
    pub fn remaining(&self, now: Seconds, foreign_run: Seconds) -> Seconds {
        let own: Seconds = self.prompts.iter().map(|prompt| prompt.remaining(now)).sum();
        own + f64::from(self.foreign) * foreign_run
    }

    /// Prompts it may get now, and when it may get more because staging begins.
    pub(crate) fn room(&self, now: Seconds, remaining: Seconds) -> (u32, Option<Seconds>) {
        let taken = u32::try_from(self.prompts.len()).unwrap_or(u32::MAX);
        if !self.takes_work || taken >= self.max_in_flight {
            return (0, None);
        }
        let free = self.max_in_flight - taken;
        let guessed = self.prompts.iter().any(|prompt| prompt.guessed);
        if taken == 0 || guessed || remaining <= STAGE_AHEAD_S {
            return (free, None);
        }
        (0, Some(now + remaining - STAGE_AHEAD_S))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_prompt_is_expected_to_be_late_as_much_again() {
        let prompt = Prompt { expected: 10.0, began: Some(0.0), guessed: false };
        for (now, left, guessed) in [(0.0, 10.0, 10.0), (4.0, 6.0, 6.0), (12.0, 2.0, 2.0), (100.0, 90.0, 10.0)] {
            assert!((prompt.remaining(now) - left).abs() < 1e-9, "at {now}");
            let guess = Prompt { guessed: true, ..prompt };
            assert!((guess.remaining(now) - guessed).abs() < 1e-9, "a guess at {now}");
        }
    }

    #[test]
    fn staging_begins_shortly_before_the_place_is_free_unless_that_is_a_guess() {
        let running = |guessed| Prompt { expected: 60.0, began: Some(0.0), guessed };
        let mut place = Place { prompts: vec![running(false)], ..Place::idle(ServerId::new()) };
        assert_eq!(place.room(10.0, 50.0), (0, Some(58.0)));
        assert_eq!(place.room(59.0, 1.0), (1, None));
        place.prompts = vec![running(true)];
        assert_eq!(place.room(10.0, 50.0), (1, None));
    }
}
