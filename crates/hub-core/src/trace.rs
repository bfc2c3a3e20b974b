//! Where a caller's trace goes on.

use std::fmt;

/// A caller's place in its own trace: the `traceparent` of W3C Trace Context
/// (<https://www.w3.org/TR/trace-context/>), as HTTP headers and MCP's `_meta` carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceParent {
    /// Id of the whole trace; never 0.
    pub trace_id: u128,
    /// Id of the caller's span; never 0.
    pub span_id: u64,
    /// Whether the caller records its trace.
    pub sampled: bool,
}

/// Length of a `traceparent` of version 00, in bytes.
const LENGTH: usize = 55;

impl TraceParent {
    /// Reads one. `None` for what is none: by the specification a trace then begins anew, and nobody is told.
    pub fn parse(text: &str) -> Option<Self> {
        let (head, more) = text.split_at_checked(LENGTH)?;
        let mut parts = head.split('-');
        let (version, trace_id, span_id, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let shaped = parts.next().is_none()
            && (version.len(), trace_id.len(), span_id.len(), flags.len()) == (2, 32, 16, 2)
            && head.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'));
        // Later versions may have more behind it, and are read as far as they are known.
        let known = match version {
            "ff" => false,
            "00" => more.is_empty(),
            _ => more.is_empty() || more.starts_with('-'),
        };
        if !shaped || !known {
            return None;
        }
        let trace_id = u128::from_str_radix(trace_id, 16).ok().filter(|id| *id != 0)?;
        let span_id = u64::from_str_radix(span_id, 16).ok().filter(|id| *id != 0)?;
        let flags = u8::from_str_radix(flags, 16).ok()?;
        Some(Self { trace_id, span_id, sampled: flags & 1 == 1 })
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, u8::from(self.sampled))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_example_of_the_specification_is_read() {
        let parent = TraceParent::parse(EXAMPLE).expect("valid");
        assert_eq!(parent.trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!((parent.span_id, parent.sampled), (0x00f0_67aa_0ba9_02b7, true));
        assert_eq!(parent.to_string(), EXAMPLE);
        assert!(!TraceParent::parse(&EXAMPLE.replace("-01", "-00")).expect("valid").sampled);
        let later = format!("{}-more", EXAMPLE.replacen("00", "cc", 1));
        assert_eq!(TraceParent::parse(&later), Some(parent), "what a later version adds is let be");
    }

    #[test]
    fn what_is_none_is_nothing() {
        for wrong in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0ä",
        ] {
            assert_eq!(TraceParent::parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(trace_id in 1_u128.., span_id in 1_u64.., sampled: bool) {
            let parent = TraceParent { trace_id, span_id, sampled };
            prop_assert_eq!(TraceParent::parse(&parent.to_string()), Some(parent));
        }

        #[test]
        fn no_text_is_too_odd(text in "\\PC{0,70}") {
            if let Some(parent) = TraceParent::parse(&text) {
                prop_assert!(parent.trace_id != 0 && parent.span_id != 0);
            }
        }
    }
}
