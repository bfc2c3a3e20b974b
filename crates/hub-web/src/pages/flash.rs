//! What a page says of what was just done.

use serde::Serialize;

/// What is said after a change, by its code, with the tone of it.
const SAID: [(&str, &str, &str); 59] = [
    ("server-added", "good", "Server added. It appears as ready once it has answered."),
    ("server-saved", "good", "Server saved. Its session follows at once."),
    ("server-draining", "good", "The server finishes what it has and gets no more work."),
    ("server-resumed", "good", "The server gets work again."),
    ("server-refresh", "info", "Its nodes and models are being read again; reload in a moment."),
    ("server-said", "good", "Said. It is in force at once."),
    ("server-deleted", "good", "Server removed. Its finished jobs keep their history."),
    ("server-enabled", "good", "Server switched on."),
    ("server-disabled", "good", "Server switched off. It gets no more work."),
    ("workflow-imported", "good", "Workflow imported. Look whether its slots are right."),
    ("workflow-slots", "good", "Slots saved as a new version."),
    ("workflow-restored", "good", "That version is the newest again."),
    ("rechecked", "good", "The servers' lists of nodes and models were read just now."),
    ("rechecked-some", "info", "Read just now, but not every server answered; what was known of those stays."),
    ("workflow-deleted", "good", "Workflow deleted."),
    ("render-type-added", "good", "Render type added. Agents can name it now."),
    ("render-type-saved", "good", "Render type saved."),
    ("render-type-deleted", "good", "Render type deleted."),
    ("style-added", "good", "Style added. Agents can name it now."),
    ("style-saved", "good", "Style saved."),
    ("style-deleted", "good", "Style deleted."),
    ("picture-asked", "info", "Its picture is being made; it shows here once it is there."),
    ("pictures-asked", "info", "The pictures are being made, behind everything else that waits."),
    ("pictures-asked-some", "info", "Many pictures are being made. Ask again later for the rest."),
    ("pictures-none", "info", "There is nothing to make: every style that can be drawn has its picture."),
    ("scene-saved", "good", "Saved. Pictures of another scene are marked as out of date."),
    ("styles-imported", "good", "Styles imported."),
    ("llm-server-added", "good", "LLM server added. Give it a role, so that it is used."),
    ("llm-server-saved", "good", "LLM server saved."),
    ("llm-server-deleted", "good", "LLM server removed. The roles it had are played by nobody."),
    ("llm-connected", "good", "Ollama connected, with the roles that nobody played."),
    ("llm-role-given", "good", "Role given. It is in force at once."),
    ("llm-role-taken", "good", "The role is played by nobody now."),
    ("settings-saved", "good", "Settings saved."),
    ("setting-reset", "good", "The setting is back at what it was without the change."),
    ("instructions-saved", "good", "Instructions saved. They are in force at once."),
    ("instructions-reset", "good", "Instructions are back at what was shipped."),
    ("favoured", "good", "Kept as favourites: retention leaves them and their jobs alone."),
    ("unfavoured", "good", "No longer favourites."),
    ("none-chosen", "info", "No picture was chosen."),
    ("pictures-deleted", "good", "Deleted. Their jobs stay and can be tried again."),
    ("pictures-deleted-some", "info", "Deleted, except favourites and pictures that unfinished jobs work on."),
    ("pictures-stay", "info", "Nothing was deleted: they are favourites, in use by unfinished jobs, or gone already."),
    ("retention-saved", "good", "Saved. What is beyond the bounds goes within the hour, or at once by its task."),
    ("task-done", "good", "The task ran and put things right."),
    ("task-idle", "good", "The task ran and found nothing to do."),
    ("task-failed", "info", "The task ran, but not well: its row says why."),
    ("config-imported", "good", "Imported. It is in force at once."),
    ("key-saved", "good", "Key changed. It counts from the next request on."),
    ("key-revoked", "good", "Key revoked. Whoever uses it is refused from now on."),
    ("cancelled", "info", "Job cancelled."),
    ("already-ended", "info", "The job had ended before it could be cancelled."),
    ("retried", "info", "Tried again: this is the new job."),
    ("moved", "good", "Moved within the queue."),
    ("jobs-cancelled", "info", "Cancelled. A cancelled job can be tried again."),
    ("jobs-cancelled-more", "info", "1000 jobs were cancelled and more fit the filter: ask again for those."),
    ("jobs-none-cancelled", "info", "There was nothing to cancel: no job was chosen, or all had ended."),
    ("undone", "good", "Taken back: it is as it was before."),
    ("repeated", "info", "An identical request was just made: this is its job."),
];

/// A message about what was just done. Only known codes are shown: the address bar is no place from
/// which strangers put words on a page.
#[derive(Debug, Serialize)]
pub(crate) struct Flash {
    tone: &'static str,
    text: &'static str,
    /// Number of the change, where it can be taken back.
    undo: Option<u64>,
}

impl Flash {
    pub(super) fn of(code: Option<&str>) -> Option<Self> {
        let (_, tone, text) = SAID.iter().find(|(known, ..)| Some(*known) == code)?;
        Some(Self { tone, text, undo: None })
    }

    /// The message, with a button that takes back what it tells of.
    pub(super) fn with_undo(code: Option<&str>, undo: Option<u64>) -> Option<Self> {
        Self::of(code).map(|flash| Self { undo, ..flash })
    }
}
