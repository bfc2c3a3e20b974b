//! Test runs: one version of a workflow as it is, on a server of choice, whether or not a render type runs it; and
//! which servers could run it.

use comfyui::workflow::SlotKind;
use hub_core::{
    artifact::MediaKind,
    caller::Caller,
    catalogue::{Mode, Workflow},
    error::{ErrorCode, UserError},
    ids::{ArtifactId, ServerId},
    request::{JobRequest, StyleChoice, ToolCall},
    server::ServerState,
};
use hub_store::JobFilter;
use serde_json::{Map, Value, json};

use super::Engine;
use crate::{
    ServerView, Submitted, TrialForm, WorkflowCheck,
    catalogue::{Runnable, TRIAL},
    import,
    refusal::storage,
};

/// What a test run can be given. All else (styles, render type, enhancement) is no part of a workflow.
const ARGUMENTS: [&str; 10] =
    ["prompt", "negative_prompt", "image", "seed", "width", "height", "denoise", "region", "mask", "part"];
/// The middle of the picture: what is redrawn unless a test run says something else.
const MIDDLE: [f64; 4] = [0.25, 0.25, 0.5, 0.5];

impl Engine {
    /// What a test run of this version can be given, by its slots.
    pub fn workflow_trial_form(&self, workflow: &Workflow) -> TrialForm {
        form_of(&Runnable::new(workflow.clone()))
    }

    /// Runs this version of a workflow once, as an ordinary job: pinned to `server` (name or id), without styles and
    /// without enhancement. `arguments` are those of the tool of its mode. What is not given stays as the workflow
    /// has it; an input picture that is not given is the newest one that the hub made.
    ///
    /// # Errors
    /// As [`Engine::submit`]; `bad_argument` for what no test run takes; `workflow_invalid` when it has no output;
    /// `no_server` when the server takes no work.
    pub async fn workflow_try(
        &self,
        caller: &Caller,
        workflow: &Workflow,
        server: Option<String>,
        idempotency_key: Option<String>,
        mut arguments: Map<String, Value>,
    ) -> Result<Submitted, UserError> {
        let runnable = Runnable::new(workflow.clone());
        let form = form_of(&runnable);
        import::check_mode(workflow, &runnable.slots, form.mode)?;
        if let Some(unknown) = arguments.keys().find(|name| !ARGUMENTS.contains(&name.as_str())) {
            let message = format!("A test run takes no `{unknown}`: it runs the workflow as it is.");
            return Err(UserError::argument(unknown, message).with_valid(ARGUMENTS));
        }
        if let Some(given) = &server {
            self.refuse_idle(given)?;
        }
        let is_given = |name: &str| match arguments.get(name) {
            None | Some(Value::Null) => false,
            Some(Value::String(text)) => !text.trim().is_empty(),
            Some(_) => true,
        };
        let has_prompt = is_given("prompt");
        let (has_image, has_area) = (is_given("image"), ["region", "mask", "part"].into_iter().any(is_given));
        if !has_prompt {
            // The tools insist on one; a workflow has its own, which is to be tried.
            arguments.insert("prompt".to_owned(), json!("-"));
        }
        if form.takes_image && !has_image {
            let newest = self.newest_picture().await?.ok_or_else(|| {
                UserError::argument("image", "The workflow works on a picture, and the hub has made none yet.")
                    .with_hint("Give an image id, a job id, an http(s) URL or a data URI.")
            })?;
            arguments.insert("image".to_owned(), json!(newest.to_string()));
        }
        if form.mode == Mode::Detail && !has_area {
            let (name, value) = if form.takes_mask { ("region", json!(MIDDLE)) } else { ("part", json!("face")) };
            arguments.insert(name.to_owned(), value);
        }
        let mut call = ToolCall::parse(form.mode.tool(), &arguments)?;
        if let JobRequest::Image(request) = &mut call.request {
            request.prompt = request.prompt.take().filter(|_| has_prompt);
            request.styles = StyleChoice::Named(Vec::new());
            request.enhance = Some(false);
            request.render_type = Some(TRIAL.to_owned());
            request.trial = Some(workflow.id);
        }
        (call.options.wish.server, call.options.idempotency_key) = (server, idempotency_key);
        self.submit(caller, call).await
    }

