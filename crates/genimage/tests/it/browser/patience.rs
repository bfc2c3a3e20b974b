//! Waiting for what comes in its own time. Whatever a browser test waits for, it waits here, and as long.

use std::time::{Duration, Instant};

use anyhow::bail;

/// Longest wait for anything in a browser: generous, since the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(40);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(15);

/// Looks until a look finds something, and answers that. A look that finds nothing says what is there instead; of the
/// last of them `told` makes the fault of a wait that was in vain.
pub(crate) async fn until<T, N, Look>(look: impl Fn() -> Look, told: impl FnOnce(N) -> String) -> anyhow::Result<T>
where
    Look: Future<Output = Result<T, N>>,
{
    let begun = Instant::now();
    loop {
        match look().await {
            Ok(found) => return Ok(found),
            Err(instead) if begun.elapsed() > PATIENCE => bail!("{}", told(instead)),
            Err(_) => {}
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
