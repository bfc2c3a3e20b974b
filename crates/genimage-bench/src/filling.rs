//! Jobs as the hub stores them, many of them, for what is measured on a database that is in use.

use hub_core::{
    artifact::MediaKind,
    caller::Caller,
    catalogue::Mode,
    error::{ErrorCode, UserError},
    ids::{ArtifactId, JobId, PromptId, ServerId, WorkflowId},
    job::Attempt,
    placement::Placement,
    recipe::Recipe,
    request::{ImageRequest, ImageSize, JobRequest},
};
use hub_store::{NewArtifact, NewJob, Ran, Store};

const SUBJECTS: [&str; 8] = ["fox", "heron", "lighthouse", "tram", "glacier", "orchard", "observatory", "Füchslein"];

/// One job as the hub leaves it: nine of ten succeeded, the rest in other states.
pub(crate) async fn store_one(store: &Store, n: u32, servers: &[ServerId; 3]) -> anyhow::Result<()> {
    let seed = n.wrapping_mul(2_654_435_761);
    let subject = SUBJECTS[(seed >> 8) as usize % SUBJECTS.len()];
    let tool_is_edit = seed.is_multiple_of(17);
    let rare = if n % 5_000 == 77 { " with a quokka" } else { "" };
    let prompt = format!("A {subject} at dusk, number {n}, soft light over the harbour, 35 mm, fine grain{rare}");
    let mut request = ImageRequest::generate(&prompt);
    if tool_is_edit {
        request.mode = Mode::Edit;
    }
    let new = NewJob {
        id: JobId::new(),
        caller: Caller::named(["local", "alice", "bob"][(seed >> 4) as usize % 3]),
        request: JobRequest::Image(request),
        request_digest: format!("{seed:064x}"),
        recipe: Some(recipe(&prompt, n, seed)),
        warnings: Vec::new(),
        priority: 0,
        placement: Placement::Anywhere,
        idempotency_key: None,
        parent: None,
        trace: None,
    };
    store.job_insert(&new).await?;
    let at = Attempt { number: 1, server: servers[seed as usize % 3], prompt_id: PromptId::random() };
    match n % 40 {
        0 => drop(store.job_cancel(new.id).await?),
        1 => drop(store.job_expire(new.id).await?),
        2 => {}
        3 => {
            store.job_assign(new.id, &at).await?;
            let error = UserError::new(ErrorCode::NodeFailed, "KSampler failed.");
            store.job_fail(new.id, Some(1), &error).await?;
        }
        _ => {
            store.job_assign(new.id, &at).await?;
            let picture = picture(n);
            store.job_succeed(new.id, 1, new.id, Ran::default(), std::slice::from_ref(&picture)).await?;
            if n % 500 == 9 {
                store.artifact_set_favourite(picture.id, true).await?;
            }
        }
    }
    Ok(())
}

fn recipe(prompt: &str, n: u32, seed: u32) -> Recipe {
    Recipe {
        mode: Mode::Generate,
        render_type: ["draft", "sdxl", "flux"][(seed >> 12) as usize % 3].to_owned(),
        workflow: "sdxl".to_owned(),
        workflow_version: 3,
        workflow_id: WorkflowId::new(),
        prompt_asked: Some(prompt.to_owned()),
        prompt: Some(format!("{prompt}, oil painting, thick brush strokes, museum quality, warm colours")),
        negative_prompt: Some("blurry, low quality, watermark, text, deformed".to_owned()),
        styles: if n.is_multiple_of(7) { vec!["oil".to_owned(), "warm".to_owned()] } else { vec!["photo".to_owned()] },
        enhanced: false,
        not_enhanced_because: None,
        seed: u64::from(seed),
        size: Some(ImageSize { width_px: 832, height_px: 1216 }),
        steps: Some(20),
        cfg: Some(7.0),
        denoise: None,
        input: None,
        mask: None,
        part: None,
    }
}

fn picture(n: u32) -> NewArtifact {
    NewArtifact {
        id: ArtifactId::new(),
        kind: MediaKind::Image,
        mime: "image/png".to_owned(),
        extension: "png".to_owned(),
        sha256: format!("{n:064x}"),
        size_bytes: 1_234_567,
        width_px: 832,
        height_px: 1216,
        seed: Some(u64::from(n)),
        position: 0,
        node: Some("9".to_owned()),
    }
}
