//! Stylesheets and templates have the same classes: a rule that nothing uses is only in the way, and a class without a
//! rule does nothing. What scripts look for is marked by `data-…`.

use std::{collections::BTreeSet, fs, path::Path};

use crate::assets::Files;

/// Classes that htmx sets by itself.
const SET_BY_HTMX: [&str; 1] = ["htmx-request"];
/// Stands for what a template fills in.
const FILLED: char = '\0';

/// What templates give as classes.
#[derive(Default)]
struct Given {
    /// Those that stand there.
    written: BTreeSet<String>,
    /// Beginnings of those whose end is filled in, such as `tone-`.
    begun: BTreeSet<String>,
    /// Words within what is filled in.
    filled: BTreeSet<String>,
}

impl Given {
    /// Those of one template.
    fn read(&mut self, template: &str) {
        for rest in template.split("class=\"").skip(1) {
            let text = self.fill(rest);
            for word in text.split_whitespace().flat_map(|word| word.split(FILLED)).filter(|word| !word.is_empty()) {
                let set = if word.ends_with('-') { &mut self.begun } else { &mut self.written };
                set.insert(word.to_owned());
            }
        }
    }

    /// The text up to the quotation mark that ends it.
    fn fill(&mut self, mut rest: &str) -> String {
        let mut text = String::new();
        while let Some(stop) = rest.find(['"', '{']) {
            text.push_str(&rest[..stop]);
            rest = &rest[stop..];
            let code = [("{{", "}}"), ("{%", "%}")].into_iter().find(|(begin, _)| rest.starts_with(begin));
            let Some((_, end)) = code else { break };
            let (code, after) = rest.split_once(end).expect("it ends");
            let quoted = ['\'', '"'].into_iter().flat_map(|mark| code.split(mark).skip(1).step_by(2));
            self.filled.extend(quoted.flat_map(str::split_whitespace).map(str::to_owned));
            text.push(FILLED);
            rest = after;
        }
        text
    }
}

/// The classes that a stylesheet has rules for.
fn ruled(stylesheet: &str) -> BTreeSet<String> {
    let mut parts = stylesheet.split("/*");
    let first = parts.next().unwrap_or_default();
    let bare: String = [first].into_iter().chain(parts.filter_map(|part| Some(part.split_once("*/")?.1))).collect();
    // What a rule is for stands before its `{`, behind the end of what came before.
    let heads = bare.split('{').filter_map(|before| before.rsplit(['}', ';']).next());
    let selectors = heads.filter(|head| !head.trim_start().starts_with('@'));
    let names = selectors.flat_map(|selector| selector.split('.').skip(1)).map(|name| {
        let end = name.find(|sign: char| !sign.is_ascii_alphanumeric() && sign != '-' && sign != '_');
        &name[..end.unwrap_or(name.len())]
    });
    names.map(str::to_owned).collect()
}

/// The contents of our files of that kind, without those of others.
fn files(end: &str) -> Vec<String> {
    let names = Files::iter().filter(|name| name.ends_with(end) && !name.contains("/vendor/"));
    let bytes = names.map(|name| Files::get(&name).expect("it is there").data.into_owned());
    bytes.map(|bytes| String::from_utf8(bytes).expect("text")).collect()
}

/// Appends the sources of a folder, without its tests.
fn append_sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.file_stem().is_some_and(|name| name == "tests") {
            continue;
        }
        if path.is_dir() {
            append_sources(&path, text);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            text.push_str(&fs::read_to_string(&path).expect("text"));
        }
    }
}

/// The classes of all templates, and those of all stylesheets.
fn of_all() -> (Given, BTreeSet<String>) {
    let mut given = Given::default();
    for template in files(".html") {
        given.read(&template);
    }
    (given, files(".css").iter().flat_map(|stylesheet| ruled(stylesheet)).collect())
}

#[test]
fn every_rule_is_for_a_class_that_something_has() {
    let (given, ruled) = of_all();
    let mut code = files(".js").concat();
    append_sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut code);
    let templates = files(".html").concat();
    let is_said = |text: &str, word: &str| text.contains(&format!("\"{word}\"")) || text.contains(&format!("'{word}'"));
    let is_end = |end: &str| end.parse::<u8>().is_ok() || is_said(&code, end) || is_said(&templates, end);
    let is_used = |class: &str| {
        given.written.contains(class)
            || given.filled.contains(class)
            || SET_BY_HTMX.contains(&class)
            || is_said(&code, class)
            || given.begun.iter().any(|begin| class.strip_prefix(begin.as_str()).is_some_and(is_end))
    };
    assert!(ruled.len() > 100, "only {} classes were found", ruled.len());
    let dead: Vec<&String> = ruled.iter().filter(|class| !is_used(class.as_str())).collect();
    assert!(dead.is_empty(), "nothing has the classes of these rules: {dead:?}");
}

#[test]
fn every_class_of_a_template_has_a_rule() {
    let (given, ruled) = of_all();
    assert!(given.written.len() > 100, "only {} classes were found", given.written.len());
    let bare: Vec<&String> = given.written.difference(&ruled).collect();
    assert!(bare.is_empty(), "no stylesheet has a rule for {bare:?}");
}

#[test]
fn classes_are_read_where_they_stand() {
    let stylesheet = "/* .no { } */ @media (max-width: 0.5rem) { .a.b-c > .d:not(.e), i { margin: 0.5em; } } .f { }";
    assert_eq!(ruled(stylesheet).into_iter().collect::<Vec<_>>(), ["a", "b-c", "d", "e", "f"]);
    let mut given = Given::default();
    given.read("<p class=\"a{% if x == \"g\" %} b{% endif %} t-{{ 'c' if y else 'd e' }}\" id=\"z\">");
    given.read("<ul><li class=\"f\">class .h</li></ul>");
    let words = |set: BTreeSet<String>| set.into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!([words(given.written), words(given.begun), words(given.filled)], ["a b f", "t-", "c d e g"]);
}
