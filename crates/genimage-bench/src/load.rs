//! Callers in parallel, each one job after the other, and what they measured.

use std::{
    future::Future,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use futures_util::future::try_join_all;

/// Something that makes one picture per call.
pub(crate) trait Target: Sync {
    /// Makes a picture for caller `caller` with a seed of its own; answers its size in bytes.
    fn make(&self, caller: usize, seed: u64) -> impl Future<Output = anyhow::Result<usize>> + Send;
}

/// Latencies of one load.
#[derive(Debug, Default)]
pub(crate) struct Load {
    latencies: Vec<Duration>,
    wall: Duration,
}

impl Load {
    /// A load of these latencies, taken within `wall`.
    pub(crate) fn of(latencies: Vec<Duration>, wall: Duration) -> Self {
        Self { latencies, wall }
    }

    /// Adds another load of the same kind.
    pub(crate) fn merge(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.wall += other.wall;
    }

    /// Jobs done.
    pub(crate) fn jobs(&self) -> usize {
        self.latencies.len()
    }

    /// Jobs per second.
    pub(crate) fn rate(&self) -> f64 {
        self.jobs() as f64 / self.wall.as_secs_f64()
    }

    /// The latency that `share` of the jobs (0–1) stayed within, in milliseconds.
    pub(crate) fn percentile_ms(&self, share: f64) -> f64 {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index into the list")]
        let index = (last as f64 * share).round() as usize;
        sorted.get(index).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1000.0)
    }
}

/// Seeds never repeat within one process: a repeated one would be answered from a cache.
static NEXT_SEED: AtomicU64 = AtomicU64::new(1);

/// A seed that no other picture of this process has.
pub(crate) fn next_seed() -> u64 {
    NEXT_SEED.fetch_add(1, Ordering::Relaxed)
}

/// Has `callers` make pictures for `for_each`.
///
/// # Errors
/// When any job fails: a failed job makes every figure meaningless.
pub(crate) async fn run(target: &impl Target, callers: usize, for_each: Duration) -> anyhow::Result<Load> {
    let begun = Instant::now();
    let per_caller = (0..callers).map(|caller| async move {
        let mut latencies = Vec::new();
        while begun.elapsed() < for_each {
            latencies.push(timed(target, caller).await?);
        }
        anyhow::Ok(latencies)
    });
    let latencies = try_join_all(per_caller).await?.concat();
    Ok(Load { latencies, wall: begun.elapsed() })
}

/// Has each of `callers` make one picture, all at once.
///
/// # Errors
/// As [`run`].
pub(crate) async fn once(target: &impl Target, callers: usize) -> anyhow::Result<Load> {
    let begun = Instant::now();
    let latencies = try_join_all((0..callers).map(|caller| timed(target, caller))).await?;
    Ok(Load { latencies, wall: begun.elapsed() })
}

async fn timed(target: &impl Target, caller: usize) -> anyhow::Result<Duration> {
    let seed = next_seed();
    let begun = Instant::now();
    let size = target.make(caller, seed).await?;
    anyhow::ensure!(size > 100, "the picture has only {size} bytes");
    Ok(begun.elapsed())
}
