//! `POST /prompt`, once. What its outcome means is decided here; a POST is never repeated.

use std::time::Duration;

use comfyui::{
    Client, ErrorKind, MissingResource, PreviewMethod, Rejection, Submission, SubmitError, workflow::SlotKind,
};
use hub_core::{
    error::{ErrorCode, UserError},
    request::{JobRequest, SizeChoice},
};

use super::{
    Attempt,
    follow::{Follower, Patience},
    prepare::Prepared,
    settle::End,
};
use crate::{
    CrashPoint, crash,
    pool::{self, Inbox, Trouble},
};

/// Wait for the reply after the server was heard working on the prompt.
const REPLY_AFTER_EVENT: Duration = Duration::from_millis(500);
/// Wait for the reply after the job was cancelled: what is on its way must arrive before it can be withdrawn.
const REPLY_AFTER_CANCEL: Duration = Duration::from_millis(500);

/// How posting ended.
pub(super) enum Posted {
    /// Queued, under this id.
    Accepted(String),
    /// It may be queued; the server must be asked.
    Unproven,
    /// Not queued.
    Not(End),
}

/// Posts the graph. Events that come before the reply go to the follower.
pub(super) async fn post(
    attempt: &Attempt,
    client: &Client,
    prepared: &Prepared,
    client_id: &str,
    inbox: &mut Inbox,
    follower: &mut Follower<'_>,
) -> Posted {
    let mut submission = Submission::new(&prepared.graph, attempt.at.prompt_id.as_uuid(), client_id);
    if attempt.inner.ctx.settings.now().live_previews {
        submission.preview = Some(PreviewMethod::Auto);
    }
    let number_before = attempt.session.newest_number();
    let mut reply = std::pin::pin!(crash::around(CrashPoint::Post, client.submit(&submission)));
    let result = tokio::select! {
        biased;
        result = &mut reply => result,
        event = inbox.next() => {
            // It runs already, so it was accepted. A reply that is lost must not hold up its events.
            follower.hear(&event);
            match tokio::time::timeout(REPLY_AFTER_EVENT, reply).await {
                Ok(result) => result,
                Err(_) => return Posted::Accepted(attempt.prompt_id.clone()),
            }
        }
        () = attempt.entry.cancelled() => {
            // What the reply says does not matter any more.
            let _ = tokio::time::timeout(REPLY_AFTER_CANCEL, reply).await;
            // Should it come to lie there later still, the next probe finds it.
            attempt.session.leave_behind(&attempt.prompt_id);
            return Posted::Not(End::Cancelled { posted: true });
        }
        () = attempt.inner.ctx.kill.cancelled() => return Posted::Not(End::LetGo),
        () = tokio::time::sleep(Patience::reply(&attempt.session.server())) => return Posted::Unproven,
    };
    match result {
        Ok(submitted) => {
            attempt.session.took(number_before, submitted.number);
            Posted::Accepted(submitted.prompt_id)
        }
        Err(error) => refused(attempt, prepared, error).await,
    }
}

async fn refused(attempt: &Attempt, prepared: &Prepared, error: SubmitError) -> Posted {
    let name = &attempt.server_name;
    let lost = |what: &str| UserError::new(ErrorCode::ServerLost, format!("{name} {what}."));
    match error {
        SubmitError::Unknown(error) => {
            tracing::info!(job = %attempt.waiting.job.id, server = %name, error = %error.chain(), "it is unknown whether the prompt was queued");
            Posted::Unproven
        }
        SubmitError::NotSent(error) => {
            let trouble = pool::trouble(&error);
            if error.kind() == ErrorKind::Rejected {
                // The call itself was wrong (a graph that cannot be written): no server would take it.
                return Posted::Not(End::Failed(UserError::new(ErrorCode::WorkflowInvalid, error.to_string())));
            }
            attempt.session.suffered(trouble, error.to_string());
            if trouble != Trouble::Refused {
                attempt.session.job_failed();
            }
            Posted::Not(match trouble {
                // It answers probes but not prompts: that may never change.
                Trouble::Incompatible => End::Again(lost("did not answer like ComfyUI")),
                _ => End::not_here(lost("could not be reached")),
            })
        }
        SubmitError::Unauthorized(error) => {
            attempt.session.suffered(Trouble::Unauthorized, error.to_string());
            attempt.session.job_failed();
            Posted::Not(End::not_here(lost("refuses the hub's credentials")))
        }
        SubmitError::TooLarge => {
            let message = format!("The workflow is larger than {name} accepts.");
            Posted::Not(End::Elsewhere(UserError::new(ErrorCode::WorkflowInvalid, message)))
        }
        SubmitError::Rejected(rejection) => Posted::Not(rejected(attempt, prepared, &rejection)),
        SubmitError::PartiallyAccepted { prompt_id, rejection } => {
            // What is left of the graph is queued: it must not run.
            attempt.session.withdraw(&prompt_id).await;
            tracing::debug!(job = %attempt.waiting.job.id, nodes = prepared.graph.len(), "a prompt was accepted in part");
            Posted::Not(rejected(attempt, prepared, &rejection))
        }
    }
}

fn rejected(attempt: &Attempt, prepared: &Prepared, rejection: &Rejection) -> End {
    if let Some(error) = out_of_range(attempt, prepared, rejection) {
        return End::Failed(error);
    }
    if rejection.missing.is_empty() {
        return End::Failed(
            UserError::new(ErrorCode::WorkflowInvalid, format!("The workflow cannot run: {}", rejection.message))
                .with_hint("Whoever runs the hub must mend the workflow or its render type."),
        );
    }
    lacking(attempt, &rejection.missing)
}

/// A number of the caller's own that a node does not take: nodes may be narrower than what the hub allows.
fn out_of_range(attempt: &Attempt, prepared: &Prepared, rejection: &Rejection) -> Option<UserError> {
    const KINDS: [&str; 2] = ["value_smaller_than_min", "value_bigger_than_max"];
    let JobRequest::Image(request) = &attempt.waiting.job.request else { return None };
    let faults = rejection.nodes.iter().flat_map(|node| node.errors.iter().map(move |error| (node, error)));
    faults.filter(|(_, error)| KINDS.contains(&error.kind.as_str())).find_map(|(node, error)| {
        let argument = match prepared.slot_at(&node.node_id, error.input.as_deref()?)? {
            SlotKind::Seed if request.seed.is_some() => "seed",
            SlotKind::Denoise if request.denoise.is_some() => "denoise",
            SlotKind::Width if matches!(request.size, SizeChoice::Exact(_)) => "width",
            SlotKind::Height if matches!(request.size, SizeChoice::Exact(_)) => "height",
            _ => return None,
        };
        let message = format!("The workflow of this render type does not take this `{argument}`: {}.", error.message);
        Some(UserError::argument(argument, message))
    })
}

/// The server lacks what the workflow needs: the job moves, and later ones do not come here first.
pub(super) fn lacking(attempt: &Attempt, missing: &[MissingResource]) -> End {
    let name = &attempt.server_name;
    let own_upload = missing.iter().all(|missing| matches!(missing, MissingResource::InputImage { .. }));
    if let Some(recipe) = attempt.waiting.job.recipe.as_ref().filter(|_| !own_upload) {
        attempt.session.lacks_for(recipe.workflow_id, missing);
    }
    let lacking = missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    End::Elsewhere(
        UserError::new(ErrorCode::NoCompatibleServer, format!("{name} lacks: {lacking}."))
            .with_hint("Install what is missing on a server, or choose another render type."),
    )
}
