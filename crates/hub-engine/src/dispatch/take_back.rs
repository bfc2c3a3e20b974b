//! Asks attempts to give back prompts that wait on a server while another one, idle, would end them sooner.
//!
//! Which ones is the policy's to say; whether it is still possible, the attempt finds out: until it has given the
//! prompt back, and a while longer, the idle server counts as taken.

use std::{collections::HashMap, time::Duration};

use hub_core::ids::ServerId;
use hub_schedule::{FlightId, Seconds, Staged, TakeBack, take_back};

use super::turns::Dispatcher;

/// Pause between two looks for prompts to take back.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long an attempt is given for giving its prompt back, before it may be asked again.
const ASKED_FOR: Duration = Duration::from_secs(10);

/// What was asked for, and when.
#[derive(Default)]
pub(super) struct AskedBack {
    looked_at: Option<Seconds>,
    asked: HashMap<FlightId, (ServerId, Seconds)>,
}

impl Dispatcher {
    /// Asks for what is better run on a server that has nothing to do.
    pub(super) fn take_back(&mut self) {
        let now = self.inner.dispatch.now();
        let looked = self.asked_back.looked_at;
        if looked.is_some_and(|at| now < at + LOOK_EVERY.as_secs_f64() / 2.0) || self.inner.ctx.stop.is_cancelled() {
            return;
        }
        self.asked_back.looked_at = Some(now);
        self.asked_back.asked.retain(|_, (_, at)| now < *at + ASKED_FOR.as_secs_f64());
        if self.inner.dispatch.counts().unbegun.is_empty() {
            return;
        }
        let mut places = self.places();
        for place in &mut places {
            // A job is on its way there.
            place.takes_work &= self.asked_back.asked.values().all(|(to, _)| *to != place.server);
        }
        let counts = self.inner.dispatch.counts();
        let mut staged = Vec::with_capacity(counts.unbegun.len());
        for (place, at) in places.iter().zip(0..) {
            let waiting = counts.ledger.waiting(place.server);
            staged.extend(waiting.filter(|(flight, _)| !self.asked_back.asked.contains_key(flight)).filter_map(
                |(flight, prompt)| Some(Staged { flight, place: at, prompt, kind: &counts.unbegun.get(&flight)?.1 }),
            ));
        }
        for TakeBack { flight, to } in take_back(&staged, &self.queue, &places, &self.learned, now) {
            self.asked_back.asked.insert(flight, (to, now));
            if let Some((job, _)) = counts.unbegun.get(&flight) {
                self.inner.attempts.ask_back(*job);
            }
        }
    }
}
