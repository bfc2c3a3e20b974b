use std::{collections::BTreeSet, fs, path::PathBuf};

use serde_json::{Map, Value};

use super::*;
use crate::{assets::Files, viewer::Viewer};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn templates() -> Vec<(String, String)> {
    let mut names: Vec<String> = Files::iter().filter(|name| name.ends_with(".html")).map(Cow::into_owned).collect();
    names.sort();
    let source =
        |name: &str| String::from_utf8(Files::get(name).expect("it is there").data.into_owned()).expect("text");
    names.into_iter().map(|name| (name.clone(), source(&name))).collect()
}

/// Every Rust file of this crate, in the order of their names.
fn sources() -> Vec<String> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
        for path in entries {
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let mut files = Vec::new();
    walk(&root().join("crates/hub-web/src"), &mut files);
    files.sort();
    files
        .iter()
        .filter(|file| !file.starts_with(root().join("crates/hub-web/src/language")))
        .map(|file| fs::read_to_string(file).expect("text"))
        .collect()
}

/// The words in `said!("…")`, as the compiler reads them.
fn said_in(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for part in source.split("said!(").skip(1) {
        let Some(literal) = part.trim_start().strip_prefix('"') else { continue };
        let mut text = String::new();
        let mut rest = literal.chars().peekable();
        while let Some(c) = rest.next().filter(|c| *c != '"') {
            match (c, rest.peek()) {
                ('\\', Some('\n')) => while rest.next_if(|c| c.is_whitespace()).is_some() {},
                ('\\', Some('n')) => {
                    rest.next();
                    text.push('\n');
                }
                ('\\', Some(_)) => text.extend(rest.next()),
                _ => text.push(c),
            }
        }
        found.push(text);
    }
    found
}

/// What comes to the pages from elsewhere in English, and where it is written: file, what stands before the words.
const ELSEWHERE: [(&str, &str); 6] = [
    ("crates/hub-engine/src/settings/specs.rs", "explanation: "),
    ("crates/hub-engine/src/settings/specs.rs", "unit: Some("),
    ("crates/hub-engine/src/reconcile.rs", "=> "),
    ("crates/hub-web/src/problem.rs", "=> "),
    ("crates/hub-engine/src/showcase.rs", "row.job.id, "),
    ("crates/genimage/src/config/given.rs", ""),
];

/// Words that others say in English, and that pages pass through [`here`].
fn elsewhere() -> Vec<String> {
    let mut found = Vec::new();
    for (file, before) in ELSEWHERE {
        let source = fs::read_to_string(root().join(file)).expect(file);
        // Where nothing stands before them, they are whole sentences.
        let mut parts = source.split('"');
        let mut previous = parts.next().unwrap_or_default();
        while let (Some(literal), Some(next)) = (parts.next(), parts.next()) {
            let word = match before {
                "" => literal.ends_with('.') && literal.contains(' '),
                "unit: Some(" => previous.ends_with(before),
                _ => previous.trim_end().ends_with(before.trim_end()) && literal.starts_with(char::is_uppercase),
            };
            found.extend(word.then(|| literal.to_owned()));
            previous = next;
        }
    }
    let slots = fs::read_to_string(root().join("crates/comfyui/src/workflow/slots.rs")).expect("the kinds of slots");
    let kinds = slots.split("pub enum SlotKind {").nth(1).and_then(|rest| rest.split('}').next()).expect("kinds");
    for kind in
        kinds.lines().map(str::trim).filter(|line| !line.starts_with('/')).filter_map(|line| line.strip_suffix(','))
    {
        let mut title = String::new();
        for c in kind.chars() {
            if c.is_uppercase() && !title.is_empty() {
                title.push(' ');
                title.extend(c.to_lowercase());
            } else {
                title.push(c);
            }
        }
        found.push(title);
    }
    found
}

/// All messages, those of the templates first.
fn all() -> Vec<String> {
    let mut known = BTreeSet::new();
    let of_templates = templates().into_iter().flat_map(|(_, source)| {
        messages::messages(&source).into_iter().map(|message| messages::key(&source[message.at])).collect::<Vec<_>>()
    });
    let of_rust = sources().into_iter().flat_map(|source| said_in(&source));
    of_templates.chain(of_rust).chain(elsewhere()).filter(|message| known.insert(message.clone())).collect()
}

