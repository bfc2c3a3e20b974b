//! Asks a server, at a calm pace, whether it is there, and sorts what goes wrong.

use std::{sync::Arc, time::Duration};

use comfyui::{Client, Error, ErrorKind};
use tokio::time::Instant;

use super::{backoff::Backoff, session::Session, state::Trouble};
use crate::context::Context;

/// Longest wait for a probe's answer. Real servers stall for seconds while they load a model.
const PROBE_LIMIT: Duration = Duration::from_secs(10);

/// Probes for ever.
pub(super) async fn run(session: &Arc<Session>, ctx: &Context) {
    let mut backoff = Backoff::new();
    loop {
        let pause = if probe(session).await {
            backoff.reset();
            ctx.config.probe_interval
        } else {
            backoff.pause()
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = session.probe_now.notified() => {}
        }
    }
}

/// One probe; true when all is well.
async fn probe(session: &Arc<Session>) -> bool {
    let (answered, refused) = {
        let link = session.link();
        let link = link.borrow();
        (link.answers, link.refuses)
    };
    let client = match session.client() {
        Some(client) if answered => client,
        // Not known, or it refused us: the credentials may have changed since.
        _ => match session.rebuild_client().await {
            Ok(client) => client,
            Err(why) => {
                session.change(|health| health.failed(Trouble::Unauthorized, why));
                return false;
            }
        },
    };
    let begun = Instant::now();
    let result = if answered { ask(&client).await } else { introduce(session, &client).await };
    match result {
        Ok(queue_remaining) => {
            session.probed(queue_remaining, begun.elapsed());
            if refused {
                session.forget_the_past();
            }
            if !answered {
                session.withdraw_leftovers().await;
            }
            session.change(super::state::Health::answered);
            true
        }
        Err(error) => {
            tracing::debug!(server = %session.server().name, error = %error.chain(), "a probe failed");
            session.change(|health| health.failed(trouble(&error), error.to_string()));
            false
        }
    }
}

async fn ask(client: &Client) -> Result<u32, Error> {
    limited(client.queue_remaining()).await
}

/// A server that was not there: who is it, and is it ComfyUI at all?
async fn introduce(session: &Session, client: &Client) -> Result<u32, Error> {
    let stats = limited(client.system_stats()).await?;
    let queue_remaining = ask(client).await?;
    session.introduced(stats);
    Ok(queue_remaining)
}

async fn limited<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(PROBE_LIMIT, call).await.unwrap_or(Err(Error::Timeout { after: PROBE_LIMIT }))
}

/// What a failed call says about the server.
pub(crate) fn trouble(error: &Error) -> Trouble {
    match error.kind() {
        ErrorKind::Transient if is_refusal(error) => Trouble::Refused,
        ErrorKind::Transient => Trouble::Silent,
        ErrorKind::Unauthorized => Trouble::Unauthorized,
        ErrorKind::Rejected | ErrorKind::Gone | ErrorKind::NotComfyUi | ErrorKind::TooLarge => Trouble::Incompatible,
    }
}

fn is_refusal(error: &Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>()
            && io.kind() == std::io::ErrorKind::ConnectionRefused
        {
            return true;
        }
        cause = error.source();
    }
    false
}
