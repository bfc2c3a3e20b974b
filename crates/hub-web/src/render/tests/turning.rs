//! A name may hold signs that turn the direction of all that follows them on a line: wherever somebody's text stands, it
//! stands apart, by an element or, within a sentence of one text, by signs (`language/apart.rs`).

use html5gum::{DefaultEmitter, Token, Tokenizer};

use super::*;
use crate::pages::shown::sample::HOSTILE;

/// What follows is read from right to left, to the end of the paragraph or of what stands apart.
const TURN: char = '\u{202e}';
/// Elements whose text stands apart: by themselves, by the stylesheet (`code`), or because nothing else is on their line.
const APART: [&str; 8] = ["bdi", "code", "desc", "option", "pre", "text", "textarea", "title"];
/// Elements that have no end.
const VOID: [&str; 9] = ["br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"];

/// The texts of a page, and whether each stands apart.
fn texts(html: &str) -> Vec<(String, bool)> {
    // Where there is script, what is meant for browsers without is no markup.
    let html = html.replace("<noscript>", "<div>").replace("</noscript>", "</div>");
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    // What is open, and whether it stands apart.
    let mut open: Vec<(String, bool)> = Vec::new();
    let mut found: Vec<(String, bool)> = Vec::new();
    // A text may come in parts.
    let mut goes_on = false;
    for Ok(token) in Tokenizer::new_with_emitter(&html, emitter) {
        let is_text = matches!(token, Token::String(_));
        match token {
            Token::StartTag(tag) => {
                let name = text(&tag.name);
                let auto = tag.attributes.get(&b"dir"[..]).is_some_and(|dir| text(dir) == "auto");
                let apart = auto || APART.contains(&name.as_str());
                if !tag.self_closing && !VOID.contains(&name.as_str()) {
                    open.push((name, apart));
                }
            }
            Token::EndTag(tag) => {
                let name = text(&tag.name);
                if let Some(begin) = open.iter().rposition(|(begun, _)| *begun == name) {
                    open.truncate(begin);
                }
            }
            Token::String(string) => {
                let string = text(&string);
                match found.last_mut().filter(|_| goes_on) {
                    Some((begun, _)) => begun.push_str(&string),
                    None => found.push((string, open.iter().any(|(_, apart)| *apart))),
                }
            }
            Token::Error(_) => continue,
            _ => {}
        }
        goes_on = is_text;
    }
    found
}

/// What of a text stands outside of its own isolates (UAX #9, BD9); `None` when not each of them begins and ends in it.
fn outside(text: &str) -> Option<String> {
    let mut open = 0_usize;
    let mut found = String::new();
    for c in text.chars() {
        match c {
            '\u{2066}'..='\u{2068}' => open += 1,
            '\u{2069}' => open = open.checked_sub(1)?,
            c if open == 0 => found.push(c),
            _ => {}
        }
    }
    (open == 0).then_some(found)
}

/// Texts of a page that turn what stands beside them, or that leave open what they open.
fn turning(html: &str) -> Vec<String> {
    let turns = |text: &str, apart: bool| outside(text).is_none_or(|outside| !apart && outside.contains(TURN));
    let found = texts(html).into_iter().filter(|(text, apart)| turns(text, *apart));
    found.map(|(text, _)| text.trim().to_owned()).collect()
}

#[test]
fn what_turns_is_found_where_nothing_keeps_it_apart() {
    let apart = "<p title=\"\u{202e}\">on <bdi>\u{202e}a</bdi><br>by <b dir=\"auto\"><i>\u{202e}</i></b></p><svg><path d=\"\"/><text>\u{202e}</text></svg>";
    assert_eq!(turning(apart), Vec::<String>::new());
    let beside = "<p><bdi>a</bdi> on \u{202e}b <b>c</b></p><td><input value=\"\u{202e}\">\u{202e}d</td>";
    assert_eq!(turning(beside), ["on \u{202e}b", "\u{202e}d"]);
    let signed = "<p>on \u{2068}\u{202e}a\u{2069} <b>b</b></p><p>\u{2068}\u{2067}c\u{2069}\u{2069}</p>";
    assert_eq!(turning(signed), Vec::<String>::new());
    let open = "<p>on \u{2068}\u{202e}a</p><p><bdi>\u{2068}b</bdi></p><p>c\u{2069}</p>";
    assert_eq!(turning(open), ["on \u{2068}\u{202e}a", "\u{2068}b", "c\u{2069}"]);
}

/// `<bdi>` keeps the whole of it apart; the name within it is kept apart by its own signs.
#[test]
fn a_jobs_story_keeps_the_names_in_it_apart() {
    let jobs = all_samples().filter(|(template, _)| *template == "pages/job.html");
    let html: String = jobs.map(|(template, context)| render(template, context)).collect();
    for title in ["Accepted on", "Picture 2: Attempt 1 on"] {
        let told = format!("{title} \u{2068}&lt;gpu&gt;\u{202e}\u{2069}</span>");
        assert!(html.contains(&told), "`{told}` is missing: {html}");
    }
}

#[test]
fn what_callers_wrote_turns_nothing_that_stands_beside_it() {
    assert!(HOSTILE.contains(TURN));
    let (mut seen, mut faults) = (0, BTreeSet::new());
    for (template, context) in all_samples() {
        let html = render(template, context);
        seen += html.matches(TURN).count();
        faults.extend(turning(&html).into_iter().map(|text| format!("{template}: {text}")));
    }
    assert!(seen > 100, "only {seen} places were looked at");
    assert!(faults.is_empty(), "{faults:#?}");
}
