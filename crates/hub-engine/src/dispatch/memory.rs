//! Keeps what was learned of run and load times, so that a restart knows it.
//!
//! A task of its own, since nothing that a job waits for may wait for the store.

use std::{str::FromStr as _, sync::Arc, time::Duration};

use chrono::TimeDelta;
use hub_core::ids::WorkflowId;
use hub_schedule::{Fact, FactKey, Learned, ModelSet, WorkClass};
use hub_store::LearnedTime;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::Order;
use crate::{background::Inner, context::Context};

/// Pause between two writes.
const KEEP_EVERY: Duration = Duration::from_secs(15);
/// What was not learned anew for this long is forgotten.
const FORGET_AFTER: TimeDelta = TimeDelta::days(90);

/// What earlier processes learned. Without it the hub learns anew, so a failure is no reason not to start.
pub(crate) async fn recall(ctx: &Context) -> Learned {
    let mut learned = Learned::default();
    match ctx.store.learned_times(ctx.clock.now() - FORGET_AFTER).await {
        Ok(rows) => learned.restore(rows.iter().filter_map(fact)),
        Err(error) => tracing::warn!(error = %error, "what was learned of run times cannot be read"),
    }
    learned
}

/// Writes what is new now and then, until the hub stops; the end of it is written by who stops it.
pub(crate) async fn keep(inner: Arc<Inner>) {
    loop {
        tokio::select! {
            () = inner.ctx.stop.cancelled() => return,
            () = tokio::time::sleep(KEEP_EVERY) => save(&inner).await,
        }
    }
}

/// Writes what is new. Nothing when the dispatcher has ended.
pub(crate) async fn save(inner: &Inner) {
    let (answer, answered) = oneshot::channel();
    inner.dispatch.send(Order::Learned { answer });
    let rows: Vec<LearnedTime> = answered.await.unwrap_or_default().iter().map(row).collect();
    if !rows.is_empty()
        && let Err(error) = inner.ctx.store.learned_times_keep(&rows).await
    {
        // The next run of each teaches it again.
        tracing::warn!(error = %error, "what was learned of run times cannot be kept");
    }
}

fn row(fact: &Fact) -> LearnedTime {
    let Fact { key, value, samples } = *fact;
    let (what, subject, server) = match key {
        FactKey::Run(WorkClass { workflow, scale }, server) => {
            ("run", format!("{}/{scale}", workflow.as_uuid().simple()), server)
        }
        FactKey::Load(models, server) => ("load", models.to_string(), server),
        FactKey::Slowness(server) => ("slowness", String::new(), server),
    };
    LearnedTime { what: what.to_owned(), subject, server, value, samples }
}

fn fact(row: &LearnedTime) -> Option<Fact> {
    let key = match row.what.as_str() {
        "run" => {
            let (workflow, scale) = row.subject.split_once('/')?;
            let workflow = WorkflowId::from_uuid(Uuid::try_parse(workflow).ok()?);
            FactKey::Run(WorkClass { workflow, scale: scale.parse().ok()? }, row.server)
        }
        "load" => FactKey::Load(ModelSet::from_str(&row.subject).ok()?, row.server),
        "slowness" => FactKey::Slowness(row.server),
        _ => return None,
    };
    Some(Fact { key, value: row.value, samples: row.samples })
}

#[cfg(test)]
mod tests {
    use hub_core::ids::ServerId;

    use super::*;

    #[test]
    fn facts_survive_their_rows_and_odd_rows_are_left_out() {
        let server = ServerId::new();
        let class = WorkClass::new(WorkflowId::new(), Some(4096), Some(4), 1);
        for key in [
            FactKey::Run(class, server),
            FactKey::Load(ModelSet::from_digest([9; 16]), server),
            FactKey::Slowness(server),
        ] {
            let kept = Fact { key, value: 1.5, samples: 3 };
            assert_eq!(fact(&row(&kept)), Some(kept));
        }
        let odd = LearnedTime { what: "run".to_owned(), subject: "x".to_owned(), server, value: 1.0, samples: 1 };
        assert_eq!(fact(&odd), None);
    }
}
