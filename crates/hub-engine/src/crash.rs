//! Places at which a test has the process die: before and after every write to the store and every call
//! to a server on a job's way.
//!
//! The process aborts there: nothing unwinds, nothing is flushed, no task is told, as with a power cut.
//! Which place is said once, in the environment of the process ([`VARIABLE`]). All of it exists in debug
//! builds only: a release has neither the variable nor the checks, so that it costs nothing there and
//! nobody who can merely talk to a hub (or set the environment of an installed one) can use it. A cargo
//! feature would do as well but would have every test build the hub twice.

/// Names the place to die at: `post.before`, or `post.after:2` for the second time that it is passed.
#[cfg(debug_assertions)]
const VARIABLE: &str = "GENIMAGE_CRASH_AT";

/// A step on a job's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashPoint {
    /// Putting a caller's picture into the object store.
    InputObject,
    /// Writing the row of a caller's picture.
    InputRow,
    /// Writing a new job.
    Insert,
    /// Writing a job's plan.
    Planned,
    /// Writing a text answer.
    TextAnswer,
    /// Writing that planning failed.
    PlanFailed,
    /// Writing an attempt.
    Assign,
    /// Sending the input picture to a server.
    Upload,
    /// `POST /prompt`.
    Post,
    /// Writing that a long job has started.
    Started,
    /// Asking a server's history.
    History,
    /// Asking a server's queue.
    Queue,
    /// Fetching a result from a server.
    View,
    /// Putting a result into the object store.
    OutputObject,
    /// Writing a success, with the rows of its results.
    Succeed,
    /// Writing that the first part of a job has begun.
    Began,
    /// Writing the end of a job in parts.
    Complete,
    /// Writing a failure.
    Fail,
    /// Writing that a job goes back to the queue.
    Requeue,
    /// Writing a cancel.
    Cancel,
    /// Taking a prompt off a server.
    Withdraw,
    /// Taking a prompt that has not begun off a server, so that another server can have its job.
    GiveBack,
    /// Writing that a job goes back to the queue by no fault of its own or of its server's.
    Return,
    /// Having a server free its memory.
    Free,
    /// Writing that a job expired.
    Expire,
    /// Writing that no server is left for a job.
    Hopeless,
    /// Writing that a job goes back to the queue because its server has left the pool.
    Homeless,
}

impl CrashPoint {
    /// All of them.
    pub const ALL: [Self; 27] = [
        Self::InputObject,
        Self::InputRow,
        Self::Insert,
        Self::Planned,
        Self::TextAnswer,
        Self::PlanFailed,
        Self::Assign,
        Self::Upload,
        Self::Post,
        Self::Started,
        Self::History,
        Self::Queue,
        Self::View,
        Self::OutputObject,
        Self::Succeed,
        Self::Began,
        Self::Complete,
        Self::Fail,
        Self::Requeue,
        Self::Cancel,
        Self::Withdraw,
        Self::GiveBack,
        Self::Return,
        Self::Free,
        Self::Expire,
        Self::Hopeless,
        Self::Homeless,
    ];

    /// The name, as the environment gives it before `.before` or `.after`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InputObject => "input-object",
            Self::InputRow => "input-row",
            Self::Insert => "insert",
            Self::Planned => "planned",
            Self::TextAnswer => "text-answer",
            Self::PlanFailed => "plan-failed",
            Self::Assign => "assign",
            Self::Upload => "upload",
            Self::Post => "post",
            Self::Started => "started",
            Self::History => "history",
            Self::Queue => "queue",
            Self::View => "view",
            Self::OutputObject => "output-object",
            Self::Succeed => "succeed",
            Self::Began => "began",
            Self::Complete => "complete",
            Self::Fail => "fail",
            Self::Requeue => "requeue",
            Self::Cancel => "cancel",
            Self::Withdraw => "withdraw",
            Self::GiveBack => "give-back",
            Self::Return => "return",
            Self::Free => "free",
            Self::Expire => "expire",
            Self::Hopeless => "hopeless",
            Self::Homeless => "homeless",
        }
    }
}

/// Does the work of a step, and dies before or after it where a test asked for that.
pub(crate) async fn around<F: Future>(point: CrashPoint, work: F) -> F::Output {
    reached(point, "before");
    let output = work.await;
    reached(point, "after");
    output
}

#[cfg(not(debug_assertions))]
fn reached(_: CrashPoint, _: &str) {}

#[cfg(debug_assertions)]
fn reached(point: CrashPoint, side: &str) {
    use std::sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    };

    static ARMED: OnceLock<Option<(String, AtomicU32)>> = OnceLock::new();
    let armed = ARMED.get_or_init(|| {
        let place = std::env::var(VARIABLE).ok()?;
        let (place, time) = place.split_once(':').unwrap_or((&place, "1"));
        Some((place.to_owned(), AtomicU32::new(time.parse().unwrap_or(1))))
    });
    let Some((place, times)) = armed else { return };
    if place.split_once('.') == Some((point.as_str(), side)) && times.fetch_sub(1, Ordering::SeqCst) == 1 {
        std::process::abort();
    }
}
