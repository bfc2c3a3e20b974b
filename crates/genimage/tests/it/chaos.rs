//! Everything breaks, again and again: servers die, hang, drop their sockets, restart empty and answer
//! nonsense, and the hub is killed. In the end every job has ended once, and nobody got less or more than
//! asked for.
//!
//! The storm is drawn from a seed, which is printed; `CHAOS_SEED=n` repeats one (as far as timing lets it).
//! The long form: `cargo test -p genimage --test it -- --ignored --nocapture chaos`; with
//! `CHAOS_DATABASE_URL=postgres://…` on an empty PostgreSQL database.

#![expect(clippy::print_stdout, reason = "what a storm did is worth telling")]

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
    sync::{
        Arc, RwLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use hub_core::{job::Job, server::NewServer};
use hub_sim::{ComfyConfig, ComfySim, Fault, Outcome};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    data,
    hub::{Hub, client, serve},
};

const SERVERS: usize = 4;
/// Longest time for what is left when the storm is over.
const CALM_LIMIT: Duration = Duration::from_mins(3);

/// How bad it gets.
#[derive(Clone, Copy)]
struct Storm {
    jobs: usize,
    kills: u32,
    lasts: Duration,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_storm_loses_nothing_and_doubles_nothing() {
    weather(Storm { jobs: 60, kills: 2, lasts: Duration::from_secs(9) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes three minutes; see the head of this file"]
async fn chaos_loses_nothing_and_doubles_nothing() {
    weather(Storm { jobs: 500, kills: 5, lasts: Duration::from_secs(150) }).await;
}

/// Where the hub is reached now; it moves with every start.
#[derive(Clone, Default)]
struct Address(Arc<RwLock<String>>);

impl Address {
    fn get(&self) -> String {
        self.0.read().unwrap().clone()
    }

    fn set(&self, url: &str) {
        url.clone_into(&mut self.0.write().unwrap());
    }
}

/// The pool: servers of different speeds.
async fn servers() -> Vec<ComfySim> {
    let mut sims = Vec::new();
    for n in 0..SERVERS as u64 {
        let config = ComfyConfig { run_ms: 150 + 60 * n, jitter: 0.5, seed: n, ..ComfyConfig::default() };
        sims.push(ComfySim::start(([127, 0, 0, 1], 0).into(), config).await.unwrap());
    }
    sims
}

async fn weather(storm: Storm) {
    let seed = std::env::var("CHAOS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    println!("CHAOS_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let sims = servers().await;
    start(folder.path()).terminate();
    register(folder.path(), &sims).await;

    let begun = Instant::now();
    let address = Address::default();
    let hub = start(folder.path());
    address.set(&hub.url);
    let over = CancellationToken::new();
    let unanswered = Arc::new(AtomicU32::new(0));
    let demons: Vec<_> = sims
        .into_iter()
        .map(|sim| tokio::spawn(torment(sim, StdRng::seed_from_u64(random.random()), over.clone())))
        .collect();
    let callers: Vec<_> = (0..storm.jobs)
        .map(|n| {
            let random = StdRng::seed_from_u64(random.random());
            let (address, unanswered) = (address.clone(), unanswered.clone());
            let caller = Caller { n, address, http: client(), random, unanswered };
            tokio::spawn(caller.want_a_picture(storm.lasts.mul_f64(0.9)))
        })
        .collect();

    let hub = kill_now_and_then(storm, hub, folder.path(), &address, &mut random).await;
    over.cancel();
    let mut sims = Vec::new();
    for demon in demons {
        sims.push(demon.await.unwrap());
    }
    let calm = Instant::now();
    let answers = answers(callers, calm, &hub, seed).await;
    let (stormed, settled) = (calm - begun, calm.elapsed());
    assert_eq!(answers.len(), storm.jobs);

    // Prompts that nobody waits for are taken off before they run on for nothing.
    hub.wait_for("/api/v1/servers", |servers| {
        servers["servers"].as_array().unwrap().iter().all(|server| server["queue_remaining"] == 0)
    })
    .await;
    hub.terminate();
    let jobs = data::jobs(&data::store(folder.path()).await).await;
    assert_eq!(jobs.len(), storm.jobs, "CHAOS_SEED={seed}: no key made two jobs");
    for job in &jobs {
        assert!(answers.contains_key(&job.id.to_string()), "CHAOS_SEED={seed}: {job:?} is nobody's");
    }
    data::assert_agrees(folder.path()).await;
    let attempts: u32 = jobs.iter().map(|job| job.attempts).sum();
    let (runs, again) = runs(&sims);
    println!(
        "{} jobs, {} kills, {attempts} attempts, {runs} good runs of which {again} for jobs that had one before, \
         {} calls without answer; storm {stormed:.1?}, settled {settled:.1?} later",
        storm.jobs,
        storm.kills,
        unanswered.load(Ordering::Relaxed),
    );
    for (why, times) in wasted(folder.path(), &jobs, &sims).await {
        println!("{times} good runs came to nothing: {why}");
    }
}

/// What every caller got, job by job, once all have it.
async fn answers(
    callers: Vec<JoinHandle<(String, String)>>,
    calm: Instant,
    hub: &Hub,
    seed: u64,
) -> HashMap<String, String> {
    let mut answers = HashMap::new();
    for caller in callers {
        let answer = tokio::time::timeout_at((calm + CALM_LIMIT).into(), caller);
        let Ok(answer) = answer.await else {
            panic!("CHAOS_SEED={seed}: jobs are left: {}", hub.get("/api/v1/jobs?state=active").await)
        };
        let (id, file) = answer.unwrap();
        assert_eq!(answers.insert(id, file), None, "CHAOS_SEED={seed}: two callers got one job");
    }
    answers
}

/// Stores the servers as an operator would who wants hung prompts moved soon.
async fn register(folder: &Path, sims: &[ComfySim]) {
    let store = data::store(folder).await;
    for (n, sim) in sims.iter().enumerate() {
        let new = NewServer::named(format!("gpu-{n}"), sim.url().parse().unwrap());
        let mut server = store.server_insert(&new).await.unwrap();
        (server.stall_limit_s, server.run_limit_s) = (2, 10);
        assert!(store.server_update(&server).await.unwrap());
    }
    store.close().await.unwrap();
}

fn start(folder: &Path) -> Hub {
    let mut command = serve(folder);
    command
        .env("GENIMAGE_DATABASE_URL", data::database_url(folder))
        .env("GENIMAGE__SERVERS__PROBE_INTERVAL_S", "1")
        .env("GENIMAGE__SERVERS__POLL_INTERVAL_S", "1")
        // In such weather an attempt fails for nothing more often than not.
        .env("GENIMAGE__QUEUE__ATTEMPTS_MAX", "1000");
    Hub::run(command)
}

async fn kill_now_and_then(storm: Storm, mut hub: Hub, folder: &Path, address: &Address, random: &mut StdRng) -> Hub {
    let between = storm.lasts / (storm.kills + 1);
    for _ in 0..storm.kills {
        tokio::time::sleep(between.mul_f64(random.random_range(0.7..1.0))).await;
        hub.kill();
        data::age_half_written(folder);
        tokio::time::sleep(Duration::from_millis(random.random_range(0..400))).await;
        hub = start(folder);
        address.set(&hub.url);
        println!("the hub was killed and started again");
    }
    tokio::time::sleep(between).await;
    hub
}

/// One server's bad luck, until the storm is over and it is well again.
async fn torment(mut sim: ComfySim, mut random: StdRng, over: CancellationToken) -> ComfySim {
    let pause = |millis: u64| {
        let over = over.clone();
        async move {
            tokio::select! {
                () = over.cancelled() => {}
                () = tokio::time::sleep(Duration::from_millis(millis)) => {}
            }
        }
    };
    while !over.is_cancelled() {
        pause(random.random_range(200..2000)).await;
        match random.random_range(0..10) {
            0 => {
                sim.kill().await;
                pause(random.random_range(50..2500)).await;
                sim.restart().await;
            }
            1 => sim.restart().await,
            2 => {
                sim.freeze();
                pause(random.random_range(300..4000)).await;
                sim.thaw();
            }
            3 => sim.drop_sockets(),
            4 => {
                let routes = ["GET /history", "GET /view", "GET /queue", "POST /prompt", "GET /prompt", "POST /jobs"];
                let route = routes[random.random_range(0..routes.len())].to_owned();
                let status = [500, 502, 503][random.random_range(0..3)];
                sim.inject(Fault::Http { route, status, body: "oops".to_owned() }.next(random.random_range(1..6)));
            }
            5 => sim.inject(Fault::QueuedBut500),
            6 => sim.inject(Fault::AcceptThenTimeout),
            7 => sim.inject(Fault::Deaf),
            8 => {
                sim.inject(Fault::Hang);
                pause(random.random_range(500..4000)).await;
                // Its worker is stuck; only a restart helps.
                sim.restart().await;
            }
            _ => {
                sim.inject(Fault::ZombieWorker);
                pause(random.random_range(500..4000)).await;
                sim.restart().await;
            }
        }
    }
    sim.clear_faults();
    sim.restart().await;
    sim
}

/// Somebody who wants one picture and asks until it is there.
struct Caller {
    n: usize,
    address: Address,
    http: reqwest::Client,
    random: StdRng,
    unanswered: Arc<AtomicU32>,
}

impl Caller {
    /// Asks at some time within `within`; answers the job's id and where its picture is.
    async fn want_a_picture(mut self, within: Duration) -> (String, String) {
        tokio::time::sleep(within.mul_f64(self.random.random())).await;
        let call = json!({
            "tool": "generate_image",
            "arguments": { "prompt": format!("picture {}", self.n), "render_type": "smoke", "enhance": false,
                "width": 256, "height": 256 },
            "idempotency_key": format!("key-{}", self.n),
        });
        let id = self.until_answered("/api/v1/jobs", Some(&call)).await["id"].as_str().unwrap().to_owned();
        if self.random.random_bool(0.3) {
            // The answer got lost, as far as this one knows.
            let again = self.until_answered("/api/v1/jobs", Some(&call)).await;
            assert_eq!(again["id"], id.as_str(), "the same key is the same job");
        }
        let path = format!("/api/v1/jobs/{id}");
        let job = loop {
            let job = self.until_answered(&path, None).await;
            match job["state"].as_str().unwrap() {
                "succeeded" => break job,
                "failed" | "cancelled" | "expired" => panic!("a job was given up: {job}"),
                _ => tokio::time::sleep(Duration::from_millis(self.random.random_range(100..400))).await,
            }
        };
        let images = job["images"].as_array().unwrap();
        assert_eq!(images.len(), 1, "{job}");
        let url = images[0]["url"].as_str().unwrap();
        let file = &url[url.find("/outputs/").unwrap()..];
        loop {
            let answer = self.http.get(format!("{}{file}", self.address.get())).send().await;
            if let Ok(answer) = answer
                && answer.status().is_success()
                && let Ok(bytes) = answer.bytes().await
            {
                let picture = image::load_from_memory(&bytes).unwrap();
                assert_eq!((picture.width(), picture.height()), (256, 256));
                return (id, file.to_owned());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn until_answered(&mut self, path: &str, body: Option<&Value>) -> Value {
        loop {
            let url = format!("{}{path}", self.address.get());
            let request = match body {
                Some(body) => self.http.post(url).json(body),
                None => self.http.get(url),
            };
            match request.send().await {
                Ok(answer) if answer.status().is_success() => {
                    if let Ok(answer) = answer.json().await {
                        return answer;
                    }
                }
                Ok(answer) if answer.status().is_client_error() && answer.status() != 429 => {
                    panic!("{path}: {} {}", answer.status(), answer.text().await.unwrap())
                }
                _ => {}
            }
            self.unanswered.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(self.random.random_range(50..200))).await;
        }
    }
}

/// Why attempts whose prompts ran to a good end did not end their jobs, with how often.
async fn wasted(folder: &Path, jobs: &[Job], sims: &[ComfySim]) -> BTreeMap<String, u32> {
    let mut good = HashSet::new();
    for sim in sims {
        let well = sim.stats().executed.into_iter().filter(|run| run.outcome == Outcome::Success);
        good.extend(well.map(|run| run.prompt_id));
    }
    let store = data::store(folder).await;
    let mut reasons = BTreeMap::new();
    for job in jobs {
        for row in store.job_attempts(job.id).await.unwrap() {
            let outcome = row.outcome.unwrap_or_default();
            if outcome != "succeeded" && good.contains(&row.attempt.prompt_id.to_string()) {
                let why = row.error.map(|error| error.message).unwrap_or_default();
                let why: String = why.chars().filter(|c| !c.is_ascii_digit()).collect();
                *reasons.entry(format!("{outcome}: {why}")).or_default() += 1;
            }
        }
    }
    store.close().await.unwrap();
    reasons
}

/// Prompts that ran to a good end, and how many of them ran for a job for which one had before.
fn runs(sims: &[ComfySim]) -> (usize, usize) {
    let (mut runs, mut jobs) = (0, HashSet::new());
    for sim in sims {
        for run in sim.stats().executed.iter().filter(|run| run.outcome == Outcome::Success) {
            runs += 1;
            let prefix =
                run.graph.as_object().unwrap().values().find_map(|node| node["inputs"]["filename_prefix"].as_str());
            jobs.insert(prefix.unwrap().to_owned());
        }
    }
    (runs, runs - jobs.len())
}
