//! A decision at work: goes through the queue in fair order and gives places away.

use std::collections::HashSet;

use hub_core::ids::JobId;

use super::{ASSIGNED_MAX, Assignment, WINDOW, hold_limit};
use crate::{
    Learned, Seconds,
    eta::{NOTHING, SetId, View},
    exact,
    fair::{FairOrder, Turn},
    queue::{KindId, Queue},
};

/// Jobs that one decision looks at.
const LOOKED_MAX: usize = 1024;
/// Places with room that are looked at one by one.
const OPEN_FEW: usize = 8;
/// A second place loads models that another has or loads only once no job came for this long …
const QUIET_S: Seconds = 0.05;
/// … or the job waited for so long; each also as a share of the load.
const QUIET_MAX_S: Seconds = 0.5;
const QUIET_LOAD_SHARE: f64 = 0.05;
const QUIET_MAX_LOAD_SHARE: f64 = 0.1;

/// The decision at work.
pub(super) struct Pass<'q, 'a> {
    queue: &'q Queue,
    pub(super) view: View<'a>,
    learned: &'a Learned,
    now: Seconds,
    /// Number of the newest turn.
    pub(super) turns: u64,
    pub(super) assigned: Vec<Assignment>,
    /// Jobs that a place had room for and that did not get it.
    pub(super) passed_over: Vec<JobId>,
    rooms_at_first: usize,
    gone: HashSet<JobId>,
}

/// A job of the window.
#[derive(Debug, Clone, Copy)]
struct Seen {
    turn: Turn,
    set: SetId,
    gone: bool,
}

/// What became of a job that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Has a place, really or in thought.
    Assigned,
    /// Waits, and so do all of its kind.
    Waits,
}

impl<'q, 'a> Pass<'q, 'a> {
    pub(super) fn new(queue: &'q Queue, view: View<'a>, learned: &'a Learned, now: Seconds) -> Self {
        Self {
            queue,
            rooms_at_first: view.state.rooms as usize,
            view,
            learned,
            now,
            turns: queue.turns,
            assigned: Vec::new(),
            passed_over: Vec::new(),
            gone: HashSet::new(),
        }
    }

    pub(super) fn run(&mut self) {
        self.overdue();
        if self.done() {
            return;
        }
        if self.queue.len() - self.gone.len() <= exact::JOBS_MAX && self.few() {
            return;
        }
        self.many();
    }

    fn done(&self) -> bool {
        self.view.state.rooms == 0 || self.assigned.len() >= ASSIGNED_MAX
    }

    /// Jobs that were passed over for too long take what there is, before all others.
    fn overdue(&mut self) {
        for (job, held) in self.queue.passed_over() {
            if self.done() {
                return;
            }
            let Some(kind) = self.queue.kind_id(job) else { continue };
            let Some(at) = self.view.best(self.queue, kind, true) else { continue };
            let (load, run) = self.view.cost_at(self.queue, kind, at);
            let due = held.since + hold_limit(load, run);
            if self.now >= due {
                self.assign(job, kind, at);
            } else {
                self.wake(due);
            }
        }
    }

    /// Few jobs wait: the best plan for all of them. False when it must not be followed: their priorities forbid
    /// to reorder them, or more jobs are just coming.
    fn few(&mut self) -> bool {
        let mut order = FairOrder::new(self.queue);
        let mut turns: Vec<Turn> = Vec::with_capacity(exact::JOBS_MAX);
        while let Some(turn) = order.next(|kind| self.learned.usual_run(kind.class)) {
            if !self.gone.contains(&turn.job) && self.view.best(self.queue, turn.kind, false).is_some() {
                turns.push(turn);
            }
        }
        if turns.iter().any(|a| turns.iter().any(|b| a.lane == b.lane && a.priority != b.priority)) {
            return false;
        }
        let planned = exact::plan(&mut self.view, self.queue, &turns);
        if planned.iter().any(|(index, at)| self.view.state.room[*at] > 0 && self.is_young(turns[*index], *at)) {
            return false;
        }
        // Whoever would have had room now but stands back for a later one, or for a better place.
        let had_room: Vec<bool> =
            turns.iter().map(|turn| self.view.best(self.queue, turn.kind, true).is_some()).collect();
        let mut last = 0;
        for (index, at) in &planned {
            let turn = turns[*index];
            if self.view.state.room[*at] > 0 && !self.is_young(turn, *at) {
                self.assign(turn.job, turn.kind, *at);
                last = last.max(*index);
            }
        }
        for (index, turn) in turns.iter().enumerate().take(last.max(1)) {
            if had_room[index] && !self.gone.contains(&turn.job) {
                self.passed_over.push(turn.job);
            }
        }
        true
    }

