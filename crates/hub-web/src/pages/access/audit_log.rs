//! The log of what was done: in words, with what it was done to, and the route as it was asked for.

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    response::Html,
};
use hub_core::{error::UserError, ids::AuditId};
use serde::{Deserialize, Serialize};

use super::super::{Frame, html};
use crate::{audit, error::WebError, language::Said, render::Page, router::App, said};

/// Entries of one page of the log.
const LOG_ROWS: u32 = 100;

/// What was done by whom.
#[derive(Debug, Serialize)]
pub(crate) struct AuditLogPage {
    frame: Frame,
    entries: Vec<ShownEntry>,
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct ShownEntry {
    at: String,
    actor: String,
    /// What was done; none for what has no words.
    words: Option<Said>,
    /// Method and path.
    act: String,
    subject: Option<String>,
    address: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LogQuery {
    before: Option<String>,
}

pub(crate) async fn show(
    State(app): State<App>,
    query: Result<Query<LogQuery>, QueryRejection>,
) -> Result<Html<String>, WebError> {
    let Query(query) = query?;
    let before: Option<AuditId> = query
        .before
        .map(|text| text.parse().map_err(|_| UserError::argument("before", said!("`before` is no id of an entry."))))
        .transpose()?;
    let page = app.access.audit_page(LOG_ROWS, before).await?;
    let entries = page.entries.into_iter().map(|entry| ShownEntry {
        at: entry.at.format("%Y-%m-%d %H:%M:%S").to_string(),
        actor: entry.actor,
        words: audit::words(&entry.act),
        act: entry.act,
        subject: entry.subject,
        address: entry.address,
    });
    let shown = AuditLogPage {
        frame: Frame::new("access", said!("Audit log")),
        entries: entries.collect(),
        next: page.next.map(|id| format!("/access/log?before={id}")),
    };
    html(&app, &shown)
}

impl Page for AuditLogPage {
    const TEMPLATE: &'static str = "pages/audit.html";

    #[cfg(test)]
    fn sample() -> Self {
        use super::super::shown::sample::HOSTILE;
        let entry = |words| ShownEntry {
            at: "2026-11-21 09:00:00".to_owned(),
            actor: HOSTILE.to_owned(),
            words,
            act: HOSTILE.to_owned(),
            subject: Some(HOSTILE.to_owned()),
            address: Some("192.0.2.1".to_owned()),
        };
        let next = Some("/access/log?before=x".to_owned());
        let entries = vec![entry(None), entry(audit::words("log in"))];
        Self { frame: Frame::new("access", said!("Audit log")), entries, next }
    }
}
