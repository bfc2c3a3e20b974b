//! What servers have decides where jobs go, and whether they are taken at all.

use std::{collections::BTreeSet, net::SocketAddr};

use hub_core::{
    caller::Caller,
    error::{ErrorCode, UserError},
    request::ToolCall,
    server::NewServer,
};
use hub_engine::{InventoryState, ServerLive};
use hub_sim::{ComfyConfig, ComfySim, Fault, Models};
use serde_json::json;

use crate::fixture::{TestEngine, servers};

/// The checkpoint of the render type `sampled`.
const CHECKPOINT: &str = "v1-5-pruned-emaonly-fp16.safetensors";

fn without_files(config: &mut ComfyConfig) {
    config.models = Models::none();
}

impl TestEngine {
    pub(crate) fn live(&self, at: usize) -> ServerLive {
        self.engine.servers().swap_remove(at).live
    }

    pub(crate) async fn until_inventories_are_known(&self) {
        self.until("all inventories are known", || {
            self.engine.servers().iter().all(|view| view.live.inventory.state == InventoryState::Known)
        })
        .await;
    }

    async fn refused(&self, render_type: &str) -> UserError {
        let arguments = json!({ "prompt": "a", "render_type": render_type, "width": 64, "height": 64 });
        let call = ToolCall::parse("generate_image", arguments.as_object().unwrap()).unwrap();
        self.engine.submit(&Caller::local(), call).await.unwrap_err()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_goes_where_its_files_are_and_the_other_is_not_even_asked() {
    let test = servers(2).server(0, without_files).start().await;
    test.until_inventories_are_known().await;
    for prompt in ["a", "b", "c"] {
        assert_eq!(test.success(test.generate_sampled(prompt).await).await.server.as_deref(), Some("gpu-2"));
    }
    assert_eq!(test.sims[0].stats().prompts_received, 0);
    let rows = test.live(0).workflows;
    let sampled = rows.iter().find(|row| row.workflow == "sampled").unwrap();
    assert_eq!((sampled.lack.files.as_slice(), sampled.compatible), ([CHECKPOINT.to_owned()].as_slice(), false));
    assert!(!rows.iter().any(|row| row.workflow == "plain"), "{rows:?}");
    // What needs no file still goes there.
    test.change_server(1, |server| server.enabled = false).await;
    assert_eq!(test.success(test.generate("d").await).await.server.as_deref(), Some("gpu-1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_server_can_run_is_refused_at_once_with_the_files_by_server() {
    let test = servers(2).server(0, without_files).start().await;
    test.sims[1].inject(Fault::MissingModel { name: CHECKPOINT.to_owned() }.always());
    test.engine.server_refresh(test.server_id(1)).unwrap();
    test.until("the loss is seen", || !test.live(1).workflows.is_empty()).await;
    let error = test.refused("sampled").await;
    assert_eq!(error.code, ErrorCode::NoCompatibleServer);
    for part in ["`sampled`", "gpu-1 lacks", "gpu-2 lacks", CHECKPOINT] {
        assert!(error.message.contains(part), "{error}");
    }
    assert!(test.sims.iter().all(|sim| sim.stats().prompts_received == 0));

    // Installed: the next look finds it.
    test.sims[1].clear_faults();
    test.engine.server_refresh(test.server_id(1)).unwrap();
    test.until("the file is found", || test.live(1).workflows.is_empty()).await;
    assert_eq!(test.success(test.generate_sampled("a").await).await.server.as_deref(), Some("gpu-2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_may_come_back_with_the_file() {
    let mut test = servers(2).server(0, without_files).start().await;
    test.until_inventories_are_known().await;
    test.sims[1].kill().await;
    test.until("it is down", || !test.engine.servers()[1].state.takes_work()).await;
    let job = test.generate_sampled("a").await;
    test.sims[1].restart().await;
    assert_eq!(test.success(job).await.server.as_deref(), Some("gpu-2"));
}

/// A further server, faulty before the hub meets it.
async fn met_with(test: &mut TestEngine, fault: Fault) -> usize {
    let sim = ComfySim::start(SocketAddr::from(([127, 0, 0, 1], 0)), ComfyConfig::default()).await.unwrap();
    sim.inject(fault.always());
    let name = format!("gpu-{}", test.sims.len() + 1);
    test.engine.server_add(NewServer::named(name, sim.url().parse().unwrap())).await.unwrap();
    test.sims.push(sim);
    test.sims.len() - 1
}

fn catalogue(body: impl Into<String>) -> Fault {
    Fault::Http { route: "GET /object_info".to_owned(), status: 200, body: body.into() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_catalogue_beyond_all_bounds_leaves_the_server_at_work() {
    let mut test = servers(1).start().await;
    let huge = format!("{{\"A\": {{\"input\": \"{}\"}}}}", "x".repeat(64 << 20));
    let at = met_with(&mut test, catalogue(huge)).await;
    test.until("the refusal is told", || test.live(at).inventory.problem.is_some()).await;
    let inventory = test.live(at).inventory;
    assert_eq!(inventory.state, InventoryState::Unknown);
    assert!(inventory.problem.unwrap().contains("32 MiB"));
    test.until_all_ready().await;
    test.change_server(0, |server| server.enabled = false).await;
    test.success(test.generate_sampled("a").await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_thousand_classes_with_odd_ones_among_them_are_read() {
    let mut test = servers(1).start().await;
    let filler = format!("\"required\": {{\"lora_name\": [[\"{CHECKPOINT}\"], {{\"default\": NaN}}]}}");
    let classes: Vec<String> = (0..3000)
        .map(|n| format!("\"Custom{n}\": {{\"input\": {{{filler}}}}}"))
        .chain(["\"Odd\": [7]".to_owned()])
        .collect();
    let at = met_with(&mut test, catalogue(format!("{{{}}}", classes.join(", ")))).await;
    test.until("it is read", || test.live(at).inventory.state == InventoryState::Known).await;
    let inventory = test.live(at).inventory;
    assert_eq!((inventory.node_classes, inventory.malformed_classes, inventory.model_files), (3001, 1, 1));
    // It has none of the standard nodes, and says so.
    let plain = test.live(at).workflows.into_iter().find(|row| row.workflow == "plain").unwrap();
    assert!(plain.lack.nodes.contains(&"SaveImage".to_owned()), "{plain:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_by_hand_outweighs_the_inventory() {
    let test = servers(2).server(0, without_files).start().await;
    test.until_inventories_are_known().await;
    let (first, second) = (test.server_id(0), test.server_id(1));
    test.engine.server_say(second, "sampled", Some(false)).await.unwrap();
    let error = test.refused("sampled").await;
    assert!(error.message.contains("gpu-2 is not used for it"), "{error}");
    test.engine.server_say(second, "plain", Some(false)).await.unwrap();
    for prompt in ["a", "b"] {
        assert_eq!(test.success(test.generate(prompt).await).await.server.as_deref(), Some("gpu-1"));
    }
    // Said to be able, it is asked; it knows better, and the job fails naming what is lacking.
    test.engine.server_say(first, "sampled", Some(true)).await.unwrap();
    test.change_server(1, |server| server.enabled = false).await;
    let view = test.end(test.generate_sampled("c").await).await;
    let hub_core::job::JobState::Failed(error) = &view.job.state else { panic!("{:?}", view.job.state) };
    assert_eq!(error.code, ErrorCode::NoCompatibleServer);
    test.change_server(1, |server| server.enabled = true).await;
    test.engine.server_say(second, "sampled", None).await.unwrap();
    test.engine.server_say(first, "sampled", None).await.unwrap();
    assert_eq!(test.success(test.generate_sampled("d").await).await.server.as_deref(), Some("gpu-2"));
    let unknown = test.engine.server_say(first, "no such", Some(true)).await.unwrap_err();
    assert_eq!(unknown.argument.as_deref(), Some("workflow"));
    let said: BTreeSet<String> =
        test.live(1).workflows.into_iter().filter(|row| row.said.is_some()).map(|row| row.workflow).collect();
    assert_eq!(said, BTreeSet::from(["plain".to_owned()]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_counts_although_the_inventory_lists_everything() {
    // It lists the file, but its nodes want it not: what a broken custom node looks like.
    let test = servers(2).start().await;
    test.until_inventories_are_known().await;
    let refusal = json!({"error": {"type": "prompt_outputs_failed_validation", "message": "", "details": "", "extra_info": {}},
        "node_errors": {"4": {"errors": [{"type": "value_not_in_list", "message": "Value not in list",
            "details": format!("ckpt_name: '{CHECKPOINT}' not in []"),
            "extra_info": {"input_name": "ckpt_name", "received_value": CHECKPOINT}}],
            "dependent_outputs": ["9"], "class_type": "CheckpointLoaderSimple"}}});
    test.sims[0]
        .inject(Fault::Http { route: "POST /prompt".to_owned(), status: 400, body: refusal.to_string() }.next(1));
    test.change_server(1, |server| server.weight = 0.01).await;
    assert_eq!(test.success(test.generate_sampled("a").await).await.server.as_deref(), Some("gpu-2"));
    test.until("the refusal is remembered", || test.live(0).workflows.iter().any(|row| row.refused)).await;
    assert_eq!(test.success(test.generate_sampled("b").await).await.server.as_deref(), Some("gpu-2"));
}
