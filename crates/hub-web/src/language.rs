//! The words of the pages in other languages.
//!
//! The hub speaks English: templates hold plain English, and words that Rust says to people are marked with
//! [`said!`](crate::said). A translation is a file of the data directory, `translations/TAG.json`, that holds a
//! translation by each English message; `translations/messages.json` of the source tree holds all of them. Who asks
//! for pages in a language that is there gets them in it, message by message: what is not translated stays English.
//! What the API and the tools say is English always.

pub(crate) mod apart;
mod catalogue;
mod messages;
mod pieces;

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    fmt,
    path::Path,
    sync::Arc,
};

use serde::{Serialize, Serializer};

use crate::viewer;

/// The tag of the language that everything is written in.
pub(crate) const ENGLISH: &str = "en";

/// The languages that are there beside English. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Translations(Arc<BTreeMap<String, Arc<Language>>>);

/// The translations into one language.
#[derive(Debug, PartialEq)]
pub(crate) struct Language {
    /// As RFC 5646 has it: `de`, `pt-BR`.
    tag: String,
    /// By the English message.
    words: HashMap<String, String>,
}

impl Translations {
    /// Reads all `*.json` of a folder, which need not be there. What is unfit is left out and told, each by one
    /// sentence: a file that cannot be read, or a message whose translation would break a page.
    pub fn read(folder: &Path) -> (Self, Vec<String>) {
        let (languages, faults) = catalogue::read(folder);
        let by_tag = languages.into_iter().map(|language| (language.tag.to_ascii_lowercase(), Arc::new(language)));
        (Self(Arc::new(by_tag.collect())), faults)
    }

    /// The tags of the languages, and how many messages each has.
    pub fn known(&self) -> Vec<(&str, usize)> {
        self.0.values().map(|language| (language.tag.as_str(), language.words.len())).collect()
    }

    /// The language for who sent this `Accept-Language` (RFC 9110, 12.5.4): the first that is there, in the order of
    /// wishes. `None` = English.
    pub(crate) fn for_wishes(&self, accept: &str) -> Option<Arc<Language>> {
        if self.0.is_empty() {
            return None;
        }
        let mut wishes: Vec<(f32, String)> = accept.split(',').filter_map(wish).collect();
        wishes.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        for (_, wished) in wishes {
            // `zh-Hant-TW`, `zh-Hant`, `zh` (RFC 4647, 3.4).
            let mut tag = wished.as_str();
            loop {
                if let Some(found) = self.0.get(tag) {
                    return Some(Arc::clone(found));
                }
                let Some((shorter, _)) = tag.rsplit_once('-') else { break };
                tag = shorter;
            }
            if tag == ENGLISH {
                return None;
            }
        }
        None
    }

    /// All languages.
    #[cfg(not(debug_assertions))]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Language>> {
        self.0.values()
    }
}

/// How much a language is wished for, and its tag in small letters; `None` for one that is not wanted.
fn wish(text: &str) -> Option<(f32, String)> {
    let mut parts = text.split(';').map(str::trim);
    let tag = parts.next().filter(|tag| !tag.is_empty())?.to_ascii_lowercase();
    let weight = parts.find_map(|part| part.strip_prefix("q="));
    let weight = weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
    (weight > 0.0).then_some((weight, tag))
}

impl Language {
    pub(crate) fn tag(&self) -> &str {
        &self.tag
    }

    /// A template of this language.
    pub(crate) fn template(&self, english: &str) -> String {
        messages::translated(english, |message| self.word(message))
    }

    fn word(&self, english: &str) -> Option<&str> {
        self.words.get(english).map(String::as_str)
    }
}

/// Words of the hub for people. They are in English here and are said in the language of who asks when they reach a
/// page. Made by [`said!`](crate::said) alone, so that every one is known to the translators.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Said(&'static str);

impl Said {
    /// For [`said!`](crate::said).
    pub(crate) const fn english(text: &'static str) -> Self {
        Self(text)
    }

    /// The words with what is filled in for `{name}`: each value stands [apart], should it turn what is beside it.
    pub(crate) fn with(self, filled: &[(&str, &dyn fmt::Display)]) -> String {
        let words = self.here();
        let mut text = String::with_capacity(words.len() + 16);
        let mut rest = words.as_ref();
        // One pass: what is filled in may hold braces of its own.
        while let Some(begin) = rest.find('{') {
            let (before, after) = rest.split_at(begin);
            let end = after.find('}').unwrap_or(after.len() - 1);
            text.push_str(before);
            match filled.iter().find(|(name, _)| Some(*name) == after.get(1..end)) {
                Some((_, value)) => text.push_str(&apart::apart(&value.to_string())),
                None => text.push_str(&after[..=end]),
            }
            rest = &after[end + 1..];
        }
        text + rest
    }

    fn here(self) -> Cow<'static, str> {
        match viewer::language() {
            Some(language) => language.word(self.0).map_or(Cow::Borrowed(self.0), |word| Cow::Owned(word.to_owned())),
            None => Cow::Borrowed(self.0),
        }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.here())
    }
}

impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0, f)
    }
}

impl Serialize for Said {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.here())
    }
}

impl From<Said> for String {
    fn from(said: Said) -> Self {
        said.to_string()
    }
}

/// Words of the hub for people: `said!("Done")` is a `Said`, `said!("{n} min ago", n = minutes)` a `String` in the
/// language of who asks; `name` alone is short for `name = name`.
#[macro_export]
macro_rules! said {
    (@value $name:ident) => { $name };
    (@value $name:ident = $value:expr) => { $value };
    ($text:literal) => {
        $crate::language::Said::english($text)
    };
    ($text:literal, $($name:ident $(= $value:expr)?),+ $(,)?) => {
        $crate::language::Said::english($text)
            .with(&[$((stringify!($name), &$crate::said!(@value $name $(= $value)?) as &dyn std::fmt::Display)),+])
    };
}

/// Words that are not made by [`said!`](crate::said): those of a template, `{{ said("never") }}`, and those that other
/// crates have for people and programs alike.
pub(crate) fn here(english: &str) -> String {
    viewer::language().as_ref().and_then(|language| language.word(english)).unwrap_or(english).to_owned()
}

#[cfg(test)]
mod tests;
