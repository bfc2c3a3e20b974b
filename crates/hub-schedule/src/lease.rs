//! Who may use a GPU that LLM servers and ComfyUI servers share, when not everything fits into its memory.
//!
//! A pure state machine: it is told what is claimed, what is over and what was found out, and answers with
//! [`LeaseOrder`]s. Who obeys them talks to the servers; nothing here does.
//!
//! A claim of one side runs at once when the other side has nothing loaded, or when both were found to fit. Else
//! the other side's models are evicted, and only when it is idle: once it had no user for a moment, so that what
//! belongs together is done together, or once the claim has waited its limit, from when on the other side gets
//! nothing new. So a switch is made when a side has nothing to do or has had its time, and nobody waits for longer
//! than its limit, what runs on the other side, and the eviction itself.
//!
//! At first nothing is known: both sides may have something loaded, and the servers are asked.

mod order;

use std::collections::BTreeMap;

pub use self::order::{ClaimId, Fit, LeaseLimits, LeaseOrder, LeaseTurn, Load, Side};
use crate::Seconds;

/// How long a wish ([`Lease::wish`]) is remembered unless it is repeated.
const WISH_S: Seconds = 3.0;

/// The lease of one GPU.
#[derive(Debug, Clone)]
pub struct Lease {
    limits: LeaseLimits,
    claims: BTreeMap<ClaimId, Claim>,
    next: u64,
    /// Whether a side may have something loaded, by side.
    resident: [bool; 2],
    /// What a side loaded last.
    last: [Option<Load>; 2],
    /// Loads, by side, that were found to fit beside each other.
    pair: Option<[Load; 2]>,
    /// What was found not to fit: a side's load beside what the other had loaded last.
    tight: [Option<(Load, Option<Load>)>; 2],
    /// When a side's newest user left.
    left: [Seconds; 2],
    wishes: [Option<Wish>; 2],
    /// What somebody is doing for the lease now.
    busy: Option<Busy>,
    switches: u64,
}

#[derive(Debug, Clone, Copy)]
struct Claim {
    side: Side,
    load: Load,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Stage {
    /// It will ask.
    Announced,
    /// Since when.
    Waits(Seconds),
    Runs,
}

/// Work that would come if it could.
#[derive(Debug, Clone, Copy)]
struct Wish {
    load: Load,
    since: Seconds,
    until: Seconds,
}

#[derive(Debug, Clone, Copy)]
enum Busy {
    Looking { side: Side, load: Load },
    Evicting(Side),
}

impl Lease {
    /// A lease of which nothing is known yet.
    pub fn new(limits: LeaseLimits) -> Self {
        Self {
            limits,
            claims: BTreeMap::new(),
            next: 0,
            resident: [true; 2],
            last: [None; 2],
            pair: None,
            tight: [None; 2],
            left: [Seconds::NEG_INFINITY; 2],
            wishes: [None; 2],
            busy: None,
            switches: 0,
        }
    }

    /// A claim that will be made soon: as long as it is there, its side counts as in use.
    pub fn announce(&mut self, side: Side) -> ClaimId {
        self.enter(side, Load::UNKNOWN, Stage::Announced)
    }

    /// What runs already, such as prompts that an earlier process posted.
    pub fn adopt(&mut self, side: Side, load: Load) -> ClaimId {
        self.resident[side.at()] = true;
        self.last[side.at()] = Some(load);
        self.enter(side, load, Stage::Runs)
    }

    /// Claims the GPU for what was announced; a [`LeaseOrder::Grant`] answers.
    pub fn ask(&mut self, id: ClaimId, load: Load, now: Seconds) {
        if let Some(claim) = self.claims.get_mut(&id) {
            claim.load = load;
            claim.stage = Stage::Waits(now);
        }
    }

    /// Says that work of a side waits elsewhere until the lease is [`Lease::open`] for it. Repeat it while that is so.
    pub fn wish(&mut self, side: Side, load: Load, now: Seconds) {
        let until = now + WISH_S;
        match &mut self.wishes[side.at()] {
            Some(wish) if wish.until >= now => (wish.load, wish.until) = (load, until),
            wish => *wish = Some(Wish { load, since: now, until }),
        }
    }

    /// A claim is over, whether it ran, waited or was only announced.
    pub fn done(&mut self, id: ClaimId, now: Seconds) {
        if let Some(claim) = self.claims.remove(&id)
            && claim.stage == Stage::Runs
        {
            self.left[claim.side.at()] = now;
        }
    }

