//! `POST /prompt`: the one call that must never be guessed about.
//!
//! The body is built from types that cannot express the inputs known to damage a server: `client_id` is a
//! string, `number` is never sent, `extra_data` is always an object and its `workflow` too, every node carries
//! `_meta`. The graph is serialised straight from the caller's, without a copy.

use http::header::CONTENT_TYPE;
use reqwest::{Method, Response, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Client, MAX_JSON_BYTES, body};
use crate::error::{Error, SubmitError, parse_rejection, scrub};
use crate::wire::{self, RejectionBody, SubmitAnswer, Submitted};
use crate::workflow::{Graph, graph::Posted};

/// How the server should draw previews while sampling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PreviewMethod {
    /// No previews.
    None,
    /// The best available.
    Auto,
    /// Fast and rough.
    Latent2rgb,
    /// Better, needs a small extra model.
    Taesd,
    /// As the server was started.
    Default,
}

/// One prompt to post.
#[derive(Debug, Clone)]
pub struct Submission<'a> {
    /// What to run.
    pub graph: &'a Graph,
    /// The id to run it under. Mint a new random one per attempt.
    pub prompt_id: Uuid,
    /// The event socket that gets its events: [`crate::Connection::client_id`].
    pub client_id: &'a str,
    /// Preview method for this prompt, on servers from 0.4.0 on.
    pub preview: Option<PreviewMethod>,
    /// The editable workflow to embed into saved pictures, in UI format.
    pub workflow: Option<&'a Map<String, Value>>,
    /// Run before everything that waits.
    pub front: bool,
    /// Run only these output nodes; `None` for all.
    pub targets: Option<&'a [String]>,
}

impl<'a> Submission<'a> {
    /// A submission without extras.
    pub fn new(graph: &'a Graph, prompt_id: Uuid, client_id: &'a str) -> Self {
        Self { graph, prompt_id, client_id, preview: None, workflow: None, front: false, targets: None }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    prompt: Posted<'a>,
    client_id: &'a str,
    prompt_id: Uuid,
    extra_data: ExtraData<'a>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    front: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    partial_execution_targets: Option<&'a [String]>,
}

#[derive(Serialize)]
struct ExtraData<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    preview_method: Option<PreviewMethod>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_pnginfo: Option<PngInfo<'a>>,
}

#[derive(Serialize)]
struct PngInfo<'a> {
    workflow: &'a Map<String, Value>,
}

impl Client {
    /// Posts a graph. One attempt; see [`SubmitError`] for which failures may still have queued it.
    ///
    /// # Errors
    /// Any [`SubmitError`].
    pub async fn submit(&self, submission: &Submission<'_>) -> Result<Submitted, SubmitError> {
        let body = serde_json::to_vec(&Body {
            prompt: Posted(submission.graph),
            client_id: submission.client_id,
            prompt_id: submission.prompt_id,
            extra_data: ExtraData {
                preview_method: submission.preview,
                extra_pnginfo: submission.workflow.map(|workflow| PngInfo { workflow }),
            },
            front: submission.front,
            partial_execution_targets: submission.targets,
        })
        .map_err(|error| {
            SubmitError::NotSent(Error::config(format!("the workflow cannot be written as JSON: {error}")))
        })?;
        let request = self.request(Method::POST, &["prompt"]).header(CONTENT_TYPE, "application/json").body(body);
        let response = match body::head(request, self.inner.timeouts.read).await {
            Ok(response) => response,
            Err(error @ (Error::Connect(_) | Error::Certificate(_) | Error::Config(_))) => {
                return Err(SubmitError::NotSent(error));
            }
            Err(error) => return Err(SubmitError::Unknown(error)),
        };
        self.judge_submit(response, submission.graph).await
    }

    async fn judge_submit(&self, response: Response, graph: &Graph) -> Result<Submitted, SubmitError> {
        let status = response.status();
        if let Some(error) = body::judge_status(&response) {
            return Err(match error {
                Error::TooLarge { .. } => SubmitError::TooLarge,
                error @ Error::Unauthorized { .. } => SubmitError::Unauthorized(error),
                error => SubmitError::NotSent(error),
            });
        }
        if status == StatusCode::BAD_REQUEST {
            return Err(self.rejected(response, graph).await);
        }
        if !status.is_success() {
            let error = body::refusal(response, "the prompt route").await;
            // A 5xx may come after the prompt was queued; any other refusal comes before.
            return Err(if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
                SubmitError::Unknown(error)
            } else {
                SubmitError::NotSent(error)
            });
        }
        // A web page instead of an answer means that the request never got to ComfyUI.
        let response = body::refuse_html(response).await.map_err(|error| match error {
            error @ Error::Unauthorized { .. } => SubmitError::Unauthorized(error),
            error => SubmitError::NotSent(error),
        })?;
        let bytes =
            body::read(response, MAX_JSON_BYTES, self.inner.timeouts.read).await.map_err(SubmitError::Unknown)?;
        let answer: SubmitAnswer = wire::from_slice(&bytes)
            .map_err(|source| SubmitError::Unknown(Error::Decode { what: "prompt", source }))?;
        if answer.rest.node_errors.is_empty() {
            return Ok(Submitted { prompt_id: answer.prompt_id, number: answer.number });
        }
        let rejection = Box::new(parse_rejection(&answer.rest, Some(graph)));
        Err(SubmitError::PartiallyAccepted { prompt_id: answer.prompt_id, rejection })
    }

    async fn rejected(&self, response: Response, graph: &Graph) -> SubmitError {
        let bytes = match body::read(response, MAX_JSON_BYTES, self.inner.timeouts.read).await {
            Ok(bytes) => bytes,
            Err(error) => return SubmitError::NotSent(error),
        };
        let body = wire::from_slice::<RejectionBody>(&bytes).unwrap_or_else(|_| RejectionBody {
            error: Some(wire::RejectionError {
                message: scrub(&String::from_utf8_lossy(&bytes)),
                ..wire::RejectionError::default()
            }),
            ..RejectionBody::default()
        });
        SubmitError::Rejected(Box::new(parse_rejection(&body, Some(graph))))
    }
}
