//! How long a followed prompt is waited for, and for what. Pure: the time is an argument.
//!
//! Waiting on the server, running, showing no progress and not being seen have a limit each, so that
//! following always ends, whatever the server does.

use std::time::Duration;

use hub_core::server::Server;
use tokio::time::Instant;

/// How long a server that does not answer (but does not refuse either) keeps its prompts.
const SILENT_LIMIT: Duration = Duration::from_secs(30);
/// How long a prompt may be out of sight: no event of it, and no answer to a look.
const BLIND_LIMIT: Duration = Duration::from_mins(1);
/// How long a server may have waiting prompts but run none before its worker counts as dead.
const IDLE_LIMIT: Duration = Duration::from_secs(30);
/// Longest time for one look at the server.
const LOOK_LIMIT: Duration = Duration::from_secs(10);
/// Every look gets as much, however near a limit is.
const LOOK_MIN: Duration = Duration::from_secs(1);

/// What ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::attempt) enum Limit {
    /// The server did not answer probes.
    Silent,
    /// Neither events nor answers told of the prompt.
    Blind,
    /// It waited on the server.
    Wait,
    /// It ran.
    Run,
    /// It ran without any event.
    Stall,
}

/// The limits of one prompt, and since when each counts.
#[derive(Debug)]
pub(in crate::attempt) struct Patience {
    run: Duration,
    stall: Duration,
    wait: Duration,
    posted: Instant,
    begun: Option<Instant>,
    last_event: Instant,
    last_answer: Instant,
    /// The newest look failed.
    blind: bool,
    silent_since: Option<Instant>,
    idle_since: Option<Instant>,
}

impl Patience {
    pub(in crate::attempt) fn new(server: &Server, now: Instant) -> Self {
        let run = Duration::from_secs(server.run_limit_s.into());
        Self {
            run,
            stall: stall(server),
            // As long as what may be before it on the server.
            wait: run.saturating_mul(server.max_in_flight.max(1)),
            posted: now,
            begun: None,
            last_event: now,
            last_answer: now,
            blind: false,
            silent_since: None,
            idle_since: None,
        }
    }

    /// How long a server is waited for that cannot be asked at all.
    pub(in crate::attempt) fn unreachable(server: &Server) -> Duration {
        SILENT_LIMIT.min(stall(server))
    }

    /// How long the reply to a post is waited for, before the server is asked instead.
    pub(in crate::attempt) fn reply(server: &Server) -> Duration {
        BLIND_LIMIT.min(stall(server))
    }

    /// An event of the prompt was heard.
    pub(in crate::attempt) fn heard(&mut self, now: Instant) {
        self.last_event = now;
    }

    /// It runs, and has since `began`; true when that is news.
    pub(in crate::attempt) fn runs(&mut self, began: Instant) -> bool {
        let news = self.begun.is_none();
        self.begun.get_or_insert(began);
        news
    }

    pub(in crate::attempt) fn begun(&self) -> Option<Instant> {
        self.begun
    }

    /// A look was answered, or was not.
    pub(in crate::attempt) fn looked(&mut self, answered: bool, now: Instant) {
        self.blind = !answered;
        if answered {
            self.last_answer = now;
        }
    }

    /// The server answers probes, or does not; true when it does again.
    pub(in crate::attempt) fn server_answers(&mut self, answers: bool, now: Instant) -> bool {
        if answers {
            return self.silent_since.take().is_some();
        }
        self.silent_since.get_or_insert(now);
        false
    }

    /// The server works on something.
    pub(in crate::attempt) fn server_works(&mut self) {
        self.idle_since = None;
    }

    /// The server lets the prompt wait although it works on nothing: how long to look again after, or
    /// `None` when it did so for too long.
    pub(in crate::attempt) fn server_idles(&mut self, now: Instant) -> Option<Duration> {
        let since = *self.idle_since.get_or_insert(now);
        let limit = self.stall.min(IDLE_LIMIT);
        (now < since + limit).then_some(limit / 2)
    }

    /// The next limit and when it is reached. `hears`: events of the prompt reach us; `ended`: it has
    /// ended, only its result is not there yet.
    pub(in crate::attempt) fn next(&self, hears: bool, ended: bool) -> (Instant, Limit) {
        let mut next = match self.begun {
            Some(begun) => (begun + self.run, Limit::Run),
            None => (self.posted + self.wait, Limit::Wait),
        };
        let mut or = |at: Option<Instant>, limit| {
            if let Some(at) = at.filter(|at| *at < next.0) {
                next = (at, limit);
            }
        };
        or(self.silent_since.map(|since| since + SILENT_LIMIT), Limit::Silent);
        or((self.begun.is_some() && hears && !ended).then(|| self.last_event + self.stall), Limit::Stall);
        or(self.blind.then(|| self.blind_at()), Limit::Blind);
        next
    }

