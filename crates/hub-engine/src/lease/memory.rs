//! What is in the memory of a shared GPU, what fits into it, and how room is made.
//!
//! Facts come from the servers: Ollama's list of loaded models, ComfyUI's account of its device. What a set of
//! models needs is learned from what ComfyUI held after it ran with the GPU to itself. Nothing here decides who
//! goes first.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use hub_core::{
    ids::LlmServerId,
    server::{LlmDialect, LlmServer},
};
use hub_schedule::{Fit, LeaseOrder, Load, ModelSet, Side};

use super::{Gpu, guess::comfy_need};
use crate::{CrashPoint, Evict, background::Inner, crash, pool::Session};

/// Longest wait for one answer.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Longest time for an eviction, from the order until the memory is seen to be free.
const EVICT_LIMIT: Duration = Duration::from_secs(15);
/// Pause between two looks whether it is.
const EVICT_PAUSE: Duration = Duration::from_millis(100);
/// What a ComfyUI process holds without any model, at most.
const EMPTY_BYTES: u64 = 512 << 20;
/// A loaded model needs more than its file: the context, buffers.
const LLM_FILE_FACTOR: f64 = 1.25;

/// What is known of who needs how much.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// What ComfyUI needs for a set of models, in bytes.
    comfy: HashMap<Load, u64>,
    /// What its files say for a set of models that ComfyUI did not run yet, in bytes.
    guessed: HashMap<Load, u64>,
    /// Of these it was learned anew.
    learned: BTreeSet<u64>,
    /// What stands behind an LLM's load.
    llm: HashMap<Load, (LlmServerId, String)>,
    /// What a model took when it was loaded, in bytes.
    llm_bytes: BTreeMap<(LlmServerId, String), u64>,
    /// Models in memory, as of the newest answers.
    loaded: BTreeMap<LlmServerId, Vec<String>>,
}

impl Facts {
    pub(super) fn calls(&mut self, load: Load, server: LlmServerId, model: &str) {
        // Ollama lists every model with its tag.
        let name = model.rsplit('/').next().unwrap_or(model);
        let tagged = if name.contains(':') { model.to_owned() } else { format!("{model}:latest") };
        self.llm.entry(load).or_insert((server, tagged));
    }

    /// What ComfyUI needs for a set of models, as far as it was seen or guessed.
    pub(super) fn comfy_need(&self, load: Load) -> Option<u64> {
        self.comfy.get(&load).or_else(|| self.guessed.get(&load)).copied()
    }

    pub(super) fn guess(&mut self, load: Load, bytes: u64) {
        self.guessed.insert(load, bytes);
    }

    pub(super) fn needs_all(&mut self, load: Load) {
        if self.comfy.insert(load, u64::MAX) != Some(u64::MAX) {
            self.learned.insert(load.0);
        }
    }

    /// What earlier processes learned; what this one knows goes before it.
    pub(super) fn restore(&mut self, needs: impl IntoIterator<Item = (Load, u64)>) {
        for (load, bytes) in needs {
            self.comfy.entry(load).or_insert(bytes);
        }
    }

    /// What is new since the last time, for keeping.
    pub(super) fn take_learned(&mut self) -> Vec<(Load, u64)> {
        let learned = std::mem::take(&mut self.learned).into_iter().map(Load);
        learned.filter_map(|load| Some((load, *self.comfy.get(&load)?))).collect()
    }

    pub(super) fn llm_models(&self) -> Vec<String> {
        self.loaded.values().flatten().cloned().collect()
    }

    /// ComfyUI had the GPU to itself and holds so much after it ran this. Leftovers of others may be in it, so the
    /// smallest is nearest to the truth; what ran out of memory stays what it is.
    fn held(&mut self, load: Load, bytes: u64) {
        if self.comfy.get(&load).is_none_or(|known| *known != u64::MAX && bytes < *known) {
            self.comfy.insert(load, bytes);
            self.learned.insert(load.0);
        }
    }
}

/// Stands for a set of models.
pub(super) fn load_of(models: ModelSet) -> Load {
    Load(models.folded())
}

/// A model in an LLM server's memory.
struct Resident {
    server: LlmServer,
    model: String,
    bytes: u64,
    /// Part of it lies outside the GPU: it did not fit.
    squeezed: bool,
}

/// What ComfyUI says of the device, summed over its processes there.
#[derive(Debug, Clone, Copy, Default)]
struct Device {
    /// Free for anybody.
    free: u64,
    /// Held by ComfyUI.
    held: u64,
}

