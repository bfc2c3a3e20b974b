//! Takes prompts of ours off a server, and never anybody else's.

use std::{collections::BTreeSet, sync::MutexGuard, time::Duration};

use comfyui::{Client, Error};
use hub_core::ids::PromptId;
use hub_store::Store;
use uuid::Uuid;

use super::session::Session;
use crate::{CrashPoint, crash};

/// Longest time for taking one prompt off a server.
const WITHDRAW_LIMIT: Duration = Duration::from_secs(15);
/// Prompts remembered to be taken off a server that cannot be reached.
const LEFTOVERS_MAX: usize = 1000;

impl Session {
    /// Takes a prompt off the server, waiting or running. One that cannot be reached is asked again when
    /// it returns.
    pub(crate) async fn withdraw(&self, prompt: &str) {
        let Some(client) = self.client() else { return self.leave_behind(prompt) };
        let taken =
            tokio::time::timeout(WITHDRAW_LIMIT, crash::around(CrashPoint::Withdraw, take_off(&client, prompt))).await;
        match taken {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(server = %self.server().name, prompt, error = %error.chain(), "a prompt could not be withdrawn yet");
                self.leave_behind(prompt);
            }
            Err(_) => self.leave_behind(prompt),
        }
    }

    /// Remembers a prompt that may still be on a server that cannot be reached.
    pub(crate) fn leave_behind(&self, prompt: &str) {
        let mut leftovers = self.lock_leftovers();
        if leftovers.len() < LEFTOVERS_MAX {
            leftovers.insert(prompt.to_owned());
        }
    }

    /// Looks for prompts of ours on a server that was not there before: those of jobs that have moved on
    /// meanwhile, perhaps under an earlier process of the hub, are remembered to be taken off.
    pub(super) async fn find_leftovers(&self, store: &Store) {
        let Some(client) = self.client() else { return };
        let Ok(Ok(queue)) = tokio::time::timeout(WITHDRAW_LIMIT, client.queue()).await else { return };
        let ids: Vec<PromptId> = queue
            .running
            .iter()
            .chain(&queue.pending)
            .filter_map(|item| Uuid::try_parse(&item.prompt_id).ok().map(PromptId::from_uuid))
            .collect();
        match store.prompts_given_up(&ids).await {
            Ok(given_up) => given_up.iter().for_each(|prompt| self.leave_behind(&prompt.to_string())),
            Err(error) => tracing::warn!(error = %error, "prompts that nobody waits for cannot be looked up"),
        }
    }

    /// The server answers: what was moved elsewhere must not run here too.
    pub(super) async fn withdraw_leftovers(&self) {
        let Some(client) = self.client() else { return };
        loop {
            let Some(prompt) = self.lock_leftovers().pop_first() else { return };
            let taken = tokio::time::timeout(WITHDRAW_LIMIT, take_off(&client, &prompt)).await;
            if !matches!(taken, Ok(Ok(()))) {
                // Once more with the next probe, and the others with it.
                return self.leave_behind(&prompt);
            }
        }
    }

    fn lock_leftovers(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.leftovers.lock().expect("nothing panics while it holds the leftovers")
    }
}

async fn take_off(client: &Client, prompt: &str) -> Result<(), Error> {
    if client.cancel_job(prompt).await?.is_some() {
        return Ok(());
    }
    // Older servers. Deleting first means that a prompt which begins meanwhile is seen running below; the
    // look before the interrupt is what spares neighbours on servers that ignore the id.
    client.delete_pending(&[prompt]).await?;
    if client.queue().await?.is_running(prompt) {
        client.interrupt(prompt).await?;
    }
    Ok(())
}
