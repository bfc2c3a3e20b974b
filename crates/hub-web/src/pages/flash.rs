//! What a page says of what was just done.

use serde::Serialize;

use crate::{language::Said, said};

/// What is said after a change, by its code, with the tone of it.
const SAID: [(&str, &str, Said); 67] = [
    ("server-added", "good", said!("Server added. It appears as ready once it has answered.")),
    ("server-saved", "good", said!("Server saved. Its session follows at once.")),
    ("server-draining", "good", said!("The server finishes what it has and gets no more work.")),
    ("server-resumed", "good", said!("The server gets work again.")),
    ("server-refresh", "info", said!("Its nodes and models are being read again; reload in a moment.")),
    ("server-said", "good", said!("Said. It is in force at once.")),
    ("server-deleted", "good", said!("Server removed. Its finished jobs keep their history.")),
    ("server-enabled", "good", said!("Server switched on.")),
    ("server-disabled", "good", said!("Server switched off. It gets no more work.")),
    ("workflow-imported", "good", said!("Workflow imported. Look whether its slots are right.")),
    ("workflow-slots", "good", said!("Slots saved as a new version.")),
    ("workflow-restored", "good", said!("That version is the newest again.")),
    ("rechecked", "good", said!("The servers' lists of nodes and models were read just now.")),
    ("rechecked-some", "info", said!("Read just now, but not every server answered; what was known of those stays.")),
    ("workflow-deleted", "good", said!("Workflow deleted.")),
    ("render-type-added", "good", said!("Render type added. Agents can name it now.")),
    ("render-type-saved", "good", said!("Render type saved.")),
    ("render-type-deleted", "good", said!("Render type deleted.")),
    ("render-type-shown", "good", said!("Shown. Agents can name it now.")),
    ("render-type-hidden", "good", said!("Hidden. Agents no longer see it.")),
    ("render-type-default", "good", said!("It runs where a request names none.")),
    ("style-on", "good", said!("Style switched on. Agents can name it now.")),
    ("style-off", "good", said!("Style switched off. Agents no longer see it.")),
    ("style-default", "good", said!("The style is added where a request names none.")),
    ("style-no-default", "good", said!("The style is added only where a request names it.")),
    ("style-added", "good", said!("Style added. Agents can name it now.")),
    ("style-saved", "good", said!("Style saved.")),
    ("render-types-imported", "good", said!("Render types imported.")),
    ("style-deleted", "good", said!("Style deleted.")),
    ("picture-asked", "info", said!("Its picture is being made; it shows here once it is there.")),
    ("pictures-asked", "info", said!("The pictures are being made, behind everything else that waits.")),
    ("pictures-asked-some", "info", said!("Many pictures are being made. Ask again later for the rest.")),
    ("pictures-none", "info", said!("There is nothing to make: every style that can be drawn has its picture.")),
    ("scene-saved", "good", said!("Saved. Pictures of another scene are marked as out of date.")),
    ("styles-imported", "good", said!("Styles imported.")),
    ("llm-server-added", "good", said!("LLM server added. Give it a role, so that it is used.")),
    ("llm-server-saved", "good", said!("LLM server saved.")),
    ("llm-server-deleted", "good", said!("LLM server removed. The roles it had are played by nobody.")),
    ("llm-connected", "good", said!("Ollama connected, with the roles that nobody played.")),
    ("llm-role-given", "good", said!("Role given. It is in force at once.")),
    ("llm-role-taken", "good", said!("The role is played by nobody now.")),
    ("settings-saved", "good", said!("Settings saved.")),
    ("setting-reset", "good", said!("The setting is back at what it was without the change.")),
    ("setting-reset-rest", "info", said!("Setting reset. What else you typed is kept and not saved yet.")),
    ("instructions-saved", "good", said!("Instructions saved. They are in force at once.")),
    ("instructions-reset", "good", said!("Instructions are back at what was shipped.")),
    ("favoured", "good", said!("Kept as favourites: retention leaves them and their jobs alone.")),
    ("unfavoured", "good", said!("No longer favourites.")),
    ("none-chosen", "info", said!("No picture was chosen.")),
    ("pictures-deleted", "good", said!("Deleted. Their jobs stay and can be tried again.")),
    ("pictures-deleted-some", "info", said!("Deleted, except favourites and pictures that unfinished jobs work on.")),
    (
        "pictures-stay",
        "info",
        said!("Nothing was deleted: they are favourites, in use by unfinished jobs, or gone already."),
    ),
    (
        "retention-saved",
        "good",
        said!("Saved. What is beyond the bounds goes within the hour, or at once by its task."),
    ),
    ("task-done", "good", said!("The task ran and put things right.")),
    ("task-idle", "good", said!("The task ran and found nothing to do.")),
    ("task-failed", "info", said!("The task ran, but not well: its row says why.")),
    ("config-imported", "good", said!("Imported. It is in force at once.")),
    ("key-saved", "good", said!("Key changed. It counts from the next request on.")),
    ("key-revoked", "good", said!("Key revoked. Whoever uses it is refused from now on.")),
    ("cancelled", "info", said!("Job cancelled.")),
    ("already-ended", "info", said!("The job had ended before it could be cancelled.")),
    ("retried", "info", said!("Tried again: this is the new job.")),
    ("moved", "good", said!("Moved within the queue.")),
    ("jobs-cancelled", "info", said!("Cancelled. A cancelled job can be tried again.")),
    ("jobs-cancelled-more", "info", said!("1000 jobs were cancelled and more fit the filter: ask again for those.")),
    ("jobs-none-cancelled", "info", said!("There was nothing to cancel: no job was chosen, or all had ended.")),
    ("undone", "good", said!("Taken back: it is as it was before.")),
];

/// A message about what was just done. Only known codes are shown: the address bar is no place from
/// which strangers put words on a page.
#[derive(Debug, Serialize)]
pub(crate) struct Flash {
    tone: &'static str,
    text: Said,
    /// Number of the change, where it can be taken back.
    undo: Option<u64>,
}

impl Flash {
    pub(super) fn of(code: Option<&str>) -> Option<Self> {
        let (_, tone, text) = SAID.iter().find(|(known, ..)| Some(*known) == code)?;
        Some(Self { tone, text: *text, undo: None })
    }

    /// The message, with a button that takes back what it tells of.
    pub(super) fn with_undo(code: Option<&str>, undo: Option<u64>) -> Option<Self> {
        Self::of(code).map(|flash| Self { undo, ..flash })
    }
}
