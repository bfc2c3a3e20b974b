//! What is played: servers, jobs, and when they come.

use hub_core::{
    caller::Caller,
    ids::{JobId, ServerId, WorkflowId},
};
use hub_schedule::{Kind, ModelSet, WorkClass};
use uuid::Uuid;

/// A server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Server {
    pub(crate) id: ServerId,
    /// Divides run and load times.
    pub(crate) speed: f64,
}

/// A job.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) id: JobId,
    pub(crate) caller: Caller,
    pub(crate) kind: Kind,
    /// Run time on a server of speed 1, in seconds.
    pub(crate) run: f64,
    pub(crate) arrives: f64,
}

/// A pool and what comes to it.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    pub(crate) name: String,
    pub(crate) servers: Vec<Server>,
    /// In order of arrival.
    pub(crate) jobs: Vec<Job>,
    /// Load time on a server of speed 1, in seconds.
    pub(crate) load: f64,
    pub(crate) max_in_flight: u32,
}

/// Small numbers that look random and are the same every time.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// From 0 to `count` - 1.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % count as u64).unwrap_or(0)
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}

/// How jobs come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// All at once, by model.
    Ordered,
    /// All at once, mixed.
    Shuffled,
    /// Mixed, in bursts with pauses.
    Bursty,
}

fn uuid(space: u64, number: usize) -> Uuid {
    Uuid::from_u128((u128::from(space) << 64) | number as u128)
}

/// The kind of jobs that need model `number`; 0 needs none.
pub(crate) fn kind(number: usize) -> Kind {
    let class = WorkClass::new(WorkflowId::from_uuid(uuid(1, number)), None, None, 1);
    let models = (number as u128).to_le_bytes();
    Kind::new(class, ModelSet::from_digest(models))
}

pub(crate) fn servers(speeds: &[f64]) -> Vec<Server> {
    let server = |(at, speed): (usize, &f64)| Server { id: ServerId::from_uuid(uuid(2, at)), speed: *speed };
    speeds.iter().enumerate().map(server).collect()
}

/// Numbers the jobs by arrival.
pub(crate) fn jobs(list: impl IntoIterator<Item = (Caller, Kind, f64, f64)>) -> Vec<Job> {
    let mut jobs: Vec<Job> = list
        .into_iter()
        .map(|(caller, kind, run, arrives)| Job { id: JobId::from_uuid(uuid(3, 0)), caller, kind, run, arrives })
        .collect();
    jobs.sort_by(|a, b| a.arrives.total_cmp(&b.arrives));
    for (number, job) in jobs.iter_mut().enumerate() {
        job.id = JobId::from_uuid(uuid(3, number));
    }
    jobs
}

/// `count` jobs over `models` models (0: none) and `callers` callers.
pub(crate) fn mixed(
    name: &str,
    speeds: &[f64],
    (count, models, callers): (usize, usize, usize),
    (run, load): (f64, f64),
    arrival: Arrival,
) -> Scene {
    let mut dice = Dice::new(count as u64 + 31 * speeds.len() as u64);
    let mut numbers: Vec<usize> = (0..count).map(|at| if models == 0 { 0 } else { 1 + at * models / count }).collect();
    if arrival != Arrival::Ordered {
        dice.shuffle(&mut numbers);
    }
    let capacity: f64 = speeds.iter().sum();
    let burst = (count / 10).max(1);
    let list = numbers.iter().enumerate().map(|(at, number)| {
        let caller = Caller::named(&format!("caller-{}", at % callers));
        // A burst takes the pool about as long as the pause before the next one.
        let arrives = match arrival {
            Arrival::Bursty => (at / burst) as f64 * burst as f64 * run / capacity * 0.9,
            Arrival::Ordered | Arrival::Shuffled => 0.0,
        };
        (caller, kind(*number), run, arrives)
    });
    let jobs = jobs(list.collect::<Vec<_>>());
    Scene { name: name.to_owned(), servers: servers(speeds), jobs, load, max_in_flight: 2 }
}

/// 3 servers, 3 models, 18 jobs, all at once.
pub(crate) fn three_by_three(seed: u64) -> Scene {
    let mut numbers: Vec<usize> = (0..18).map(|at| 1 + at % 3).collect();
    Dice::new(seed).shuffle(&mut numbers);
    let list = numbers.iter().map(|number| (Caller::local(), kind(*number), 0.2, 0.0));
    let jobs = jobs(list.collect::<Vec<_>>());
    Scene { name: "3 models on 3".to_owned(), servers: servers(&[1.0; 3]), jobs, load: 1.0, max_in_flight: 2 }
}

/// Caller A has 32 jobs, B and C come a moment later with 3 each.
pub(crate) fn greedy(speeds: &[f64], models: [usize; 3], load: f64) -> Scene {
    let of = |name: &str, number: usize, count: usize, arrives: f64| {
        vec![(Caller::named(name), kind(number), 0.2, arrives); count]
    };
    let [a, b, c] = models;
    let list = [of("A", a, 32, 0.0), of("B", b, 3, 0.05), of("C", c, 3, 0.05)].concat();
    let name = format!("A 32, B 3, C 3 on {}", speeds.len());
    Scene { name, servers: servers(speeds), jobs: jobs(list), load, max_in_flight: 2 }
}

/// Everything that the report shows.
pub(crate) fn all(quick: bool) -> Vec<Scene> {
    let mut scenes = vec![three_by_three(1)];
    for (pool, speeds) in [("4 equal", vec![1.0; 4]), ("1x 2x 4x", vec![1.0, 2.0, 4.0])] {
        for arrival in [Arrival::Ordered, Arrival::Shuffled, Arrival::Bursty] {
            let name = format!("{pool}, {arrival:?}");
            scenes.push(mixed(&name, &speeds, (200, 0, 3), (1.0, 0.0), arrival));
        }
        let name = format!("{pool}, 3 models");
        scenes.push(mixed(&name, &speeds, (200, 3, 3), (1.0, 5.0), Arrival::Shuffled));
    }
    scenes.push(greedy(&[1.0], [0, 0, 0], 0.0));
    scenes.push(greedy(&[1.0; 3], [1, 2, 3], 1.0));
    scenes.push(mixed("1 server, 4 models", &[1.0], (100, 4, 2), (0.5, 4.0), Arrival::Shuffled));
    scenes.push(mixed("10 servers", &[1.0; 10], (1000, 5, 10), (1.0, 5.0), Arrival::Shuffled));
    scenes.push(mixed("100 servers", &[1.0; 100], (2000, 20, 50), (2.0, 10.0), Arrival::Bursty));
    if !quick {
        let speeds: Vec<f64> = (0..1000).map(|at| [0.5, 1.0, 1.0, 2.0][at % 4]).collect();
        scenes.push(mixed("1000 servers", &speeds, (10_000, 50, 100), (3.0, 10.0), Arrival::Shuffled));
        scenes.push(mixed("1000 servers, bursty", &speeds, (10_000, 50, 100), (3.0, 10.0), Arrival::Bursty));
    }
    scenes
}
