//! Ends a job that no server may run any more, saying what went wrong where.

use std::sync::Arc;

use hub_core::{
    error::{ErrorCode, UserError},
    job::{Job, JobStateKind},
};

use crate::{CrashPoint, background::Inner, crash, persist};

/// Fails the job with the reasons of its attempts; without any, with `why`, server by server.
pub(super) async fn end(inner: Arc<Inner>, job: Job, why: String) {
    let Some(rows) = persist::settle(&inner.ctx, job.id, || inner.ctx.store.job_attempts(job.id)).await else {
        return inner.board.drop_silently(job.id);
    };
    let reasons = rows.into_iter().filter_map(|row| row.error).collect();
    let error = verdict(reasons, &why);
    let failed = persist::settle(&inner.ctx, job.id, || inner.ctx.store.job_fail(job.id, None, &error));
    let failed = crash::around(CrashPoint::Hopeless, failed).await;
    match failed {
        Some(true) => {
            tracing::info!(job = %job.id, code = %error.code, "no server is left for the job");
            inner.board.end(job.id, JobStateKind::Failed);
        }
        // Cancelled or expired in the meantime, by somebody who told the board.
        Some(false) => {}
        None => inner.board.drop_silently(job.id),
    }
}

/// One error out of many: a fault at work outweighs a lack of files, that outweighs a lost server, and the
/// newest speaks for all.
fn verdict(mut reasons: Vec<UserError>, why: &str) -> UserError {
    // What says least about the job goes first, unless it is all there is.
    for weak in [ErrorCode::ServerLost, ErrorCode::NoCompatibleServer] {
        if reasons.iter().any(|reason| reason.code != weak) {
            reasons.retain(|reason| reason.code != weak);
        }
    }
    let lacks_only = reasons.iter().all(|reason| reason.code == ErrorCode::NoCompatibleServer);
    let Some(newest) = reasons.last().cloned() else {
        return UserError::new(ErrorCode::NoCompatibleServer, format!("No server can run this job: {why}."))
            .with_hint("Name another server or group, or none, or choose another render type.");
    };
    let mut told: Vec<&str> = Vec::new();
    for reason in &reasons {
        if !told.contains(&reason.message.as_str()) {
            told.push(&reason.message);
        }
    }
    let message = told.join(" ");
    let message = if lacks_only { format!("No server can run this workflow. {message}") } else { message };
    UserError { message, ..newest }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lack(server: &str) -> UserError {
        UserError::new(ErrorCode::NoCompatibleServer, format!("{server} lacks the model file x."))
    }

    #[test]
    fn lacking_servers_are_all_named() {
        let error = verdict(vec![lack("gpu-1"), lack("gpu-2"), lack("gpu-1")], "");
        assert_eq!(error.code, ErrorCode::NoCompatibleServer);
        assert_eq!(
            error.message,
            "No server can run this workflow. gpu-1 lacks the model file x. gpu-2 lacks the model file x."
        );
    }

    #[test]
    fn a_fault_at_work_outweighs_a_lack() {
        let memory = UserError::new(ErrorCode::OutOfMemory, "The GPU of gpu-2 ran out of memory.");
        assert_eq!(verdict(vec![memory.clone(), lack("gpu-1")], ""), memory);
        let never_tried = verdict(Vec::new(), "gpu-1 is not used for it");
        assert_eq!(never_tried.code, ErrorCode::NoCompatibleServer);
        assert!(never_tried.message.contains("gpu-1 is not used"), "{never_tried}");
    }
}
