//! Others' prompts in a server's queue: how many, and how long they may take. Pure: times are arguments.
//!
//! Only the length of the whole queue is known, so others' part is what our own prompts do not explain. How long
//! one takes is learned from how their number falls.

use std::time::Duration;

use tokio::time::Instant;

use crate::ForeignQueue;

/// Weight of the newest prompt in the mean.
const NEWEST: f64 = 0.3;
/// A prompt that seems to take longer than this was held up by something else.
const PROMPT_MAX: Duration = Duration::from_hours(1);

/// Watches the part of a queue that is not ours.
#[derive(Debug, Default)]
pub(super) struct ForeignWatch {
    count: u32,
    /// When the prompt that runs now may have begun.
    since: Option<Instant>,
    mean_s: Option<f64>,
}

impl ForeignWatch {
    /// The queue's length was told, while `own` prompts of ours were there.
    pub(super) fn saw(&mut self, queue: u32, own: u32, now: Instant) {
        let count = queue.saturating_sub(own);
        if count < self.count
            && let Some(since) = self.since
        {
            let took = now.saturating_duration_since(since).min(PROMPT_MAX).as_secs_f64();
            let each = took / f64::from(self.count - count);
            self.mean_s = Some(self.mean_s.map_or(each, |mean| mean + NEWEST * (each - mean)));
        }
        if count == 0 {
            self.since = None;
        } else if count < self.count || self.since.is_none() {
            self.since = Some(now);
        }
        self.count = count;
    }

    /// The process is another one: its queue is empty. What was learned of its users stays.
    pub(super) fn restarted(&mut self) {
        (self.count, self.since) = (0, None);
    }

    /// What is there now.
    pub(super) fn view(&self, now: Instant) -> ForeignQueue {
        let running = self.since.map_or(0.0, |since| now.saturating_duration_since(since).as_secs_f64());
        let remaining_s = match (self.count, self.mean_s) {
            (0, _) => Some(0.0),
            (_, None) => None,
            // The one that runs is at least nearly done; the others are all ahead.
            (count, Some(mean)) => Some((mean - running).max(0.0) + f64::from(count - 1) * mean),
        };
        ForeignQueue { count: self.count, remaining_s }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn what_is_not_ours_is_counted_and_its_pace_learned() {
        let (start, mut watch) = (Instant::now(), ForeignWatch::default());
        watch.saw(2, 2, start);
        assert_eq!(watch.view(start), ForeignQueue { count: 0, remaining_s: Some(0.0) });
        watch.saw(4, 1, start);
        assert_eq!(watch.view(start), ForeignQueue { count: 3, remaining_s: None });
        watch.saw(3, 1, start + seconds(10));
        let told = watch.view(start + seconds(14));
        assert_eq!((told.count, told.remaining_s), (2, Some(6.0 + 10.0)));
        // It takes longer than the mean: nothing below zero.
        assert_eq!(watch.view(start + seconds(40)).remaining_s, Some(10.0));
        watch.saw(0, 1, start + seconds(41));
        assert_eq!(watch.view(start + seconds(41)).remaining_s, Some(0.0));
    }

    #[test]
    fn a_restart_empties_the_queue_and_teaches_nothing() {
        let (start, mut watch) = (Instant::now(), ForeignWatch::default());
        watch.saw(5, 0, start);
        watch.restarted();
        watch.saw(1, 0, start + seconds(100));
        assert_eq!(watch.view(start + seconds(100)), ForeignQueue { count: 1, remaining_s: None });
    }
}
