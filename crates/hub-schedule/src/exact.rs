//! The best plan for few jobs, by search.
//!
//! First the plan after which everything ends soonest is found, then, among those that end no later, the one
//! with the shortest waits and the fewest loads. Both searches branch and bound, and stop at a number of steps, keeping the best
//! they have: the first they find is what taking the jobs one by one gives.

use crate::{
    Seconds,
    eta::View,
    fair::Turn,
    queue::{KindId, Queue},
};

/// Jobs that are planned by search.
pub(crate) const JOBS_MAX: usize = 8;
/// Steps of one search.
const STEPS_MAX: u32 = 3000;
/// Share of the end within which plans count as ending together.
const TOGETHER: f64 = 0.04;

/// One server as far as the search goes.
#[derive(Debug)]
struct Seat {
    at: usize,
    work: Seconds,
    weight: f64,
    /// Model sets loaded there, by bit; the resident one and those planned.
    loaded: u16,
    resident: u16,
    jobs: Vec<usize>,
}

/// One job as far as the search goes: what it costs on each seat.
#[derive(Debug)]
struct Task {
    kind: KindId,
    set: u16,
    /// Load (if not loaded) and run, by seat.
    costs: Vec<(Seconds, Seconds)>,
    /// Seats worth trying.
    seats: Vec<usize>,
}

struct Search {
    tasks: Vec<Task>,
    order: Vec<usize>,
    seats: Vec<Seat>,
    chosen: Vec<usize>,
    best: Option<Vec<usize>>,
    best_end: Seconds,
    best_sum: Seconds,
    /// Second search: ends up to here are fine, the sum counts.
    limit: Option<Seconds>,
    steps: u32,
}

/// The plan: jobs (by index into `turns`) with their places, in the order in which each place is to get them.
pub(crate) fn plan(view: &mut View<'_>, queue: &Queue, turns: &[Turn]) -> Vec<(usize, usize)> {
    match turns {
        [] => return Vec::new(),
        [only] => return view.best(queue, only.kind, false).map(|at| (0, at)).into_iter().collect(),
        _ => {}
    }
    let mut search = Search::new(view, queue, turns);
    search.run(0, 0.0, 0.0);
    let end = search.best_end;
    search.limit = Some(end * (1.0 + TOGETHER) + 1e-9);
    (search.steps, search.best_sum) = (0, Seconds::INFINITY);
    search.run(0, 0.0, 0.0);
    let Some(best) = search.best.take() else { return Vec::new() };
    for (task, seat) in best.into_iter().enumerate() {
        search.seats[seat].jobs.push(task);
    }
    let mut planned = Vec::with_capacity(turns.len());
    for seat in 0..search.seats.len() {
        let at = search.seats[seat].at;
        planned.extend(search.in_sequence(seat).into_iter().map(|task| (task, at)));
    }
    planned
}

impl Search {
    fn new(view: &mut View<'_>, queue: &Queue, turns: &[Turn]) -> Self {
        let mut places: Vec<usize> = Vec::new();
        let mut ranked: Vec<(KindId, Vec<usize>)> = Vec::new();
        for turn in turns {
            if ranked.iter().all(|(kind, _)| *kind != turn.kind) {
                let best = view.ranked(queue, turn.kind, turns.len());
                places.extend(best.iter().copied());
                ranked.push((turn.kind, best));
            }
        }
        places.sort_unstable();
        places.dedup();
        let bits: Vec<KindId> = ranked.iter().map(|(kind, _)| *kind).collect();
        let set_of = |kind: KindId| {
            // Kinds that need the same models share the bit of the first of them; none needs no bit.
            let models = queue.kind_at(kind).models;
            let first = bits.iter().position(|other| queue.kind_at(*other).models == models).unwrap_or(0);
            if models.is_none() { 0 } else { 1_u16 << first }
        };
        let mut seats = Vec::with_capacity(places.len());
        for &at in &places {
            let resident = bits
                .iter()
                .filter(|kind| view.is_warm(queue, **kind, at))
                .fold(0_u16, |loaded, kind| loaded | set_of(*kind));
            let weight = view.places[at].weight.max(f64::MIN_POSITIVE);
            seats.push(Seat { at, work: view.state.work[at], weight, loaded: resident, resident, jobs: Vec::new() });
        }
        let tasks: Vec<Task> = turns
            .iter()
            .map(|turn| {
                let costs = places.iter().map(|at| view.full_cost(queue, turn.kind, *at)).collect();
                let best = ranked.iter().find(|(kind, _)| *kind == turn.kind).map(|(_, best)| best.as_slice());
                let seat = |at: &usize| places.binary_search(at).ok();
                Task {
                    kind: turn.kind,
                    set: set_of(turn.kind),
                    costs,
                    seats: best.unwrap_or_default().iter().filter_map(seat).collect(),
                }
            })
            .collect();
        // The longest first: what is bound early prunes most. Equal kinds stay together.
        let longest = |task: &Task| task.seats.iter().map(|seat| task.costs[*seat].1).fold(Seconds::INFINITY, f64::min);
        let mut order: Vec<usize> = (0..tasks.len()).collect();
        order.sort_by(|a, b| {
            let (a, b) = (*a, *b);
            longest(&tasks[b]).total_cmp(&longest(&tasks[a])).then(tasks[a].kind.cmp(&tasks[b].kind)).then(a.cmp(&b))
        });
        Self {
            chosen: vec![0; tasks.len()],
            tasks,
            order,
            seats,
            best: None,
            best_end: Seconds::INFINITY,
            best_sum: Seconds::INFINITY,
            limit: None,
            steps: 0,
        }
    }

