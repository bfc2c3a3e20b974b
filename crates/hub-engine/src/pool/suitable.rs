//! Which servers can run a workflow at all, and what happens around the pool's own sessions: alerts are told, the
//! workflows of the catalogue are held against every inventory. Nothing here is on the way of a decision.

use std::{sync::Arc, time::Duration};

use hub_core::{
    error::{ErrorCode, UserError},
    ids::ServerId,
    placement::Placement,
};
use tokio::time::Instant;

use super::{Pool, inventory, session::Session, stock::Verdict, webhook};
use crate::{PlannedServer, catalogue::Runnable, context::Context};

/// Servers that one refusal names; of further ones only the number is told.
const NAMED_MAX: usize = 8;
/// An inventory younger than this is believed without asking again.
const YOUNG: Duration = Duration::from_secs(10);
/// What helps when a pin is at fault.
const OTHER_PIN: &str = "Name another server or group, or none; or install what is missing there.";
/// Longest wait for inventories to be read again before a job is refused.
const ASK_AGAIN_LIMIT: Duration = Duration::from_secs(5);
/// The same, when a person asks for it and looks on: lists of nodes may be tens of megabytes.
const READ_AGAIN_LIMIT: Duration = Duration::from_secs(20);

impl Pool {
    /// Begins to tell alerts.
    pub(crate) fn begin(&self, ctx: &Arc<Context>) {
        let until_killed = |ctx: &Arc<Context>, task: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| {
            let kill = ctx.kill.clone();
            ctx.tasks.spawn(async move {
                tokio::select! {
                    () = kill.cancelled() => {}
                    () = task => {}
                }
            });
        };
        until_killed(ctx, Box::pin(self.alerts.clone().run()));
        until_killed(ctx, Box::pin(webhook::run(ctx.settings.follow(), self.alerts.subscribe())));
    }

    /// Holds the newest workflows against every inventory.
    pub(crate) fn catalogue_changed(&self, ctx: &Context) {
        let runnables = Arc::new(ctx.catalogue.snapshot().runnables());
        let mut changed = false;
        for session in self.all() {
            changed |= session.stock.catalogue(runnables.clone());
        }
        if changed {
            self.dispatch.nudge();
        }
    }

    /// Refuses a workflow that no enabled server of those meant can run, as far as is known for certain and afresh:
    /// servers whose inventories say no are asked once more before.
    ///
    /// # Errors
    /// `no_compatible_server` naming what each server lacks.
    pub(crate) async fn refuse_hopeless(
        &self,
        ctx: &Context,
        runnable: &Runnable,
        placement: &Placement,
    ) -> Result<(), UserError> {
        let max_age = inventory::max_age(ctx);
        if self.hopeless(runnable, placement, max_age).is_none() {
            return Ok(());
        }
        self.ask_again().await;
        match self.hopeless(runnable, placement, max_age) {
            Some(lacks) => Err(refusal(&runnable.workflow.name, placement, &lacks)),
            None => Ok(()),
        }
    }

    /// The largest seed that a workflow takes on every server that a job of it may go to.
    pub(crate) fn largest_seed(&self, runnable: &Runnable, placement: &Placement) -> u64 {
        let members = self.members();
        let allowed = members.sessions.values().filter(|session| {
            let server = session.server();
            placement.allows(server.id, server.group.as_deref())
        });
        allowed.map(|session| session.stock.largest_seed(runnable)).min().unwrap_or(u64::MAX)
    }

    /// Whether each enabled server could run the workflow, by name.
    pub(crate) fn fits(&self, ctx: &Context, runnable: &Runnable) -> Vec<PlannedServer> {
        let max_age = inventory::max_age(ctx);
        let members = self.members();
        let mut fits: Vec<PlannedServer> = members
            .sessions
            .values()
            .map(|session| PlannedServer {
                name: session.server().name.clone(),
                why_not: why_not(session.verdict(runnable, max_age)),
            })
            .collect();
        fits.sort_by(|a, b| a.name.cmp(&b.name));
        fits
    }

    /// Why a server could not run the workflow, as far as its inventory tells; `None` too of a server that is not
    /// enabled.
    pub(crate) fn why_not(&self, ctx: &Context, server: ServerId, runnable: &Runnable) -> Option<String> {
        why_not(self.session(server)?.verdict(runnable, inventory::max_age(ctx)))
    }

