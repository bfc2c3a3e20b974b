//! What a ComfyUI server says over its socket: a connection of several frames, and a prompt followed through them.

use bytes::Bytes;
use comfyui::{
    Event, Follow,
    events::{Decoder, Phase},
};

/// The prompt that the seeds speak of.
const PROMPT: &str = "p";

/// Every frame decodes to something; pictures are the frame's own bytes; the progress of a prompt stays within 0 and 1
/// and never goes back, and an end stays the end.
///
/// Frames are split at NUL NUL; one that begins with `B` is binary, any other is text.
///
/// # Panics
/// When a promise is broken.
pub fn comfyui_events(data: &[u8]) {
    let mut decoder = Decoder::new();
    let mut follow = Follow::new(PROMPT);
    let mut unknown = 0;
    for frame in frames(data) {
        let event = match frame.strip_prefix(b"B") {
            Some(frame) => binary(&mut decoder, frame),
            None => match std::str::from_utf8(frame) {
                Ok(text) => decoder.text(text),
                Err(_) => continue,
            },
        };
        unknown += u64::from(matches!(event, Event::Unknown { .. }));
        assert_eq!(decoder.unknown_count(), unknown, "each frame that is not understood counts once");
        folded(&mut follow, &event);
    }
}

/// The marks stand between text frames; a binary frame may hold them, so it goes to the end of the data.
fn frames(data: &[u8]) -> Vec<&[u8]> {
    let (mut frames, mut rest) = (Vec::new(), data);
    while !rest.is_empty() {
        let end = rest.windows(2).position(|pair| pair == b"\0\0").filter(|_| rest[0] != b'B').unwrap_or(rest.len());
        frames.push(&rest[..end]);
        rest = rest.get(end + 2..).unwrap_or_default();
    }
    frames
}

fn binary(decoder: &mut Decoder, frame: &[u8]) -> Event {
    let event = decoder.binary(Bytes::copy_from_slice(frame));
    if let Event::Preview { bytes, .. } = &event {
        assert!(frame.ends_with(bytes), "a picture is the end of its frame");
    }
    event
}

fn folded(follow: &mut Follow, event: &Event) {
    let (before, phase) = (follow.progress().fraction, follow.phase().clone());
    let moved = follow.apply(event);
    let after = follow.progress().fraction;
    assert!((0.0..=1.0).contains(&after), "progress is a fraction: {after}");
    assert!(after >= before, "progress does not go back: {before} to {after}");
    assert!(moved || *follow.phase() == phase, "what changes is told");
    if matches!(phase, Phase::Finished(_)) {
        assert_eq!(*follow.phase(), phase, "an end stays the end");
    }
    if event.prompt_id() != Some(PROMPT) {
        assert!(!moved, "another prompt's event is ignored");
    }
}
