//! What changes that a client may want to hear of: the catalogue, the list of pictures, single jobs.
//!
//! Knows no client. Changes are merged, never queued: a slow listener hears of the newest state, and
//! hears of an end in any case.

use std::{collections::HashSet, sync::OnceLock, time::Duration};

use futures_util::{
    StreamExt as _,
    stream::{BoxStream, SelectAll},
};
use hub_core::{ids::JobId, job::JobStateKind};
use hub_engine::Engine;
use tokio::sync::{broadcast::error::RecvError, watch};
use tokio_util::sync::CancellationToken;

use crate::hub::Hub;

/// Least time between two announcements of new pictures.
const PICTURES_PACE: Duration = Duration::from_secs(5);
/// Least time between two announcements of one job. Its end waits for it too, and is not lost.
const JOB_PACE: Duration = Duration::from_millis(250);

/// Something changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Update {
    /// Tools, styles or render types.
    Catalogue,
    /// Pictures were added or deleted.
    Images,
    /// This job moved or ended.
    Job(JobId),
}

/// Counts up when pictures were made or deleted. Looks only once somebody asked.
#[derive(Debug, Default)]
pub(crate) struct NewPictures(OnceLock<watch::Receiver<u64>>);

impl NewPictures {
    fn watch(&self, engine: &Engine, closing: &CancellationToken) -> watch::Receiver<u64> {
        let begin = || {
            let (counter, watch) = watch::channel(0);
            tokio::spawn(count_pictures(engine.clone(), counter, closing.clone()));
            watch
        };
        self.0.get_or_init(begin).clone()
    }
}

async fn count_pictures(engine: Engine, counter: watch::Sender<u64>, closing: CancellationToken) {
    let mut changes = engine.changes();
    let mut gone = engine.pictures_gone();
    loop {
        let more = tokio::select! {
            () = closing.cancelled() => return,
            job = changes.recv() => match job {
                Ok(job) => has_succeeded(&engine, job).await,
                // Too many to look at each: some of them may well have been ends.
                Err(RecvError::Lagged(_)) => true,
                Err(RecvError::Closed) => return,
            },
            deleted = gone.changed() => match deleted {
                Ok(()) => true,
                Err(_) => return,
            },
        };
        if more {
            counter.send_modify(|count| *count += 1);
            tokio::select! {
                () = closing.cancelled() => return,
                () = tokio::time::sleep(PICTURES_PACE) => {}
            }
        }
    }
}

async fn has_succeeded(engine: &Engine, job: JobId) -> bool {
    match engine.watch(job).await {
        Ok(mut watch) => watch.now().state == JobStateKind::Succeeded,
        Err(error) => {
            tracing::debug!(%job, %error, "a job that changed cannot be read");
            false
        }
    }
}

/// The changes that one listener follows.
pub(crate) struct Updates {
    catalogue: watch::Receiver<u64>,
    images: watch::Receiver<u64>,
    jobs: SelectAll<BoxStream<'static, JobId>>,
    followed: HashSet<JobId>,
}

impl Updates {
    /// Follows the catalogue and the list of pictures, from now on.
    pub(crate) fn of(hub: &Hub) -> Self {
        let mut catalogue = hub.engine.catalogue_changes();
        let mut images = hub.new_pictures.watch(&hub.engine, &hub.closing);
        catalogue.mark_unchanged();
        images.mark_unchanged();
        Self { catalogue, images, jobs: SelectAll::new(), followed: HashSet::new() }
    }

    /// Follows a job as well. Its state now is told first, so an end that came before is not missed.
    pub(crate) fn follow(&mut self, engine: &Engine, job: JobId) {
        if !self.followed.insert(job) {
            return;
        }
        let engine = engine.clone();
        let steps = async_stream::stream! {
            let mut watch = match engine.watch(job).await {
                Ok(watch) => watch,
                Err(error) => {
                    tracing::debug!(%job, %error, "a job cannot be followed");
                    return;
                }
            };
            while watch.next().await.is_some() {
                yield job;
                tokio::time::sleep(JOB_PACE).await;
            }
        };
        self.jobs.push(steps.boxed());
    }

    /// The next change; `None` when the hub ends. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Update> {
        loop {
            tokio::select! {
                changed = self.catalogue.changed() => return changed.is_ok().then_some(Update::Catalogue),
                changed = self.images.changed() => return changed.is_ok().then_some(Update::Images),
                job = self.jobs.next(), if !self.jobs.is_empty() => {
                    if let Some(job) = job {
                        return Some(Update::Job(job));
                    }
                }
            }
        }
    }
}