    /// Has the inventories of all enabled servers, or of this one, read again now, and waits for that. Answers the
    /// names of those that did not answer in time.
    pub(crate) async fn read_again(&self, only: Option<ServerId>) -> Vec<String> {
        let meant = self.all().into_iter().filter(|session| only.is_none_or(|only| session.id() == only));
        read(meant.collect(), READ_AGAIN_LIMIT).await
    }

    /// What each server lacks, when none of those meant can run the workflow. `None` too when there is no such
    /// server.
    fn hopeless(
        &self,
        runnable: &Runnable,
        placement: &Placement,
        max_age: Duration,
    ) -> Option<Vec<(String, Verdict)>> {
        let members = self.members();
        let mut lacks = Vec::new();
        for session in members.sessions.values() {
            let server = session.server();
            if !placement.allows(server.id, server.group.as_deref()) {
                continue;
            }
            match session.verdict(runnable, max_age) {
                Verdict::May => return None,
                verdict => lacks.push((server.name.clone(), verdict)),
            }
        }
        lacks.sort_by(|a, b| a.0.cmp(&b.0));
        (!lacks.is_empty()).then_some(lacks)
    }

    /// Has inventories that are not young read again, and waits for that.
    async fn ask_again(&self) {
        let now = Instant::now();
        let is_old = |session: &Arc<Session>| {
            session.stock.read_at().is_some_and(|at| now.saturating_duration_since(at) >= YOUNG)
        };
        let old = self.all().into_iter().filter(is_old).collect();
        // Whoever does not answer in time is judged by what is known.
        let _silent = read(old, ASK_AGAIN_LIMIT).await;
    }

    pub(super) fn all(&self) -> Vec<Arc<Session>> {
        self.members().sessions.values().cloned().collect()
    }
}

/// Has the inventories of these servers read again, and waits at most `limit` for each. Answers the names of those
/// that did not answer.
async fn read(sessions: Vec<Arc<Session>>, limit: Duration) -> Vec<String> {
    let reads = sessions.into_iter().map(|session| async move {
        // Nothing is read of a server that is away.
        let answers = session.link().borrow().answers;
        let mut reads = session.inventory_reads.subscribe();
        reads.mark_unchanged();
        session.inventory_doubted.notify_one();
        // The session may end meanwhile; then nothing was read either.
        let read = answers && matches!(tokio::time::timeout(limit, reads.changed()).await, Ok(Ok(())));
        (!read).then(|| session.server().name.clone())
    });
    let mut silent: Vec<String> = futures_util::future::join_all(reads).await.into_iter().flatten().collect();
    silent.sort();
    silent
}

/// Why a server could not run a workflow, in words behind its name.
fn why_not(verdict: Verdict) -> Option<String> {
    match verdict {
        Verdict::May => None,
        Verdict::Lacks(lack) => Some(format!("lacks {lack}")),
        Verdict::SaidNot => Some("is not used for it".to_owned()),
    }
}

fn refusal(workflow: &str, placement: &Placement, lacks: &[(String, Verdict)]) -> UserError {
    let mut told: Vec<String> = lacks
        .iter()
        .take(NAMED_MAX)
        .map(|(server, verdict)| match verdict {
            Verdict::Lacks(lack) => format!("{server} lacks: {lack}."),
            Verdict::SaidNot | Verdict::May => format!("{server} is not used for it."),
        })
        .collect();
    if let Some(more) = lacks.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
        told.push(format!("{more} more servers lack something too."));
    }
    let (whose, hint) = match placement {
        Placement::Anywhere => {
            ("No server".to_owned(), "Install what is missing on a server, or choose another render type.")
        }
        Placement::Server(_) => ("No server that the job is pinned to".to_owned(), OTHER_PIN),
        Placement::Group(name) => (format!("No server of the group {name}"), OTHER_PIN),
    };
    UserError::new(
        ErrorCode::NoCompatibleServer,
        format!("{whose} can run the workflow `{workflow}`. {}", told.join(" ")),
    )
    .with_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Lack;

    #[test]
    fn a_refusal_names_files_by_server_and_stays_short() {
        let lack = Lack { nodes: vec!["X".to_owned()], files: vec!["a.safetensors".to_owned()] };
        let lacks: Vec<_> = (0..20).map(|n| (format!("gpu-{n:02}"), Verdict::Lacks(lack.clone()))).collect();
        let error = refusal("flux", &Placement::Anywhere, &lacks);
        assert_eq!(error.code, ErrorCode::NoCompatibleServer);
        assert!(error.message.contains("gpu-07 lacks: node class X, model file a.safetensors."), "{error}");
        assert!(!error.message.contains("gpu-08") && error.message.contains("12 more"), "{error}");
    }
}
