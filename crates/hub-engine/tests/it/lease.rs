//! An LLM server and a ComfyUI server on one graphics card: who makes room for whom, when, and how often.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use hub_core::{
    ids::LlmServerId,
    job::JobStateKind,
    server::{LlmAssignment, LlmDialect, LlmRole, LlmServer},
};
use hub_engine::{LeaseHolder, LeaseView, WaitReason};
use hub_sim::{
    Card, Fault,
    ollama::{OllamaConfig, OllamaSim, SimModel},
};
use serde_json::json;

use crate::fixture::{Setup, TestEngine, servers, start_engine};

const GIB: u64 = 1 << 30;

/// An engine, its one ComfyUI server, and an LLM server on the same card of 24 GiB.
struct Desk {
    test: TestEngine,
    llm: OllamaSim,
    card: Card,
}

/// ComfyUI takes `comfy` GiB for its models and the hub believes so; the LLM takes `llm`.
fn setup(comfy: u64) -> Setup {
    servers(1)
        .server(0, |server| server.vram_models = Some(comfy * GIB))
        .config(|config| config.lease.unknown_bytes = comfy * GIB)
}

async fn desk(setup: Setup, llm: u64, change: impl FnOnce(&mut OllamaConfig)) -> Desk {
    let test = Box::pin(setup.start()).await;
    let model = SimModel { size_bytes: llm * GIB, ..SimModel::new("sim-llama:latest", &["completion"]) };
    let mut config = OllamaConfig { models: vec![model], ..OllamaConfig::default() };
    change(&mut config);
    let llm = OllamaSim::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), config).await.unwrap();
    let card = Card::new(24 * GIB);
    test.sims[0].share(&card, "comfyui");
    llm.share(&card, "ollama");
    let desk = Desk { test, llm, card };
    desk.add_llm(LlmDialect::Ollama).await;
    desk.test.change_server(0, |server| server.gpu = Some("desk".to_owned())).await;
    desk
}

impl Desk {
    async fn add_llm(&self, dialect: LlmDialect) {
        let server = LlmServer {
            id: LlmServerId::new(),
            name: format!("llm-{dialect:?}").to_lowercase(),
            base_url: self.llm.url().parse().unwrap(),
            dialect,
            api_key: None,
            gpu: Some("desk".to_owned()),
            enabled: true,
        };
        let server = self.test.engine.llm_server_create(server).await.unwrap();
        let to = LlmAssignment { server: server.id, model: Some("sim-llama:latest".to_owned()) };
        self.test.engine.llm_assign(LlmRole::Enhance, Some(to)).await.unwrap();
    }

    /// Orders to the LLM server to unload.
    fn unloads(&self) -> usize {
        let requests = self.llm.requests();
        requests.iter().filter(|request| request.path == "/api/generate" && request.body["keep_alive"] == 0).count()
    }

    /// Orders to ComfyUI to free its memory.
    fn frees(&self) -> u64 {
        self.test.sims[0].stats().requests_by_route.get("POST /free").copied().unwrap_or_default()
    }

    fn lease(&self) -> LeaseView {
        self.test.engine.servers()[0].live.lease.clone().expect("it shares a GPU")
    }

    /// What happened on the card, as `who GiB`.
    fn story(&self) -> Vec<String> {
        self.card.events().iter().map(|event| format!("{} {}", event.who, event.held / GIB)).collect()
    }