/// Looks or evicts, and tells the lease.
pub(super) async fn obey(inner: &Arc<Inner>, gpu: &Gpu, order: LeaseOrder) {
    match order {
        LeaseOrder::Grant(_) => {}
        LeaseOrder::Look { side, load, beside, other_runs } => {
            let fit = match side {
                Side::Comfy => fit_for_comfy(inner, gpu, load, beside, other_runs).await,
                Side::Llm => fit_for_llm(inner, gpu, load, beside, other_runs).await,
            };
            tracing::debug!(gpu = %gpu.name, ?side, ?fit, "looked at a shared GPU");
            gpu.state().lease.looked(fit);
        }
        LeaseOrder::Evict(side) => {
            let evicted = match side {
                Side::Llm => evict_llm(inner, gpu).await,
                Side::Comfy => evict_comfy(inner, gpu).await,
            };
            let whose = if side == Side::Llm { "the LLM" } else { "ComfyUI" };
            match &evicted {
                Ok(()) => tracing::info!(gpu = %gpu.name, "{whose} made room on a shared GPU"),
                Err(why) => {
                    tracing::warn!(gpu = %gpu.name, why, "{whose} did not make room on a shared GPU; work goes on with what is free");
                }
            }
            let now = gpu.now();
            let mut state = gpu.state();
            state.problem = evicted.err();
            state.lease.evicted(now);
        }
    }
}

/// Whether a prompt's models fit beside the LLM's.
async fn fit_for_comfy(inner: &Inner, gpu: &Gpu, load: Load, beside: Option<Load>, llm_runs: bool) -> Fit {
    let Ok(residents) = residents(inner, gpu).await else { return Fit::Tight };
    if residents.is_empty() {
        return Fit::Empty;
    }
    if gpu.policy.evict == Evict::Always || (llm_runs && !is_loaded(gpu, &residents, beside)) {
        return Fit::Tight;
    }
    let Some(device) = device(inner, gpu).await else { return Fit::Tight };
    let need = comfy_need(inner, gpu, load).await;
    // What ComfyUI holds already it may use for something else.
    fits(need, device.free.saturating_add(device.held), gpu)
}

/// Whether an LLM's model fits beside what ComfyUI holds.
async fn fit_for_llm(inner: &Inner, gpu: &Gpu, load: Load, beside: Option<Load>, comfy_runs: bool) -> Fit {
    let Some(device) = device(inner, gpu).await else { return Fit::Tight };
    if device.held <= EMPTY_BYTES && !comfy_runs {
        return Fit::Empty;
    }
    let Ok(residents) = residents(inner, gpu).await else { return Fit::Tight };
    if let Some(beside) = beside.filter(|_| residents.is_empty() && !comfy_runs) {
        gpu.state().facts.held(beside, device.held);
    }
    if gpu.policy.evict == Evict::Always {
        return Fit::Tight;
    }
    if is_loaded(gpu, &residents, Some(load)) {
        return Fit::Fits;
    }
    let growth = if comfy_runs {
        let need = match beside {
            Some(beside) => comfy_need(inner, gpu, beside).await,
            None => gpu.policy.unknown_bytes,
        };
        need.saturating_sub(device.held)
    } else {
        0
    };
    let need = llm_need(inner, gpu, load).await;
    fits(need, device.free.saturating_sub(growth), gpu)
}

fn fits(need: u64, available: u64, gpu: &Gpu) -> Fit {
    if need.saturating_add(gpu.policy.headroom_bytes) <= available { Fit::Fits } else { Fit::Tight }
}

/// Whether the model behind a load is wholly on the GPU.
fn is_loaded(gpu: &Gpu, residents: &[Resident], load: Option<Load>) -> bool {
    let state = gpu.state();
    let Some((server, model)) = load.and_then(|load| state.facts.llm.get(&load)) else { return false };
    residents.iter().any(|resident| resident.server.id == *server && resident.model == *model && !resident.squeezed)
}

/// What an LLM's model needs: what it took before, else what its file says.
async fn llm_need(inner: &Inner, gpu: &Gpu, load: Load) -> u64 {
    let behind = gpu.state().facts.llm.get(&load).cloned();
    let Some((server, model)) = behind else { return gpu.policy.unknown_bytes };
    if let Some(bytes) = gpu.state().facts.llm_bytes.get(&(server, model.clone())) {
        return *bytes;
    }
    let listed = async {
        let row = llm_servers(inner, gpu).into_iter().find(|row| row.id == server)?;
        let client = inner.ctx.llm.client(&row).await.ok()?;
        let models = tokio::time::timeout(ANSWER_LIMIT, client.models()).await.ok()?.ok()?;
        models.into_iter().find(|listed| listed.name == model)?.size_bytes
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an estimate of a size that is far below 2^52"
    )]
    listed.await.map_or(gpu.policy.unknown_bytes, |bytes| (bytes as f64 * LLM_FILE_FACTOR) as u64)
}

/// The LLM servers there that can make room.
fn llm_servers(inner: &Inner, gpu: &Gpu) -> Vec<LlmServer> {
    let mut servers = inner.ctx.catalogue.snapshot().llm_servers_on(&gpu.name);
    servers.retain(|server| server.dialect == LlmDialect::Ollama);
    servers
}

