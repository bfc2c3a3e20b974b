//! The hub dies before and after every write to the store and every call to a server on a job's way, is
//! started again, and nobody who asked for a picture can tell.

use std::{
    collections::BTreeSet,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::{StreamExt as _, stream};
use hub_engine::CrashPoint;
use hub_sim::{
    ComfyConfig, ComfySim, Fault, Outcome,
    ollama::{OllamaConfig, OllamaFault, OllamaSim, ScriptedFault},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    data,
    hub::{Hub, PATIENCE, client, serve},
};

/// Deaths at the same time: their waits are longer than their work.
const PARALLEL: usize = 4;

/// The way of a job that leads by a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// A picture, as always.
    Picture,
    /// A picture that takes long enough for its start to be stored.
    LongPicture,
    /// Three pictures at once, of one call.
    Several,
    /// The same, when an LLM rewords their prompt.
    SeveralEnhanced,
    /// The same, cancelled while the first one runs.
    SeveralCancelled,
    /// A picture made of one that the caller sends.
    Upscale,
    /// A picture whose prompt an LLM rewords.
    Enhanced,
    /// A description by an LLM.
    Described,
    /// A description that the LLM refuses.
    Refused,
    /// A picture at which a node fails.
    NodeFails,
    /// A picture for which the memory suffices at the second try only.
    OutOfMemory,
    /// A picture for which the memory of no server suffices.
    TooLarge,
    /// A picture of which it is not known whether the server took it, and no event tells.
    Doubted,
    /// A picture that is cancelled while it runs.
    Cancelled,
    /// A picture that no server takes in time.
    Expired,
    /// A picture whose server leaves the pool while the hub is away.
    Homeless,
}

/// The ways that lead by a point.
fn ways(point: CrashPoint) -> Vec<Way> {
    let several = match point {
        CrashPoint::Insert | CrashPoint::Succeed => Some(Way::Several),
        CrashPoint::Planned => Some(Way::SeveralEnhanced),
        CrashPoint::Cancel => Some(Way::SeveralCancelled),
        _ => None,
    };
    [way(point), several].into_iter().flatten().collect()
}

fn way(point: CrashPoint) -> Option<Way> {
    Some(match point {
        CrashPoint::Insert
        | CrashPoint::Assign
        | CrashPoint::Post
        | CrashPoint::History
        | CrashPoint::View
        | CrashPoint::OutputObject
        | CrashPoint::Succeed => Way::Picture,
        CrashPoint::Started => Way::LongPicture,
        CrashPoint::Began | CrashPoint::Complete => Way::Several,
        CrashPoint::InputObject | CrashPoint::InputRow | CrashPoint::Upload => Way::Upscale,
        CrashPoint::Planned => Way::Enhanced,
        CrashPoint::TextAnswer => Way::Described,
        CrashPoint::PlanFailed => Way::Refused,
        CrashPoint::Fail => Way::NodeFails,
        CrashPoint::Free | CrashPoint::Requeue => Way::OutOfMemory,
        CrashPoint::Hopeless => Way::TooLarge,
        CrashPoint::Queue => Way::Doubted,
        CrashPoint::Cancel | CrashPoint::Withdraw => Way::Cancelled,
        CrashPoint::Expire => Way::Expired,
        CrashPoint::Homeless => Way::Homeless,
        // Their way needs two servers: see `taken_back`.
        CrashPoint::GiveBack | CrashPoint::Return => return None,
    })
}

impl Way {
    fn call(self) -> Value {
        let picture = || {
            let mut png = std::io::Cursor::new(Vec::new());
            image::DynamicImage::new_rgb8(24, 16).write_to(&mut png, image::ImageFormat::Png).unwrap();
            format!("data:image/png;base64,{}", STANDARD.encode(png.into_inner()))
        };
        let (tool, arguments) = match self {
            Self::Upscale => ("upscale_image", json!({ "image": picture(), "render_type": "smoke-upscale" })),
            Self::Described | Self::Refused => ("describe_image", json!({ "image": picture() })),
            _ => (
                "generate_image",
                json!({ "prompt": "a fox", "render_type": "smoke", "n": self.pictures(), "width": 256, "height": 256,
                    "enhance": matches!(self, Self::Enhanced | Self::SeveralEnhanced) }),
            ),
        };
        json!({ "tool": tool, "arguments": arguments, "idempotency_key": "once" })
    }

