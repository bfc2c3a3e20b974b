//! Takes a prompt that has not begun off its server's queue, so that another server can have the job.
//!
//! The server answers a delete alike whether it found the prompt or not. What tells is where the prompt is after
//! it: one that had begun is at work or in the history, and then nothing has changed.

use std::time::Duration;

use comfyui::{Client, Error};

use super::{Follower, Verdict};
use crate::{CrashPoint, crash};

/// Longest time for giving a prompt back.
const GIVE_BACK_LIMIT: Duration = Duration::from_secs(5);

/// Whether a prompt can be given back, and may have been.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Whereabouts {
    /// Its post may still be on the way: it could not be given back.
    Unproven,
    /// The server took it.
    There,
    /// It was to be taken off the server's queue, and may have been.
    GivenBack,
}

impl Follower<'_> {
    /// Whether the prompt can be given back as far as is known.
    pub(super) fn may_give_back(&self) -> bool {
        self.place == Whereabouts::There && !self.ended() && self.patience.begun().is_none()
    }

    /// Takes the prompt off the server's queue; `None` when the server has begun it, or cannot be asked.
    pub(super) async fn give_back(&mut self, client: &Client) -> Option<Verdict> {
        // The credentials may have been rotated since it was posted.
        let newest = self.session.client();
        let client = newest.as_ref().unwrap_or(client);
        let why = match tokio::time::timeout(GIVE_BACK_LIMIT, self.take_off(client)).await {
            Ok(Ok(taken)) => return taken.then_some(Verdict::TakenBack),
            Ok(Err(error)) => error.chain(),
            Err(_) => "no answer in time".to_owned(),
        };
        tracing::debug!(job = %self.job, server = %self.server.name, why, "it is not certain that a waiting prompt was taken back");
        // From now on its absence is no fault of the server's.
        self.place = Whereabouts::GivenBack;
        self.doubt();
        None
    }

    async fn take_off(&self, client: &Client) -> Result<bool, Error> {
        let ids = [self.prompt_id.as_str()];
        crash::around(CrashPoint::GiveBack, client.delete_pending(&ids)).await?;
        let queue = crash::around(CrashPoint::Queue, client.queue()).await?;
        if queue.is_running(&self.prompt_id) || queue.position(&self.prompt_id).is_some() {
            return Ok(false);
        }
        // After the queue: what ended meanwhile leaves the queue and enters the history in one step.
        Ok(crash::around(CrashPoint::History, client.history(&self.prompt_id)).await?.is_none())
    }
}
