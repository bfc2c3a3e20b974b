//! What a verdict means for the job: the table of failures and what to do about each.

use std::time::Duration;

use comfyui::{Error, ErrorKind, ExecutionError, Graph, is_out_of_memory, missing_model};
use hub_core::error::{ErrorCode, UserError};

use super::{Attempt, follow::Verdict, post::lacking, prepare::PrepareFailure, settle::End};
use crate::{collect::CollectFailure, pool};

/// How long a server is given to stop a prompt that showed no sign of life, before its worker counts as dead.
const STOP_LIMIT: Duration = Duration::from_secs(30);

impl Attempt {
    /// What to do about how following ended. `Verdict::Done` is a success and never comes here.
    pub(super) fn judge(&self, verdict: Verdict, graph: Option<&Graph>) -> End {
        let name = &self.server_name;
        let lost = |what: &str| UserError::new(ErrorCode::ServerLost, format!("{name} {what}."));
        match verdict {
            Verdict::Done(_) | Verdict::FailedSilently => End::Failed(UserError::new(
                ErrorCode::NodeFailed,
                format!("{name} says that the workflow failed, but not why."),
            )),
            Verdict::Failed(error) => self.judge_node_failure(&error, graph),
            Verdict::Interrupted => End::Failed(UserError::new(
                ErrorCode::Cancelled,
                format!("Somebody interrupted the job on the server {name}."),
            )),
            Verdict::Lost => {
                self.session.leave_behind(&self.prompt_id);
                self.session.job_failed();
                End::Again(lost("was lost while it had the job"))
            }
            Verdict::Silent => {
                self.session.leave_behind(&self.prompt_id);
                self.session.job_failed();
                End::Again(lost("stopped answering while it had the job"))
            }
            Verdict::Vanished => {
                self.withdraw_in_background();
                self.session.job_failed();
                End::Again(lost("lost the job: it is neither in its queue nor in its history"))
            }
            Verdict::NeverThere => {
                // The hub died before it had posted; no server is to blame for that.
                self.withdraw_in_background();
                End::not_here(lost("never got the job from an earlier process of the hub"))
            }
            Verdict::Stalled => {
                self.stop_or_quarantine();
                let limit = self.session.server().stall_limit_s;
                self.session.job_failed();
                End::Elsewhere(timed_out(format!("{name} showed no sign of progress for {limit} s.")))
            }
            Verdict::OverLimit => {
                self.stop_or_quarantine();
                let limit = self.session.server().run_limit_s;
                End::Elsewhere(timed_out(format!("The job ran longer than {limit} s on {name}.")))
            }
            Verdict::NotBegun { idle } => {
                self.withdraw_in_background();
                if idle {
                    self.session.quarantine();
                }
                End::not_here(lost("does not begin its jobs any more"))
            }
            Verdict::TakenBack => End::not_here(lost("kept it waiting behind a job that takes longer than expected")),
            Verdict::Retired => {
                self.withdraw_in_background();
                End::not_here(lost("was taken out of the pool"))
            }
            Verdict::Cancelled => End::Cancelled { posted: true },
            Verdict::LetGo => End::LetGo,
        }
    }

    pub(super) fn judge_preparation(&self, failure: PrepareFailure) -> End {
        match failure {
            PrepareFailure::Job(error) => End::Failed(error),
            PrepareFailure::Upload(error) => self.judge_call(&error, "take the input picture"),
        }
    }

    pub(super) fn judge_collection(&self, failure: CollectFailure) -> End {
        match failure {
            CollectFailure::Job(error) => End::Failed(error),
            CollectFailure::Missing(error) => {
                // A workflow may delete what it saved, so the job is not tried elsewhere; but of a server that
                // loses every file nothing may be expected either.
                self.session.job_failed();
                End::Failed(error)
            }
            CollectFailure::Server(error) => self.judge_call(&error, "hand out the result"),
        }
    }

    /// A call around the prompt failed for good.
    fn judge_call(&self, error: &Error, what: &str) -> End {
        let name = &self.server_name;
        let told = UserError::new(ErrorCode::ServerLost, format!("{name} did not {what}: {error}."));
        self.session.job_failed();
        match error.kind() {
            ErrorKind::Transient | ErrorKind::Unauthorized => {
                self.session.suffered(pool::trouble(error), error.to_string());
                End::Again(told)
            }
            ErrorKind::Rejected | ErrorKind::Gone | ErrorKind::NotComfyUi | ErrorKind::TooLarge => End::Elsewhere(told),
        }
    }

    fn judge_node_failure(&self, error: &ExecutionError, graph: Option<&Graph>) -> End {
        let name = &self.server_name;
        let title = graph.and_then(|graph| graph.node(&error.node_id)).and_then(|node| node.title());
        let titled = match title {
            Some(title) if title != error.node_type => {
                ExecutionError { node_type: format!("{title} [{}]", error.node_type), ..error.clone() }
            }
            _ => error.clone(),
        };
        // Older servers take a graph whose model file is absent, and fail only when they load it.
        if let Some(missing) = missing_model(error) {
            return lacking(self, &[missing]);
        }
        if is_out_of_memory(error) {
            let at = title.unwrap_or(&error.node_type);
            return End::OutOfMemory(
                UserError::new(
                    ErrorCode::OutOfMemory,
                    format!("The GPU of {name} ran out of memory at {at} (node {}).", error.node_id),
                )
                .with_hint("Ask for a smaller picture, or try again later."),
            );
        }
        End::Failed(UserError::new(ErrorCode::NodeFailed, format!("On {name}: {}", titled.summary())))
    }

    fn withdraw_in_background(&self) {
        // A request that was on its way may bring it later: the next probe looks once more.
        self.session.leave_behind(&self.prompt_id);
        let (session, prompt) = (self.session.clone(), self.prompt_id.clone());
        let kill = self.inner.ctx.kill.clone();
        self.inner.ctx.tasks.spawn(async move {
            tokio::select! {
                () = session.withdraw(&prompt) => {}
                () = kill.cancelled() => {}
            }
        });
    }

    /// Interrupts the prompt. A server that still runs it a while later runs nothing else any more.
    fn stop_or_quarantine(&self) {
        let (session, prompt) = (self.session.clone(), self.prompt_id.clone());
        let kill = self.inner.ctx.kill.clone();
        let patience = STOP_LIMIT.min(Duration::from_secs(session.server().stall_limit_s.into()));
        self.inner.ctx.tasks.spawn(async move {
            let stopped = async {
                session.withdraw(&prompt).await;
                tokio::time::sleep(patience).await;
                match session.client() {
                    Some(client) => client.queue().await.is_ok_and(|queue| !queue.is_running(&prompt)),
                    None => true,
                }
            };
            tokio::select! {
                stopped = stopped => if !stopped && session.link().borrow().answers { session.quarantine() },
                () = kill.cancelled() => {}
            }
        });
    }
}

fn timed_out(message: String) -> UserError {
    UserError::new(ErrorCode::TimedOut, message)
        .with_hint("Try again, or ask for less work (a smaller picture, fewer steps).")
}