/// `INSTA_UPDATE=always` writes it, as it writes the snapshots.
#[test]
fn the_list_of_messages_is_that_of_the_pages() {
    let list: Map<String, Value> = all().into_iter().map(|message| (message, Value::from(""))).collect();
    let text = serde_json::to_string_pretty(&list).expect("texts") + "\n";
    let file = root().join("translations/messages.json");
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        fs::write(&file, &text).expect("the list is written");
    }
    assert!(list.len() > 1000, "{}", list.len());
    assert_eq!(fs::read_to_string(&file).unwrap_or_default(), text, "translations/messages.json is out of date");
}

/// The words that an expression shows as they are: `{{ x or "never" }}`, and not what it compares or hands on.
fn shown_by(expression: &str) -> Vec<&str> {
    let (mut depth, mut found, mut rest) = (0, Vec::new(), expression);
    while let Some(at) = rest.find(['(', ')', '[', ']', '"', '\'']) {
        let quote = &rest[at..=at];
        let before = rest[..at].trim_end();
        rest = &rest[at + 1..];
        match quote {
            "(" | "[" => depth += 1,
            ")" | "]" => depth -= 1,
            _ => {
                let Some(length) = rest.find(quote) else { break };
                let compared = before.ends_with("==") || before.ends_with("!=");
                if depth == 0 && !compared && rest[..length].contains(char::is_alphabetic) {
                    found.push(&rest[..length]);
                }
                rest = &rest[length + 1..];
            }
        }
    }
    found
}

/// A word in an expression is found by nobody, unless it says that it is one.
#[test]
fn no_template_hides_words_in_its_code() {
    assert_eq!(shown_by("x == \"a\" or icon(\"b\") or \"never\""), ["never"]);
    let mut hidden = Vec::new();
    for (name, source) in templates() {
        let found = messages::messages(&source);
        let is_message = |at: usize| found.iter().any(|message| message.at.contains(&at));
        for piece in pieces::pieces(&source).into_iter().filter(|piece| !is_message(piece.at.start)) {
            let text = &source[piece.at.clone()];
            let code: Vec<&str> = if piece.kind == pieces::Kind::Expression {
                vec![text]
            } else {
                let read = pieces::attributes(text)
                    .into_iter()
                    .filter(|(name, at)| messages::READ.contains(name) && !is_message(piece.at.start + at.start));
                read.map(|(_, at)| &text[at]).collect()
            };
            let words = code.into_iter().filter(|code| code.contains("{{")).flat_map(shown_by);
            hidden.extend(words.map(|word| format!("{name}: {word}")));
            // What is handed to a macro or kept for later, when it looks like a sentence or a title.
            let mut parts = text.split('"');
            let mut before = parts.next().unwrap_or_default();
            while let (Some(literal), Some(next)) = (parts.next(), parts.next()) {
                let code = text.starts_with("{{") || text.starts_with("{%");
                let word = literal.contains(' ') || literal.starts_with(char::is_uppercase);
                if code && word && literal.contains(char::is_alphabetic) && !before.ends_with("said(") {
                    hidden.push(format!("{name}: {literal}"));
                }
                before = next;
            }
        }
    }
    assert!(hidden.is_empty(), "{hidden:#?}");
}

/// Another language in which every message is written in wide letters: what stays narrow is data, or was forgotten.
fn wide() -> Arc<Language> {
    let wide = |text: &str| -> String {
        text.chars()
            .map(|c| if c.is_ascii_alphabetic() { char::from_u32(c as u32 + 0xFEE0).unwrap_or(c) } else { c })
            .collect()
    };
    let words = all().into_iter().map(|message| {
        let in_rust = message.contains('{') && !message.contains("{{") && !message.contains("{%");
        let said = if in_rust {
            // What is filled in keeps its name.
            message
                .split_inclusive(['{', '}'])
                .map(|part| if part.ends_with('}') { part.to_owned() } else { wide(part) })
                .collect()
        } else {
            pieces::pieces(&message)
                .into_iter()
                .map(|piece| {
                    let part = &message[piece.at.clone()];
                    if piece.kind == pieces::Kind::Text { wide(part) } else { part.to_owned() }
                })
                .collect()
        };
        (message, said)
    });
    Arc::new(Language { tag: "xx".to_owned(), words: words.collect() })
}

