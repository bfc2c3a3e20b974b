//! Jobs that make several pictures: one job for the caller, and a part for each picture.
//!
//! The whole is what the caller holds: one key, one cancel, one end, one result. Its parts are jobs like any
//! other to the queue, the scheduler and the attempts; what befalls them is handled where it befalls any job.
//! Here: splitting, and the task that follows the parts of one whole, shows their sum, and ends the whole
//! after them. It holds nothing that the store does not: after a restart it begins anew.

use std::{sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt as _, stream};
use hub_core::{
    ids::JobId,
    job::{Job, JobState, JobStateKind},
    parts::{self, Outcome},
    recipe::Recipe,
};
use hub_store::NewPart;

use crate::{CrashPoint, JobProgress, JobWatch, background::Inner, crash, persist};

/// Pause before parts are looked for again that are stored but that nobody follows yet: a restart takes
/// them up one after the other.
const ADOPTION_PAUSE: Duration = Duration::from_millis(500);
/// Servers that are named while they work on one job.
const SERVERS_NAMED: usize = 4;

/// The parts of a job with this recipe: the same work with a seed each.
pub(crate) fn split(recipe: &Recipe, count: u32, largest_seed: u64) -> Vec<NewPart> {
    parts::seeds(recipe.seed, count, largest_seed)
        .map(|seed| NewPart { id: JobId::new(), recipe: Recipe { seed, ..recipe.clone() } })
        .collect()
}

/// Takes a whole that was just stored, and its parts, which wait for servers.
pub(crate) fn begin(inner: &Arc<Inner>, whole: Job, parts: Vec<Job>) {
    for part in &parts {
        inner.enqueue(part.clone());
    }
    follow(inner, whole, Some(parts));
}

/// Takes up a whole of the store that nobody here knows; its parts are taken up as any job is.
pub(crate) fn adopt(inner: &Arc<Inner>, whole: Job) {
    follow(inner, whole, None);
}

fn follow(inner: &Arc<Inner>, whole: Job, parts: Option<Vec<Job>>) {
    inner.board.open(JobProgress::of(&whole));
    let inner = inner.clone();
    inner.ctx.tasks.clone().spawn(async move {
        let gathering = Gathering::new(inner.clone(), whole);
        tokio::select! {
            () = inner.ctx.kill.cancelled() => {}
            () = gathering.run(parts) => {}
        }
    });
}

/// One whole at work.
struct Gathering {
    inner: Arc<Inner>,
    whole: Job,
    /// The newest of each part.
    parts: Vec<JobProgress>,
    /// Its start is stored.
    begun: bool,
}

impl Gathering {
    fn new(inner: Arc<Inner>, whole: Job) -> Self {
        let begun = whole.state == JobState::InParts;
        Self { inner, whole, parts: Vec::new(), begun }
    }

    async fn run(mut self, known: Option<Vec<Job>>) {
        let ctx = self.inner.ctx.clone();
        let id = self.whole.id;
        let mut known = known;
        loop {
            let parts = match known.take() {
                Some(parts) => parts,
                None => match persist::settle(&ctx, id, || ctx.store.job_parts(id)).await {
                    Some(parts) => parts,
                    None => return self.inner.board.drop_silently(id),
                },
            };
            if let Some(outcome) = parts::outcome(&parts) {
                return self.complete(outcome).await;
            }
            self.parts = parts.iter().map(JobProgress::of).collect();
            if !self.watch().await {
                tokio::time::sleep(ADOPTION_PAUSE).await;
            }
        }
    }

    /// Shows what becomes of the parts that are at work here, until all of them have ended or are let go.
    /// False when there is none.
    async fn watch(&mut self) -> bool {
        let watches: Vec<_> = self
            .parts
            .iter()
            .enumerate()
            .filter(|(_, part)| !part.state.is_terminal())
            .filter_map(|(index, part)| Some((index, self.inner.board.watch(part.job)?)))
            .map(|(index, watch)| Box::pin(changes_of(index, watch)))
            .collect();
        let found = !watches.is_empty();
        let mut changes = stream::select_all(watches);
        while let Some((index, progress)) = changes.next().await {
            self.parts[index] = progress;
            let parts = &self.parts;
            self.inner.board.update(self.whole.id, |shown| show(parts, shown));
            if !self.begun && self.parts.iter().any(|part| stage(part) >= JobStateKind::Running) {
                self.store_start().await;
            }
        }
        found
    }

    async fn store_start(&mut self) {
        self.begun = true;
        if self.parts.iter().all(|part| part.state.is_terminal()) {
            // Its end says it too.
            return;
        }
        let ctx = &self.inner.ctx;
        let began = persist::settle(ctx, self.whole.id, || ctx.store.job_began(self.whole.id));
        // Lost means cancelled, by somebody who told the board.
        crash::around(CrashPoint::Began, began).await;
    }

    async fn complete(self, outcome: Outcome) {
        let (inner, id) = (&self.inner, self.whole.id);
        let ctx = &inner.ctx;
        let completed = persist::settle(ctx, id, || ctx.store.job_complete(id, &outcome));
        match crash::around(CrashPoint::Complete, completed).await {
            Some(true) => tracing::info!(job = %id, ?outcome, "a job in parts has ended"),
            // Cancelled, or this end was written before and its answer got lost: the store knows.
            Some(false) => {}
            None => return inner.board.drop_silently(id),
        }
        match persist::settle(ctx, id, || ctx.store.job_get(id)).await.flatten() {
            Some(stored) if stored.state.kind().is_terminal() => drop(inner.board.end(id, stored.state.kind())),
            _ => inner.board.drop_silently(id),
        }
    }
}

