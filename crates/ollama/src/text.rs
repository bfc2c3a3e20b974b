//! Cleaning of what models really answer.
//!
//! Owns the finding of JSON in prose and the peeling of plain text. Never changes words inside the answer: only
//! wrapping is removed, and only when it is wrapped on purpose (both ends of a quote, a known label, a fence).

use serde_json::Value;

use crate::error::{Error, Result};

/// Most places in a text where JSON is tried to begin; bounds the work on hostile text.
const MAX_JSON_STARTS: usize = 2000;
/// Longest lead-in ("Here is the enhanced prompt:") that is recognised, in bytes.
const MAX_LEAD_IN_BYTES: usize = 120;
/// Wrappings inside wrappings that are peeled: label, fence, label, quotes.
const MAX_PEELS: usize = 6;

/// Finds the JSON object or array in an answer: the whole text, else inside a fence, else the longest one in the prose.
///
/// # Errors
/// [`Error::Malformed`] when there is none, or it is cut off.
pub fn extract_json(text: &str) -> Result<Value> {
    let text = without_thinking(text);
    let text = text.trim();
    let whole = serde_json::from_str::<Value>(text);
    let problem = match whole {
        Ok(value) if is_container(&value) => return Ok(value),
        Ok(_) => None,
        Err(error) => Some(error),
    };
    fenced_blocks(text)
        .filter_map(|block| serde_json::from_str::<Value>(block.trim()).ok())
        .find(is_container)
        .or_else(|| longest_json(text))
        .ok_or_else(|| Error::Malformed { what: "no JSON object or array in it".to_owned(), source: problem })
}

/// Peels an answer down to its text: thinking, fences, labels such as "Enhanced prompt:", quotes around the whole.
///
/// Weights like `(word:1.2)`, quotes inside and line breaks stay. May be empty, for instance when the model
/// never stopped thinking.
pub fn clean_text(text: &str) -> String {
    let text = without_thinking(text);
    let mut text = text.trim();
    for _ in 0..MAX_PEELS {
        let peeled = without_quotes(without_lead_in(without_fence(text)));
        if peeled == text {
            break;
        }
        text = peeled;
    }
    text.to_owned()
}

fn is_container(value: &Value) -> bool {
    value.is_object() || value.is_array()
}

/// Drops `<think>…</think>`, also when its beginning was swallowed by the chat template or its end never came.
fn without_thinking(text: &str) -> String {
    let mut text = text.to_owned();
    for tag in ["think", "thinking"] {
        let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
        while let Some(end) = text.find(&close) {
            let start = text[..end].find(&open).unwrap_or(0);
            text.replace_range(start..end + close.len(), "");
        }
        // An opening in the middle of prose is prose; at the beginning it is thinking that was cut off.
        if text.trim_start().starts_with(&open) {
            text.clear();
        }
    }
    text
}

/// Contents of ``` blocks, info line removed.
fn fenced_blocks(text: &str) -> impl Iterator<Item = &str> {
    // Odd pieces are inside fences; the last one may be unclosed, which is still worth a try.
    text.split("```").skip(1).step_by(2).map(without_info)
}

/// Drops the language word after an opening fence.
fn without_info(block: &str) -> &str {
    let word_end = block.find(|c: char| !(c.is_ascii_alphanumeric() || "_+-".contains(c))).unwrap_or(0);
    match block[word_end..].chars().next() {
        Some('\n' | '\r') => &block[word_end..],
        // One-line fences may name a language too, but then only a known one is safe to drop.
        _ if matches!(&block[..word_end], "json" | "text" | "txt" | "markdown") => &block[word_end..],
        _ => block,
    }
}

fn longest_json(text: &str) -> Option<Value> {
    let mut best: Option<(usize, Value)> = None;
    let mut from = 0;
    for _ in 0..MAX_JSON_STARTS {
        let Some(offset) = text[from..].find(['{', '[']) else { break };
        let start = from + offset;
        let mut values = serde_json::Deserializer::from_str(&text[start..]).into_iter::<Value>();
        if let Some(Ok(value)) = values.next() {
            let length = values.byte_offset();
            if best.as_ref().is_none_or(|(longest, _)| length > *longest) {
                best = Some((length, value));
            }
            from = start + length;
        } else {
            from = start + 1;
        }
    }
    best.map(|(_, value)| value)
}

fn without_fence(text: &str) -> &str {
    let Some(inner) = text.strip_prefix("```") else { return text };
    let inner = without_info(inner);
    let inner = match inner.find("```") {
        // Text goes on after the fence: then the fence is part of the answer.
        Some(close) if !inner[close + 3..].trim().is_empty() => return text,
        Some(close) => &inner[..close],
        None => inner,
    };
    inner.trim()
}