    /// Many jobs wait: in fair order, each to where it ends first.
    fn many(&mut self) {
        let mut order = FairOrder::new(self.queue);
        let mut looked = 0;
        while !self.done() && looked < LOOKED_MAX {
            let mut window: Vec<Seen> = Vec::with_capacity(WINDOW);
            while window.len() < WINDOW {
                let Some(turn) = order.next(|kind| self.learned.usual_run(kind.class)) else { break };
                if !self.gone.contains(&turn.job) {
                    window.push(Seen { turn, set: self.view.set_of(self.queue, turn.kind), gone: false });
                }
            }
            if window.is_empty() {
                return;
            }
            looked += window.len();
            self.go_on(&mut window);
            self.seat(&mut window);
            for index in 0..window.len() {
                if self.done() {
                    return;
                }
                let Seen { turn, gone, .. } = window[index];
                if !gone && !order.is_closed(turn.kind) && self.consider(index, &mut window) == Fate::Waits {
                    order.close(turn.kind);
                }
            }
        }
    }

    /// Few places have room: those that go on with what they have loaded are found without asking where else
    /// every job before that might go. It comes to the same as [`Self::consider`] for all of them.
    fn go_on(&mut self, window: &mut [Seen]) {
        let state = &self.view.state;
        let open: Vec<usize> = state.open.iter().copied().filter(|at| state.room[*at] > 0).collect();
        if open.len() > OPEN_FEW {
            return;
        }
        for at in open {
            while self.view.state.room[at] > 0 && !self.done() {
                let resident = self.view.resident(at);
                let next = window.iter().position(|seen| !seen.gone && seen.set == resident);
                let Some(next) = next.filter(|_| resident != NOTHING) else { break };
                let turn = window[next].turn;
                let stand_back = (0..next).all(|before| {
                    let Seen { set, gone, .. } = window[before];
                    gone || (set != NOTHING && self.may_go_before(next, before, window, at))
                });
                if !stand_back || self.view.best(self.queue, turn.kind, false) != Some(at) {
                    break;
                }
                if let Some(first) = window.iter().take(next).find(|seen| !seen.gone) {
                    self.note_passed_over(first.turn);
                }
                window[next].gone = true;
                self.assign(turn.job, turn.kind, at);
            }
        }
    }

    /// Whether a job whose models are loaded at a place may have it before one that would have to load its own.
    fn may_go_before(&mut self, warm: usize, cold: usize, window: &[Seen], at: usize) -> bool {
        let (warm_turn, cold_turn) = (window[warm].turn, window[cold].turn);
        if warm < cold {
            return true;
        }
        if warm_turn.lane == cold_turn.lane {
            return warm_turn.priority >= cold_turn.priority;
        }
        let (load, _) = self.view.cost_at(self.queue, cold_turn.kind, at);
        warm_turn.spent <= cold_turn.spent + load / self.queue.lane(cold_turn.lane).weight
    }

    /// Models that are loaded nowhere get a place each before others are loaded a second time.
    fn seat(&mut self, window: &mut [Seen]) {
        for index in 0..window.len() {
            if self.done() {
                return;
            }
            let Seen { turn, set, .. } = window[index];
            if self.view.is_seatless(set)
                && let Some(at) = self.view.best(self.queue, turn.kind, false)
                && self.view.state.room[at] > 0
            {
                self.consider(index, window);
            }
        }
    }

    /// Looks at one job of the window.
    fn consider(&mut self, index: usize, window: &mut [Seen]) -> Fate {
        let turn = window[index].turn;
        // Others of the window may go before it; then it is looked at again.
        loop {
            if window[index].gone {
                return Fate::Assigned;
            }
            let Some(at) = self.view.best(self.queue, turn.kind, false) else { return Fate::Waits };
            if self.view.state.room[at] == 0 {
                self.note_passed_over(turn);
                let Some(at) = self.view.best(self.queue, turn.kind, true) else {
                    self.view.wait(self.queue, turn.kind, None, of_kind(window, turn.kind).count());
                    return Fate::Waits;
                };
                match self.after_those_that_wait(window, turn.kind, at) {
                    Some(other) if self.fill(other, window, at) && !self.done() => continue,
                    _ => return Fate::Waits,
                }
            }
            if !self.fill(index, window, at) || self.done() {
                return if window[index].gone { Fate::Assigned } else { Fate::Waits };
            }
        }
    }

