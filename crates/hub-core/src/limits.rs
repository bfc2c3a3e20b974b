//! Named limits on what a caller may ask. Tool schemas, argument parsing and the documents quote
//! these constants, so that what is advertised is what is enforced.

/// Longest prompt or negative prompt, in characters.
pub const PROMPT_MAX_CHARS: usize = 20_000;
/// Most styles in one request.
pub const STYLES_MAX: usize = 16;
/// Most pictures of one request; each is a run of its own.
pub const PICTURES_MAX: u32 = 16;
/// Longest name of anything a caller may name (style, render type, server), in characters.
pub const NAME_MAX_CHARS: usize = 120;
/// Lowest priority of a job among its caller's own.
pub const PRIORITY_MIN: i32 = -100;
/// Highest priority of a job among its caller's own.
pub const PRIORITY_MAX: i32 = 100;
/// Smallest side of a picture, in pixels, that any render type can allow.
pub const SIDE_MIN_PX: u32 = 16;
/// Largest side of a picture, in pixels, that any render type can allow.
pub const SIDE_MAX_PX: u32 = 8192;
/// Default of `wait_s`: how long a tool call waits before it answers with the job's handle.
/// Under 50 s, since many clients give up at 60 s and do not say so.
pub const WAIT_DEFAULT_S: u32 = 45;
/// Largest `wait_s`, in seconds.
pub const WAIT_MAX_S: u32 = 600;
/// Longest idempotency key, in characters.
pub const IDEMPOTENCY_KEY_MAX_CHARS: usize = 200;
/// Largest input picture, in bytes as sent.
pub const INPUT_IMAGE_MAX_BYTES: usize = 32 * 1024 * 1024;
/// Largest input picture, in pixels (width × height) when decoded.
pub const INPUT_IMAGE_MAX_PIXELS: u64 = 64_000_000;
/// Largest body of a request to any JSON edge, in bytes. Pictures come by upload or URL; a data URI
/// of the largest input picture still fits.
pub const BODY_MAX_BYTES: usize = 48 * 1024 * 1024;