    /// Whether each server can run this version now, as far as is known: those that can first.
    pub fn workflow_check(&self, workflow: &Workflow) -> Vec<WorkflowCheck> {
        let runnable = Runnable::new(workflow.clone());
        let pool = &self.inner.background.inner().pool;
        let mut checks: Vec<WorkflowCheck> = self
            .servers()
            .into_iter()
            .map(|view| WorkflowCheck {
                server: view.id(),
                why_not: idle(&view).or_else(|| pool.why_not(self.ctx(), view.id(), &runnable)),
                read_s_ago: view.live.inventory.age_s,
                name: view.server.name,
            })
            .collect();
        checks.sort_by(|a, b| (a.why_not.is_some(), &a.name).cmp(&(b.why_not.is_some(), &b.name)));
        checks
    }

    /// Has the list of nodes and files of all enabled servers, or of one, read again now; done when they are read.
    /// Answers the names of those that did not answer.
    pub async fn servers_read_again(&self, only: Option<ServerId>) -> Vec<String> {
        self.inner.background.inner().pool.read_again(only).await
    }

    /// The newest picture that a job made.
    ///
    /// # Errors
    /// `storage`.
    pub async fn newest_picture(&self) -> Result<Option<ArtifactId>, UserError> {
        let with_pictures = JobFilter { has_images: Some(true), ..JobFilter::default() };
        let jobs = self.store().job_list(&with_pictures, None, 1).await.map_err(storage)?.jobs;
        let Some(job) = jobs.first() else { return Ok(None) };
        // A job may have made a video beside it.
        let files = self.store().artifacts_of(job.id).await.map_err(storage)?;
        Ok(files.into_iter().find(|file| file.kind == MediaKind::Image).map(|picture| picture.id))
    }

    /// Refuses a server that is known and takes no work: a test run would only wait for it.
    fn refuse_idle(&self, given: &str) -> Result<(), UserError> {
        let servers = self.servers();
        let named = servers.iter().find(|view| view.server.name == given || view.id().to_string() == given);
        match named.and_then(|view| Some((view, idle(view)?))) {
            Some((view, why)) => {
                let mut error =
                    UserError::new(ErrorCode::NoServer, format!("The server `{}` {why}.", view.server.name));
                error.argument = Some("server".to_owned());
                Err(error.with_hint("Choose one that takes work."))
            }
            None => Ok(()),
        }
    }
}

/// Why a server takes no work, in words behind its name.
fn idle(view: &ServerView) -> Option<String> {
    match view.state {
        state if state.takes_work() => None,
        ServerState::Disabled => Some("is switched off".to_owned()),
        state => Some(match &view.reason {
            Some(reason) => format!("is {state}: {}", reason.trim_end_matches('.'), state = state.as_str()),
            None => format!("is {}", state.as_str()),
        }),
    }
}

fn form_of(runnable: &Runnable) -> TrialForm {
    let has = |kind| runnable.slots.has(kind);
    let mode = match (has(SlotKind::InputImage), has(SlotKind::Mask) || has(SlotKind::Detector), has(SlotKind::Prompt))
    {
        (false, ..) => Mode::Generate,
        (true, true, _) => Mode::Detail,
        (true, false, true) => Mode::Edit,
        (true, false, false) => Mode::Upscale,
    };
    TrialForm {
        mode,
        takes_prompt: has(SlotKind::Prompt),
        takes_seed: has(SlotKind::Seed),
        takes_image: has(SlotKind::InputImage),
        takes_mask: has(SlotKind::Mask),
    }
}
