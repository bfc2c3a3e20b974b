//! News of servers, for whoever has a page open that follows what happens: small, beside what one is doing, gone at a
//! press. Only script shows them; without it the pages tell the same where the servers stand.

use hub_engine::{Alert, AlertKind};
use serde::Serialize;

use crate::{
    language::{Said, apart},
    render::Page,
    said,
};

/// One of them, as it is added to those that stand there.
#[derive(Debug, Serialize)]
pub(crate) struct ToastLive {
    tone: &'static str,
    icon: &'static str,
    title: Said,
    server: String,
    message: String,
    path: String,
}

impl ToastLive {
    pub(crate) fn of(alert: &Alert) -> Self {
        let (title, tone) = match alert.kind {
            AlertKind::ServerLost => (said!("Server lost"), "bad"),
            AlertKind::ServerBack => (said!("Server is back"), "good"),
            AlertKind::ServerUnauthorized => (said!("Server refuses the hub"), "bad"),
            AlertKind::ServerIncompatible => (said!("Not ComfyUI any more"), "bad"),
            AlertKind::ServerZombie => (said!("Server is stuck"), "bad"),
            AlertKind::BreakerOpened => (said!("Server rests"), "wait"),
        };
        Self {
            tone,
            icon: if tone == "good" { "check" } else { "alert" },
            title,
            server: alert.name.clone(),
            message: apart::sentence(&alert.message).into_owned(),
            path: format!("/servers/{}", alert.server),
        }
    }
}

impl Page for ToastLive {
    const TEMPLATE: &'static str = "pages/toast_live.html";

    #[cfg(test)]
    fn sample() -> Self {
        use super::shown::sample::{HOSTILE, now};
        Self::of(&Alert {
            sequence: 1,
            at: now(),
            kind: AlertKind::ServerLost,
            server: hub_core::ids::ServerId::from_uuid(uuid::Uuid::from_u128(5)),
            name: HOSTILE.to_owned(),
            message: HOSTILE.to_owned(),
        })
    }
}
