//! Prompt texts as the editor hands them on: comments removed, `{a|b}` decided.
//!
//! The editor rolls a die for each `{a|b}`; here the first alternative is taken, because a conversion must
//! give the same graph every time.

/// Nesting of alternatives that is followed; what is deeper stays as written.
const MAX_DEPTH: usize = 32;

/// The text as it goes to the server, and whether an alternative had to be decided.
pub(super) fn settle(text: &str) -> (String, bool) {
    let mut chose = false;
    let settled = settle_at(text, 0, &mut chose);
    (settled, chose)
}

fn settle_at(text: &str, depth: usize, chose: &mut bool) -> String {
    let text = without_comments(text);
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find(['\\', '{']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with('\\') {
            let next = rest[1..].chars().next();
            let length = 1 + next.map_or(0, char::len_utf8);
            out.push_str(&rest[..length]);
            rest = &rest[length..];
        } else {
            let (first, alternatives, after) = choice(&rest[1..]);
            *chose |= alternatives > 1;
            out.push_str(&if depth < MAX_DEPTH { settle_at(first, depth + 1, chose) } else { first.to_owned() });
            rest = after;
        }
    }
    out.push_str(rest);
    unescape(&out)
}

/// The first alternative behind a `{`, how many there are, and what follows the closing brace.
fn choice(text: &str) -> (&str, usize, &str) {
    let (mut depth, mut first, mut count, mut escaped) = (0_usize, None, 1, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '{' => depth += 1,
            '}' if depth == 0 => return (first.unwrap_or(&text[..at]), count, &text[at + 1..]),
            '}' => depth -= 1,
            '|' if depth == 0 => {
                first = first.or(Some(&text[..at]));
                count += 1;
            }
            _ => {}
        }
    }
    (first.unwrap_or(text), count, "")
}

/// Removes `/* … */` and `// …`.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('/') {
        let (before, tail) = rest.split_at(at);
        out.push_str(before);
        if let Some(end) = tail.strip_prefix("/*").and_then(|body| body.find("*/")) {
            rest = &tail[end + 4..];
        } else if tail.starts_with("//") {
            rest = tail.find(['\n', '\r', '\u{2028}', '\u{2029}']).map_or("", |end| &tail[end..]);
        } else {
            out.push('/');
            rest = &tail[1..];
        }
    }
    out.push_str(rest);
    out
}

fn unescape(text: &str) -> String {
    text.replace("\\{", "{").replace("\\}", "}").replace("\\|", "|")
}

#[cfg(test)]
mod tests {
    use super::settle;

    #[test]
    fn the_first_alternative_is_taken_and_said_so() {
        assert_eq!(settle("a {red|blue} cat"), ("a red cat".to_owned(), true));
        assert_eq!(settle("a {{big|small} dog|cat}"), ("a big dog".to_owned(), true));
        assert_eq!(settle("{|a}b"), ("b".to_owned(), true));
        assert_eq!(settle("{open|"), ("open".to_owned(), true));
    }

    #[test]
    fn plain_text_comments_and_escapes_come_out_as_the_editor_sends_them() {
        assert_eq!(settle("a cat, (sharp:1.2) <lora:x>"), ("a cat, (sharp:1.2) <lora:x>".to_owned(), false));
        assert_eq!(settle("a // not this\ncat /* nor\nthis */!"), ("a \ncat !".to_owned(), false));
        assert_eq!(settle(r"\{a\|b\} \n"), (r"{a|b} \n".to_owned(), false));
        assert_eq!(settle("{a}").0, "a");
        assert_eq!(settle("an / open /* comment").0, "an / open /* comment");
    }

    #[test]
    fn deep_nesting_ends() {
        let deep = "{".repeat(100_000);
        assert!(settle(&deep).0.len() <= deep.len());
    }
}
