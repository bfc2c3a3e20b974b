//! What a server is at, folded from probes and the event socket. Pure.

use hub_core::server::ServerState;

/// Probes that may fail before a server that did not refuse outright counts as down.
const MISSES_MAX: u32 = 2;

/// Why a call to a server failed, as far as its state is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nobody listens there.
    Refused,
    /// No or a broken answer; may be a bad moment.
    Silent,
    /// It refuses the credentials, or they cannot be read.
    Unauthorized,
    /// It answers, but not like ComfyUI.
    Incompatible,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answers {
    NotAsked,
    Yes,
    No { refused: bool },
    Unauthorized,
    Incompatible,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Socket {
    /// Not open, but nothing says that it cannot be.
    Opening,
    Open,
    /// Could not be opened.
    Failed,
}

/// Everything the state follows from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Health {
    answers: Answers,
    misses: u32,
    socket: Socket,
    /// The operator wants it emptied.
    pub(crate) draining: bool,
    /// Its worker is dead; only a restart helps.
    pub(crate) zombie: bool,
    why: Option<String>,
    why_socket: Option<String>,
}

impl Health {
    /// Nothing is known yet.
    pub(crate) fn new(draining: bool) -> Self {
        Self {
            answers: Answers::NotAsked,
            misses: 0,
            socket: Socket::Opening,
            draining,
            zombie: false,
            why: None,
            why_socket: None,
        }
    }

    /// It answered a probe; true when it had not before (so it may have been restarted).
    pub(crate) fn answered(&mut self) -> bool {
        let returned = self.answers != Answers::Yes;
        if matches!(self.answers, Answers::No { refused: true }) {
            // A process that was gone has a new worker.
            self.zombie = false;
        }
        self.answers = Answers::Yes;
        self.misses = 0;
        self.why = None;
        returned
    }

    /// A call failed.
    pub(crate) fn failed(&mut self, trouble: Trouble, why: String) {
        self.misses = self.misses.saturating_add(1);
        self.answers = match trouble {
            Trouble::Refused => Answers::No { refused: true },
            Trouble::Unauthorized => Answers::Unauthorized,
            Trouble::Incompatible => Answers::Incompatible,
            // Once down by refusal, a time-out does not say that the process is back.
            Trouble::Silent if matches!(self.answers, Answers::No { .. }) => self.answers,
            Trouble::Silent if self.misses >= MISSES_MAX => Answers::No { refused: false },
            Trouble::Silent => self.answers,
        };
        self.why = Some(why);
    }

    /// It refused credentials that may have been rotated: nothing is certain before they were read again.
    pub(crate) fn doubted(&mut self, why: String) {
        if self.answers == Answers::Yes {
            self.answers = Answers::NotAsked;
        }
        self.why = Some(why);
    }

    /// The event socket is open.
    pub(crate) fn socket_opened(&mut self) {
        self.socket = Socket::Open;
        self.why_socket = None;
    }

    /// The event socket ended; it is opened again at once.
    pub(crate) fn socket_ended(&mut self) {
        self.socket = Socket::Opening;
    }

    /// The event socket could not be opened.
    pub(crate) fn socket_failed(&mut self, why: String) {
        self.socket = Socket::Failed;
        self.why_socket = Some(why);
    }

    /// Whether it answers HTTP.
    pub(crate) fn answers(&self) -> bool {
        self.answers == Answers::Yes
    }

    /// Whether nobody listens at its address: what ran there is gone.
    pub(crate) fn refuses(&self) -> bool {
        self.answers == Answers::No { refused: true }
    }

    /// The state.
    pub(crate) fn state(&self) -> ServerState {
        match self.answers {
            Answers::NotAsked => ServerState::Connecting,
            Answers::No { .. } => ServerState::Down,
            Answers::Unauthorized => ServerState::Unauthorized,
            Answers::Incompatible => ServerState::Incompatible,
            Answers::Yes if self.zombie => ServerState::Zombie,
            Answers::Yes if self.draining => ServerState::Draining,
            Answers::Yes => match self.socket {
                Socket::Open => ServerState::Ready,
                Socket::Opening => ServerState::Connecting,
                Socket::Failed => ServerState::Degraded,
            },
        }
    }

    /// Why it is not ready, in words.
    pub(crate) fn reason(&self) -> Option<String> {
        match self.state() {
            ServerState::Ready => None,
            ServerState::Zombie => Some("it answers, but runs nothing any more; restart it".to_owned()),
            ServerState::Draining => Some("it is being drained".to_owned()),
            ServerState::Degraded => self.why_socket.clone(),
            _ => self.why.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready() -> Health {
        let mut health = Health::new(false);
        assert!(health.answered());
        health.socket_opened();
        assert_eq!(health.state(), ServerState::Ready);
        health
    }

    #[test]
    fn one_bad_moment_is_not_the_end_but_a_refusal_is() {
        let mut health = ready();
        health.failed(Trouble::Silent, "no answer".to_owned());
        assert_eq!(health.state(), ServerState::Ready);
        health.failed(Trouble::Silent, "no answer".to_owned());
        assert_eq!(health.state(), ServerState::Down);
        assert!(!health.refuses());
        assert!(health.answered());
        assert_eq!(health.state(), ServerState::Ready);
        health.failed(Trouble::Refused, "refused".to_owned());
        assert_eq!((health.state(), health.refuses()), (ServerState::Down, true));
        assert_eq!(health.reason().as_deref(), Some("refused"));
    }

    #[test]
    fn a_socket_that_cannot_be_opened_degrades_and_one_that_dropped_is_connecting() {
        let mut health = ready();
        health.socket_ended();
        assert_eq!(health.state(), ServerState::Connecting);
        health.socket_failed("404".to_owned());
        assert_eq!(health.state(), ServerState::Degraded);
        assert!(health.state().takes_work());
        assert_eq!(health.reason().as_deref(), Some("404"));
    }

    #[test]
    fn a_zombie_lives_again_only_after_its_process_was_gone() {
        let mut health = ready();
        health.zombie = true;
        health.answered();
        assert_eq!(health.state(), ServerState::Zombie);
        health.failed(Trouble::Refused, String::new());
        health.answered();
        assert_eq!(health.state(), ServerState::Ready);
    }

    #[test]
    fn credentials_and_strangers_are_told_apart() {
        let mut health = Health::new(true);
        health.failed(Trouble::Unauthorized, "401".to_owned());
        assert_eq!(health.state(), ServerState::Unauthorized);
        health.failed(Trouble::Incompatible, "a web page".to_owned());
        assert_eq!(health.state(), ServerState::Incompatible);
        health.answered();
        assert_eq!(health.state(), ServerState::Draining);
    }
}
