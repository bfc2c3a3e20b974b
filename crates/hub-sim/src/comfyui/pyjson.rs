//! JSON as Python's `json` module reads and writes it.
//!
//! Owns the differences a client can see: `NaN`, `Infinity` and integers above 64 bits are read and written back,
//! output has `", "` and `": "` and is pure ASCII. Never interprets a document.
//! Tokens that `serde_json` cannot hold travel as strings with a private prefix ([`token`]).

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::Formatter;

/// Starts the strings that stand for number tokens; a private-use character no sane prompt contains.
const MARK: &str = "\u{e000}py:";
const MARK_ESCAPED: &str = "\"\\ue000py:";
/// Digits from which an integer may not fit 64 bits.
const LONG_INTEGER_DIGITS: usize = 19;

/// Parses leniently.
pub(crate) fn parse(text: &str) -> serde_json::Result<Value> {
    serde_json::from_str(&guard(text))
}

/// Writes a document as `json.dumps` does.
pub(crate) fn dump<T: Serialize + ?Sized>(value: &T) -> String {
    let mut out = Vec::with_capacity(256);
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, Python);
    value.serialize(&mut serializer).expect("a JSON tree always serialises into memory");
    let text = String::from_utf8(out).expect("the formatter writes ASCII");
    if text.contains(MARK_ESCAPED) { unguard(&text) } else { text }
}

/// The Python number token a string stands for, such as `NaN` or `18446744073709551616`.
pub(crate) fn token(text: &str) -> Option<&str> {
    text.strip_prefix(MARK)
}

/// Puts tokens that JSON does not know into marked strings.
fn guard(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len() + 16);
    let (mut at, mut copied) = (0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = end_of_string(bytes, at),
            b'N' | b'I' | b'-' | b'0'..=b'9' => {
                let end = end_of_token(bytes, at);
                let word = &text[at..end];
                if needs_mark(word) {
                    out.push_str(&text[copied..at]);
                    out.push('"');
                    out.push_str(MARK);
                    out.push_str(word);
                    out.push('"');
                    copied = end;
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    out.push_str(&text[copied..]);
    out
}

fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn end_of_token(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() && (bytes[at].is_ascii_alphanumeric() || matches!(bytes[at], b'.' | b'+' | b'-')) {
        at += 1;
    }
    at
}

fn needs_mark(word: &str) -> bool {
    if matches!(word, "NaN" | "Infinity" | "-Infinity") {
        return true;
    }
    let digits = word.strip_prefix('-').unwrap_or(word);
    digits.len() >= LONG_INTEGER_DIGITS
        && digits.bytes().all(|b| b.is_ascii_digit())
        && word.parse::<u64>().is_err()
        && word.parse::<i64>().is_err()
}

fn unguard(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(found) = rest.find(MARK_ESCAPED) {
        out.push_str(&rest[..found]);
        let tail = &rest[found + MARK_ESCAPED.len()..];
        let end = tail.find('"').unwrap_or(tail.len());
        out.push_str(&tail[..end]);
        rest = tail.get(end + 1..).unwrap_or("");
    }
    out.push_str(rest);
    out
}

struct Python;

impl Formatter for Python {
    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        if fragment.is_ascii() {
            return writer.write_all(fragment.as_bytes());
        }
        let mut units = [0u16; 2];
        for c in fragment.chars() {
            if c.is_ascii() {
                writer.write_all(&[u8::try_from(c).expect("ASCII fits a byte")])?;
            } else {
                for unit in c.encode_utf16(&mut units) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_tokens_survive_a_round_trip() {
        let text = r#"{"a": NaN, "b": [18446744073709551616, -Infinity, 18446744073709551615], "c": "NaN \" 99999999999999999999"}"#;
        let value = parse(text).expect("lenient");
        assert_eq!(value["b"][2], 18_446_744_073_709_551_615_u64);
        assert_eq!(dump(&value), text);
    }

    #[test]
    fn output_is_ascii_like_python() {
        assert_eq!(dump(&serde_json::json!({"a": "к\u{1f98a}"})), "{\"a\": \"\\u043a\\ud83e\\udd8a\"}");
    }
}
