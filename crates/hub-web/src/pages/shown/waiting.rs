//! Why a job waits, in the words of the pages.

use chrono::TimeDelta;
use hub_engine::{ServerWhy, WaitReason, WhyWaiting};
use serde::Serialize;

use super::duration;
use crate::{language::apart, said};

/// Why a job waits.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ShownWaiting {
    /// Where in the queue it is, and when it probably begins.
    line: String,
    servers: Vec<Reason>,
    /// Servers that are not named here.
    more: usize,
}

/// Why it is not at work on one server.
#[derive(Debug, Clone, Serialize)]
struct Reason {
    name: String,
    text: String,
    tone: &'static str,
    /// When it would be done there, if it went there next.
    ends: Option<String>,
}

impl ShownWaiting {
    /// `most`: servers that are named.
    pub(crate) fn of(why: &WhyWaiting, most: usize) -> Self {
        let begins = match (why.estimated_start_s, why.position) {
            _ if why.servers.is_empty() => Some(said!("no server is enabled").into()),
            (None, None) => None,
            (None, _) => Some(said!("no server takes it as things are").into()),
            (Some(seconds), _) if seconds < 1.0 => Some(said!("begins any moment").into()),
            (Some(seconds), _) => Some(said!("begins in about {time}", time = in_seconds(seconds))),
        };
        let place: String = match why.position {
            Some(0) => said!("Next in line").into(),
            Some(1) => said!("1 job before it").into(),
            Some(before) => said!("{n} jobs before it", n = before),
            None => said!("Just came").into(),
        };
        Self {
            line: begins.map_or_else(|| place.clone(), |begins| said!("{place}, {begins}", place, begins)),
            servers: why.servers.iter().take(most).map(Reason::of).collect(),
            more: why.servers.len().saturating_sub(most),
        }
    }
}

impl Reason {
    fn of(why: &ServerWhy) -> Self {
        let tone = match why.reason {
            WaitReason::NotReady | WaitReason::Resting => "bad",
            WaitReason::Lacks | WaitReason::Excluded | WaitReason::NotPinned => "off",
            WaitReason::GpuInUse | WaitReason::Busy => "busy",
            WaitReason::Free => "good",
        };
        let ends = why.ends_in_s.map(|seconds| said!("would be done in {time}", time = in_seconds(seconds)));
        Self { name: why.name.clone(), text: apart::sentence(&why.detail).into_owned(), tone, ends }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a time in the queue; beyond the range it is clamped")]
fn in_seconds(seconds: f64) -> String {
    // Whole seconds beyond the first few: an estimate is no stopwatch.
    let ms = if seconds < 10.0 { seconds * 1000.0 } else { seconds.round() * 1000.0 };
    duration(TimeDelta::milliseconds(ms.clamp(0.0, 1e12) as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_place_and_time() {
        let line = |position, estimated_start_s| {
            let why = WhyWaiting { position, estimated_start_s, ..super::super::sample::waiting() };
            ShownWaiting::of(&why, 1)
        };
        assert_eq!(line(Some(0), Some(75.4)).line, "Next in line, begins in about 75 s");
        assert_eq!(line(Some(3), None).line, "3 jobs before it, no server takes it as things are");
        let shown = line(None, Some(0.1));
        assert_eq!((shown.line.as_str(), shown.servers.len(), shown.more), ("Just came, begins any moment", 1, 1));
        assert_eq!(line(None, None).line, "Just came");
        let nowhere = WhyWaiting { position: Some(1), estimated_start_s: None, servers: Vec::new() };
        assert_eq!(ShownWaiting::of(&nowhere, 3).line, "1 job before it, no server is enabled");
    }
}
