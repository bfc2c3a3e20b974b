//! Asks a server, at a calm pace, whether it is there, and sorts what goes wrong.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use comfyui::{Client, Error, ErrorKind};
use tokio::time::Instant;

use super::{backoff::Backoff, credentials, session::Session, state::Trouble};
use crate::context::Context;

/// Longest wait for a probe's answer. Real servers stall for seconds while they load a model.
pub(super) const PROBE_LIMIT: Duration = Duration::from_secs(10);
/// Every so many probes the server is asked about itself too: its free memory changes.
const STATS_EVERY: u32 = 6;

/// Probes for ever.
pub(super) async fn run(session: &Arc<Session>, ctx: &Context) {
    let mut backoff = Backoff::new();
    for round in 1_u32.. {
        let pause = match probe(session, ctx, round.is_multiple_of(STATS_EVERY)).await {
            Ok(()) => {
                backoff.reset();
                ctx.settings.now().probe_interval
            }
            // Asking faster helps nobody, and may lock us out.
            Err(Trouble::Unauthorized) => ctx.settings.now().probe_interval,
            Err(Trouble::Refused | Trouble::Silent | Trouble::Incompatible) => backoff.pause(),
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = session.probe_now.notified() => {}
        }
    }
}

/// One probe.
async fn probe(session: &Arc<Session>, ctx: &Context, with_stats: bool) -> Result<(), Trouble> {
    let (answered, refused) = {
        let link = session.link();
        let link = link.borrow();
        (link.answers, link.refuses)
    };
    let begun = Instant::now();
    match attempt(session, answered, with_stats).await {
        Ok(queue_remaining) => {
            session.probed(queue_remaining, begun.elapsed(), ctx.clock.now());
            if refused {
                session.restart_suspected.store(false, Ordering::Relaxed);
                session.restarted("nobody listened at its address for a while");
            } else if session.restart_suspected.swap(false, Ordering::Relaxed) {
                look_for_a_restart(session).await;
            }
            if !answered && queue_remaining > 0 {
                session.find_leftovers(&ctx.store).await;
            }
            session.withdraw_leftovers().await;
            session.change(super::state::Health::answered);
            Ok(())
        }
        Err((trouble, why)) => {
            session.change(|health| health.failed(trouble, why));
            Err(trouble)
        }
    }
}

/// Asks; a server that refuses the credentials is asked once more with those that are kept now.
async fn attempt(session: &Session, answered: bool, with_stats: bool) -> Result<u32, (Trouble, String)> {
    if let Some(client) = session.client().filter(|_| answered) {
        match ask(session, &client, with_stats).await {
            Err(error)
                if error.kind() == ErrorKind::Unauthorized && credentials::can_rotate(&session.server().auth) =>
            {
                tracing::info!(server = %session.server().name, "the server refuses the credentials; they are read again");
            }
            result => return result.map_err(|error| blame(session, &error)),
        }
    }
    // Not known, or it refused us: the credentials may have changed since.
    let client = session.rebuild_client().await.map_err(|why| (Trouble::Unauthorized, why))?;
    let result = if answered { ask(session, &client, with_stats).await } else { introduce(session, &client).await };
    result.map_err(|error| blame(session, &error))
}

fn blame(session: &Session, error: &Error) -> (Trouble, String) {
    tracing::debug!(server = %session.server().name, error = %error.chain(), "a probe failed");
    (trouble(error), error.to_string())
}

async fn ask(session: &Session, client: &Client, with_stats: bool) -> Result<u32, Error> {
    let queue_remaining = limited(client.queue_remaining()).await?;
    if with_stats {
        session.introduced(limited(client.system_stats()).await?);
    }
    Ok(queue_remaining)
}

/// A server that was not there: who is it, and is it ComfyUI at all?
async fn introduce(session: &Session, client: &Client) -> Result<u32, Error> {
    let stats = limited(client.system_stats()).await?;
    let queue_remaining = limited(client.queue_remaining()).await?;
    session.introduced(stats);
    match limited(client.is_guest()).await {
        Ok(guest) => session.is_guest(guest),
        Err(error) => {
            tracing::debug!(server = %session.server().name, error = %error.chain(), "it is unknown whether we are a guest");
        }
    }
    Ok(queue_remaining)
}

/// The event socket broke, but the server answers: its history lies in memory, so one that is empty is that of
/// a new process (or of one that nobody has used, of which nothing was learned).
async fn look_for_a_restart(session: &Session) {
    let Some(client) = session.client() else { return };
    match limited(client.has_history()).await {
        Ok(true) => {}
        Ok(false) => session.restarted("its history is empty"),
        Err(error) => {
            tracing::debug!(server = %session.server().name, error = %error.chain(), "it is unknown whether the server was restarted");
            session.restart_suspected.store(true, Ordering::Relaxed);
        }
    }
}

pub(super) async fn limited<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
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
