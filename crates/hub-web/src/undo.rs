//! Taking back what was just done, where what was there before is known.
//!
//! Kept in memory: whoever restarts the hub, or does very much else, can no longer take a change back by a click.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use hub_core::{
    catalogue::{RenderType, Style},
    error::UserError,
    ids::{ArtifactId, RenderTypeId, ServerId, StyleId},
    server::Server,
};
use hub_engine::Engine;

/// Changes that can be taken back, at most; the oldest is forgotten first.
const KEPT_MAX: usize = 100;

/// What takes a change back.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Undo {
    /// Marks these pictures as they were.
    Favour { pictures: Vec<ArtifactId>, favourite: bool },
    /// Adds a deleted style again.
    Style(Style),
    /// Adds a deleted render type again.
    RenderType(Box<RenderType>),
    /// Switches a style on or off again, and makes it a default or not.
    StyleFlags { style: StyleId, enabled: bool, is_default: bool },
    /// Shows or hides a render type again, and makes that one the default which was before.
    RenderTypeFlags { row: RenderTypeId, visible: bool, is_default: bool, default_before: Option<RenderTypeId> },
    /// Switches a server on or off again.
    Enable { server: ServerId, enabled: bool },
}

impl Undo {
    /// Does it.
    ///
    /// # Errors
    /// What the engine says: a name may be taken by now, a server gone.
    pub(crate) async fn apply(&self, engine: &Engine) -> Result<(), UserError> {
        match self {
            Self::Favour { pictures, favourite } => engine.artifacts_favour(pictures, *favourite).await.map(drop),
            Self::Style(style) => engine.style_save(style.clone()).await.map(drop),
            Self::RenderType(row) => engine.render_type_save((**row).clone()).await.map(drop),
            Self::StyleFlags { style, enabled, is_default } => {
                let edit = |style: &Style| Ok(Style { enabled: *enabled, is_default: *is_default, ..style.clone() });
                engine.style_edit(*style, edit).await.map(drop)
            }
            Self::RenderTypeFlags { row, visible, is_default, default_before } => {
                let edit =
                    |row: &RenderType| Ok(RenderType { visible: *visible, is_default: *is_default, ..row.clone() });
                engine.render_type_edit(*row, edit).await?;
                let Some(before) = default_before else { return Ok(()) };
                let edit = |row: &RenderType| Ok(RenderType { is_default: true, ..row.clone() });
                engine.render_type_edit(*before, edit).await.map(drop)
            }
            Self::Enable { server, enabled } => {
                let edit = |server: &Server| Ok(Server { enabled: *enabled, ..server.clone() });
                engine.server_edit(*server, edit).await.map(drop)
            }
        }
    }

    /// What it is about, for the audit log.
    pub(crate) fn subject(&self) -> String {
        match self {
            Self::Favour { pictures, .. } => format!("{} pictures", pictures.len()),
            Self::Style(style) => format!("style {}", style.name),
            Self::RenderType(row) => format!("render type {}", row.name),
            Self::StyleFlags { style, .. } => style.to_string(),
            Self::RenderTypeFlags { row, .. } => row.to_string(),
            Self::Enable { server, enabled } => format!("{server} {}", if *enabled { "on" } else { "off" }),
        }
    }
}

/// Changes that can be taken back, by number.
#[derive(Debug)]
pub(crate) struct Undos(Mutex<Kept>);

#[derive(Debug)]
struct Kept {
    next: u64,
    entries: VecDeque<Entry>,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    undo: Undo,
    /// The page from which it was done.
    back: String,
}

impl Undos {
    /// None yet. Numbers begin at `first`, so that those of an earlier process mean nothing: give the time.
    pub(crate) fn from(first: u64) -> Self {
        Self(Mutex::new(Kept { next: first, entries: VecDeque::new() }))
    }

    /// Keeps what takes a change back that was made on the page `back`. Answers its number.
    pub(crate) fn keep(&self, undo: Undo, back: &str) -> u64 {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = kept.next;
        kept.next += 1;
        if kept.entries.len() >= KEPT_MAX {
            kept.entries.pop_front();
        }
        kept.entries.push_back(Entry { number, undo, back: back.to_owned() });
        number
    }

    /// The newest one that is like that: of a change that was asked for twice, that of the first time.
    pub(crate) fn find(&self, like: impl Fn(&Undo) -> bool) -> Option<u64> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.entries.iter().rev().find(|entry| like(&entry.undo)).map(|entry| entry.number)
    }

    /// Puts back what was taken out and could not be done.
    pub(crate) fn put_back(&self, number: u64, undo: Undo, back: String) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.entries.push_back(Entry { number, undo, back });
    }

    /// Takes one out, with the page from which it was done: it is done once.
    pub(crate) fn take(&self, number: u64) -> Option<(Undo, String)> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.entries.iter().position(|entry| entry.number == number)?;
        kept.entries.remove(at).map(|entry| (entry.undo, entry.back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_taken_once_and_the_oldest_are_forgotten() {
        let undos = Undos::from(7);
        let undo = |name: &str| Undo::Style(Style::new(name, ""));
        let first = undos.keep(undo("first"), "/styles");
        assert_eq!(first, 7);
        assert!(
            matches!(undos.take(7), Some((Undo::Style(style), back)) if style.name == "first" && back == "/styles")
        );
        assert_eq!(undos.take(7), None, "it is done once");
        undos.put_back(7, undo("first"), "/styles".to_owned());
        let named =
            |name: &'static str| undos.find(move |undo| matches!(undo, Undo::Style(style) if style.name == name));
        assert_eq!((named("first"), named("other")), (Some(7), None));
        assert!(undos.take(7).is_some(), "it could not be done before");
        let numbers: Vec<u64> = (0..=KEPT_MAX).map(|_| undos.keep(undo("later"), "/styles")).collect();
        assert_eq!(undos.take(numbers[0]), None);
        assert!(undos.take(numbers[1]).is_some());
    }
}