    async fn plain(&self, prompt: &str) -> hub_core::ids::JobId {
        let arguments = json!({ "prompt": prompt, "render_type": "sampled", "width": 64, "height": 64,
            "enhance": false });
        self.test.submit("generate_image", arguments).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_llm_is_unloaded_before_a_run_and_comfyui_is_freed_before_a_call() {
    let desk = desk(setup(20), 6, |_| {}).await;
    let view = desk.test.success(desk.test.generate_sampled("a fox").await).await;
    assert!(view.job.recipe.unwrap().enhanced);
    assert_eq!(desk.story(), ["ollama 6", "ollama 0", "comfyui 20"]);
    let lease = desk.lease();
    assert_eq!((lease.holder, lease.switches, lease.problem), (LeaseHolder::Comfyui, 1, None));

    desk.test.success(desk.test.generate_sampled("a hare").await).await;
    assert_eq!(desk.story()[3..], ["comfyui 0", "ollama 6", "ollama 0", "comfyui 20"]);
    assert_eq!((desk.unloads(), desk.frees()), (2, 1));
    // Without a call nothing changes hands.
    desk.test.success(desk.plain("a stoat").await).await;
    assert_eq!((desk.unloads(), desk.frees()), (2, 1));
    assert_eq!((desk.card.overcommits(), desk.card.squeezes()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_restarts_asks_the_servers_what_is_loaded() {
    let mut desk = desk(setup(20), 6, |_| {}).await;
    desk.test.success(desk.plain("a fox").await).await;
    desk.test.engine.shutdown(Duration::from_secs(5)).await;
    desk.test.engine = start_engine(&desk.test.dir, desk.test.config.clone()).await;
    desk.test.until_all_ready().await;
    assert_eq!(desk.lease().holder, LeaseHolder::Unknown);
    desk.test.success(desk.test.generate_sampled("a hare").await).await;
    assert_eq!(desk.story(), ["comfyui 20", "comfyui 0", "ollama 6", "ollama 0", "comfyui 20"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_evicted_where_both_fit() {
    let desk = desk(setup(12), 5, |_| {}).await;
    for prompt in ["a", "b", "c"] {
        desk.test.success(desk.test.generate_sampled(prompt).await).await;
    }
    assert_eq!((desk.unloads(), desk.frees()), (0, 0), "{:?}", desk.story());
    assert_eq!(desk.story(), ["ollama 5", "comfyui 12"]);
    assert_eq!(desk.lease().holder, LeaseHolder::Both);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_run_has_taught_yet_is_told_by_the_size_of_the_files() {
    // Of 24 GiB, 6 are the LLM's; a file of 8 GiB is believed to need 10, whatever unknown ones are believed to.
    let small = setup(20).server(0, |server| {
        server.vram_models = Some(10 * GIB);
        server.model_bytes = Some(8 * GIB);
    });
    let desk_of_small = desk(small, 6, |_| {}).await;
    desk_of_small.test.success(desk_of_small.test.generate_sampled("a fox").await).await;
    assert_eq!(desk_of_small.story(), ["ollama 6", "comfyui 10"], "both fit, and nothing is evicted");

    let large = setup(4).server(0, |server| {
        server.vram_models = Some(20 * GIB);
        server.model_bytes = Some(16 * GIB);
    });
    let desk_of_large = desk(large, 6, |_| {}).await;
    desk_of_large.test.success(desk_of_large.test.generate_sampled("a fox").await).await;
    assert_eq!(desk_of_large.story(), ["ollama 6", "ollama 0", "comfyui 20"]);
    assert_eq!((desk_of_large.card.overcommits(), desk_of_large.card.squeezes()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_policy_can_be_to_evict_always() {
    let desk = desk(setup(12).config(|config| config.lease.evict = hub_engine::Evict::Always), 5, |_| {}).await;
    desk.test.success(desk.test.generate_sampled("a").await).await;
    assert_eq!(desk.story(), ["ollama 5", "ollama 0", "comfyui 12"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_evicted_where_no_gpu_is_shared() {
    let desk = desk(setup(20), 6, |_| {}).await;
    desk.test.change_server(0, |server| server.gpu = Some("another".to_owned())).await;
    desk.test.success(desk.test.generate_sampled("a").await).await;
    assert_eq!((desk.unloads(), desk.frees()), (0, 0));
    assert_eq!(desk.test.engine.servers()[0].live.lease, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_with_enhancement_does_not_thrash() {
    // Longer than a busy machine takes between two steps of ours.
    let setup = setup(20).config(|config| config.lease.linger = Duration::from_secs(2));
    let desk = desk(setup, 6, |llm| llm.delay_ms = 100).await;
    let prompts: Vec<String> = (0..10).map(|at| format!("fox {at}")).collect();
    let jobs = futures_util::future::join_all(prompts.iter().map(|prompt| desk.test.generate_sampled(prompt))).await;
    for job in jobs {
        assert!(desk.test.success(job).await.job.recipe.unwrap().enhanced);
    }
    assert!(desk.card.switches() <= 3, "{:?}", desk.story());
    assert_eq!((desk.card.overcommits(), desk.card.squeezes()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_waits_for_the_llm_says_so() {
    let desk = desk(setup(20), 6, |llm| llm.delay_ms = 3000).await;
    let enhanced = desk.test.generate_sampled("a fox").await;
    desk.test.until("the call is made", || desk.lease().calls == 1).await;
    let job = desk.plain("a hare").await;
    let mut watch = desk.test.engine.watch(job).await.unwrap();
    while watch.now().why_waiting.is_none() && !watch.now().state.is_terminal() {
        watch.next().await.unwrap();
    }
    let told = watch.now().describe();
    assert!(told.contains("gpu-1 waits for its GPU, which is held by the LLM server `llm-ollama`"), "{told}");
    if let Some(why) = desk.test.engine.why_waiting(job).await {
        assert_eq!(why.servers[0].reason, WaitReason::GpuInUse, "{why:?}");
    }
    desk.test.success(job).await;
    desk.test.success(enhanced).await;
    assert_eq!(desk.card.overcommits(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_llm_that_does_not_unload_holds_no_job_up() {
    let desk = desk(setup(20), 6, |_| {}).await;
    desk.llm.fail_path("/api/generate", 500, "the runner hangs", 1000);
    desk.test.success(desk.test.generate_sampled("a fox").await).await;
    let problem = desk.lease().problem.expect("it is told");
    assert!(problem.contains("llm-ollama") && problem.contains("the runner hangs"), "{problem}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn enhancement_waits_for_a_long_run_no_longer_than_its_budget() {
    let setup = setup(20).run_ms(600_000).config(|config| config.enhance_budget = Duration::from_secs(1));
    let desk = desk(setup, 6, |_| {}).await;
    let long = desk.plain("a long fox").await;
    desk.test.until_running(long).await;
    let job = desk.test.generate_sampled("a hare").await;
    let queued = async {
        loop {
            let row = desk.test.engine.view(job).await.unwrap().job;
            if row.state.kind() != JobStateKind::Planning {
                return row;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let row = tokio::time::timeout(crate::fixture::PATIENCE, queued).await.expect("it is planned");
    assert!(row.warnings.iter().any(|warning| warning.contains("GPU")), "{:?}", row.warnings);
    assert!(desk.llm.requests().iter().all(|request| request.path != "/api/chat"), "ComfyUI was disturbed");
    for job in [job, long] {
        desk.test.engine.cancel(job).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn running_out_of_memory_teaches_that_the_models_do_not_fit() {
    // The hub believes in 4 GiB, so the LLM stays loaded at first.
    let setup = setup(12).config(|config| config.lease.unknown_bytes = 4 * GIB);
    let desk = desk(setup, 5, |_| {}).await;
    desk.test.sims[0].inject(Fault::out_of_memory());
    let view = desk.test.success(desk.test.generate_sampled("a fox").await).await;
    assert_eq!(view.job.attempts, 2);
    assert_eq!(desk.unloads(), 1);

    // The next hub knows it too.
    let mut desk = desk;
    desk.test.engine.shutdown(Duration::from_secs(5)).await;
    let rows = desk.test.engine.store().learned_times(chrono::DateTime::UNIX_EPOCH).await.unwrap();
    assert!(rows.iter().any(|row| row.what == "memory" && row.server == desk.test.server_id(0)), "{rows:?}");
    desk.test.engine = start_engine(&desk.test.dir, desk.test.config.clone()).await;
    desk.test.until_all_ready().await;
    let view = desk.test.success(desk.test.generate_sampled("a hare").await).await;
    assert_eq!((view.job.attempts, desk.unloads()), (1, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_cannot_unload_is_named_and_left_alone() {
    let desk = desk(setup(20), 6, |_| {}).await;
    for server in desk.test.engine.store().llm_server_list().await.unwrap() {
        desk.test.engine.llm_server_delete(server.id).await.unwrap();
    }
    desk.add_llm(LlmDialect::OpenAi).await;
    desk.test.success(desk.test.generate_sampled("a fox").await).await;
    assert_eq!((desk.unloads(), desk.frees()), (0, 0));
    let warnings = desk.lease().warnings;
    assert!(warnings.iter().any(|warning| warning.contains("llm-openai")), "{warnings:?}");
}
