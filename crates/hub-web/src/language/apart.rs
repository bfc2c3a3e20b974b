//! Names in sentences that are one text.
//!
//! A name in Hebrew or Arabic, or one that holds signs that turn the direction of writing, turns what stands beside it
//! on its line (Unicode Standard Annex #9). Where a name stands alone on a page, `<bdi>` keeps it apart; within a
//! sentence that Rust composes, the signs for the same do: FSI before it, PDI behind it. What turns nothing stays as it
//! is, byte by byte.
//!
//! Only isolates must be counted. An embedding or override that a name leaves open ends with the isolate around it
//! (X6a), and a PDF that has no beginning there does nothing (X7). But an isolate that a name leaves open would take the
//! PDI behind the name for its own, and a PDI without beginning would end the isolate around it (BD9): the one is ended,
//! the other left out.

use std::borrow::Cow;

use hub_core::error::UserError;

use crate::viewer;

/// Begins what stands apart, in the direction of its first letter.
const FSI: char = '\u{2068}';
/// Begins what stands apart and is read from left to right.
const LRI: char = '\u{2066}';
/// Begins what stands apart and is read from right to left.
const RLI: char = '\u{2067}';
/// Ends what any of them began.
const PDI: char = '\u{2069}';

/// A text that people or servers gave, as it may stand in a sentence. Doing it twice changes nothing more.
pub(crate) fn apart(text: &str) -> Cow<'_, str> {
    begun_by(FSI, text)
}

/// Several of them, one behind the other.
pub(crate) fn list<T: AsRef<str>>(names: &[T], between: &str) -> String {
    names.iter().map(|name| apart(name.as_ref())).collect::<Vec<_>>().join(between)
}

/// A sentence of the other crates, which say everything in English and put names between backticks: each of these
/// stands apart. An English sentence is read from left to right, although it may begin with a name.
pub(crate) fn sentence(text: &str) -> Cow<'_, str> {
    if apart(text) == text {
        return Cow::Borrowed(text);
    }
    // What is told in another language is read as that is written.
    let read = if viewer::language().is_some() { FSI } else { LRI };
    let lines = text.split_inclusive(ends_paragraph).map(|line| {
        if !line.contains('`') {
            return line_begun_by(read, line);
        }
        let (line, end) = without_end(line);
        // What stands between names is kept apart too: a name without backticks, or with one, turns no other part.
        let begins = [read, FSI].into_iter().cycle();
        let parts: Vec<_> = begins.zip(line.split('`')).map(|(begin, part)| begun_by(begin, part)).collect();
        format!("{read}{}{PDI}{end}", parts.join("`"))
    });
    lines.collect::<String>().into()
}

/// Several of them.
pub(crate) fn sentences(texts: &[String]) -> Vec<String> {
    texts.iter().map(|text| sentence(text).into_owned()).collect()
}

/// An error as pages tell it: what it says, and each value that would be valid.
pub(crate) fn error(told: &UserError) -> UserError {
    UserError {
        message: sentence(&told.message).into_owned(),
        hint: told.hint.as_deref().map(|hint| sentence(hint).into_owned()),
        valid_values: told.valid_values.iter().map(|value| apart(value).into_owned()).collect(),
        ..told.clone()
    }
}

fn begun_by(begin: char, text: &str) -> Cow<'_, str> {
    if !text.contains(turns) {
        return Cow::Borrowed(text);
    }
    // A paragraph ends whatever is open in it (X8).
    text.split_inclusive(ends_paragraph).map(|line| line_begun_by(begin, line)).collect::<String>().into()
}

fn line_begun_by(begin: char, line: &str) -> String {
    let (line, end) = without_end(line);
    let mut kept = String::with_capacity(line.len() + 2 * PDI.len_utf8());
    let mut open = 0_usize;
    // Whether anything turns what stands beside it, and not only within an isolate of the text's own.
    let mut turned = false;
    for c in line.chars() {
        match c {
            FSI | LRI | RLI => open += 1,
            PDI if open == 0 => continue,
            PDI => open -= 1,
            _ => turned |= open == 0 && turns(c),
        }
        kept.push(c);
    }
    kept.extend(std::iter::repeat_n(PDI, open));
    if turned { format!("{begin}{kept}{PDI}{end}") } else { kept + end }
}

/// A line and what ends it.
fn without_end(line: &str) -> (&str, &str) {
    line.split_at(line.trim_end_matches(ends_paragraph).len())
}

