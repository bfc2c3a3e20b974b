//! Which prompts that wait on a server are better run elsewhere now.
//!
//! A job is staged behind a running one since that is expected to end soon. When it does not, and another place
//! has nothing to do meanwhile, the job is taken back: the caller takes the prompt off its server, and once that
//! is certain the job waits in the queue again, where [`decide`](crate::decide) gives it to that place.

use hub_core::ids::ServerId;

use crate::{FlightId, Kind, Learned, Place, Queue, STAGE_AHEAD_S, Seconds, eta::allows};

/// A job is taken back only when it would end earlier by more than this: staging alone costs it as much …
const GAIN_S: Seconds = STAGE_AHEAD_S;
/// … and by more than this share of its own time, since an expected time is not that exact.
const GAIN_SHARE: f64 = 0.1;
/// Idle places that are looked at in one go; more are looked at in the next.
const IDLE_MAX: usize = 64;

/// A prompt of ours that its server has not begun.
#[derive(Debug, Clone, Copy)]
pub struct Staged<'k> {
    /// Which.
    pub flight: FlightId,
    /// Its server, by its place among all.
    pub place: usize,
    /// Its place among the server's prompts.
    pub prompt: usize,
    /// What its job needs.
    pub kind: &'k Kind,
}

/// A prompt to be taken back, and for which place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakeBack {
    /// The prompt.
    pub flight: FlightId,
    /// The idle place where its job would end sooner.
    pub to: ServerId,
}

/// The prompts that are to be taken back: at most one for each idle place that no waiting job may go to, and one
/// from each server, those that gain most first.
pub fn take_back(
    staged: &[Staged<'_>],
    queue: &Queue,
    places: &[Place],
    learned: &Learned,
    now: Seconds,
) -> Vec<TakeBack> {
    let is_idle =
        |place: &&Place| place.takes_work && place.max_in_flight > 0 && place.prompts.is_empty() && place.foreign == 0;
    let idle = places.iter().filter(is_idle).filter(|place| !queue.kinds().any(|kind| may_go(kind, place)));
    let mut gains: Vec<(Seconds, &Staged<'_>, &Place)> = Vec::new();
    for place in idle.take(IDLE_MAX) {
        let lost_there = |prompt: &Staged<'_>| prompt.kind.avoid == Some(place.server);
        for prompt in staged.iter().filter(|prompt| may_go(prompt.kind, place) && !lost_there(prompt)) {
            let gain = gain(prompt, &places[prompt.place], place, learned, now);
            gains.extend(gain.map(|gain| (gain, prompt, place)));
        }
    }
    gains.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1.flight, a.2.server).cmp(&(b.1.flight, b.2.server))));
    let (mut taken, mut from): (Vec<TakeBack>, Vec<usize>) = (Vec::new(), Vec::new());
    for (_, prompt, place) in gains {
        if !from.contains(&prompt.place) && taken.iter().all(|before| before.to != place.server) {
            from.push(prompt.place);
            taken.push(TakeBack { flight: prompt.flight, to: place.server });
        }
    }
    taken
}

/// How much earlier a prompt's job would end at an idle place, in terms of the server it is on; `None` when that
/// is not worth it.
fn gain(prompt: &Staged<'_>, here: &Place, there: &Place, learned: &Learned, now: Seconds) -> Option<Seconds> {
    let own = here.prompts.get(prompt.prompt)?.expected;
    let before = here.prompts.iter().enumerate().filter(|(at, other)| *at < prompt.prompt || other.began.is_some());
    let mut wait: Seconds = before.map(|(_, other)| other.remaining(now)).sum();
    if here.foreign > 0 && here.prompts.iter().all(|other| other.began.is_none()) {
        // Somebody else's is running; of others nobody knows whether they came before.
        wait += learned.foreign_run(learned.slot(here.server));
    }
    let Kind { class, models, .. } = *prompt.kind;
    let warm = models.is_none() || there.resident == Some(models);
    let load = if warm { 0.0 } else { learned.load(models, there.server) };
    let takes = (load + learned.run(class, there.server).0) * here.weight / there.weight.max(f64::MIN_POSITIVE);
    let gain = wait + own - takes;
    (gain > GAIN_S.max(takes * GAIN_SHARE)).then_some(gain)
}

fn may_go(kind: &Kind, place: &Place) -> bool {
    allows(kind, place) && !place.lacks.contains(&kind.class.workflow)
}

#[cfg(test)]
mod tests;
