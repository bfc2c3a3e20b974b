//! The messages in a template: what a person reads of it, sentence by sentence.
//!
//! A message is a run of text between the tags that end a sentence, with the inline tags, the expressions and the
//! conditions that stand in it, as the template has it: a translator may order them anew and may choose by a number
//! as his language does. Templates hold plain English; nothing in them is marked.

use std::ops::Range;

use super::pieces::{Kind, Piece, attributes, pieces, tag_name};

/// Attributes that are read by people.
pub(super) const READ: [&str; 7] = ["alt", "aria-label", "data-copied", "data-select", "label", "placeholder", "title"];
/// Inline tags whose content alone is no word of a language.
const NO_WORDS: [&str; 2] = ["code", "kbd"];

/// Something to translate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// Where it stands in the source, in bytes.
    pub(super) at: Range<usize>,
    pub(super) place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Between tags.
    Content,
    /// In an attribute, between double quotes.
    Attribute,
    /// In an expression: `said("…")`; without its quotes.
    Expression,
}

/// A message as the catalogue has it: every run of white space is one space.
pub(super) fn key(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// All messages of a template, in their order; none lies within another.
pub(super) fn messages(source: &str) -> Vec<Message> {
    let all = pieces(source);
    let mut found = Vec::new();
    for run in runs(&all) {
        settle(source, run, &mut found);
    }
    let own = |at: usize, found: &[Message]| found.iter().any(|message| message.at.contains(&at));
    let mut inside = Vec::new();
    for piece in all.iter().filter(|piece| !own(piece.at.start, &found)) {
        match piece.kind {
            Kind::Text | Kind::Close => {}
            _ if source[piece.at.clone()].starts_with('<') => inside.extend(of_tag(source, piece)),
            _ => inside.extend(of_code(source, piece.at.clone())),
        }
    }
    found.extend(inside);
    found.sort_by_key(|message| message.at.start);
    found
}

/// The source in another language.
pub(super) fn translated<'a>(source: &str, word: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut whole = String::with_capacity(source.len());
    let mut done = 0;
    for message in messages(source) {
        let Some(said) = word(&key(&source[message.at.clone()])) else { continue };
        whole.push_str(&source[done..message.at.start]);
        match message.place {
            Place::Content => whole.push_str(said),
            Place::Attribute => whole.push_str(&quoted(said)),
            // Looked up when it is drawn.
            Place::Expression => whole.push_str(&source[message.at.clone()]),
        }
        done = message.at.end;
    }
    whole.push_str(&source[done..]);
    whole
}

/// For between double quotes.
fn quoted(said: &str) -> String {
    let text = |piece: &Piece| {
        let part = &said[piece.at.clone()];
        if part.starts_with("{{") || part.starts_with("{%") { part.to_owned() } else { part.replace('"', "&quot;") }
    };
    pieces(said).iter().map(text).collect()
}