    /// Answers [`LeaseOrder::Look`].
    pub fn looked(&mut self, fit: Fit) {
        let Some(Busy::Looking { side, load }) = self.busy.take() else { return };
        let other = side.other();
        let fit = match fit {
            // What has just begun there may not be seen yet.
            Fit::Empty if self.runs(other) > 0 => Fit::Tight,
            fit => fit,
        };
        match fit {
            Fit::Empty => self.resident[other.at()] = false,
            Fit::Fits => {
                let beside = *self.last[other.at()].get_or_insert(Load::UNKNOWN);
                let mut pair = [load; 2];
                pair[other.at()] = beside;
                self.pair = Some(pair);
            }
            Fit::Tight => self.tight[side.at()] = Some((load, self.last[other.at()])),
        }
    }

    /// Answers [`LeaseOrder::Evict`], also when it failed: whoever waits goes on then.
    pub fn evicted(&mut self, now: Seconds) {
        let Some(Busy::Evicting(side)) = self.busy.take() else { return };
        self.resident[side.at()] = false;
        self.switches += 1;
        self.reconsider();
        // Its turn is over: who waits there waits from now on.
        for claim in self.claims.values_mut().filter(|claim| claim.side == side) {
            if let Stage::Waits(since) = &mut claim.stage {
                *since = now;
            }
        }
        if let Some(wish) = &mut self.wishes[side.at()] {
            wish.since = now;
        }
    }

    /// What was found out about what fits does not hold any more.
    pub fn reconsider(&mut self) {
        self.pair = None;
        self.tight = [None; 2];
    }

    /// What is to be done now. Call it after every change, and at the time it names.
    pub fn advance(&mut self, now: Seconds) -> LeaseTurn {
        let mut orders = Vec::new();
        if self.busy.is_some() {
            return LeaseTurn { orders, wake_at: None };
        }
        let mut waiting: Vec<(Seconds, ClaimId)> = self
            .claims
            .iter()
            .filter_map(|(id, claim)| match claim.stage {
                Stage::Waits(since) => Some((since, *id)),
                _ => None,
            })
            .collect();
        // Who waits longest: after an eviction that is the side for which it was made.
        waiting.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for (_, id) in waiting {
            let claim = self.claims[&id];
            if self.may_run(claim.side, claim.load) && !self.must_yield(claim.side, now) {
                self.grant(id);
                orders.push(LeaseOrder::Grant(id));
            }
        }
        if let Some(busy) = self.next_step(now) {
            orders.push(match busy {
                Busy::Looking { side, load } => {
                    let other = side.other();
                    LeaseOrder::Look { side, load, beside: self.last[other.at()], other_runs: self.runs(other) > 0 }
                }
                Busy::Evicting(side) => LeaseOrder::Evict(side),
            });
            self.busy = Some(busy);
            return LeaseTurn { orders, wake_at: None };
        }
        LeaseTurn { orders, wake_at: self.wake_at(now) }
    }

    /// Whether work of a side that came now would run, at once or after an eviction that begins at once.
    pub fn open(&self, side: Side, now: Seconds) -> bool {
        let other = side.other();
        if self.must_yield(side, now) {
            return false;
        }
        if !self.resident[other.at()] || self.pair.is_some_and(|pair| self.last[other.at()] == Some(pair[other.at()])) {
            return true;
        }
        // Whether it fits is found out for a wish or a claim.
        let known = self.tight[side.at()].is_some();
        let evicting = matches!(self.busy, Some(Busy::Evicting(evicted)) if evicted == other);
        evicting || (known && self.runs(other) == 0 && (self.over(side, now) || self.quiet(other, now)))
    }

    /// Whether a side may have something loaded.
    pub fn resident(&self, side: Side) -> bool {
        self.resident[side.at()]
    }

    /// Whether what both sides loaded last was found to fit.
    pub fn fits_both(&self) -> bool {
        self.pair.is_some_and(|pair| self.last == pair.map(Some))
    }

    /// Claims of a side that run.
    pub fn runs(&self, side: Side) -> usize {
        self.count(side, |stage| stage == Stage::Runs)
    }

    /// Claims of a side that wait for the GPU, or will ask for it.
    pub fn waits(&self, side: Side) -> usize {
        self.count(side, |stage| stage != Stage::Runs)
    }

    /// Evictions so far.
    pub fn switches(&self) -> u64 {
        self.switches
    }