/// The models that LLM servers have on the GPU.
///
/// # Errors
/// In words, when a server gives no answer. One that cannot be reached at all has nothing there.
async fn residents(inner: &Inner, gpu: &Gpu) -> Result<Vec<Resident>, String> {
    let mut found = Vec::new();
    for server in llm_servers(inner, gpu) {
        let client = inner.ctx.llm.client(&server).await.map_err(|failure| failure.to_string())?;
        let loaded = match tokio::time::timeout(ANSWER_LIMIT, client.ps()).await {
            Ok(Ok(loaded)) => loaded,
            Ok(Err(error)) if error.kind() == ollama::ErrorKind::Transient => {
                tracing::debug!(server = %server.name, error = %error, "an LLM server cannot be reached");
                Vec::new()
            }
            Ok(Err(error)) => return Err(format!("the LLM server `{}`: {error}", server.name)),
            Err(_) => return Err(format!("the LLM server `{}` does not answer", server.name)),
        };
        let mut state = gpu.state();
        let on_gpu: Vec<_> = loaded.into_iter().filter(|model| model.vram_bytes > 0).collect();
        state.facts.loaded.insert(server.id, on_gpu.iter().map(|model| model.name.clone()).collect());
        for model in on_gpu {
            state.facts.llm_bytes.insert((server.id, model.name.clone()), model.size_bytes);
            let squeezed = model.vram_bytes < model.size_bytes;
            found.push(Resident { server: server.clone(), model: model.name, bytes: model.vram_bytes, squeezed });
        }
    }
    Ok(found)
}

/// What the ComfyUI servers there say of the device; `None` when one does not say.
async fn device(inner: &Inner, gpu: &Gpu) -> Option<Device> {
    let mut sum: Option<Device> = None;
    for session in inner.pool.on_gpu(&gpu.name).iter().filter(|session| session.link().borrow().answers) {
        let one = device_of(session).await?;
        let known = sum.get_or_insert(Device { free: one.free, held: 0 });
        known.free = known.free.min(one.free);
        known.held = known.held.saturating_add(one.held);
    }
    // Servers that do not answer hold nothing that could be freed.
    Some(sum.unwrap_or_default())
}

async fn device_of(session: &Session) -> Option<Device> {
    let client = session.client()?;
    let stats = tokio::time::timeout(ANSWER_LIMIT, client.system_stats()).await.ok()?.ok()?;
    let device = stats.devices.first()?;
    let own_free = device.torch_vram_free?;
    let held = device.torch_vram_total?;
    // ComfyUI counts what it holds but does not use as free.
    Some(Device { free: device.vram_free?.saturating_sub(own_free), held })
}

async fn evict_llm(inner: &Inner, gpu: &Gpu) -> Result<(), String> {
    let unload = async {
        let mut told: Vec<(LlmServerId, String)> = Vec::new();
        loop {
            let residents = residents(inner, gpu).await?;
            if residents.is_empty() {
                return Ok(());
            }
            for Resident { server, model, bytes, .. } in residents {
                let key = (server.id, model.clone());
                if told.contains(&key) {
                    continue;
                }
                tracing::debug!(gpu = %gpu.name, model, bytes, "a model is unloaded");
                let client = inner.ctx.llm.client(&server).await.map_err(|failure| failure.to_string())?;
                let unloaded = tokio::time::timeout(ANSWER_LIMIT, client.unload(&model)).await;
                match unloaded {
                    Ok(Ok(())) => told.push(key),
                    Ok(Err(error)) => return Err(format!("`{}` does not unload `{model}`: {error}", server.name)),
                    Err(_) => return Err(format!("`{}` does not answer when told to unload `{model}`", server.name)),
                }
            }
            tokio::time::sleep(EVICT_PAUSE).await;
        }
    };
    let late = || Err(format!("the LLM's models are still loaded after {} s", EVICT_LIMIT.as_secs()));
    tokio::time::timeout(EVICT_LIMIT, unload).await.unwrap_or_else(|_| late())
}

async fn evict_comfy(inner: &Inner, gpu: &Gpu) -> Result<(), String> {
    for session in inner.pool.on_gpu(&gpu.name) {
        let name = session.server().name.clone();
        if !session.link().borrow().answers {
            continue;
        }
        if device_of(&session).await.is_some_and(|device| device.held <= EMPTY_BYTES) {
            continue;
        }
        let Some(client) = session.client() else { continue };
        let freed = tokio::time::timeout(ANSWER_LIMIT, client.free(true, true));
        match crash::around(CrashPoint::Free, freed).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(format!("{name} does not free its memory: {error}")),
            Err(_) => return Err(format!("{name} does not answer when told to free its memory")),
        }
        inner.dispatch.emptied(session.id());
        session.emptied();
        let gone = async {
            // It frees once nothing runs there; one that does not tell what it holds is believed.
            while device_of(&session).await.is_some_and(|device| device.held > EMPTY_BYTES) {
                tokio::time::sleep(EVICT_PAUSE).await;
            }
        };
        if tokio::time::timeout(EVICT_LIMIT, gone).await.is_err() {
            return Err(format!("{name} still holds its memory after {} s", EVICT_LIMIT.as_secs()));
        }
    }
    Ok(())
}
