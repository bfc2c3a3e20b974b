//! Cuts a byte stream into lines and server-sent events, wherever the network cut it.
//!
//! Owns the two framings of streamed answers. Never interprets what a line says.
//! Invariant: memory is bounded by [`MAX_LINE_BYTES`] plus one network chunk.

use crate::error::{Error, Result};

/// Longest single line of a stream. One chunk of a chat is a few hundred bytes; a whole answer sent as one
/// line is still far below this.
pub(crate) const MAX_LINE_BYTES: usize = 8 * 1024 * 1024;

/// Collects bytes and gives back whole lines without their line ends.
#[derive(Default)]
pub(crate) struct LineBuffer {
    bytes: Vec<u8>,
    /// Everything before this was already searched for a line end.
    searched: usize,
}

impl LineBuffer {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole line, or `None` until more bytes come.
    pub(crate) fn next_line(&mut self) -> Result<Option<Vec<u8>>> {
        let Some(offset) = self.bytes[self.searched..].iter().position(|byte| *byte == b'\n') else {
            self.searched = self.bytes.len();
            if self.bytes.len() > MAX_LINE_BYTES {
                return Err(Error::TooLarge { limit_bytes: MAX_LINE_BYTES });
            }
            return Ok(None);
        };
        let rest = self.bytes.split_off(self.searched + offset + 1);
        let mut line = std::mem::replace(&mut self.bytes, rest);
        self.searched = 0;
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(line))
    }

    /// What is left when the stream has ended; servers may leave out the last line end.
    pub(crate) fn take_rest(&mut self) -> Vec<u8> {
        self.searched = 0;
        std::mem::take(&mut self.bytes)
    }
}

/// Joins the `data:` lines of server-sent events; comments and other fields are dropped.
#[derive(Default)]
pub(crate) struct EventBuffer {
    data: Option<Vec<u8>>,
}

impl EventBuffer {
    /// Takes one line; gives the event's data when the line ends an event.
    pub(crate) fn line(&mut self, line: &[u8]) -> Result<Option<Vec<u8>>> {
        if line.is_empty() {
            return Ok(self.finish());
        }
        let Some(value) = line.strip_prefix(b"data:") else { return Ok(None) };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        if let Some(data) = &mut self.data {
            data.push(b'\n');
            data.extend_from_slice(value);
            if data.len() > MAX_LINE_BYTES {
                return Err(Error::TooLarge { limit_bytes: MAX_LINE_BYTES });
            }
        } else {
            self.data = Some(value.to_vec());
        }
        Ok(None)
    }

    /// The event that was being read, if any.
    pub(crate) fn finish(&mut self) -> Option<Vec<u8>> {
        self.data.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_whole_however_the_bytes_were_cut() {
        let text = "{\"a\":\"é\"}\r\n\n{\"b\":2}\nlast";
        for step in 1..text.len() {
            let mut buffer = LineBuffer::default();
            let mut lines = Vec::new();
            for piece in text.as_bytes().chunks(step) {
                buffer.push(piece);
                while let Some(line) = buffer.next_line().expect("short lines") {
                    lines.push(String::from_utf8(line).expect("utf-8"));
                }
            }
            lines.push(String::from_utf8(buffer.take_rest()).expect("utf-8"));
            assert_eq!(lines, ["{\"a\":\"é\"}", "", "{\"b\":2}", "last"], "cut every {step} bytes");
        }
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut buffer = LineBuffer::default();
        buffer.push(&vec![b'x'; MAX_LINE_BYTES + 1]);
        assert!(matches!(buffer.next_line(), Err(Error::TooLarge { .. })));
    }

    #[test]
    fn events_join_data_lines_and_skip_comments() {
        let mut events = EventBuffer::default();
        let mut out = Vec::new();
        for line in [": ping", "", "event: x", "data: {\"a\":", "data:1}", "", "data: [DONE]"] {
            out.extend(events.line(line.as_bytes()).expect("short"));
        }
        out.extend(events.finish());
        assert_eq!(out, [b"{\"a\":\n1}".to_vec(), b"[DONE]".to_vec()]);
    }
}
