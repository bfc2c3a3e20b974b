//! What a session learns from its attempts and tells people: what the server can run, whether its process is still
//! the one it was, when it fails too often.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use comfyui::MissingResource;
use hub_core::{ids::WorkflowId, server::ServerState};
use tokio::time::Instant;

use super::{
    alerts::{News, kind_of},
    session::Session,
    stock::Verdict,
};
use crate::{AlertKind, catalogue::Runnable};

impl Session {
    /// An attempt failed by the server's fault.
    pub(crate) fn job_failed(&self) {
        let now = Instant::now();
        let mut breaker = self.breaker();
        let was_open = breaker.is_open();
        breaker.failed(now);
        let (failures, opened) = (breaker.failures(), !was_open && breaker.is_open());
        drop(breaker);
        if opened {
            let message = format!("{failures} jobs in a row failed by its fault; it rests, and is tried again soon.");
            self.alert(AlertKind::BreakerOpened, message);
        }
    }

    /// The server refused a workflow for want of this. Its inventory is read again: it may have changed.
    pub(crate) fn lacks_for(&self, workflow: WorkflowId, missing: &[MissingResource]) {
        self.stock.refused(workflow, missing);
        self.inventory_doubted.notify_one();
    }

    pub(super) fn lacks(&self) -> Arc<HashSet<WorkflowId>> {
        self.stock.lacks()
    }

    /// Workflows that an administrator keeps away from the server.
    pub(super) fn barred(&self) -> Arc<HashSet<WorkflowId>> {
        self.stock.barred()
    }

    /// Whether the server can run a workflow. One that does not answer may come back with anything.
    pub(super) fn verdict(&self, runnable: &Runnable, max_age: Duration) -> Verdict {
        let answers = self.link.borrow().answers;
        if answers { self.stock.verdict(runnable, Instant::now(), max_age) } else { Verdict::May }
    }

    /// The server ran a workflow, with these model files. One that it lacked something for was installed.
    pub(crate) fn ran(&self, workflow: Option<WorkflowId>, files: Vec<String>) {
        if let Some(workflow) = workflow {
            self.stock.ran(workflow);
        }
        self.seen().loaded = files;
    }

    /// The server dropped all models it had.
    pub(crate) fn emptied(&self) {
        self.seen().loaded.clear();
    }

    /// Raised whenever the server's process is found to be another one: what was loaded there is gone.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// The number of the newest prompt that the server took, for [`Session::took`].
    pub(crate) fn newest_number(&self) -> Option<f64> {
        self.seen().newest_number
    }

    /// The server took a prompt under this number; `before` was the newest when it was posted. Numbers fall only
    /// when the process is another one.
    pub(crate) fn took(&self, before: Option<f64>, number: f64) {
        if before.is_some_and(|before| number < before) {
            self.restarted("it counts its prompts anew");
        }
        let mut seen = self.seen();
        seen.newest_number = Some(seen.newest_number.map_or(number, |newest| newest.max(number)));
    }

    /// The server's process is another one; what was learned of the one before may be wrong now.
    pub(super) fn restarted(&self, why: &str) {
        let epoch = self.epoch.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::info!(server = %self.server().name, epoch, why, "the server was restarted");
        self.breaker().reset();
        self.stock.restarted();
        self.seen().restarted();
        self.change(|health| health.zombie = false);
        self.inventory_doubted.notify_one();
        self.dispatch.nudge();
    }

    /// Somebody has reason to doubt what is known of the server.
    pub(crate) fn refresh(&self) {
        self.probe_now.notify_one();
        self.inventory_doubted.notify_one();
    }

    pub(super) fn dispatch_nudge(&self) {
        self.dispatch.nudge();
    }

    pub(super) fn alert_state(&self, state: ServerState, reason: &str) {
        let server = self.server();
        self.alerts.state_changed(server.id, &server.name, state, reason);
        let Some(kind) = kind_of(self.ailing.load(Ordering::Relaxed), state) else { return };
        self.ailing.store(kind != AlertKind::ServerBack, Ordering::Relaxed);
        let message = match kind {
            AlertKind::ServerBack => format!("It is {} again.", state.as_str()),
            _ => format!("It is {}: {reason}.", state.as_str()),
        };
        self.alert(kind, message);
    }

    fn alert(&self, kind: AlertKind, message: String) {
        if !self.retired.is_cancelled() {
            let server = self.server();
            self.alerts.tell(server.id, News { kind, name: server.name.clone(), message }, Instant::now());
        }
    }
}
