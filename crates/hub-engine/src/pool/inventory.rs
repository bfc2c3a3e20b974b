//! Keeps what is known of a server's nodes and files fresh: read after every connect, now and then, and when
//! somebody has reason to doubt it.

use std::{sync::Arc, time::Duration};

use comfyui::{Client, Error};
use rand::Rng as _;
use tokio::{sync::watch, time::Instant};

use super::session::{Link, Session};
use crate::context::Context;

/// Inventories that are fetched at once, over all servers: each may be tens of megabytes for a moment.
pub(crate) const AT_ONCE: usize = 4;
/// Longest time for one fetch.
pub(super) const FETCH_LIMIT: Duration = Duration::from_mins(1);
/// Shortest pause between two fetches, however often somebody doubts.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// Pause after a fetch that failed, when the refresh is not due sooner.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(30);

/// How old an inventory may be and still keep a job from being tried: a refresh that is under way does not
/// make it stale.
pub(super) fn max_age(ctx: &Context) -> Duration {
    ctx.settings.now().inventory_interval + FETCH_LIMIT
}

/// Reads for ever, while the server answers.
pub(super) async fn run(session: &Arc<Session>, ctx: &Context) {
    let mut link = session.link();
    loop {
        if link.wait_for(|link| link.answers).await.is_err() {
            return;
        }
        let pause = if refresh(session, ctx).await {
            // Spread, so that a thousand servers are not asked in step.
            ctx.settings.now().inventory_interval.mul_f64(rand::rng().random_range(0.8..=1.0))
        } else {
            ctx.settings.now().inventory_interval.min(PAUSE_AFTER_FAILURE)
        };
        let floor = Instant::now() + PAUSE_MIN.min(pause);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = doubted(session, floor) => {}
            // It is away: what it has when it returns must be read then.
            () = away(&mut link) => {}
        }
    }
}

async fn doubted(session: &Session, floor: Instant) {
    session.inventory_doubted.notified().await;
    tokio::time::sleep_until(floor).await;
}

async fn away(link: &mut watch::Receiver<Link>) {
    if link.wait_for(|link| !link.answers).await.is_err() {
        // The session ended, and with it this.
        std::future::pending::<()>().await;
    }
}

/// Reads the inventory once; true when it is known afterwards.
async fn refresh(session: &Session, ctx: &Context) -> bool {
    let Some(client) = session.client() else { return false };
    let result = {
        // The semaphore is never closed; without a turn there is only less thrift.
        let _turn = ctx.inventory_turns.acquire().await;
        fetch(&client, session.stock.fingerprint()).await
    };
    let known = match result {
        Ok(fresh) => {
            if session.stock.read(fresh, Instant::now()) {
                session.dispatch_nudge();
            }
            true
        }
        Err(error) => {
            tracing::info!(server = %session.server().name, error = %error.chain(), "the server's nodes and files are unknown");
            session.stock.unread(explain(&error));
            false
        }
    };
    session.inventory_reads.send_modify(|reads| *reads += 1);
    known
}

/// One fetch within its time; `None` when nothing changed.
pub(super) async fn fetch(
    client: &Client,
    known: Option<comfyui::Fingerprint>,
) -> Result<Option<comfyui::Inventory>, Error> {
    tokio::time::timeout(FETCH_LIMIT, client.inventory(known))
        .await
        .unwrap_or(Err(Error::Timeout { after: FETCH_LIMIT }))
}

/// Why an inventory is not known, in words.
pub(super) fn explain(error: &Error) -> String {
    match error {
        Error::TooLarge { limit_bytes } if *limit_bytes > 0 => format!(
            "its list of nodes (/object_info) is larger than {} MiB; jobs are tried there without knowing",
            limit_bytes / (1024 * 1024)
        ),
        error => format!("its list of nodes (/object_info) could not be read: {error}"),
    }
}