    fn needs_llm(self) -> bool {
        matches!(self, Self::Enhanced | Self::SeveralEnhanced | Self::Described | Self::Refused)
    }

    fn pictures(self) -> usize {
        if matches!(self, Self::Several | Self::SeveralEnhanced | Self::SeveralCancelled) { 3 } else { 1 }
    }

    /// How the job must end.
    fn end(self) -> &'static str {
        match self {
            Self::Refused | Self::NodeFails | Self::TooLarge => "failed",
            Self::Cancelled | Self::SeveralCancelled => "cancelled",
            Self::Expired => "expired",
            _ => "succeeded",
        }
    }

    /// Prompts that must have run to a good end.
    fn runs(self) -> usize {
        if self.end() == "succeeded" && self != Self::Described { self.pictures() } else { 0 }
    }
}

/// Everything that one death needs.
struct Stage {
    way: Way,
    folder: TempDir,
    sim: ComfySim,
    llm: Option<OllamaSim>,
    http: reqwest::Client,
}

impl Stage {
    async fn set(way: Way, template: &Path) -> Self {
        let any_port = ([127, 0, 0, 1], 0).into();
        let run_ms = match way {
            Way::LongPicture => 1400,
            Way::Doubted => 800,
            Way::Homeless => 2500,
            Way::Cancelled | Way::SeveralCancelled => 60_000,
            // So that one begins while others wait.
            Way::Several => 200,
            _ => 40,
        };
        let sim = ComfySim::start(any_port, ComfyConfig { run_ms, ..ComfyConfig::default() }).await.unwrap();
        match way {
            Way::NodeFails => sim.inject(Fault::ExecutionError {
                node: None,
                exception_type: "RuntimeError".to_owned(),
                message: "shapes do not match".to_owned(),
            }),
            Way::OutOfMemory => sim.inject(Fault::out_of_memory()),
            Way::TooLarge => sim.inject(Fault::out_of_memory().always()),
            Way::Doubted => {
                sim.inject(Fault::QueuedBut500);
                sim.inject(Fault::Deaf);
            }
            _ => {}
        }
        let mut llm = None;
        if way.needs_llm() {
            let mut config = OllamaConfig::default();
            if way == Way::Refused {
                let fault = OllamaFault::Status { status: 400, error: "no".to_owned() };
                config.faults = vec![ScriptedFault { fault, times: 100 }];
            }
            llm = Some(OllamaSim::start(any_port, config).await.unwrap());
        }
        let folder = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(template).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
            }
        }
        Self { way, folder, sim, llm, http: client() }
    }

    fn command(&self) -> Command {
        let mut command = serve(self.folder.path());
        command.env("COMFYUI_API_URL", self.sim.url()).env("GENIMAGE__SERVERS__PROBE_INTERVAL_S", "1");
        if let Some(llm) = &self.llm {
            command.env("OLLAMA_API_URL", llm.url());
        }
        if self.way == Way::Expired {
            command.env("GENIMAGE__QUEUE__WAIT_LIMIT_S", "1");
        }
        command
    }

    /// A call to the hub; `None` when it died meanwhile.
    async fn ask(&self, hub: &Hub, method: reqwest::Method, path: &str, body: Option<&Value>) -> Option<Value> {
        let mut request = self.http.request(method, format!("{}{path}", hub.url));
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.ok()?;
        assert!(answer.status().is_success(), "{path}: {} {:?}", answer.status(), answer.text().await);
        answer.json().await.ok()
    }

    /// What the caller does with a hub, until it has an answer or the hub is dead; the job's id as far as
    /// it is known.
    async fn use_hub(&self, hub: &mut Hub) -> Option<Value> {
        let submitted = self.ask(hub, reqwest::Method::POST, "/api/v1/jobs", Some(&self.way.call())).await?;
        let path = format!("/api/v1/jobs/{}", submitted["id"].as_str().unwrap());
        let begun = Instant::now();
        loop {
            let job = self.ask(hub, reqwest::Method::GET, &path, None).await?;
            let state = job["state"].as_str().unwrap();
            if ["succeeded", "failed", "cancelled", "expired"].contains(&state) {
                return Some(job);
            }
            if matches!(self.way, Way::Cancelled | Way::SeveralCancelled) && state == "running" {
                self.ask(hub, reqwest::Method::DELETE, &path, None).await?;
            }
            assert!(begun.elapsed() < PATIENCE, "the job does not end: {job}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Starts the hub so that it dies at `place`, uses it until it does, and leaves it dead.
    async fn die(&self, place: &str) {
        let mut command = self.command();
        command.env("GENIMAGE_CRASH_AT", place);
        // One that takes up a job may die before it is ready.
        let Ok(mut hub) = Hub::try_run(command) else { return };
        let end = self.use_hub(&mut hub).await;
        let begun = Instant::now();
        while hub.lives() {
            assert!(begun.elapsed() < PATIENCE, "{place}: it was never reached; {end:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The hub begins with a job and is killed, and its server leaves the pool.
    async fn leave_without_server(&self) {
        let hub = Hub::run(self.command());
        let submitted = hub.post("/api/v1/jobs", &self.way.call()).await.1;
        hub.wait_for_state(submitted["id"].as_str().unwrap(), &["running"]).await;
        hub.kill();
        self.enable_server(false).await;
    }

    async fn enable_server(&self, enabled: bool) {
        let store = data::store(self.folder.path()).await;
        let mut server = store.server_list().await.unwrap().remove(0);
        server.enabled = enabled;
        assert!(store.server_update(&server).await.unwrap());
        store.close().await.unwrap();
    }
}

async fn dies_and_recovers(point: CrashPoint, way: Way, side: &str, template: &Path) {
    let place = format!("{}.{side}", point.as_str());
    let stage = Stage::set(way, template).await;
    match way {
        // Its port stays its own: on one that is free another server may listen soon.
        Way::Expired => stage.sim.inject(Fault::HtmlAnswers.always()),
        Way::Homeless => stage.leave_without_server().await,
        _ => {}
    }
    stage.die(&place).await;
    data::age_half_written(stage.folder.path());
    if way == Way::Homeless {
        stage.enable_server(true).await;
    }

    let mut hub = Hub::run(stage.command());
    let job = stage.use_hub(&mut hub).await.unwrap_or_else(|| panic!("{place}: the hub died again"));
    assert_eq!(job["state"], way.end(), "{place}: {job}");
    if way.runs() > 0 {
        let images = job["images"].as_array().unwrap();
        assert_eq!(images.len(), way.runs(), "{place}: {job}");
        for image in images {
            let picture = stage.http.get(image["url"].as_str().unwrap()).send().await.unwrap().bytes().await.unwrap();
            image::load_from_memory(&picture).unwrap();
        }
        let seeds: BTreeSet<u64> = images.iter().filter_map(|image| image["seed"].as_u64()).collect();
        assert_eq!(seeds.len(), way.runs(), "{place}: {job}");
    }
    let jobs = hub.get("/api/v1/jobs").await;
    assert_eq!(jobs["jobs"].as_array().unwrap().len(), 1, "{place}: {jobs}");
    if way != Way::Expired {
        // Nothing goes on working for nobody.
        hub.wait_for("/api/v1/servers", |servers| servers["servers"][0]["queue_remaining"] == 0).await;
    }
    let good = stage.sim.stats().executed.iter().filter(|run| run.outcome == Outcome::Success).count();
    assert_eq!(good, way.runs(), "{place}: each prompt runs to a good end once");
    hub.terminate();
    data::assert_agrees(stage.folder.path()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_dies_at_any_point_of_a_jobs_way_ends_it_once_all_the_same() {
    let template = tempfile::tempdir().unwrap();
    Hub::start(template.path(), &[]).terminate();
    let only = std::env::var("CRASH_POINT").ok();
    let ways = CrashPoint::ALL.into_iter().flat_map(|point| ways(point).into_iter().map(move |way| (point, way)));
    let places = ways.flat_map(|(point, way)| [(point, way, "before"), (point, way, "after")]);
    let chosen = places.filter(|(point, ..)| only.as_deref().is_none_or(|only| only == point.as_str()));
    let begun = Instant::now();
    let walked = stream::iter(chosen)
        .map(|(point, way, side)| dies_and_recovers(point, way, side, template.path()))
        .buffer_unordered(PARALLEL)
        .count()
        .await;
    println!("{walked} deaths in {:?}", begun.elapsed());
}