fn without_lead_in(text: &str) -> &str {
    let Some(colon) = text.find(':').filter(|colon| *colon <= MAX_LEAD_IN_BYTES) else { return text };
    let head = &text[..colon];
    if head.contains('\n') {
        return text;
    }
    let bold = head.starts_with("**");
    let words = head.trim_matches(['*', '#', '_', ' ']).to_lowercase();
    if !is_label(&words) && !is_announcement(&words) {
        return text;
    }
    let rest = text[colon + 1..].trim_start();
    let rest = if bold { rest.strip_prefix("**").unwrap_or(rest).trim_start() } else { rest };
    // A label with nothing after it is all there is.
    if rest.is_empty() { text } else { rest }
}

fn is_label(words: &str) -> bool {
    let Some(noun) = words.split_whitespace().next_back() else { return false };
    let adjectives_only = words.split_whitespace().rev().skip(1).all(|word| {
        matches!(
            word,
            "enhanced"
                | "improved"
                | "final"
                | "positive"
                | "negative"
                | "optimized"
                | "refined"
                | "detailed"
                | "new"
                | "image"
                | "translated"
                | "english"
                | "the"
                | "your"
                | "my"
        )
    });
    adjectives_only
        && matches!(noun, "prompt" | "output" | "answer" | "description" | "translation" | "caption" | "response")
}

/// "Sure! Here is the enhanced prompt" and its kin; a subject word is demanded so that real text is kept.
fn is_announcement(words: &str) -> bool {
    const OPENINGS: [&str; 10] =
        ["here is", "here's", "here’s", "here are", "sure", "certainly", "of course", "absolutely", "okay", "ok"];
    const SUBJECTS: [&str; 8] =
        ["prompt", "description", "translation", "version", "answer", "output", "caption", "result"];
    OPENINGS.iter().any(|opening| words.starts_with(opening)) && SUBJECTS.iter().any(|subject| words.contains(subject))
}

fn without_quotes(text: &str) -> &str {
    const PAIRS: [(char, char); 7] =
        [('"', '"'), ('\'', '\''), ('`', '`'), ('“', '”'), ('‘', '’'), ('«', '»'), ('„', '“')];
    for (open, close) in PAIRS {
        let inner = text.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
        // Quotes inside mean that the outer two need not belong together: `"a" and "b"`.
        if let Some(inner) = inner.filter(|inner| !inner.contains([open, close])) {
            return inner.trim();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_found_however_it_is_wrapped() {
        let cases = [
            r#"{"a":1}"#,
            "```json\n{\"a\":1}\n```",
            "```\n{\"a\":1}```",
            "```json {\"a\":1} ```",
            "Sure, see [1]:\n\n```JSON\n{\"a\":1}\n```\nHope it helps {smile}",
            "The answer is {\"a\":1}, as in [0].",
            "<think>maybe {\"b\":2}? or [1,2,3,4,5]</think>\n{\"a\":1}",
            "lost opening {\"b\":2}</think>{\"a\":1}",
            "```json\n{\"a\":1}",
        ];
        for text in cases {
            assert_eq!(extract_json(text).expect(text), json!({"a": 1}), "{text}");
        }
        assert_eq!(extract_json("list: [\"x\", \"```\"]").expect("a list"), json!(["x", "```"]));
    }

    #[test]
    fn text_without_whole_json_is_malformed() {
        for text in ["", "no json here", "{\"a\": [1, 2", "42", "\"text\"", "<think>{\"a\":1}"] {
            assert!(matches!(extract_json(text), Err(Error::Malformed { .. })), "{text}");
        }
    }

    #[test]
    fn hostile_brackets_cost_bounded_work() {
        assert!(extract_json(&"[{\"".repeat(200_000)).is_err());
    }

    #[test]
    fn wrapping_is_peeled_off_text() {
        let cases = [
            "a red fox, (fur:1.2)",
            "  a red fox, (fur:1.2)\n",
            "\"a red fox, (fur:1.2)\"",
            "```\na red fox, (fur:1.2)\n```",
            "```text\na red fox, (fur:1.2)```",
            "Enhanced Prompt: a red fox, (fur:1.2)",
            "**Enhanced Prompt:** a red fox, (fur:1.2)",
            "Sure! Here is the enhanced prompt:\n\n```\n\"a red fox, (fur:1.2)\"\n```",
            "Here's your improved version: “a red fox, (fur:1.2)”",
            "<think>hm: a dog?</think>\n\na red fox, (fur:1.2)",
            "hm: a dog?\n</think>\na red fox, (fur:1.2)",
        ];
        for text in cases {
            assert_eq!(clean_text(text), "a red fox, (fur:1.2)", "{text}");
        }
    }

    #[test]
    fn text_that_only_looks_wrapped_is_kept() {
        for text in [
            "\"STOP\" sign next to a \"GO\" sign",
            "it's the fox's",
            "(fox:1.2), forest",
            "a poster that says: hello",
            "style: watercolour, a fox",
            "a\nb: c",
            "prompt:",
            "```\ncode\n``` beside a fox",
            "<lora:detail:0.8> fox, embedding:easynegative",
        ] {
            assert_eq!(clean_text(text), text);
        }
        assert_eq!(clean_text("<think>never ends"), "");
    }
}
