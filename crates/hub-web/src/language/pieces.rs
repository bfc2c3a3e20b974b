//! Cuts the source of a template into pieces: text, tags of HTML, and what the template engine reads.

use std::ops::Range;

/// Tags that stand within a sentence.
const INLINE: [&str; 16] =
    ["a", "abbr", "b", "bdi", "br", "code", "em", "i", "kbd", "q", "small", "span", "strong", "sub", "sup", "time"];
/// Tags that have no end.
const VOID: [&str; 2] = ["br", "wbr"];
/// Tags whose content is no sentence.
const RAW: [&str; 5] = ["pre", "script", "style", "svg", "textarea"];

/// A piece of a template's source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) kind: Kind,
    /// Where it stands, in bytes.
    pub(super) at: Range<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text of the page.
    Text,
    /// `{{ … }}`.
    Expression,
    /// `{% if … %}`.
    If,
    /// `{% elif … %}`, `{% else %}`.
    Else,
    /// `{% endif %}`.
    EndIf,
    /// An inline tag that begins something.
    Open,
    /// An inline tag that ends something.
    Close,
    /// An inline tag for itself.
    Single,
    /// Whatever ends a sentence: other tags, other statements, comments, and text that is none.
    Break,
}

/// All pieces, in their order and without gaps.
pub(super) fn pieces(source: &str) -> Vec<Piece> {
    let mut found = Vec::new();
    let mut at = 0;
    let mut raw: Option<String> = None;
    while at < source.len() {
        let rest = &source[at..];
        let (mut kind, length) = next(rest);
        let name = tag_name(&source[at..at + length]);
        match &raw {
            Some(inside) => {
                if rest.starts_with("</") && name == *inside {
                    raw = None;
                }
                kind = Kind::Break;
            }
            None if rest.starts_with('<') && RAW.contains(&name.as_str()) => raw = Some(name),
            None => {}
        }
        found.push(Piece { kind, at: at..at + length });
        at += length;
    }
    found
}

/// Kind and length of the first piece.
fn next(rest: &str) -> (Kind, usize) {
    let through = |end: &str| rest.find(end).map_or(rest.len(), |found| found + end.len());
    if rest.starts_with("{{") {
        (Kind::Expression, through("}}"))
    } else if rest.starts_with("{#") {
        (Kind::Break, through("#}"))
    } else if rest.starts_with("{%") {
        let length = through("%}");
        let word = rest[2..length].trim_start_matches('-').split_whitespace().next().unwrap_or_default();
        let kind = match word {
            "if" => Kind::If,
            "elif" | "else" => Kind::Else,
            "endif" => Kind::EndIf,
            _ => Kind::Break,
        };
        (kind, length)
    } else if rest.starts_with("<!--") {
        (Kind::Break, through("-->"))
    } else if begins_tag(rest) {
        let length = tag_length(rest);
        let name = tag_name(&rest[..length]);
        let kind = match name.as_str() {
            name if !INLINE.contains(&name) => Kind::Break,
            name if VOID.contains(&name) => Kind::Single,
            _ if rest.starts_with("</") => Kind::Close,
            _ => Kind::Open,
        };
        (kind, length)
    } else {
        let stops = rest.char_indices().skip(1);
        let stop = stops.map(|(at, _)| at).find(|at| {
            let after = &rest[*at..];
            after.starts_with("{{") || after.starts_with("{%") || after.starts_with("{#") || begins_tag(after)
        });
        (Kind::Text, stop.unwrap_or(rest.len()))
    }
}

fn begins_tag(rest: &str) -> bool {
    let after = rest.strip_prefix('<').map(|rest| rest.strip_prefix('/').unwrap_or(rest));
    after.is_some_and(|after| after.starts_with(|c: char| c.is_ascii_alphabetic() || c == '!'))
}

/// Length of the tag at the start, with whatever the template engine fills in.
fn tag_length(rest: &str) -> usize {
    let mut at = 1;
    let mut quote = None;
    while let Some(c) = rest[at..].chars().next() {
        let after = &rest[at..];
        let filled = [("{{", "}}"), ("{%", "%}")].into_iter().find(|(begin, _)| after.starts_with(begin));
        at += match filled {
            Some((_, end)) => after.find(end).map_or(after.len(), |found| found + end.len()),
            None => c.len_utf8(),
        };
        match (filled, quote, c) {
            (None, None, '>') => return at,
            (None, None, '"' | '\'') => quote = Some(c),
            (None, Some(open), _) if open == c => quote = None,
            _ => {}
        }
    }
    rest.len()
}

/// Name of a tag; empty for what is none.
pub(super) fn tag_name(tag: &str) -> String {
    let name = tag.trim_start_matches(['<', '/']);
    let end = name.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(name.len());
    if tag.starts_with('<') { name[..end].to_ascii_lowercase() } else { String::new() }
}

/// Attributes of a tag that are written in double quotes: name, and where the value stands within the tag.
pub(super) fn attributes(tag: &str) -> Vec<(&str, Range<usize>)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(equals) = tag[at..].find("=\"").map(|found| at + found) {
        let name = tag[..equals].rsplit(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == ':')).next();
        let begin = equals + 2;
        let end = value_end(tag, begin);
        // What is compared in a statement is no attribute.
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            found.push((name, begin..end));
        }
        at = end;
    }
    found
}

fn value_end(tag: &str, begin: usize) -> usize {
    let mut at = begin;
    while at < tag.len() {
        let after = &tag[at..];
        if after.starts_with('"') {
            return at;
        }
        let filled = [("{{", "}}"), ("{%", "%}")].into_iter().find(|(begin, _)| after.starts_with(begin));
        at += match filled {
            Some((_, end)) => after.find(end).map_or(after.len(), |found| found + end.len()),
            None => after.chars().next().map_or(1, char::len_utf8),
        };
    }
    tag.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Kind::{Break, Close, EndIf, Expression, If, Open, Text};

    fn cut(source: &str) -> Vec<(Kind, &str)> {
        pieces(source).into_iter().map(|piece| (piece.kind, &source[piece.at])).collect()
    }

    #[test]
    fn a_source_is_cut_without_gaps() {
        let source = "<p class=\"{{ \"a>b\" if x > 1 }}\">Go <a href='/x'>on</a>{% if y %}: {{ n }}{% endif %}</p>";
        let found = cut(source);
        assert_eq!(found.iter().map(|(_, text)| *text).collect::<String>(), source);
        assert_eq!(found[0], (Break, "<p class=\"{{ \"a>b\" if x > 1 }}\">"));
        let kinds: Vec<Kind> = found.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [Break, Text, Open, Text, Close, If, Text, Expression, EndIf, Break]);
    }

    #[test]
    fn what_is_no_sentence_is_left_out() {
        for source in ["<pre>a {{ b }} <b>c</b></pre>", "{# a #}", "<!-- a -->", "<textarea>a</textarea>"] {
            assert!(cut(source).iter().all(|(kind, _)| *kind == Break), "{source}");
        }
        assert_eq!(cut("1 < 2"), [(Text, "1 < 2")]);
    }

    #[test]
    fn attributes_are_found_with_what_is_filled_in() {
        let tag = "<input title=\"Say {{ \"x\" }}\"{% if a == \"b\" %} checked{% endif %} aria-label=\"Go\">";
        let found: Vec<(&str, &str)> = attributes(tag).into_iter().map(|(name, at)| (name, &tag[at])).collect();
        assert_eq!(found, [("title", "Say {{ \"x\" }}"), ("aria-label", "Go")]);
    }
}
