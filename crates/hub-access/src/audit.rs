//! The log of what admins did.

use std::net::IpAddr;

use hub_core::{caller::Caller, error::UserError, ids::AuditId};
use hub_store::AuditPage;

use crate::{Access, door::storage};

/// Longest text of an entry, in characters.
const TEXT_MAX_CHARS: usize = 400;

impl Access {
    /// Writes down what was done. A log that cannot be written is told to the other log and stops nobody:
    /// the act has happened.
    pub async fn audit(&self, actor: &Caller, act: &str, subject: Option<&str>, from: Option<IpAddr>) {
        let cut = |text: &str| text.chars().take(TEXT_MAX_CHARS).collect::<String>();
        let (act, subject, from) = (cut(act), subject.map(cut), from.map(|from| from.to_string()));
        tracing::info!(actor = actor.as_str(), act, subject, address = from, "audit");
        let added = self.store().audit_add(actor.as_str(), &act, subject.as_deref(), from.as_deref()).await;
        if let Err(error) = added {
            tracing::error!(%error, act, "the audit log was not written");
        }
    }

    /// A page of the log, newest first.
    ///
    /// # Errors
    /// `storage`.
    pub async fn audit_page(&self, limit: u32, before: Option<AuditId>) -> Result<AuditPage, UserError> {
        self.store().audit_list(limit, before).await.map_err(|error| storage(&error))
    }
}
