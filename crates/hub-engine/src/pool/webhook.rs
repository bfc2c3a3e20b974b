//! Posts alerts to an address of the operator's choice, which may be another for the next alert. In the background, one after the other, within limits: a
//! receiver that is slow or gone costs alerts, never the hub's time. By the guarded client: whoever may set the address
//! on the settings page must not reach what only the hub's machine reaches, unless the configuration says so.

use std::{sync::Arc, time::Duration};

use rand::Rng as _;
use tokio::sync::{
    broadcast::{Receiver, error::RecvError},
    watch,
};
use url::Url;

use crate::{
    Alert, AlertPolicy, EngineConfig,
    guarded::{Barred, Guarded, Reach, is_private_refusal, place},
};

/// Longest time for one post.
const POST_LIMIT: Duration = Duration::from_secs(5);
/// Posts of one alert before it is given up.
const TRIES_MAX: u32 = 4;

/// Posts what the receiver hears to the address that is set then, if any, for ever. Alerts that come faster than
/// they can be posted are dropped by the channel, the oldest first.
pub(super) async fn run(settings: watch::Receiver<Arc<EngineConfig>>, mut alerts: Receiver<Alert>) {
    let guarded = guarded(&settings.borrow().alerts);
    loop {
        let heard = alerts.recv().await;
        let AlertPolicy { webhook_url, retry_pause, .. } = settings.borrow().alerts.clone();
        match (heard, webhook_url) {
            (Ok(alert), Some(url)) => {
                if let Err(why) = deliver(&guarded, &url, &alert, retry_pause).await {
                    tracing::warn!(why, sequence = alert.sequence, "an alert could not be posted to the webhook");
                }
            }
            (Err(RecvError::Lagged(missed)), Some(_)) => {
                tracing::warn!(missed, "the alert webhook is too slow; alerts were dropped");
            }
            (Ok(_) | Err(RecvError::Lagged(_)), None) => {}
            (Err(RecvError::Closed), _) => return,
        }
    }
}

/// What may be reached is the configuration's to say, so it stays for as long as the hub runs.
fn guarded(policy: &AlertPolicy) -> Guarded {
    let AlertPolicy { allow_private, allowed_hosts, .. } = policy;
    Guarded::new(Reach { allow_private: *allow_private, allowed_hosts: allowed_hosts.clone() }, POST_LIMIT)
}

/// Posts one alert. `pause`: before the second post; doubles with each.
///
/// # Errors
/// Why it was given up, without the path of the address, which may hold a secret.
async fn deliver(guarded: &Guarded, url: &Url, alert: &Alert, mut pause: Duration) -> Result<(), String> {
    guarded.check(url).map_err(|barred| refusal(url, &barred))?;
    let client = guarded.client().map_err(|error| error.to_string())?;
    for left in (0..TRIES_MAX).rev() {
        let why = match client.post(url.clone()).json(alert).send().await {
            Ok(response) if response.status().is_success() => return Ok(()),
            // The receiver understood and does not want it.
            Ok(response) if response.status().is_client_error() && response.status().as_u16() != 429 => {
                return Err(format!("it refuses it with {}", response.status().as_u16()));
            }
            Ok(response) => format!("it answered {}", response.status().as_u16()),
            Err(error) if is_private_refusal(&error) => return Err(refusal(url, &Barred::Private)),
            Err(error) => error.without_url().to_string(),
        };
        if left == 0 {
            return Err(why);
        }
        let jitter = rand::rng().random_range(0.5..=1.0);
        tokio::time::sleep(pause.mul_f64(jitter)).await;
        pause *= 2;
    }
    Ok(())
}

fn refusal(url: &Url, barred: &Barred) -> String {
    match barred {
        Barred::Private => {
            format!("{} lies in a private network; to post there, name its host in alerts.allowed_hosts", place(url))
        }
        Barred::Scheme(scheme) => format!("alerts are not posted to `{scheme}:` addresses"),
        Barred::NoHost => "its address names no host".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use hub_core::ids::ServerId;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;
    use crate::{
        AlertKind,
        guarded::testing::{names_lead_to, reach, set_up_tls, was_reached},
    };

    fn alert() -> Alert {
        Alert {
            sequence: 1,
            at: DateTime::UNIX_EPOCH,
            kind: AlertKind::ServerLost,
            server: ServerId::new(),
            name: "gpu-1".to_owned(),
            message: "gone".to_owned(),
        }
    }

    /// Names lead to this machine.
    fn here(allowed_hosts: &[&str]) -> Guarded {
        set_up_tls();
        Guarded::with_lookup(reach(allowed_hosts), POST_LIMIT, names_lead_to(&[&["127.0.0.1", "::1"]]))
    }

    async fn receiver(host: &str) -> (TcpListener, Url) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        (listener, format!("http://{host}:{port}/hook?hunter2").parse().expect("a URL"))
    }

    async fn deliver_once(guarded: &Guarded, url: &Url) -> Result<(), String> {
        deliver(guarded, url, &alert(), Duration::ZERO).await
    }

    #[tokio::test]
    async fn private_addresses_and_names_that_lead_to_them_are_not_posted_to() {
        for host in ["127.0.0.1", "inside.example"] {
            let (listener, url) = receiver(host).await;
            let why = deliver_once(&here(&["other.example"]), &url).await.expect_err("private");
            assert!(
                why.contains(host) && why.contains("private network") && why.contains("alerts.allowed_hosts"),
                "{why}"
            );
            assert!(!why.contains("hunter2"), "{why}");
            assert!(!was_reached(&listener).await, "{host}");
        }
    }

    /// Takes one post with this answer; answers what was posted.
    async fn take(listener: &TcpListener, answer: &str) -> String {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut posted = String::new();
        while !posted.ends_with('}') {
            let mut some = [0; 1024];
            let read = stream.read(&mut some).await.expect("a request");
            assert_ne!(read, 0, "{posted}");
            posted.push_str(&String::from_utf8_lossy(&some[..read]));
        }
        stream.write_all(answer.as_bytes()).await.expect("an answer");
        posted
    }

    #[tokio::test]
    async fn a_host_that_is_allowed_is_posted_to_by_name_and_by_address() {
        for host in ["127.0.0.1", "inside.example"] {
            let (listener, url) = receiver(host).await;
            let guarded = here(&[host]);
            let ok = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
            let (outcome, posted) = tokio::join!(deliver_once(&guarded, &url), take(&listener, ok));
            assert_eq!(outcome, Ok(()));
            assert!(posted.starts_with("POST /hook?hunter2 ") && posted.contains("server_lost"), "{posted}");
        }
    }

    #[tokio::test]
    async fn a_receiver_that_sends_it_elsewhere_is_not_followed() {
        let (listener, url) = receiver("inside.example").await;
        let (elsewhere, target) = receiver("inside.example").await;
        let guarded = here(&["inside.example"]);
        let answer = format!(
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: {target}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        let receive = async {
            for _ in 0..TRIES_MAX {
                take(&listener, &answer).await;
            }
        };
        let (outcome, ()) = tokio::join!(deliver_once(&guarded, &url), receive);
        assert_eq!(outcome, Err("it answered 307".to_owned()));
        assert!(!was_reached(&elsewhere).await);
    }
}