/// A language whose words are the English ones changes nothing: no template loses anything on the way.
#[test]
fn a_page_translated_into_english_is_the_page() {
    let same = all().into_iter().map(|message| (message.clone(), message)).collect();
    let english = Language { tag: ENGLISH.to_owned(), words: HashMap::new() };
    let same = Language { tag: ENGLISH.to_owned(), words: same };
    let (english, same) = (Arc::new(english), Arc::new(same));
    let written = crate::render::in_language(&english);
    let translated = crate::render::in_language(&same);
    assert!(written.len() > 30);
    for ((template, written), (_, translated)) in written.iter().zip(&translated) {
        assert_eq!(messages::key(written), messages::key(translated), "{template}");
    }
}

/// What the samples of all pages show in narrow letters: data alone.
#[test]
fn every_word_of_the_pages_can_be_translated() {
    let language = wide();
    let viewer = Viewer { language: Some(Arc::clone(&language)), form_token: None };
    let pages = viewer::now(viewer, || crate::render::in_language(&language));
    let mut narrow = BTreeSet::new();
    for (template, html) in pages {
        for piece in pieces::pieces(&html) {
            let text = &html[piece.at.clone()];
            let mut read = vec![];
            if piece.kind == pieces::Kind::Text {
                read.push(text);
            } else if text.starts_with('<') {
                let attributes = pieces::attributes(text).into_iter().filter(|(name, _)| messages::READ.contains(name));
                read.extend(attributes.map(|(_, at)| &text[at]));
            }
            for text in
                read.into_iter().map(messages::key).filter(|text| text.contains(|c: char| c.is_ascii_alphabetic()))
            {
                narrow.insert(format!("{template}: {text}"));
            }
        }
    }
    insta::assert_snapshot!(narrow.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn the_first_wish_that_can_be_met_is() {
    let language = |tag: &str| (tag.to_lowercase(), Arc::new(Language { tag: tag.to_owned(), words: HashMap::new() }));
    let there = Translations(Arc::new([language("de"), language("pt-BR"), language("zh-Hant")].into()));
    let got = |accept: &str| there.for_wishes(accept).map_or("en".to_owned(), |language| language.tag.clone());
    for (accept, tag) in [
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("en-GB,en;q=0.9,de;q=0.8", "en"),
        ("fr, de;q=0.5, pt-br;q=0.7", "pt-BR"),
        ("pt", "en"),
        ("zh-Hant-TW, en", "zh-Hant"),
        ("de;q=0, en", "en"),
        ("*", "en"),
        ("", "en"),
        (";;q=x,,de;q=nonsense", "en"),
    ] {
        assert_eq!(got(accept), tag, "{accept}");
    }
}

#[test]
fn words_are_said_in_the_language_of_who_asks() {
    let words = [("{n} min ago", "vor {n} Minuten"), ("Done", "Fertig")];
    let words = words.map(|(message, said)| (message.to_owned(), said.to_owned())).into();
    let viewer = Viewer { language: Some(Arc::new(Language { tag: "de".to_owned(), words })), form_token: None };
    let say = || (said!("{n} min ago", n = 3), said!("Done").to_string(), said!("Failed").to_string());
    assert_eq!(say(), ("3 min ago".to_owned(), "Done".to_owned(), "Failed".to_owned()));
    assert_eq!(said!("{a} {b} {c}", a = "{b}", b = "{"), "{b} { {c}", "what is filled in is not filled in again");
    let german = viewer::now(viewer, say);
    assert_eq!(german, ("vor 3 Minuten".to_owned(), "Fertig".to_owned(), "Failed".to_owned()));
}
