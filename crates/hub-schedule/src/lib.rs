//! Who goes where: the policy of the queue, without clock, I/O or threads.
//!
//! Owns the order of waiting jobs ([`Queue`]), what is known of run and load times ([`Learned`]) and the
//! decision ([`decide`]). Time is a number of seconds since some start that the caller chooses; equal
//! inputs give equal decisions. Never talks to a server, a store or a job's row.
//!
//! **Who is next**: callers by GPU-seconds consumed per weight (start-time fair queueing: an idle caller
//! hoards no credit), within a caller higher priority, then arrival.
//!
//! **Where**: the place where the job would end first: `(work there + load unless resident + run) / weight`.
//! A job waits for a place that is full, or for one whose models are warm, only while it would end there
//! sooner; and a place with models loaded goes on with waiting jobs of the same models before it swaps.
//! Both reorder only within a window, and never hold a job for longer than [`hold_limit`].
//!
//! **What waits on a server** behind a run that takes longer than expected is taken back when a place is idle
//! where it would end clearly sooner ([`take_back`]).
//!
//! **A GPU that is shared** with LLM servers is given to one side at a time unless both fit ([`Lease`]); while the
//! other side has it, its place takes no work.
//!
//! When few jobs wait, the plan is searched exhaustively instead, so that the end of a batch is not left to
//! chance.

mod decide;
mod eta;
mod exact;
mod fair;
mod forecast;
mod learn;
mod lease;
mod ledger;
mod place;
mod queue;
mod take_back;
mod work;

pub use decide::{Assignment, Decision, WINDOW, decide, hold_limit};
pub use forecast::{Forecast, Reason, forecast, reasons};
pub use learn::{Fact, FactKey, Learned, Observation};
pub use lease::{ClaimId, Fit, Lease, LeaseLimits, LeaseOrder, LeaseTurn, Load, Side};
pub use ledger::{Flight, FlightId, Landing, Ledger};
pub use place::{Place, Prompt, STAGE_AHEAD_S};
pub use queue::{Queue, Ticket};
pub use take_back::{Staged, TakeBack, take_back};
pub use work::{Kind, ModelSet, WorkClass};

/// Seconds, as points in time since the scheduler's start or as durations.
pub type Seconds = f64;