    fn enter(&mut self, side: Side, load: Load, stage: Stage) -> ClaimId {
        let id = ClaimId(self.next);
        self.next += 1;
        self.claims.insert(id, Claim { side, load, stage });
        id
    }

    fn grant(&mut self, id: ClaimId) {
        let Some(claim) = self.claims.get_mut(&id) else { return };
        claim.stage = Stage::Runs;
        let at = claim.side.at();
        self.resident[at] = true;
        self.last[at] = Some(claim.load);
        // What was wished for has come.
        self.wishes[at] = None;
    }

    fn count(&self, side: Side, stage: impl Fn(Stage) -> bool) -> usize {
        self.claims.values().filter(|claim| claim.side == side && stage(claim.stage)).count()
    }

    /// Whether a load may be brought in beside what is there.
    fn may_run(&self, side: Side, load: Load) -> bool {
        let other = side.other();
        !self.resident[other.at()]
            || self.pair.is_some_and(|pair| pair[side.at()] == load && self.last[other.at()] == Some(pair[other.at()]))
    }

    /// The oldest claim or wish of a side that may not run: since when it waits, what it loads, whether it is a claim.
    fn blocked(&self, side: Side, now: Seconds) -> Option<(Seconds, Load, bool)> {
        let claims = self.claims.values().filter(|claim| claim.side == side);
        let claim = claims
            .filter_map(|claim| match claim.stage {
                Stage::Waits(since) if !self.may_run(side, claim.load) => Some((since, claim.load, true)),
                _ => None,
            })
            .min_by(|a, b| a.0.total_cmp(&b.0));
        let wish = self.wishes[side.at()]
            .filter(|wish| wish.until >= now && !self.may_run(side, wish.load))
            .map(|wish| (wish.since, wish.load, false));
        match (claim, wish) {
            (Some(claim), Some(wish)) => Some((claim.0.min(wish.0), claim.1, true)),
            (claim, wish) => claim.or(wish),
        }
    }

    /// Whether a side has waited its limit.
    fn over(&self, side: Side, now: Seconds) -> bool {
        self.blocked(side, now).is_some_and(|(since, ..)| now >= since + self.limit(side))
    }

    /// Whether a side gets nothing new, since the other has waited long enough for it.
    fn must_yield(&self, side: Side, now: Seconds) -> bool {
        let Some((theirs, ..)) = self.blocked(side.other(), now).filter(|_| self.over(side.other(), now)) else {
            return false;
        };
        self.blocked(side, now).is_none_or(|(ours, ..)| ours > theirs)
    }

    /// Whether a side has had nothing to do for a moment.
    fn quiet(&self, side: Side, now: Seconds) -> bool {
        // Who may not run either keeps nobody away.
        let idle = self.runs(side) == 0 && (self.waits(side) == 0 || self.blocked(side, now).is_some());
        idle && now >= self.left[side.at()] + self.limits.linger
    }

    fn limit(&self, side: Side) -> Seconds {
        match side {
            Side::Llm => self.limits.llm_wait,
            Side::Comfy => self.limits.comfy_wait,
        }
    }

    fn next_step(&self, now: Seconds) -> Option<Busy> {
        let mut blocked: Vec<_> =
            Side::BOTH.into_iter().filter_map(|side| Some((side, self.blocked(side, now)?))).collect();
        blocked.sort_by(|a, b| a.1.0.total_cmp(&b.1.0));
        for (side, (_, load, claimed)) in blocked {
            let other = side.other();
            if self.tight[side.at()] != Some((load, self.last[other.at()])) {
                return Some(Busy::Looking { side, load });
            }
            if claimed && self.runs(other) == 0 && (self.over(side, now) || self.quiet(other, now)) {
                return Some(Busy::Evicting(other));
            }
        }
        None
    }

    /// When something changes by time alone.
    fn wake_at(&self, now: Seconds) -> Option<Seconds> {
        let mut at: Option<Seconds> = None;
        let mut by = |time: Seconds| {
            if time > now {
                at = Some(at.map_or(time, |known| known.min(time)));
            }
        };
        for side in Side::BOTH {
            if let Some((since, ..)) = self.blocked(side, now) {
                by(since + self.limit(side));
                by(self.left[side.other().at()] + self.limits.linger);
            }
            if let Some(wish) = self.wishes[side.at()] {
                by(wish.until + 0.001);
            }
        }
        at
    }
}

#[cfg(test)]
mod tests;
