//! Fetches what a finished prompt produced and stores it, the primary pictures first.
//!
//! Owns the choice and order of files: kept results if there are any, else previews; the workflow's
//! output nodes first, then by node, each in the order the node listed them. Writes no job state.

use std::time::Duration;

use bytes::Bytes;
use comfyui::{Client, Error, ErrorKind, HistoryEntry, OutputFile, wire::FileKind};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use hub_core::{
    error::{ErrorCode, UserError},
    ids::JobId,
    job::Job,
    recipe::Recipe,
};
use hub_store::NewArtifact;

use crate::{
    CrashPoint,
    artifacts::{OutputMeta, Unnamed, VaultError},
    context::Context,
    crash,
};

/// Files fetched at the same time.
const FETCHES_PARALLEL: usize = 4;
/// Most files of one job that are kept.
const FILES_MAX: u32 = 256;
/// Longest time in which a server must hand out one file.
const FETCH_LIMIT: Duration = Duration::from_mins(15);
/// Pauses before a file is fetched again.
const RETRY_PAUSES: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(400), Duration::from_millis(1500)];

/// Pause before a file is stored again on a disk that was full.
const SPACE_PAUSE: Duration = Duration::from_secs(5);

/// Why there is no result.
pub(crate) enum CollectFailure {
    /// The job is to blame, or the hub's own store.
    Job(UserError),
    /// The server's history names a file that the server does not have.
    Missing(UserError),
    /// The server did not hand out a file.
    Server(Error),
}

/// Fetches and stores the files of a finished prompt.
pub(crate) async fn collect(
    ctx: &Context,
    client: &Client,
    entry: &HistoryEntry,
    output_nodes: Vec<&str>,
    job: &Job,
) -> Result<Vec<(NewArtifact, Unnamed)>, CollectFailure> {
    let files = choose(entry, &output_nodes);
    if files.is_empty() {
        return Err(CollectFailure::Job(
            UserError::new(ErrorCode::NoOutput, "The workflow ran but saved no file.")
                .with_hint("Whoever runs the hub must give the workflow a node that saves its result."),
        ));
    }
    let Some(recipe) = &job.recipe else {
        return Err(CollectFailure::Job(UserError::new(ErrorCode::Internal, "The job has no plan.")));
    };
    // The results of all parts lie side by side at the whole.
    let first = job.part.map_or(0, |part| part.index * FILES_MAX);
    let fetches: Vec<_> = (first..)
        .zip(files)
        .map(|(position, (node, file))| take(ctx, client, job, recipe, position, node, file))
        .collect();
    stream::iter(fetches).buffered(FETCHES_PARALLEL).try_collect().await
}

/// One file, from the server into the vault.
async fn take(
    ctx: &Context,
    client: &Client,
    job: &Job,
    recipe: &Recipe,
    position: u32,
    node: &str,
    file: &OutputFile,
) -> Result<(NewArtifact, Unnamed), CollectFailure> {
    // The server's part has a limit. What follows is the hub's own: no server is to blame for it.
    let fetched = tokio::time::timeout(FETCH_LIMIT, crash::around(CrashPoint::View, fetch(client, job.id, file))).await;
    let bytes = fetched.unwrap_or(Err(Error::Timeout { after: FETCH_LIMIT })).map_err(|error| blame(error, file))?;
    let meta = OutputMeta { job: job.result_job(), node: Some(node), position, seed: Some(recipe.seed), recipe };
    store(ctx, bytes, meta).await.map_err(|error| CollectFailure::Job(error.into()))
}

/// Node and file of each result, in order.
fn choose<'h>(entry: &'h HistoryEntry, output_nodes: &[&str]) -> Vec<(&'h str, &'h OutputFile)> {
    let of = |kind: FileKind| entry.files().filter(|(_, file)| file.kind == kind).collect::<Vec<_>>();
    let mut files = of(FileKind::Output);
    if files.is_empty() {
        files = of(FileKind::Temp);
    }
    // Stable: files of one node keep their order. Nodes that were expanded at run time count as their parent.
    let rank = |node: &str| {
        let is = |wanted: &&&str| {
            **wanted == node || node.strip_prefix(**wanted).is_some_and(|rest| rest.starts_with(['.', ':']))
        };
        output_nodes.iter().position(|wanted| is(&wanted)).unwrap_or(output_nodes.len())
    };
    files.sort_by_key(|(node, _)| rank(node));
    files.truncate(FILES_MAX as usize);
    files
}

async fn fetch(client: &Client, job: JobId, file: &OutputFile) -> Result<Bytes, Error> {
    for pause in RETRY_PAUSES {
        match client.view(file).await {
            Ok(bytes) => return Ok(bytes),
            // Just written files can be late on shared disks.
            Err(error) if matches!(error.kind(), ErrorKind::Transient | ErrorKind::Gone) => {
                tracing::debug!(job = %job, error = %error.chain(), "a result is fetched again");
                tokio::time::sleep(pause).await;
            }
            Err(error) => return Err(error),
        }
    }
    client.view(file).await
}

fn blame(error: Error, file: &OutputFile) -> CollectFailure {
    if error.kind() == ErrorKind::Gone {
        let message = format!("The workflow ran, but its file {} is not on the server.", file.filename);
        return CollectFailure::Missing(UserError::new(ErrorCode::NoOutput, message));
    }
    CollectFailure::Server(error)
}

/// Stores a file; storing is by content, so doing it again is harmless. A full or read-only disk is waited for: the
/// GPU's work is done, and the server may not keep it. The wait has no limit of its own; it ends with the job or the hub.
async fn store(ctx: &Context, bytes: Bytes, meta: OutputMeta<'_>) -> Result<(NewArtifact, Unnamed), VaultError> {
    let mut pauses = RETRY_PAUSES.into_iter();
    loop {
        let error = match ctx.vault.store_output(bytes.clone(), meta).await {
            Ok(stored) => return Ok(stored),
            Err(error) => error,
        };
        let pause = match pauses.next() {
            Some(pause) => pause,
            None if error.heals() => SPACE_PAUSE,
            None => return Err(error),
        };
        tracing::warn!(job = %meta.job, error = %error, "a result is stored again");
        tokio::time::sleep(pause).await;
    }
}
