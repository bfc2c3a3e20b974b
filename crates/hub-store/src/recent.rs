//! An answer that took long to read is told again for a while, however often it is asked for.

use std::time::Duration;

use tokio::{sync::Mutex, time::Instant};

use crate::error::Result;

/// An answer is told again for so many times as long as it took: at most one part in so many of a core's time goes
/// into reading it.
const KEPT_TIMES: u32 = 100;
/// However long it took.
const KEPT_MAX: Duration = Duration::from_secs(10);
/// An answer about fewer jobs or files is never kept: nobody should see an old number without need.
pub(crate) const MANY: u64 = 5_000;

/// The last answer that was about many.
#[derive(Debug)]
pub(crate) struct Recent<T>(Mutex<Option<(T, Instant)>>);

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Recent<T> {
    /// Something changed that whoever did it wants to see.
    pub(crate) async fn forget(&self) {
        *self.0.lock().await = None;
    }

    /// The last answer, if it is good still and fits; else a new one, which is kept when it is about so `MANY`.
    pub(crate) async fn get_or(
        &self,
        fits: impl FnOnce(&T) -> bool,
        read: impl Future<Output = Result<T>>,
        about: impl FnOnce(&T) -> u64,
    ) -> Result<T> {
        // Held while it is read: whoever asks meanwhile gets the same answer.
        let mut last = self.0.lock().await;
        let begun = Instant::now();
        if let Some((answer, _)) = last.as_ref().filter(|(answer, good_until)| begun < *good_until && fits(answer)) {
            return Ok(answer.clone());
        }
        let answer = read.await?;
        let good_for = (begun.elapsed() * KEPT_TIMES).min(KEPT_MAX);
        *last = (about(&answer) >= MANY).then(|| (answer.clone(), Instant::now() + good_for));
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOK: Duration = Duration::from_millis(5);

    async fn read(jobs: u64) -> Result<u64> {
        tokio::time::advance(TOOK).await;
        Ok(jobs)
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_about_many_is_told_again_and_then_forgotten() {
        let recent = Recent::default();
        let told = async |fits: bool, jobs| recent.get_or(|_| fits, read(jobs), |jobs| *jobs).await.expect("an answer");
        assert_eq!(told(true, MANY).await, MANY);
        assert_eq!(told(true, 8).await, MANY, "kept");
        assert_eq!(told(false, MANY + 1).await, MANY + 1, "it does not fit");
        recent.forget().await;
        assert_eq!(told(true, MANY).await, MANY);
        tokio::time::advance(TOOK * KEPT_TIMES).await;
        assert_eq!(told(true, 10).await, 10);
        assert_eq!(told(true, 11).await, 11, "the last was about few");
    }
}