/// Runs of pieces in which no sentence ends, each whole: what begins in it ends in it.
fn runs(all: &[Piece]) -> Vec<&[Piece]> {
    let mut breaks: Vec<bool> = all.iter().map(|piece| piece.kind == Kind::Break).collect();
    loop {
        let partners = partners(all, &breaks);
        let mut changed = false;
        for (at, piece) in all.iter().enumerate() {
            let group = matches!(piece.kind, Kind::Open | Kind::Close | Kind::If | Kind::Else | Kind::EndIf);
            if group && !breaks[at] && !whole(at, &partners, &breaks) {
                breaks[at] = true;
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    let mut runs = Vec::new();
    let mut begin = 0;
    for at in 0..=all.len() {
        if at == all.len() || breaks[at] {
            if begin < at {
                runs.push(&all[begin..at]);
            }
            begin = at + 1;
        }
    }
    runs
}

/// For each piece that begins, divides or ends something: where that begins and ends.
fn partners(all: &[Piece], breaks: &[bool]) -> Vec<Option<(usize, usize)>> {
    let mut found = vec![None; all.len()];
    // Each with the places of its `else`.
    let mut open: Vec<(usize, Vec<usize>)> = Vec::new();
    for (at, piece) in all.iter().enumerate().filter(|(at, _)| !breaks[*at]) {
        let begin = match piece.kind {
            Kind::Open | Kind::If => {
                open.push((at, Vec::new()));
                continue;
            }
            Kind::Else => {
                if let Some((_, parts)) = open.last_mut().filter(|(begin, _)| all[*begin].kind == Kind::If) {
                    parts.push(at);
                }
                continue;
            }
            Kind::Close => Kind::Open,
            Kind::EndIf => Kind::If,
            _ => continue,
        };
        let Some(depth) = open.iter().rposition(|(other, _)| all[*other].kind == begin) else { continue };
        // What was begun within and not ended has no partner.
        open.truncate(depth + 1);
        let Some((begin, parts)) = open.pop() else { continue };
        for part in parts.into_iter().chain([begin, at]) {
            found[part] = Some((begin, at));
        }
    }
    found
}

/// Whether what this piece belongs to begins and ends without a break in between.
fn whole(at: usize, partners: &[Option<(usize, usize)>], breaks: &[bool]) -> bool {
    partners[at].is_some_and(|(begin, end)| !breaks[begin..=end].contains(&true))
}

/// The messages of a run: itself where it says something, else those of its parts.
fn settle(source: &str, run: &[Piece], found: &mut Vec<Message>) {
    let parts = parts(run);
    let says =
        |part: &&[Piece]| matches!(part, [piece] if piece.kind == Kind::Text && has_words(&source[piece.at.clone()]));
    if !parts.iter().any(says) {
        for part in parts.iter().filter(|part| part.len() > 1) {
            if part[0].kind == Kind::If {
                let inner = &part[1..part.len() - 1];
                for branch in branches(inner) {
                    settle(source, branch, found);
                }
            } else if !NO_WORDS.contains(&tag_name(&source[part[0].at.clone()]).as_str()) {
                settle(source, &part[1..part.len() - 1], found);
            }
        }
        return;
    }
    // Icons before and behind the words are none.
    let icon = |part: &&[Piece]| match part {
        [piece] => {
            let text = source[piece.at.clone()].trim_start_matches("{{").trim();
            text.is_empty() || text.starts_with("icons.")
        }
        _ => false,
    };
    let begin = parts.iter().take_while(|part| icon(part)).count();
    let end = parts.len() - parts.iter().rev().take_while(|part| icon(part)).count();
    let (Some(from), Some(to)) = (parts[begin..end].first(), parts[begin..end].last()) else { return };
    let (from, to) = (from[0].at.start, to[to.len() - 1].at.end);
    let text = &source[from..to];
    let from = to - text.trim_start().len();
    let to = from + text.trim().len();
    if !is_attributes(&source[from..to]) {
        found.push(Message { at: from..to, place: Place::Content });
    }
}

/// Whether a macro makes attributes of a tag, and no text.
fn is_attributes(text: &str) -> bool {
    let name = text.trim_start_matches(|c: char| c.is_ascii_lowercase() || c == '-');
    name.len() < text.len() && name.starts_with("=\"")
}

/// The parts of a run: single pieces, and whole groups from their begin to their end.
fn parts(run: &[Piece]) -> Vec<&[Piece]> {
    let mut parts = Vec::new();
    let mut at = 0;
    while at < run.len() {
        let mut depth = 0;
        let mut end = at;
        loop {
            match run[end].kind {
                Kind::Open | Kind::If => depth += 1,
                Kind::Close | Kind::EndIf => depth -= 1,
                _ => {}
            }
            end += 1;
            if depth <= 0 || end == run.len() {
                break;
            }
        }
        parts.push(&run[at..end]);
        at = end;
    }
    parts
}

/// What stands between the `else`s of a condition.
fn branches(inner: &[Piece]) -> Vec<&[Piece]> {
    let mut depth = 0;
    inner
        .split(|piece| {
            match piece.kind {
                Kind::Open | Kind::If => depth += 1,
                Kind::Close | Kind::EndIf => depth -= 1,
                _ => {}
            }
            depth == 0 && piece.kind == Kind::Else
        })
        .collect()
}

/// Whether there are letters, those of HTML's entities left out.
fn has_words(text: &str) -> bool {
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c == '&' || c.is_alphabetic()) {
        let entity = rest[at..].strip_prefix('&').and_then(|after| {
            let end = after.find(';')?;
            after[..end].chars().all(|c| c.is_ascii_alphanumeric() || c == '#').then_some(at + 1 + end + 1)
        });
        match entity {
            Some(end) => rest = &rest[end..],
            None if rest[at..].starts_with('&') => rest = &rest[at + 1..],
            None => return true,
        }
    }
    false
}

/// What people read in a tag's attributes, and in the code between them.
fn of_tag(source: &str, piece: &Piece) -> Vec<Message> {
    let tag = &source[piece.at.clone()];
    let start = piece.at.start;
    let mut found = Vec::new();
    for (name, at) in attributes(tag) {
        let value = &tag[at.clone()];
        let literal = pieces(value).iter().any(|piece| piece.kind == Kind::Text && has_words(&value[piece.at.clone()]));
        if READ.contains(&name) && literal {
            found.push(Message { at: start + at.start..start + at.end, place: Place::Attribute });
        }
    }
    let in_code = of_code(source, piece.at.clone());
    let outside: Vec<Message> =
        in_code.into_iter().filter(|message| !found.iter().any(|other| other.at.contains(&message.at.start))).collect();
    found.extend(outside);
    found
}

/// The texts of `said("…")`.
fn of_code(source: &str, within: Range<usize>) -> Vec<Message> {
    let mut found = Vec::new();
    let mut at = within.start;
    while let Some(begin) = source[at..within.end].find("said(").map(|found| at + found + "said(".len()) {
        at = begin;
        let Some(quote) = source[begin..].chars().next().filter(|c| matches!(c, '"' | '\'')) else { continue };
        let Some(length) = source[begin + 1..within.end].find(quote) else { continue };
        at = begin + 1 + length;
        found.push(Message { at: begin + 1..at, place: Place::Expression });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(source: &str) -> Vec<String> {
        messages(source).into_iter().map(|message| key(&source[message.at])).collect()
    }

    #[test]
    fn a_sentence_is_one_message_with_what_stands_in_it() {
        let source =
            "<p>{{ icons.icon(\"info\") }}<span>Add one on the\n <a href=\"/servers\">servers page</a>.</span></p>";
        assert_eq!(found(source), ["Add one on the <a href=\"/servers\">servers page</a>."]);
        let source = "<p>{{ n }} file{{ \"s\" if n != 1 }}{% if more %} and <b>more</b>{% endif %}.</p>";
        assert_eq!(found(source), ["{{ n }} file{{ \"s\" if n != 1 }}{% if more %} and <b>more</b>{% endif %}."]);
    }

    #[test]
    fn what_only_holds_sentences_is_none() {
        assert_eq!(
            found("<p>{% if a %}One{% elif b %}Two <b>x</b>{% else %}{{ c }}{% endif %}</p>"),
            ["One", "Two <b>x</b>"]
        );
        assert_eq!(found("<td><b>{{ name }}</b> <span class=\"x\">at once</span></td>"), ["at once"]);
        assert_eq!(found("<p>{{ a }} × {{ b }}&nbsp;</p><code>curl x</code><pre>a b</pre>"), Vec::<String>::new());
        assert_eq!(found("<a href=\"/x\">{% for x in y %}In it{% endfor %} after</a>"), ["In it", "after"]);
        assert_eq!(found("{% if a %}<p>One</p>{% endif %}<b>Two"), ["One", "Two"]);
        assert_eq!(found("{% macro m(a) %} aria-label=\"{{ a }} x\"{% endmacro %}"), Vec::<String>::new());
    }

    #[test]
    fn attributes_and_words_in_code_count() {
        let source = "<a title=\"Go {{ x }}\" class=\"no\" href=\"{{ said(\"deep\") }}\">{{ y or said('never') }}</a>{% set z = said(\"Pool\") %}";
        assert_eq!(found(source), ["Go {{ x }}", "deep", "never", "Pool"]);
    }

    #[test]
    fn a_translation_takes_the_place_of_the_words_alone() {
        let words = [("One", "Eins"), ("Go {{ x }}", "{{ x }} \"ab\""), ("Pool", "Verbund")];
        let word = |key: &str| words.iter().find(|(english, _)| *english == key).map(|(_, said)| *said);
        let source = "<p>\n  One\n</p><a title=\"Go {{ x }}\">Two</a>{{ said(\"Pool\") }}";
        assert_eq!(
            translated(source, word),
            "<p>\n  Eins\n</p><a title=\"{{ x }} &quot;ab&quot;\">Two</a>{{ said(\"Pool\") }}"
        );
        assert_eq!(translated(source, |_| None), source);
    }
}
