//! Makes a server's text fit to be shown: no traceback, no absolute path, bounded length.
//!
//! It never fails and never lengthens a text. File names survive (they tell which file is meant); the folders
//! before them do not, since they reveal how the server is set up.

/// Longest text that leaves [`scrub`], in characters.
const MAX_CHARS: usize = 600;

/// Cuts tracebacks, shortens absolute paths to their file name and bounds the length.
pub fn scrub(text: &str) -> String {
    let text = text.split("Traceback (most recent call last)").next().unwrap_or_default();
    let mut out = String::with_capacity(text.len().min(MAX_CHARS));
    for line in text.lines() {
        let line = line.trim();
        if line.is_empty() || is_traceback_line(line) {
            continue;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        scrub_paths(line, &mut out);
    }
    if out.chars().count() > MAX_CHARS {
        out = out.chars().take(MAX_CHARS - 1).collect();
        out.push('…');
    }
    out
}

/// Python's `File "x.py", line 3, in f` and its `^^^^` markers.
fn is_traceback_line(line: &str) -> bool {
    (line.starts_with("File \"") && line.contains(", line ")) || line.chars().all(|c| matches!(c, '^' | '~' | ' '))
}

fn scrub_paths(line: &str, out: &mut String) {
    let mut rest = line;
    while let Some(start) = find_path(rest) {
        out.push_str(&rest[..start]);
        let path = &rest[start..];
        let end = path_end(rest[..start].chars().next_back(), path);
        out.push_str(path[..end].rsplit(['/', '\\']).next().unwrap_or_default());
        rest = &path[end..];
    }
    out.push_str(rest);
}

/// Byte offset of the first absolute path: `/a/b`, `C:\a` or `\\host\a`, at the start of a word.
fn find_path(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    (0..bytes.len()).find(|&at| {
        let starts_word =
            at == 0 || matches!(bytes[at - 1], b' ' | b'\'' | b'"' | b'(' | b'[' | b'=' | b',' | b'`' | b':');
        if !starts_word {
            return false;
        }
        let tail = &bytes[at..];
        match tail {
            [b'/', next, ..] if *next != b'/' && *next != b' ' => {
                tail[1..].iter().take_while(|b| **b != b' ').any(|b| *b == b'/')
            }
            [drive, b':', b'\\' | b'/', next, ..] if drive.is_ascii_alphabetic() => *next != b'/',
            [b'\\', b'\\', ..] => true,
            _ => false,
        }
    })
}

/// A quoted path runs to its quote (it may hold spaces), a bare one to the next blank or bracket.
fn path_end(before: Option<char>, path: &str) -> usize {
    let quote = before.filter(|c| matches!(c, '\'' | '"' | '`'));
    let end = match quote {
        Some(quote) => path.find(quote),
        None => path.find([' ', '\'', '"', ')', ']', ',', ';']),
    };
    end.unwrap_or(path.len())
}

#[cfg(test)]
mod tests {
    use super::scrub;

    #[test]
    fn folders_are_dropped_and_file_names_kept() {
        assert_eq!(
            scrub("cannot identify image file '/data/comfyui/input/will_break.png'\n"),
            "cannot identify image file 'will_break.png'"
        );
        assert_eq!(scrub(r"no such file: C:\ComfyUI\models\my model.ckpt"), "no such file: my model.ckpt");
        assert_eq!(scrub(r#"open("/srv/a b/c.png")"#), r#"open("c.png")"#);
    }

    #[test]
    fn tracebacks_are_cut() {
        assert_eq!(scrub("boom\nTraceback (most recent call last):\n  File \"/x/y.py\", line 3"), "boom");
        assert_eq!(
            scrub("  File \"/opt/ComfyUI/execution.py\", line 808, in f\n    ^^^^\nKeyError: '99'"),
            "KeyError: '99'"
        );
    }

    #[test]
    fn ordinary_slashes_survive() {
        for text in ["a 3/4 view", "http://host/path", "and/or", "sub/model.safetensors not in list", "/"] {
            assert_eq!(scrub(text), text);
        }
    }

    #[test]
    fn length_is_bounded() {
        assert_eq!(scrub(&"ж".repeat(5_000)).chars().count(), super::MAX_CHARS);
    }
}
