//! What a workflow's models need until the hub saw them run: what their files weigh, where a server tells it.
//!
//! Only a guess for the first run. What a server held after a run goes before it.

use std::collections::{BTreeMap, BTreeSet};

use comfyui::workflow::files::ModelFile;
use hub_schedule::Load;

use super::{
    Gpu,
    memory::{ANSWER_LIMIT, load_of},
};
use crate::background::Inner;

/// A loaded model needs more than its file: the context, buffers, what it works on.
const FILE_FACTOR: f64 = 1.25;

/// What ComfyUI needs for a set of models, in bytes: learned, else by the files, else what is set for unknown ones.
pub(super) async fn comfy_need(inner: &Inner, gpu: &Gpu, load: Load) -> u64 {
    if let Some(known) = gpu.state().facts.comfy_need(load) {
        return known;
    }
    let Some(files) = by_files(inner, gpu, load).await else { return gpu.policy.unknown_bytes };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an estimate of a size that is far below 2^52"
    )]
    let guess = (files as f64 * FILE_FACTOR) as u64;
    tracing::debug!(gpu = %gpu.name, guess, "what models need is guessed by their files");
    gpu.state().facts.guess(load, guess);
    guess
}

/// The sum of the files' sizes; `None` when any is not told.
async fn by_files(inner: &Inner, gpu: &Gpu, load: Load) -> Option<u64> {
    let runnables = inner.ctx.catalogue.snapshot().runnables();
    let runnable = runnables.into_iter().find(|runnable| load_of(runnable.models) == load)?;
    let folders: BTreeSet<&str> = runnable.files.iter().map(|file| file.folder.as_str()).collect();
    let sessions = inner.pool.on_gpu(&gpu.name);
    let client = sessions.iter().filter(|session| session.link().borrow().answers).find_map(|one| one.client())?;
    let mut sizes: BTreeMap<&str, BTreeMap<String, u64>> = BTreeMap::new();
    for folder in folders {
        let told = tokio::time::timeout(ANSWER_LIMIT, client.model_sizes(folder)).await.ok()?.ok()??;
        sizes.insert(folder, told);
    }
    // A folder that is under Windows there is spelled otherwise.
    let size = |file: &ModelFile| sizes.get(file.folder.as_str())?.get(&file.name.replace('\\', "/")).copied();
    runnable.files.iter().map(size).sum()
}
