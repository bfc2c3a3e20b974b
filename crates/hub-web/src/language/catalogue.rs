//! Reads translations from files, and refuses those that would break a page.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs, io,
    path::Path,
};

use minijinja::Environment;

use super::{
    ENGLISH, Language,
    messages::READ,
    pieces::{Kind, attributes, pieces, tag_name},
};

/// Filters and statements that a translation has no need of.
const FORBIDDEN: [&str; 9] = ["safe", "autoescape", "include", "import", "extends", "set", "macro", "call", "raw"];
/// Longest message that is named in full, in characters.
const NAMED_CHARS: usize = 60;

/// The languages of a folder, and what is wrong with them.
pub(super) fn read(folder: &Path) -> (Vec<Language>, Vec<String>) {
    let mut faults = Vec::new();
    let mut languages = Vec::new();
    let files = match fs::read_dir(folder) {
        Ok(files) => files.filter_map(Result::ok).map(|file| file.path()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return (languages, faults),
        Err(error) => return (languages, vec![format!("{} cannot be read: {error}.", folder.display())]),
    };
    for file in files.filter(|file| file.extension().is_some_and(|ending| ending == "json")) {
        let tag = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        if !is_tag(&tag) {
            faults.push(format!("{}: `{tag}` is no language; name the file like `de.json`.", file.display()));
            continue;
        }
        if tag.eq_ignore_ascii_case(ENGLISH) {
            faults.push(format!("{}: the pages are in English already.", file.display()));
            continue;
        }
        match fs::read(&file).map_err(|error| error.to_string()).and_then(|bytes| parse(&bytes)) {
            Ok(words) => {
                let (words, unfit) = fit(words);
                faults.extend(unfit.into_iter().map(|fault| format!("{}: {fault}", file.display())));
                languages.push(Language { tag, words });
            }
            Err(why) => faults.push(format!("{} is no translation: {why}.", file.display())),
        }
    }
    (languages, faults)
}

/// Letters, digits and hyphens, the first part of two or three letters (RFC 5646).
fn is_tag(tag: &str) -> bool {
    let base = tag.split('-').next().unwrap_or_default();
    let letters = base.chars().all(|c| c.is_ascii_alphabetic());
    (2..=3).contains(&base.len()) && letters && tag.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

fn parse(bytes: &[u8]) -> Result<BTreeMap<String, String>, String> {
    serde_json::from_slice(bytes).map_err(|error| format!("it must be a JSON object of texts by texts: {error}"))
}

/// What can be used, and what cannot and why. An empty translation is none yet.
fn fit(words: BTreeMap<String, String>) -> (HashMap<String, String>, Vec<String>) {
    let mut faults = Vec::new();
    let fit = words.into_iter().filter(|(_, said)| !said.trim().is_empty()).filter(|(message, said)| {
        let fault = unfit(message, said);
        if let Some(why) = &fault {
            let named: String = message.chars().take(NAMED_CHARS).collect();
            faults.push(format!("the translation of “{named}” is left out: {why}."));
        }
        fault.is_none()
    });
    (fit.collect(), faults)
}

/// Why a translation cannot stand in for its message.
fn unfit(message: &str, said: &str) -> Option<String> {
    if tags(message) != tags(said) {
        return Some(format!("it must have the tags of the message, {:?}, and has {:?}", tags(message), tags(said)));
    }
    if !is_nested(said) {
        return Some("its tags do not end in the order in which they begin".to_owned());
    }
    if let Some(word) = forbidden(message, said) {
        return Some(format!("`{word}` may stand in no translation"));
    }
    let names = match names(said) {
        Ok(names) => names,
        Err(error) => return Some(format!("its expressions cannot be read: {error}")),
    };
    let known = names_or_none(message);
    let strange = names.difference(&known).next()?;
    Some(format!("it fills in `{strange}`, and there is only {known:?}"))
}

/// The tags as they are, except what people read of them, in the order of the alphabet.
fn tags(text: &str) -> Vec<String> {
    let tags = pieces(text).into_iter().map(|piece| &text[piece.at]).filter(|tag| tag.starts_with('<'));
    let mut tags: Vec<String> = tags.filter(|tag| !tag_name(tag).is_empty()).map(without_words).collect();
    tags.sort();
    tags
}

/// A tag without the attributes that are translated.
fn without_words(tag: &str) -> String {
    let mut bare = String::new();
    let mut done = 0;
    for (name, at) in attributes(tag) {
        if READ.contains(&name) {
            bare.push_str(&tag[done..at.start]);
            done = at.end;
        }
    }
    bare + &tag[done..]
}

/// Whether what begins ends, the last first.
fn is_nested(text: &str) -> bool {
    let mut open = Vec::new();
    for piece in pieces(text) {
        let name = tag_name(&text[piece.at.clone()]);
        match piece.kind {
            Kind::Open => open.push(name),
            Kind::Close if open.pop() != Some(name) => return false,
            _ => {}
        }
    }
    open.is_empty()
}

/// What would show callers' text as it is, or do more than fill in, and is not in the message itself.
fn forbidden(message: &str, said: &str) -> Option<&'static str> {
    let code = |text: &str| {
        let code = pieces(text).into_iter().map(|piece| text[piece.at].to_owned());
        code.filter(|part| part.contains("{{") || part.contains("{%")).collect::<String>()
    };
    let has = |text: &str, word: &str| text.split(|c: char| !c.is_ascii_alphanumeric()).any(|part| part == word);
    let (known, given) = (code(message), code(said));
    FORBIDDEN.into_iter().find(|word| has(&given, word) && !has(&known, word))
}

fn names_or_none(message: &str) -> BTreeSet<String> {
    names(message).unwrap_or_default()
}

/// What a message fills in: `{{ name.of.it }}` in templates, `{name}` in words of Rust.
fn names(text: &str) -> Result<BTreeSet<String>, minijinja::Error> {
    let environment = Environment::new();
    let mut names: BTreeSet<String> =
        environment.template_from_str(text)?.undeclared_variables(true).into_iter().collect();
    for (at, _) in text.match_indices('{').filter(|(at, _)| !text[..*at].ends_with('{')) {
        let name = text[at + 1..].split('}').next().unwrap_or_default();
        if !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
            names.insert(name.to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_translation_that_would_break_a_page_is_told_by_its_reason() {
        let why = |message: &str, said: &str| unfit(message, said).unwrap_or_default();
        assert_eq!(why("{{ n }} file{{ \"s\" if n != 1 }}", "{{ n }} Datei{{ \"en\" if n != 1 }}"), "");
        assert_eq!(why("{n} min ago", "vor {n} Minuten"), "");
        assert!(why("Go <a href=\"/x\">on</a>", "Weiter").contains("tags"));
        assert_eq!(why("<b title=\"Go\">on</b>", "<b title=\"Los\">an</b>"), "", "an attribute that is read");
        for wrong in [
            "<a href=\"/x\">auf<a>",
            "</a>auf<a href=\"/x\">",
            "<a href=\"//evil.test\">auf</a>",
            "<a href=\"/x\" onclick=\"x()\">auf</a>",
        ] {
            assert!(why("<a href=\"/x\">on</a>", wrong).contains("tags"), "{wrong}");
        }
        assert!(why("by {{ job.caller }}", "von {{ job.caller | safe }}").contains("`safe`"));
        assert!(why("by {{ job.caller }}", "{% include \"base.html\" %}").contains("`include`"));
        assert!(why("{{ n }} files", "{{ m }} Dateien").contains("`m`"));
        assert!(why("{{ a.b }}", "{{ a.c }}").contains("`a.c`"));
        assert!(why("{n} files", "{m} Dateien").contains("`m`"));
        assert!(why("One", "{{ one").contains("cannot be read"));
        assert!(why("One", "{% if a %}Eins").contains("cannot be read"));
    }

    #[test]
    fn files_are_taken_by_their_name_or_told() {
        let folder = std::env::temp_dir().join(format!("genimage-translations-{}", uuid::Uuid::now_v7()));
        assert_eq!(read(&folder), (vec![], vec![]), "it need not be there");
        fs::create_dir(&folder).expect("a folder");
        for (name, text) in [
            ("de.json", r#"{"One":"Eins","Two":" ","Three <b>x</b>":"Drei"}"#),
            ("pt-BR.json", "{}"),
            ("german.json", "{}"),
            ("fr.json", "[]"),
            ("en.json", "{}"),
            ("notes.txt", ""),
        ] {
            fs::write(folder.join(name), text).expect("a file");
        }
        let (mut languages, faults) = read(&folder);
        fs::remove_dir_all(&folder).expect("removed");
        languages.sort_by(|a, b| a.tag.cmp(&b.tag));
        let told: Vec<(&str, usize)> =
            languages.iter().map(|language| (language.tag(), language.words.len())).collect();
        assert_eq!(told, [("de", 1), ("pt-BR", 0)]);
        assert_eq!(faults.len(), 4, "{faults:?}");
        for part in ["`german` is no language", "Three <b>x</b>", "a JSON object of texts"] {
            assert!(faults.iter().any(|fault| fault.contains(part)), "{faults:?}");
        }
    }
}