    /// Places the rest of the tasks, from `depth` on. `end`: when those placed are done; `sum`: a lower bound
    /// of the sum of their ends.
    fn run(&mut self, depth: usize, end: Seconds, sum: Seconds) {
        if depth == self.order.len() {
            return self.leaf(end);
        }
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return;
        }
        let task = self.order[depth];
        let twin = depth.checked_sub(1).map(|before| self.order[before]);
        let twin = twin.filter(|twin| self.tasks[*twin].kind == self.tasks[task].kind).map(|twin| self.chosen[twin]);
        let mut options: Vec<(Seconds, Seconds, usize)> = Vec::with_capacity(self.tasks[task].seats.len());
        for &seat in &self.tasks[task].seats {
            let (load, run) = self.tasks[task].costs[seat];
            let Seat { work, weight, loaded, .. } = self.seats[seat];
            let set = self.tasks[task].set;
            let cost = if set & loaded == set { run } else { load + run };
            options.push(((work + cost) / weight, cost, seat));
        }
        options.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (done, cost, seat) in options {
            // Interchangeable jobs are placed in one order of seats only.
            let mirrored = twin.is_some_and(|twin| seat < twin);
            let end = end.max(done);
            if mirrored || self.is_worse(end, sum) {
                continue;
            }
            let before = (self.seats[seat].work, self.seats[seat].loaded);
            self.seats[seat].work += cost;
            self.seats[seat].loaded |= self.tasks[task].set;
            self.chosen[task] = seat;
            self.run(depth + 1, end, sum + cost / self.seats[seat].weight);
            (self.seats[seat].work, self.seats[seat].loaded) = before;
        }
    }

    fn is_worse(&self, end: Seconds, sum: Seconds) -> bool {
        match self.limit {
            None => end >= self.best_end,
            Some(limit) => end > limit || sum >= self.best_sum,
        }
    }

    fn leaf(&mut self, end: Seconds) {
        if self.limit.is_some() {
            let sum = self.sum();
            if sum < self.best_sum - 1e-9 {
                (self.best_sum, self.best) = (sum, Some(self.chosen.clone()));
            }
        } else if end < self.best_end {
            (self.best_end, self.best) = (end, Some(self.chosen.clone()));
        }
    }

    /// Sum of all ends under the chosen plan.
    fn sum(&mut self) -> Seconds {
        for seat in &mut self.seats {
            seat.jobs.clear();
        }
        for task in 0..self.tasks.len() {
            self.seats[self.chosen[task]].jobs.push(task);
        }
        let mut sum = 0.0;
        for seat in 0..self.seats.len() {
            if self.seats[seat].jobs.is_empty() {
                continue;
            }
            let jobs = self.in_sequence(seat);
            let Seat { work, weight, mut loaded, resident, .. } = self.seats[seat];
            // `work` holds all of them by now.
            loaded &= resident;
            let cost = |task: &Task, loaded: u16| {
                let (load, run) = task.costs[seat];
                if task.set & loaded == task.set { run } else { load + run }
            };
            let mut all = 0.0;
            let mut have = loaded;
            for task in &jobs {
                all += cost(&self.tasks[*task], have);
                have |= self.tasks[*task].set;
            }
            let mut at = work - all;
            for task in &jobs {
                let spent = cost(&self.tasks[*task], loaded);
                loaded |= self.tasks[*task].set;
                at += spent;
                // A load counts once more: others that come may need the place.
                sum += at / weight + (spent - self.tasks[*task].costs[seat].1);
            }
        }
        for seat in &mut self.seats {
            seat.jobs.clear();
        }
        sum
    }

    /// The jobs of a seat: those whose models are resident first, then by model set, each in fair order.
    fn in_sequence(&self, seat: usize) -> Vec<usize> {
        let Seat { jobs, resident, .. } = &self.seats[seat];
        let first_of = |set: u16| jobs.iter().copied().find(|task| self.tasks[*task].set == set);
        let mut sequence = jobs.clone();
        sequence.sort_by_key(|task| {
            let needed = self.tasks[*task].set;
            let is_loaded = needed & resident == needed;
            (!is_loaded, if is_loaded { None } else { first_of(needed) }, *task)
        });
        sequence
    }
}