/// Whether the direction of what stands beside it may change: the signs of `Bidi_Control`, and the blocks that are
/// kept for writing from right to left (`DerivedBidiClass.txt`), which hold the digits and marks of these scripts too.
fn turns(c: char) -> bool {
    matches!(c,
        // LRM and RLM, embeddings and overrides, isolates; ALM is in the block of Arabic.
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        // Hebrew, Arabic, Syriac, Thaana, NKo, Samaritan, Mandaic, Arabic Extended.
        | '\u{0590}'..='\u{08ff}'
        // Presentation forms; U+FEFF, the mark of the byte order, has no direction.
        | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefe}'
        // The scripts of the supplementary plane, from Cypriot to Adlam and the mathematical letters of Arabic.
        | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

/// Whether a paragraph ends with it (`Bidi_Class` B).
fn ends_paragraph(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Said;

    const RLO: char = '\u{202e}';
    const PDF: char = '\u{202c}';

    /// What is open at a place of a text, isolates as `true`, embeddings and overrides as `false`: X1 to X8 of UAX #9,
    /// for texts that do not nest as deep as to overflow.
    #[derive(Default)]
    struct Open(Vec<bool>);

    impl Open {
        fn read(&mut self, c: char) {
            match c {
                FSI | LRI | RLI => self.0.push(true),
                '\u{202a}' | '\u{202b}' | '\u{202d}' | RLO => self.0.push(false),
                PDI => {
                    if let Some(begin) = self.0.iter().rposition(|isolate| *isolate) {
                        self.0.truncate(begin);
                    }
                }
                PDF => {
                    self.0.pop_if(|isolate| !*isolate);
                }
                c if ends_paragraph(c) => self.0.clear(),
                _ => {}
            }
        }
    }

    /// What is wrong with a sentence around a value.
    fn fault(sentence: &str) -> Option<&'static str> {
        let inside = sentence.strip_prefix("by ").and_then(|rest| rest.strip_suffix(" end")).expect("words around it");
        let mut open = Open::default();
        for c in inside.chars() {
            let alone = !open.0.contains(&true);
            let begins = matches!(c, FSI | LRI | RLI);
            open.read(c);
            if alone && turns(c) && !begins {
                return Some("something turns what stands beside it");
            }
        }
        if !open.0.is_empty() {
            return Some("something stays open");
        }
        // Where white space is collapsed, a line's end is a space.
        let as_one = inside.replace(ends_paragraph, " ");
        if as_one == inside { None } else { fault(&format!("by {as_one} end")) }
    }

    /// Every text of up to so many of these signs.
    fn texts(signs: &[char], length: usize) -> Vec<String> {
        let mut all = vec![String::new()];
        let mut begin = 0;
        for _ in 0..length {
            let end = all.len();
            let longer = |text: &String| signs.iter().map(|sign| format!("{text}{sign}")).collect::<Vec<_>>();
            let more: Vec<String> = all[begin..end].iter().flat_map(longer).collect();
            begin = end;
            all.extend(more);
        }
        all
    }

    #[test]
    fn what_turns_nothing_stays_as_it_is() {
        for text in ["", "gpu-1", "a `b` c", "Zoë 狐狸 ไทย देवनागरी", "<b>&{x}\r\n", "🦊👨\u{200d}👩", "\u{feff}x"]
        {
            assert!(matches!(apart(text), Cow::Borrowed(same) if same == text), "{text}");
            assert!(matches!(sentence(text), Cow::Borrowed(same) if same == text), "{text}");
        }
        assert_eq!(list(&["a", "b"], ", "), "a, b");
    }

    #[test]
    fn a_name_stands_apart_from_the_words_around_it() {
        for name in [
            "שרת",
            "خادم",
            "ܫܪܬ",
            "ހާދިމް",
            "ߞߍ߲",
            "ࠀࠁ",
            "ࡀࡁ",
            "ࢠ",
            "\u{fb2a}",
            "ﷺ",
            "ﻼ",
            "𐤀",
            "𞤀",
            "x\u{202e}",
            "\u{61c}1",
        ] {
            assert_eq!(apart(name), format!("{FSI}{name}{PDI}"));
        }
        assert_eq!(apart(&format!("a{PDI}b{LRI}c")), format!("ab{LRI}c{PDI}"), "what it opens is closed, and no more");
        assert_eq!(apart("א\nb\nג"), format!("{FSI}א{PDI}\nb\n{FSI}ג{PDI}"), "line by line");
        assert_eq!(list(&["א", "b"], ", "), format!("{FSI}א{PDI}, b"));
    }

    #[test]
    fn a_sentence_keeps_its_direction_and_its_names_apart() {
        let told = "`שרת` is 5, but `b` is not.";
        assert_eq!(sentence(told), format!("{LRI}`{FSI}שרת{PDI}` is 5, but `b` is not.{PDI}"));
        assert_eq!(sentence("שרת is down"), format!("{LRI}שרת is down{PDI}"));
        let composed = format!("`{}` is none.", apart("שרת"));
        assert_eq!(sentence(&composed), composed, "nothing is to be done where a name stands apart already");
    }

    #[test]
    fn no_value_leaves_anything_open_or_turns_what_stands_beside_it() {
        let said = Said::english("by {name} end");
        let ours = |text: &str| text.replace([FSI, LRI, RLI, PDI], "");
        for value in texts(&['x', 'א', '`', '\n', RLO, PDF, LRI, PDI], 5) {
            let (stands, told) = (apart(&value), sentence(&value));
            for (shown, composed) in
                [(&stands, said.with(&[("name", &value as &dyn std::fmt::Display)])), (&told, format!("by {told} end"))]
            {
                assert_eq!(fault(&composed), None, "{value:?}: {composed:?}");
                assert_eq!(ours(shown), ours(&value), "{value:?}: something is lost");
            }
            assert_eq!(apart(&stands), stands, "{value:?}: twice");
            assert_eq!(sentence(&told), told, "{value:?}: twice");
            if !value.contains(turns) {
                assert!(stands == value && told == value, "{value:?} is changed");
            }
        }
    }
}