    /// Gives a place with room to this job, or to one of the window whose models are loaded there. False when
    /// nobody gets it now.
    fn fill(&mut self, index: usize, window: &mut [Seen], at: usize) -> bool {
        let turn = window[index].turn;
        if !self.view.is_warm(self.queue, turn.kind, at)
            && let Some(other) = self.warmer(index, window, at)
        {
            self.note_passed_over(turn);
            window[other].gone = true;
            let other = window[other].turn;
            self.assign(other.job, other.kind, at);
            return true;
        }
        if self.is_young(turn, at) {
            return false;
        }
        window[index].gone = true;
        self.assign(turn.job, turn.kind, at);
        true
    }

    /// Jobs of this kind end sooner at places that are full. The one of them that would end sooner here after
    /// all, since those before it fill those places up; `None` when there is no such.
    fn after_those_that_wait(&mut self, window: &mut [Seen], kind: KindId, at: usize) -> Option<usize> {
        let here: Vec<usize> = of_kind(window, kind).collect();
        let waiting = self.queue.jobs_of(kind);
        let end = self.view.end_at(self.queue, kind, at);
        let taken = self.view.wait(self.queue, kind, Some(end), waiting);
        // Beyond the window nobody is preferred: the last one in it stands for those that are, where that
        // costs nobody the models he waits for.
        let harmless = self.view.is_warm(self.queue, kind, at) || !self.view.resident_is_wanted(at);
        let last = here.last().copied().filter(|_| taken < waiting && harmless);
        let first = here.get(taken).copied().or(last);
        for index in here.into_iter().take(taken) {
            if Some(index) != first {
                window[index].gone = true;
            }
        }
        first
    }

    /// The job of the window that should go to this place first, since its models are loaded there.
    fn warmer(&mut self, index: usize, window: &[Seen], at: usize) -> Option<usize> {
        if !self.view.resident_is_wanted(at) {
            return None;
        }
        let resident = self.view.resident(at);
        (0..window.len()).find(|other| {
            let Seen { turn, set, gone } = window[*other];
            !gone
                && set == resident
                && self.may_go_before(*other, index, window, at)
                && self.view.best(self.queue, turn.kind, false) == Some(at)
        })
    }

    /// Whether a job should not make a second place load its models just yet: others that come with it may
    /// need the place more.
    fn is_young(&mut self, turn: Turn, at: usize) -> bool {
        let cold = !self.view.is_warm(self.queue, turn.kind, at);
        let set = self.view.set_of(self.queue, turn.kind);
        if !cold || self.view.is_seatless(set) {
            return false;
        }
        let (load, _) = self.view.cost_at(self.queue, turn.kind, at);
        let quiet = QUIET_S.min(load * QUIET_LOAD_SHARE);
        let limit = QUIET_MAX_S.min(load * QUIET_MAX_LOAD_SHARE);
        let (age, silence) = self.queue.ages(turn.job, self.now);
        let left = (quiet - silence).min(limit - age);
        if left <= 1e-6 {
            return false;
        }
        self.wake(self.now + left);
        true
    }

    fn assign(&mut self, job: JobId, kind: KindId, at: usize) {
        self.turns += 1;
        let cold = !self.view.is_warm(self.queue, kind, at);
        let guessed = self.view.is_guess(self.queue, kind, at);
        let (load, run) = self.view.put(self.queue, kind, at, Some(self.turns));
        let server = self.view.places[at].server;
        self.assigned.push(Assignment { job, server, load, run, cold, guessed, turn: self.turns });
        self.gone.insert(job);
    }

    /// Notes that a place had room for the job. Only as many as would have got one otherwise were passed over.
    fn note_passed_over(&mut self, turn: Turn) {
        if self.passed_over.len() < self.rooms_at_first
            && self.passed_over.last() != Some(&turn.job)
            && self.view.best(self.queue, turn.kind, true).is_some()
        {
            self.passed_over.push(turn.job);
        }
    }

    fn wake(&mut self, at: Seconds) {
        self.view.wake_at = Some(self.view.wake_at.map_or(at, |wake| wake.min(at)));
    }
}

/// Jobs of a kind in the window, by index.
fn of_kind(window: &[Seen], kind: KindId) -> impl Iterator<Item = usize> + '_ {
    window.iter().enumerate().filter(move |(_, seen)| !seen.gone && seen.turn.kind == kind).map(|(index, _)| index)
}