/// Every change of a part, until it has ended or is let go.
fn changes_of(index: usize, watch: JobWatch) -> impl Stream<Item = (usize, JobProgress)> {
    stream::unfold(watch, move |mut watch| async move {
        let progress = watch.next().await?;
        Some(((index, progress), watch))
    })
}

/// What a part makes of its whole, which runs until the last one has ended.
fn stage(part: &JobProgress) -> JobStateKind {
    part.state.min(JobStateKind::Running)
}

/// Shows the sum of the parts; true when it differs. It never goes back, whatever a part does.
fn show(parts: &[JobProgress], shown: &mut JobProgress) -> bool {
    let before = shown.clone();
    let ended = parts.iter().filter(|part| part.state.is_terminal());
    let done = u32::try_from(ended.count()).unwrap_or(u32::MAX);
    shown.state = parts.iter().map(stage).fold(shown.state, JobStateKind::max);
    let sum: f32 = parts.iter().map(|part| if part.state.is_terminal() { 1.0 } else { part.fraction }).sum();
    #[expect(clippy::cast_precision_loss, reason = "at most a few parts")]
    let fraction = sum / parts.len().max(1) as f32;
    shown.fraction = shown.fraction.max(fraction);
    shown.parts = shown.parts.map(|(_, of)| (done, of));
    let waits = shown.state == JobStateKind::Queued;
    shown.queue_position = if waits { parts.iter().filter_map(|part| part.queue_position).min() } else { None };
    shown.why_waiting = if waits { parts.iter().find_map(|part| part.why_waiting.clone()) } else { None };
    shown.server = servers(parts);
    let newest = parts.iter().filter(|part| part.preview.is_some()).max_by(|a, b| a.fraction.total_cmp(&b.fraction));
    shown.preview = newest.and_then(|part| part.preview.clone());
    *shown != before
}

/// The servers at work, by name.
fn servers(parts: &[JobProgress]) -> Option<Arc<str>> {
    let at_work = parts.iter().filter(|part| !part.state.is_terminal());
    let mut names: Vec<&str> = at_work.filter_map(|part| part.server.as_deref()).collect();
    names.sort_unstable();
    names.dedup();
    let more = names.len().saturating_sub(SERVERS_NAMED);
    names.truncate(SERVERS_NAMED);
    match (names.is_empty(), more) {
        (true, _) => None,
        (false, 0) => Some(Arc::from(names.join(", "))),
        (false, more) => Some(Arc::from(format!("{} and {more} more", names.join(", ")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(state: JobStateKind, fraction: f32, server: Option<&str>) -> JobProgress {
        JobProgress { state, fraction, server: server.map(Arc::from), ..waiting(None) }
    }

    fn waiting(position: Option<u32>) -> JobProgress {
        JobProgress {
            job: JobId::new(),
            sequence: 0,
            state: JobStateKind::Queued,
            queue_position: position,
            server: None,
            fraction: 0.0,
            steps: None,
            node: None,
            preview: None,
            why_waiting: None,
            parts: None,
            part_of: None,
        }
    }

    #[test]
    fn the_whole_shows_the_sum_of_its_parts_and_never_goes_back() {
        let mut shown = JobProgress { parts: Some((0, 4)), ..waiting(None) };
        assert!(show(&[waiting(Some(5)), waiting(Some(3)), waiting(Some(7)), waiting(None)], &mut shown));
        assert_eq!((shown.state, shown.queue_position), (JobStateKind::Queued, Some(3)));

        let running = part(JobStateKind::Running, 0.5, Some("gpu-2"));
        let started = part(JobStateKind::Assigned, 0.0, Some("gpu-1"));
        let ended = part(JobStateKind::Succeeded, 1.0, Some("gpu-3"));
        let parts = [ended.clone(), running.clone(), started, waiting(Some(0))];
        assert!(show(&parts, &mut shown));
        assert_eq!((shown.state, shown.queue_position, shown.parts), (JobStateKind::Running, None, Some((1, 4))));
        assert!((shown.fraction - 0.375).abs() < 1e-6, "{}", shown.fraction);
        assert_eq!(shown.describe(), "1 of 4 pictures done, at work on gpu-1, gpu-2");
        assert!(!show(&parts, &mut shown), "nothing changed");

        // A server was lost: its part is back in the queue.
        show(&[ended.clone(), waiting(Some(0)), waiting(Some(1)), waiting(Some(2))], &mut shown);
        assert_eq!((shown.state, shown.server.as_deref()), (JobStateKind::Running, None));
        assert!((shown.fraction - 0.375).abs() < 1e-6, "{}", shown.fraction);

        let collecting = part(JobStateKind::Collecting, 1.0, None);
        show(&[ended.clone(), ended, collecting.clone(), collecting], &mut shown);
        assert_eq!((shown.state, shown.parts), (JobStateKind::Running, Some((2, 4))));
    }

    #[test]
    fn many_servers_are_not_all_named() {
        let parts: Vec<_> = (1..=6).map(|n| part(JobStateKind::Running, 0.0, Some(&format!("gpu-{n}")))).collect();
        assert_eq!(servers(&parts).as_deref(), Some("gpu-1, gpu-2, gpu-3, gpu-4 and 2 more"));
    }
}
