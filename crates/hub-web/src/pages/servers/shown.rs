//! Tests of servers, and what is known of one, as the pages show them.

use std::collections::BTreeMap;

use hub_engine::{
    InventoryState, InventoryView, LeaseHolder, ServerLive, ServerTest, StageName, StageOutcome, WorkflowOnServer,
};
use serde::Serialize;

use super::super::shown::bytes;
use crate::{
    language::{Said, apart},
    said,
};

/// Files listed of one kind.
const FILES_SHOWN: usize = 200;

/// How a test went.
#[derive(Debug, Serialize)]
pub(crate) struct ShownTest {
    ok: bool,
    took_ms: u64,
    version: Option<String>,
    stages: Vec<Stage>,
    render_types: Vec<Lacking>,
}

#[derive(Debug, Serialize)]
struct Stage {
    title: Said,
    tone: &'static str,
    icon: &'static str,
    outcome: Said,
    detail: String,
    hint: Option<String>,
}

/// A render type or workflow on a server.
#[derive(Debug, Serialize)]
struct Lacking {
    name: String,
    ok: bool,
    lack: String,
}

impl ShownTest {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time within a test's limits")]
    pub(super) fn of(test: &ServerTest) -> Self {
        let stage = |stage: &hub_engine::TestStage| {
            let (tone, icon, outcome) = match stage.outcome {
                StageOutcome::Ok => ("good", "check", said!("passed")),
                StageOutcome::Warning => ("wait", "alert", said!("passed with a warning")),
                StageOutcome::Failed => ("bad", "alert", said!("failed")),
                StageOutcome::Skipped => ("off", "dots", said!("not tried")),
            };
            let title = match stage.name {
                StageName::Reachable => said!("Reachable"),
                StageName::Authorised => said!("Lets the hub in"),
                StageName::Comfyui => said!("Is ComfyUI"),
                StageName::Events => said!("Sends events"),
                StageName::Inventory => said!("Lists nodes and models"),
                StageName::RenderTypes => said!("Can render"),
            };
            let detail = apart::sentence(&stage.detail).into_owned();
            let hint = stage.hint.as_deref().map(|hint| apart::sentence(hint).into_owned());
            Stage { title, tone, icon, outcome, detail, hint }
        };
        Self {
            ok: test.ok,
            took_ms: test.duration_ms.max(0.0).round() as u64,
            version: test.version.clone(),
            stages: test.stages.iter().map(stage).collect(),
            render_types: test
                .render_types
                .iter()
                .map(|on| Lacking { name: on.render_type.clone(), ok: on.ok, lack: on.lack.to_string() })
                .collect(),
        }
    }

    #[cfg(test)]
    pub(super) fn sample() -> Self {
        use super::super::shown::sample::HOSTILE;
        let stage = hub_engine::TestStage {
            name: StageName::Authorised,
            outcome: StageOutcome::Failed,
            detail: HOSTILE.to_owned(),
            hint: Some(HOSTILE.to_owned()),
            duration_ms: 1.5,
        };
        let lack = hub_engine::Lack { nodes: vec![HOSTILE.to_owned()], files: vec![HOSTILE.to_owned()] };
        Self::of(&ServerTest {
            server: None,
            name: HOSTILE.to_owned(),
            base_url: "http://192.0.2.7:8188".parse().expect("valid"),
            ok: false,
            version: Some(HOSTILE.to_owned()),
            stages: vec![stage],
            render_types: vec![hub_engine::RenderTypeOnServer {
                render_type: HOSTILE.to_owned(),
                workflow: HOSTILE.to_owned(),
                ok: false,
                lack,
            }],
            duration_ms: 3.25,
        })
    }
}

/// What is known of a server beside its state.
#[derive(Debug, Serialize)]
pub(crate) struct ShownLive {
    facts: Vec<(Said, String)>,
    flags: Vec<String>,
    devices: Vec<Device>,
    loaded: Vec<String>,
    warnings: Vec<String>,
    inventory: String,
    inventory_problem: Option<String>,
    files: Vec<Files>,
    workflows: Vec<OnServer>,
}

#[derive(Debug, Serialize)]
struct Device {
    name: String,
    /// Used and all memory, when both are known.
    memory: Option<String>,
    used_percent: u64,
}

/// Model files of one kind.
#[derive(Debug, Serialize)]
struct Files {
    title: String,
    count: usize,
    names: Vec<String>,
    more: usize,
}

/// A workflow on this server, and what was said of it by hand.
#[derive(Debug, Serialize)]
struct OnServer {
    workflow: String,
    compatible: bool,
    why: String,
    /// `auto`, `yes` or `no`.
    said: &'static str,
}

