//! Taking back what was just done, where what was there before is known.
//!
//! Kept in memory: whoever restarts the hub, or does very much else, can no longer take a change back by a click.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use hub_core::{
    catalogue::{RenderType, Style},
    error::{ErrorCode, UserError},
    ids::{ArtifactId, RenderTypeId, ServerId, StyleId},
    server::Server,
};
use hub_engine::{
    DescribeTemplates, Engine, EnhanceTemplates, JobMove, PromptGeneratorSettings, SettingSource, SettingView,
};
use serde_json::{Map, Value};

use crate::{audit::so_many, pages::back::Back, said};

/// Changes that can be taken back, at most; the oldest is forgotten first.
const KEPT_MAX: usize = 100;
/// A press is the second one of a change as long as this after it; later, others may have changed the same meanwhile.
const PRESSED_TWICE: Duration = Duration::from_mins(1);

/// What takes a change back.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Undo {
    /// Marks these pictures as they were.
    Favour { pictures: Vec<ArtifactId>, favourite: bool },
    /// Adds a deleted style again.
    Style(Style),
    /// Adds a deleted render type again; as the default only where there is none by then.
    RenderType(Box<RenderType>),
    /// Switches a style on or off again, or makes it a default or not.
    StyleFlags { style: StyleId, switches: Switches },
    /// Shows or hides a render type again, or makes that one the default which was before.
    RenderTypeFlags { row: RenderTypeId, switches: Switches, default_before: Option<RenderTypeId> },
    /// Switches a server on or off again.
    Enable { server: ServerId, enabled: bool },
    /// Moves a job to where it was in the queue.
    Move(JobMove),
    /// Sets a setting again that was reset.
    Setting { key: String, value: Value },
    /// Brings instructions back that were reset.
    Instructions(Instructions),
}

/// How a row of a list is to be switched; what is `None` stays as it is by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Switches {
    /// Whether agents are told of it.
    pub(crate) listed: Option<bool>,
    pub(crate) is_default: Option<bool>,
}

impl Switches {
    /// The style, switched so.
    pub(crate) fn of_style(self, now: &Style) -> Style {
        let (enabled, is_default) = (self.listed.unwrap_or(now.enabled), self.is_default.unwrap_or(now.is_default));
        Style { enabled, is_default, ..now.clone() }
    }

    /// The render type, switched so.
    pub(crate) fn of_render_type(self, now: &RenderType) -> RenderType {
        let (visible, is_default) = (self.listed.unwrap_or(now.visible), self.is_default.unwrap_or(now.is_default));
        RenderType { visible, is_default, ..now.clone() }
    }

    /// The other way round.
    pub(crate) fn inverse(self) -> Self {
        Self { listed: self.listed.map(|on| !on), is_default: self.is_default.map(|on| !on) }
    }
}

/// What LLMs are told in one role.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Instructions {
    Enhance(EnhanceTemplates),
    Describe(DescribeTemplates),
    Generator(PromptGeneratorSettings),
}

impl Instructions {
    /// Whether they are those that the hub comes with.
    pub(crate) fn are_shipped(&self) -> bool {
        match self {
            Self::Enhance(own) => *own == EnhanceTemplates::default(),
            Self::Describe(own) => *own == DescribeTemplates::default(),
            Self::Generator(own) => *own == PromptGeneratorSettings::default(),
        }
    }

    /// The role, as the pages' addresses name it.
    pub(crate) fn role(&self) -> &'static str {
        match self {
            Self::Enhance(_) => "enhance",
            Self::Describe(_) => "describe",
            Self::Generator(_) => "generator",
        }
    }

    /// Writes them, unless others than those that the hub comes with are there by now.
    async fn bring_back(&self, engine: &Engine) -> Result<(), UserError> {
        match self {
            Self::Enhance(own) => engine.enhance_templates_edit(|now| brought_back(now, own)).await.map(drop),
            Self::Describe(own) => engine.describe_templates_edit(|now| brought_back(now, own)).await.map(drop),
            Self::Generator(own) => engine.prompt_generator_edit(|now| brought_back(now, own)).await.map(drop),
        }
    }
}

