//! Keeps what models were learned to need on a shared GPU, so that a restart knows it.
//!
//! Kept with the learned times, for each ComfyUI server on the GPU: what is measured is what all of them hold.

use std::sync::Arc;

use chrono::TimeDelta;
use hub_schedule::Load;
use hub_store::LearnedTime;

use super::Gpu;
use crate::background::Inner;

/// The kind of what is kept.
const WHAT: &str = "memory";
/// What was not learned anew for this long is forgotten.
const FORGET_AFTER: TimeDelta = TimeDelta::days(90);

/// Takes in what earlier processes learned. Without it the hub learns anew.
pub(super) async fn recall(inner: &Inner, gpu: &Gpu) {
    let ctx = &inner.ctx;
    let rows = match ctx.store.learned_times(ctx.clock.now() - FORGET_AFTER).await {
        Ok(rows) => rows,
        Err(error) => {
            tracing::warn!(error = %error, "what was learned of the memory that models need cannot be read");
            return;
        }
    };
    let servers: Vec<_> = inner.pool.on_gpu(&gpu.name).iter().map(|session| session.id()).collect();
    let rows = rows.iter().filter(|row| row.what == WHAT && servers.contains(&row.server));
    gpu.state().facts.restore(rows.filter_map(need));
}

/// Writes what is new, beside whatever the lease does next.
pub(super) fn save(inner: &Arc<Inner>, gpu: &Gpu) {
    let learned = gpu.state().facts.take_learned();
    if learned.is_empty() {
        return;
    }
    let servers: Vec<_> = inner.pool.on_gpu(&gpu.name).iter().map(|session| session.id()).collect();
    let row = |(load, bytes): &(Load, u64), server| LearnedTime {
        what: WHAT.to_owned(),
        subject: format!("{:016x}", load.0),
        server,
        #[expect(clippy::cast_precision_loss, reason = "a size far below 2^52, or all there is")]
        value: *bytes as f64,
        samples: 1,
    };
    let rows: Vec<LearnedTime> =
        servers.iter().flat_map(|server| learned.iter().map(|need| row(need, *server))).collect();
    let inner = inner.clone();
    inner.ctx.tasks.clone().spawn(async move {
        if let Err(error) = inner.ctx.store.learned_times_keep(&rows).await {
            // The next run with the GPU to itself teaches it again.
            tracing::warn!(error = %error, "what was learned of the memory that models need cannot be kept");
        }
    });
}

fn need(row: &LearnedTime) -> Option<(Load, u64)> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates: then it is all there is")]
    let bytes = row.value as u64;
    Some((Load(u64::from_str_radix(&row.subject, 16).ok()?), bytes))
}

#[cfg(test)]
mod tests {
    use hub_core::ids::ServerId;

    use super::*;

    #[test]
    fn a_need_survives_its_row_and_an_odd_row_is_left_out() {
        let row = |subject: &str, value| LearnedTime {
            what: WHAT.to_owned(),
            subject: subject.to_owned(),
            server: ServerId::new(),
            value,
            samples: 1,
        };
        assert_eq!(need(&row("00000000000000ff", 12.0 * 1024.0 * 1024.0)), Some((Load(255), 12 << 20)));
        #[expect(clippy::cast_precision_loss, reason = "as it is written")]
        let all = u64::MAX as f64;
        assert_eq!(need(&row("1", all)), Some((Load(1), u64::MAX)));
        assert_eq!(need(&row("x", 1.0)), None);
    }
}