impl ShownLive {
    pub(super) fn of(live: &ServerLive, workflows: &[String], files: BTreeMap<String, Vec<String>>) -> Self {
        let info = live.info.as_ref();
        let mut facts = Vec::new();
        let mut add = |name, value: Option<String>| facts.extend(value.map(|value| (name, value)));
        add(said!("ComfyUI"), info.and_then(|info| info.version.clone()));
        add(said!("System"), info.map(|info| info.os.clone()));
        add(said!("Python"), info.and_then(|info| info.python.as_deref()).map(first_word));
        add(said!("PyTorch"), info.and_then(|info| info.pytorch.clone()));
        let ram = info.and_then(|info| memory(info.ram_free_bytes, info.ram_total_bytes));
        add(said!("Memory in use"), ram.map(|(text, _)| text));
        add(said!("Others’ prompts"), (live.foreign.count > 0).then(|| live.foreign.count.to_string()));
        let rest = live.breaker.retry_in_s.map(|seconds| said!("{s} s", s = format_args!("{seconds:.0}")));
        add(said!("Rests for"), rest.filter(|_| live.breaker.open));
        add(said!("Failures in a row"), (live.breaker.failures > 0).then(|| live.breaker.failures.to_string()));
        add(said!("Model loads"), model_loads(live));
        add(said!("GPU is held by"), live.lease.as_ref().map(|lease| holder(lease.holder).to_string()));
        Self {
            facts,
            flags: info.map(|info| info.flags.clone()).unwrap_or_default(),
            devices: info.map(|info| info.devices.iter().map(Device::of).collect()).unwrap_or_default(),
            loaded: live.loaded.clone(),
            warnings: apart::sentences(&live.warnings),
            inventory: match live.inventory.state {
                InventoryState::Unknown => said!("Not read yet.").to_string(),
                InventoryState::Known | InventoryState::Stale => read(&live.inventory),
            },
            inventory_problem: live.inventory.problem.clone(),
            files: files.into_iter().map(Files::of).collect(),
            workflows: workflows.iter().map(|name| OnServer::of(name, &live.workflows)).collect(),
        }
    }
}

/// How often the server had to load a model for its runs; nothing before its first one.
pub(super) fn model_loads(live: &ServerLive) -> Option<String> {
    match live.runs {
        0 => None,
        1 => Some(said!("{loads} in 1 run", loads = live.model_loads)),
        runs => Some(said!("{loads} in {runs} runs", loads = live.model_loads, runs)),
    }
}

fn read(inventory: &InventoryView) -> String {
    let (nodes, files) = (inventory.node_classes, inventory.model_files);
    match inventory.age_s {
        Some(age) => said!("{nodes} node classes, {files} model files, read {n} s ago.", nodes, files, n = age.round()),
        None => said!("{nodes} node classes, {files} model files.", nodes, files),
    }
}

/// `3.11.7` of `3.11.7 (main) [GCC 12.2.0]`.
fn first_word(text: &str) -> String {
    text.split_whitespace().next().unwrap_or_default().to_owned()
}

fn holder(holder: LeaseHolder) -> Said {
    match holder {
        LeaseHolder::Unknown => said!("unknown"),
        LeaseHolder::Nobody => said!("nobody"),
        LeaseHolder::Llm => said!("the LLM servers"),
        LeaseHolder::Comfyui => said!("ComfyUI"),
        LeaseHolder::Both => said!("both"),
    }
}

/// `3.1 GB of 24.0 GB`, and the percentage.
fn memory(free: Option<u64>, total: Option<u64>) -> Option<(String, u64)> {
    let total = total.filter(|total| *total > 0)?;
    let used = total.saturating_sub(free?);
    Some((said!("{used} of {total}", used = bytes(used), total = bytes(total)), used.saturating_mul(100) / total))
}

impl Device {
    fn of(device: &hub_engine::DeviceView) -> Self {
        let memory = memory(device.vram_free_bytes, device.vram_total_bytes);
        Self {
            name: super::device_name(&device.name),
            used_percent: memory.as_ref().map_or(0, |(_, percent)| *percent),
            memory: memory.map(|(text, _)| text),
        }
    }
}

impl Files {
    fn of((input, mut names): (String, Vec<String>)) -> Self {
        let count = names.len();
        names.truncate(FILES_SHOWN);
        let title = match input.as_str() {
            "ckpt_name" => said!("Checkpoints").to_string(),
            "lora_name" => said!("LoRAs").to_string(),
            "vae_name" => said!("VAEs").to_string(),
            "unet_name" => said!("Diffusion models").to_string(),
            "style_model_name" => said!("Style models").to_string(),
            "clip_name" | "clip_name1" | "clip_name2" | "clip_name3" | "clip_name4" => {
                said!("Text encoders ({input})", input)
            }
            "control_net_name" => said!("ControlNets").to_string(),
            "model_name" => said!("Upscalers and other models").to_string(),
            _ => input,
        };
        Self { title, count, more: count - names.len(), names }
    }
}

impl OnServer {
    fn of(name: &str, known: &[WorkflowOnServer]) -> Self {
        let found = known.iter().find(|row| row.workflow == name);
        let lack = found.map(|row| row.lack.to_string()).filter(|lack| !lack.is_empty());
        let why = match found {
            Some(row) if row.said.is_some() => said!("said by hand").to_string(),
            Some(row) if row.refused => said!("refused when it was tried").to_string(),
            _ => lack.map(|lack| said!("lacks {lack}", lack)).unwrap_or_default(),
        };
        Self {
            workflow: name.to_owned(),
            compatible: found.is_none_or(|row| row.compatible),
            why,
            said: match found.and_then(|row| row.said) {
                None => "auto",
                Some(true) => "yes",
                Some(false) => "no",
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_told_only_when_it_is_known() {
        assert_eq!(memory(Some(6_000_000_000), Some(24_000_000_000)).map(|(_, percent)| percent), Some(75));
        assert_eq!(memory(Some(1), Some(0)), None);
        assert_eq!(memory(None, Some(1)), None);
    }

    #[test]
    fn a_workflow_of_which_nothing_is_said_goes_there() {
        let said = OnServer::of("txt2img", &[]);
        assert!(said.compatible && said.why.is_empty());
        assert_eq!(said.said, "auto");
    }
}