fn brought_back<T: Clone + Default + PartialEq>(now: &T, own: &T) -> Result<T, UserError> {
    if *now == T::default() { Ok(own.clone()) } else { Err(changed_since()) }
}

/// Whoever set anew what was reset is not overwritten by who takes the reset back.
fn changed_since() -> UserError {
    UserError::new(ErrorCode::Conflict, said!("Somebody has changed it since it was reset; it stays as it is now."))
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
            Self::RenderType(row) => {
                // One that was made the default since then stays that.
                let is_default = row.is_default && engine.catalogue().default_for(row.mode).is_none();
                engine.render_type_save(RenderType { is_default, ..(**row).clone() }).await.map(drop)
            }
            Self::StyleFlags { style, switches } => {
                engine.style_edit(*style, |now| Ok(switches.of_style(now))).await.map(drop)
            }
            Self::RenderTypeFlags { row, switches, default_before } => {
                let is_default = engine.catalogue().render_types.iter().any(|now| now.id == *row && now.is_default);
                // One that somebody made the default since then stays that. First: when it is refused, nothing is done.
                if let Some(before) = default_before.filter(|_| is_default) {
                    let back = |now: &RenderType| Ok(RenderType { is_default: true, ..now.clone() });
                    engine.render_type_edit(before, back).await?;
                }
                engine.render_type_edit(*row, |now| Ok(switches.of_render_type(now))).await.map(drop)
            }
            Self::Enable { server, enabled } => {
                let edit = |server: &Server| Ok(Server { enabled: *enabled, ..server.clone() });
                engine.server_edit(*server, edit).await.map(drop)
            }
            Self::Move(moved) => engine.job_move_back(moved).await,
            Self::Setting { key, value } => {
                let still_reset = |now: &[SettingView]| {
                    let is_set = |view: &SettingView| view.key == *key && view.source == SettingSource::Stored;
                    if now.iter().any(is_set) { Err(changed_since()) } else { Ok(()) }
                };
                let changes = Map::from_iter([(key.clone(), value.clone())]);
                engine.settings_change(&changes, false, still_reset).await.map(drop)
            }
            Self::Instructions(own) => own.bring_back(engine).await,
        }
    }

    /// What it is about, for the audit log.
    pub(crate) fn subject(&self, engine: &Engine) -> String {
        let catalogue = engine.catalogue();
        match self {
            Self::Favour { pictures, .. } => so_many(pictures.len(), "picture"),
            Self::Style(style) => format!("style {}", style.name),
            Self::RenderType(row) => format!("render type {}", row.name),
            Self::StyleFlags { style, .. } => {
                let known = catalogue.styles.iter().find(|known| known.id == *style);
                format!("style {}", known.map_or_else(|| style.to_string(), |known| known.name.clone()))
            }
            Self::RenderTypeFlags { row, .. } => {
                let known = catalogue.render_types.iter().find(|known| known.id == *row);
                format!("render type {}", known.map_or_else(|| row.to_string(), |known| known.name.clone()))
            }
            Self::Enable { server, enabled } => {
                let known = engine.servers().into_iter().find(|view| view.id() == *server);
                let name = known.map_or_else(|| server.to_string(), |view| view.server.name);
                format!("server {name}: {}", if *enabled { "on" } else { "off" })
            }
            Self::Move(moved) => format!("job {}", moved.job),
            Self::Setting { key, .. } => format!("setting {key}"),
            Self::Instructions(own) => format!("instructions {}", own.role()),
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

/// A change that can be taken back.
#[derive(Debug)]
pub(crate) struct Entry {
    number: u64,
    pub(crate) undo: Undo,
    /// The page from which it was done.
    pub(crate) back: Back,
    since: Instant,
}

impl Kept {
    /// Puts one in its place by age; the oldest goes when there are too many.
    fn insert(&mut self, entry: Entry) {
        let at = self.entries.partition_point(|other| other.number < entry.number);
        self.entries.insert(at, entry);
        while self.entries.len() > KEPT_MAX {
            self.entries.pop_front();
        }
    }
}

impl Undos {
    /// None yet. Numbers begin at `first`, so that those of an earlier process mean nothing: give the time.
    pub(crate) fn from(first: u64) -> Self {
        Self(Mutex::new(Kept { next: first, entries: VecDeque::new() }))
    }

    /// Keeps what takes a change back that was made on the page `back`. Answers its number.
    pub(crate) fn keep(&self, undo: Undo, back: &Back) -> u64 {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = kept.next;
        kept.next += 1;
        kept.insert(Entry { number, undo, back: back.clone(), since: Instant::now() });
        number
    }

    /// The same for a button that may have been pressed before: a second press has `changed` nothing, and can be taken
    /// back as the first one can, by the newest that is `like` it. `None` where there is none: the opposite of a change
    /// that was not made would be a change.
    pub(crate) fn keep_once(
        &self,
        undo: Undo,
        changed: bool,
        like: impl Fn(&Undo) -> bool,
        back: &Back,
    ) -> Option<u64> {
        if changed { Some(self.keep(undo, back)) } else { self.find(like) }
    }

    /// The newest one that is like that: of a change that was asked for twice, that of the first time.
    pub(crate) fn find(&self, like: impl Fn(&Undo) -> bool) -> Option<u64> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut fresh = kept.entries.iter().rev().take_while(|entry| entry.since.elapsed() < PRESSED_TWICE);
        fresh.find(|entry| like(&entry.undo)).map(|entry| entry.number)
    }

    /// Puts back what was taken out and could not be done.
    pub(crate) fn put_back(&self, entry: Entry) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(entry);
    }

    /// Takes one out: it is done once.
    pub(crate) fn take(&self, number: u64) -> Option<Entry> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.entries.iter().position(|entry| entry.number == number)?;
        kept.entries.remove(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_taken_once_and_the_oldest_are_forgotten() {
        let (undos, page) = (Undos::from(7), Back::page("/styles"));
        let undo = |name: &str| Undo::Style(Style::new(name, ""));
        let first = undos.keep(undo("first"), &page);
        assert_eq!(first, 7);
        let taken = undos.take(7).expect("it is there");
        assert!(matches!(&taken.undo, Undo::Style(style) if style.name == "first") && taken.back == page);
        assert!(undos.take(7).is_none(), "it is done once");
        undos.put_back(taken);
        let named =
            |name: &'static str| undos.find(move |undo| matches!(undo, Undo::Style(style) if style.name == name));
        assert_eq!((named("first"), named("other")), (Some(7), None));
        assert!(undos.take(7).is_some(), "it could not be done before");
        let numbers: Vec<u64> = (0..=KEPT_MAX).map(|_| undos.keep(undo("later"), &page)).collect();
        assert!(undos.take(numbers[0]).is_none());
        let taken = undos.take(numbers[1]).expect("it is there");
        // What could not be done is as old as it was, and the first to go when others come meanwhile.
        undos.keep(undo("latest"), &page);
        undos.put_back(taken);
        assert!(undos.take(numbers[1]).is_none() && undos.take(numbers[2]).is_some());
    }

    #[test]
    fn what_was_pressed_twice_is_taken_back_once() {
        let undos = Undos::from(1);
        let style = StyleId::new();
        let press = |undo: Undo, changed: bool| {
            let same = undo.clone();
            undos.keep_once(undo, changed, |kept| *kept == same, &Back::page("/styles"))
        };
        let back = |listed, is_default| Undo::StyleFlags { style, switches: Switches { listed, is_default } };
        let off = || back(Some(true), None);
        assert_eq!(press(off(), false), None, "it was off before");
        let first = press(off(), true);
        let other = press(back(None, Some(false)), true);
        assert!(first.is_some() && other.is_some() && first != other);
        assert_eq!(press(off(), false), first, "whatever else was pressed in its row");
        assert_ne!(press(off(), true), first);
    }
}
