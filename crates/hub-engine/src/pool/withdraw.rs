//! Takes prompts of ours off a server, and never anybody else's.

use std::{sync::Arc, time::Duration};

use comfyui::{Client, Error};

use super::session::Session;

/// Longest time for taking one prompt off a server.
const WITHDRAW_LIMIT: Duration = Duration::from_secs(15);
/// Prompts remembered to be taken off a server that cannot be reached.
const LEFTOVERS_MAX: usize = 1000;

impl Session {
    /// Takes a prompt off the server, waiting or running. One that cannot be reached is asked again when
    /// it returns.
    pub(crate) async fn withdraw(&self, prompt: &str) {
        let Some(client) = self.client() else { return self.leave_behind(prompt) };
        let taken = tokio::time::timeout(WITHDRAW_LIMIT, take_off(&client, prompt)).await;
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
        let mut leftovers = self.leftovers.lock().expect("nothing panics while it holds the leftovers");
        if leftovers.len() < LEFTOVERS_MAX {
            leftovers.insert(prompt.to_owned());
        }
    }

    /// The server is back: what was moved elsewhere must not run here too.
    pub(super) async fn withdraw_leftovers(self: &Arc<Self>) {
        let leftovers =
            std::mem::take(&mut *self.leftovers.lock().expect("nothing panics while it holds the leftovers"));
        for prompt in leftovers {
            self.withdraw(&prompt).await;
        }
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
