//! One WebSocket: the result of one job, then the end.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{
        Path, Request, State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code},
    },
    http::StatusCode,
    response::{IntoResponse, Response},
};
use hub_core::{
    artifact::MediaKind,
    caller::Caller,
    error::{ErrorCode, UserError},
    ids::JobId,
    job::JobState,
    request::{GeneratedPrompt, JobRequest},
};
use hub_engine::JobView;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use crate::{delivery::Delivery, hub::Hub, jsonrpc::message::Code};

/// Most sockets of this dialect at once.
const SOCKETS_MAX: usize = 1024;
/// Time between pings, so that proxies keep a quiet socket open.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// Longest time in which a client must take its result. One that reads nothing holds up only its own socket.
const SEND_MAX: Duration = Duration::from_secs(30);
/// Longest wait for a client to close after us.
const CLOSE_MAX: Duration = Duration::from_secs(5);
/// Largest message taken from a client; what they say means nothing here.
const INCOMING_MAX_BYTES: usize = 64 * 1024;

/// What the dialect's routes share.
#[derive(Clone)]
pub(super) struct DialectState {
    pub(super) hub: Arc<Hub>,
    sockets: Arc<Semaphore>,
}

impl DialectState {
    pub(super) fn new(hub: Arc<Hub>) -> Self {
        Self { hub, sockets: Arc::new(Semaphore::new(SOCKETS_MAX)) }
    }
}

/// Joins the stream `id`.
pub(super) async fn join(
    State(state): State<DialectState>,
    Path(id): Path<String>,
    upgrade: WebSocketUpgrade,
    request: Request,
) -> Response {
    let Ok(permit) = state.sockets.clone().try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "Too many streams are open; try again later.").into_response();
    };
    let delivery = Delivery::of_extensions(request.extensions(), &state.hub.config);
    upgrade
        .max_message_size(INCOMING_MAX_BYTES)
        .on_upgrade(move |socket| async move { serve(state.hub, socket, id, delivery, permit).await })
}

async fn serve(hub: Arc<Hub>, mut socket: WebSocket, id: String, delivery: Delivery, _held: OwnedSemaphorePermit) {
    let ended = match Uuid::try_parse(&id) {
        Ok(uuid) => wait(&hub, &mut socket, JobId::from_uuid(uuid), &delivery.caller).await,
        Err(_) => Some(Err(UserError::new(ErrorCode::UnknownJob, "There is no such stream."))),
    };
    let close = match ended {
        // The client left, or the hub closes: the stream can be joined again.
        None => CloseFrame { code: close_code::AWAY, reason: "join again".into() },
        Some(ended) => {
            let outcome = match ended {
                Ok(view) => outcome(&view, &delivery),
                Err(error) => failure(&error),
            };
            match tokio::time::timeout(SEND_MAX, say(&mut socket, &id, outcome)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::debug!(%error, stream = id, "a client left before its result");
                    return;
                }
                Err(_) => {
                    tracing::debug!(stream = id, "a client does not take its result");
                    return;
                }
            }
            CloseFrame { code: close_code::NORMAL, reason: "done".into() }
        }
    };
    if let Err(error) = socket.send(Message::Close(Some(close))).await {
        tracing::debug!(%error, "the client closed first");
        return;
    }
    // A socket that is dropped while something it received is unread is reset, and the client may lose
    // what it was sent: so listen until the client has closed as well.
    let closed = async { while let Some(Ok(_)) = socket.recv().await {} };
    if tokio::time::timeout(CLOSE_MAX, closed).await.is_err() {
        tracing::debug!(stream = id, "the client does not close");
    }
}

/// Waits for the job's end; `None` when there is nobody to tell.
async fn wait(hub: &Hub, socket: &mut WebSocket, job: JobId, caller: &Caller) -> Option<Result<JobView, UserError>> {
    if let Err(error) = hub.engine.check_job(caller, job).await {
        return Some(Err(error));
    }
    let mut watch = match hub.engine.watch(job).await {
        Ok(watch) => watch,
        Err(error) => return Some(Err(error)),
    };
    let mut pings = tokio::time::interval(PING_INTERVAL);
    let mut progress = Some(watch.now());
    while progress.is_some_and(|progress| !progress.state.is_terminal()) {
        progress = loop {
            tokio::select! {
                next = watch.next() => break next,
                () = hub.closing.cancelled() => return None,
                _ = pings.tick() => socket.send(Message::Ping(bytes::Bytes::new())).await.ok()?,
                heard = socket.recv() => match heard {
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                    Some(Ok(_)) => {}
                },
            }
        };
    }
    Some(hub.engine.view(job).await)
}

async fn say(socket: &mut WebSocket, id: &str, outcome: (&'static str, Value)) -> Result<(), axum::Error> {
    let (key, value) = outcome;
    let chunk = json!({"jsonrpc": "2.0", "method": "stream/chunk", "params": {"stream_id": id, key: value}});
    let end = json!({"jsonrpc": "2.0", "method": "stream/end", "params": {"stream_id": id}});
    socket.send(Message::Text(chunk.to_string().into())).await?;
    socket.send(Message::Text(end.to_string().into())).await
}

fn failure(error: &UserError) -> (&'static str, Value) {
    ("error", json!({"code": Code::Server as i32, "message": error.explain()}))
}

/// The result in the older system's shape, or why there is none.
pub(super) fn outcome(view: &JobView, delivery: &Delivery) -> (&'static str, Value) {
    match &view.job.state {
        JobState::Succeeded => ("result", success(view, delivery)),
        JobState::Failed(error) => failure(error),
        JobState::Cancelled => failure(&UserError::new(ErrorCode::Cancelled, "The job was cancelled.")),
        JobState::Expired => failure(&UserError::new(ErrorCode::TimedOut, "The job waited in the queue for too long.")),
        _ => failure(&UserError::new(ErrorCode::Internal, "The job has not ended.")),
    }
}

fn success(view: &JobView, delivery: &Delivery) -> Value {
    if let JobRequest::Describe(_) = &view.job.request {
        let text = view.job.text.clone().unwrap_or_default();
        return json!({
            "structured_output": {"description": text, "human_readable_summary": text},
            "content": [{"type": "text", "text": text}],
        });
    }
    if let Some(prompt) = view.job.generated_prompt() {
        let said = json!({
            "positive_prompt": prompt.positive_prompt,
            "negative_prompt": prompt.negative_prompt,
            "human_readable_summary": in_words(&prompt),
        });
        return json!({"structured_output": said, "content": [{"type": "json", "json": said}]});
    }
    let url = |artifact| delivery.url_of(artifact).unwrap_or_default();
    let images: Vec<_> = view.artifacts.iter().filter(|artifact| artifact.kind == MediaKind::Image).collect();
    let primary = images.first().copied().or(view.artifacts.first());
    let image_url = primary.map(url).unwrap_or_default();
    let seed = primary.and_then(|artifact| artifact.seed).or(view.job.recipe.as_ref().map(|recipe| recipe.seed));
    json!({
        "structured_output": {
            "image_url": image_url,
            "seed": seed,
            "human_readable_summary": format!("Image generated successfully: {image_url}"),
        },
        "content": images.into_iter().map(|artifact| json!({"type": "image", "source": url(artifact)})).collect::<Vec<_>>(),
    })
}

/// Both prompts as the older system showed them.
fn in_words(prompt: &GeneratedPrompt) -> String {
    format!(
        "**Positive Prompt:**\n```\n{}\n```\n\n**Negative Prompt:**\n```\n{}\n```",
        prompt.positive_prompt, prompt.negative_prompt
    )
}
