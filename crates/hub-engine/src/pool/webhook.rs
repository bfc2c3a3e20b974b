//! Posts alerts to an address of the operator's choice, which may be another for the next alert. In the background, one after the other, within limits: a
//! receiver that is slow or gone costs alerts, never the hub's time.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use rand::Rng as _;
use reqwest::redirect::Policy;
use tokio::sync::{
    broadcast::{Receiver, error::RecvError},
    watch,
};
use url::Url;

use crate::{Alert, AlertPolicy, EngineConfig};

/// Longest time for one post.
const POST_LIMIT: Duration = Duration::from_secs(5);
/// Posts of one alert before it is given up.
const TRIES_MAX: u32 = 4;

/// Posts what the receiver hears to the address that is set then, if any, for ever. Alerts that come faster than
/// they can be posted are dropped by the channel, the oldest first.
pub(super) async fn run(settings: watch::Receiver<Arc<EngineConfig>>, mut alerts: Receiver<Alert>) {
    let client = OnceLock::new();
    loop {
        let heard = alerts.recv().await;
        let AlertPolicy { webhook_url, retry_pause, .. } = settings.borrow().alerts.clone();
        match (heard, webhook_url) {
            (Ok(alert), Some(url)) => deliver(&client, &url, &alert, retry_pause).await,
            (Err(RecvError::Lagged(missed)), Some(_)) => {
                tracing::warn!(missed, "the alert webhook is too slow; alerts were dropped");
            }
            (Ok(_) | Err(RecvError::Lagged(_)), None) => {}
            (Err(RecvError::Closed), _) => return,
        }
    }
}

/// Posts one alert. `pause`: before the second post; doubles with each.
async fn deliver(client: &OnceLock<reqwest::Client>, url: &Url, alert: &Alert, mut pause: Duration) {
    let Some(client) = made(client) else { return };
    for left in (0..TRIES_MAX).rev() {
        let why = match client.post(url.clone()).json(alert).send().await {
            Ok(response) if response.status().is_success() => return,
            // The receiver understood and does not want it.
            Ok(response) if response.status().is_client_error() && response.status().as_u16() != 429 => {
                tracing::warn!(status = response.status().as_u16(), "the alert webhook refuses an alert");
                return;
            }
            Ok(response) => format!("it answered {}", response.status().as_u16()),
            // The address may hold a secret.
            Err(error) => error.without_url().to_string(),
        };
        if left == 0 {
            tracing::warn!(why, "an alert could not be posted to the webhook");
            return;
        }
        let jitter = rand::rng().random_range(0.5..=1.0);
        tokio::time::sleep(pause.mul_f64(jitter)).await;
        pause *= 2;
    }
}

/// Made at first use: most hubs have no alerts for days.
fn made(client: &OnceLock<reqwest::Client>) -> Option<&reqwest::Client> {
    if client.get().is_none() {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            tracing::error!("alerts cannot be posted: TLS is not set up");
            return None;
        }
        let built = reqwest::Client::builder()
            .timeout(POST_LIMIT)
            .redirect(Policy::none())
            .user_agent(concat!("genimage/", env!("CARGO_PKG_VERSION")))
            .build();
        match built {
            Ok(built) => drop(client.set(built)),
            Err(error) => tracing::error!(error = %error, "no client for the alert webhook"),
        }
    }
    client.get()
}