    /// Until when a look that begins now may take, so that no limit is found out late.
    pub(in crate::attempt) fn look_until(&self, hears: bool, ended: bool, now: Instant) -> Instant {
        let limit = self.next(hears, ended).0.min(self.blind_at());
        limit.clamp(now + LOOK_MIN, now + LOOK_LIMIT)
    }

    fn blind_at(&self) -> Instant {
        self.last_event.max(self.last_answer) + self.stall.min(BLIND_LIMIT)
    }
}

fn stall(server: &Server) -> Duration {
    Duration::from_secs(server.stall_limit_s.into())
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use hub_core::{ids::ServerId, server::ServerAuth};

    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn patience(now: Instant) -> Patience {
        let server = Server {
            id: ServerId::new(),
            name: "gpu".to_owned(),
            base_url: "http://127.0.0.1:1".parse().expect("an address"),
            auth: ServerAuth::None,
            origin: None,
            ca: None,
            weight: 1.0,
            group: None,
            gpu: None,
            max_in_flight: 2,
            run_limit_s: 100,
            stall_limit_s: 20,
            enabled: true,
            draining: false,
            created_at: DateTime::UNIX_EPOCH,
        };
        Patience::new(&server, now)
    }

    #[test]
    fn waiting_and_running_have_limits_of_their_own() {
        let start = Instant::now();
        let mut patience = patience(start);
        assert_eq!(patience.next(true, false), (start + S * 200, Limit::Wait));
        assert!(patience.runs(start + S * 150));
        assert!(!patience.runs(start + S * 160));
        assert_eq!(patience.next(false, false), (start + S * 250, Limit::Run));
    }

    #[test]
    fn events_put_the_stall_off_and_only_who_hears_can_miss_them() {
        let start = Instant::now();
        let mut patience = patience(start);
        patience.runs(start);
        patience.heard(start + S * 5);
        assert_eq!(patience.next(true, false), (start + S * 25, Limit::Stall));
        assert_eq!(patience.next(false, false).1, Limit::Run);
        assert_eq!(patience.next(true, true).1, Limit::Run, "what has ended is not stuck");
    }

    #[test]
    fn a_prompt_out_of_sight_is_given_up_and_any_sight_of_it_starts_over() {
        let start = Instant::now();
        let mut patience = patience(start);
        patience.looked(false, start + S * 3);
        assert_eq!(patience.next(false, false), (start + S * 20, Limit::Blind));
        patience.looked(true, start + S * 10);
        assert_eq!(patience.next(false, false).1, Limit::Wait);
        patience.looked(false, start + S * 12);
        assert_eq!(patience.next(false, false), (start + S * 30, Limit::Blind));
        patience.heard(start + S * 15);
        assert_eq!(patience.next(false, false), (start + S * 35, Limit::Blind));
    }

    #[test]
    fn a_silent_server_is_given_up_unless_it_answers_again() {
        let start = Instant::now();
        let mut patience = patience(start);
        assert!(!patience.server_answers(false, start + S));
        assert!(!patience.server_answers(false, start + S * 9));
        assert_eq!(patience.next(false, false), (start + S * 31, Limit::Silent));
        assert!(patience.server_answers(true, start + S * 10));
        assert_eq!(patience.next(false, false).1, Limit::Wait);
    }

    #[test]
    fn a_look_ends_with_the_next_limit_but_is_given_a_chance() {
        let start = Instant::now();
        let patience = patience(start);
        assert_eq!(patience.look_until(true, false, start), start + LOOK_LIMIT);
        assert_eq!(patience.look_until(true, false, start + S * 15), start + S * 20);
        assert_eq!(patience.look_until(true, false, start + S * 25), start + S * 25 + LOOK_MIN);
    }

    #[test]
    fn a_worker_that_works_on_nothing_counts_as_dead_after_a_while() {
        let start = Instant::now();
        let mut patience = patience(start);
        assert_eq!(patience.server_idles(start), Some(S * 10));
        patience.server_works();
        assert_eq!(patience.server_idles(start + S * 15), Some(S * 10));
        assert_eq!(patience.server_idles(start + S * 35), None);
    }
}
