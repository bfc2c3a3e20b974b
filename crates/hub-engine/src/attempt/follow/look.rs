//! Asks the server where a prompt is, when events do not tell.

use std::time::Duration;

use comfyui::{Client, Error};
use tokio::time::Instant;

use super::{Follower, Verdict, give_back::Whereabouts};
use crate::{CrashPoint, crash};

/// Longest pause between two looks at the history of a prompt that has ended.
const SETTLE_PAUSE_MAX: Duration = Duration::from_secs(1);
/// How long a prompt that ended may stay out of the history.
const SETTLE_LIMIT: Duration = Duration::from_secs(10);
/// Pause between two looks that do not find the prompt.
const ABSENT_PAUSE: Duration = Duration::from_millis(1500);
/// Looks that must not find the prompt before it counts as gone.
const ABSENT_LOOKS: u32 = 2;
/// Pace of polling a prompt whose events do not reach us.
const DEAF_PAUSE: Duration = Duration::from_secs(1);

impl Follower<'_> {
    /// Asks the server where the prompt is.
    pub(super) async fn look(&mut self, client: &Client) -> Option<Verdict> {
        let until = self.patience.look_until(self.hears(), self.settling_since.is_some(), Instant::now());
        // The credentials may have been rotated since it was posted.
        let newest = self.session.client();
        let found = tokio::time::timeout_at(until, self.find(newest.as_ref().unwrap_or(client))).await;
        let now = Instant::now();
        self.patience.looked(matches!(found, Ok(Ok(_))), now);
        match found {
            Ok(Ok(verdict)) => return verdict,
            Ok(Err(error)) => {
                tracing::debug!(job = %self.job, server = %self.server.name, error = %error.chain(), "a look at the server failed");
                // Whether it is down, the session finds out.
                self.session.probe_soon();
                self.next_look = now + DEAF_PAUSE;
            }
            Err(_) => self.next_look = now + DEAF_PAUSE,
        }
        None
    }

    async fn find(&mut self, client: &Client) -> Result<Option<Verdict>, Error> {
        if let Some(entry) = crash::around(CrashPoint::History, client.history(&self.prompt_id)).await? {
            return Ok(Some(Verdict::Done(Box::new(entry))));
        }
        let now = Instant::now();
        if let Some(since) = self.settling_since
            && now < since + SETTLE_LIMIT
        {
            self.next_look = now + self.settle_pause;
            self.settle_pause = (self.settle_pause * 2).min(SETTLE_PAUSE_MAX);
            return Ok(None);
        }
        let quiet = self.inner.ctx.settings.now().poll_interval;
        self.next_look = now + if self.hears() { quiet } else { quiet.min(DEAF_PAUSE) };
        if std::mem::take(&mut self.heard_since_look) {
            return Ok(None);
        }
        let queue = crash::around(CrashPoint::Queue, client.queue()).await?;
        let now = Instant::now();
        if queue.is_running(&self.prompt_id) {
            self.absent = 0;
            (self.was_there, self.place) = (true, Whereabouts::There);
            self.patience.server_works();
            if self.patience.runs(now.checked_sub(self.ran_before).unwrap_or(now)) {
                self.patience.heard(now);
                self.show();
            }
        } else if queue.position(&self.prompt_id).is_some() {
            self.absent = 0;
            (self.was_there, self.place) = (true, Whereabouts::There);
            if !queue.running.is_empty() {
                self.patience.server_works();
                return Ok(None);
            }
            // It waits although the server works on nothing.
            let Some(pause) = self.patience.server_idles(now) else {
                return Ok(Some(Verdict::NotBegun { idle: true }));
            };
            self.next_look = self.next_look.min(now + pause);
        } else {
            self.absent += 1;
            if self.absent >= ABSENT_LOOKS {
                return Ok(Some(match self.was_there {
                    _ if self.place == Whereabouts::GivenBack => Verdict::TakenBack,
                    true => Verdict::Vanished,
                    false => Verdict::NeverThere,
                }));
            }
            self.next_look = now + ABSENT_PAUSE;
        }
        Ok(None)
    }
}
