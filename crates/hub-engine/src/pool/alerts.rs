//! What happens to servers, told to whoever listens: once each, and not in a flood.
//!
//! The first change of a server is told at once. What follows within the quiet time is held back, and told at its
//! end only if the server is then in another case than was told. Newest alerts are kept for late readers.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use hub_core::{clock::SharedClock, ids::ServerId, server::ServerState};
use tokio::{
    sync::{Notify, broadcast, watch},
    time::Instant,
};

use crate::{
    Alert, AlertKind, EngineConfig,
    feed::{Feed, FeedEvent, ServerChange},
};

/// Alerts kept for late readers.
const RECENT_MAX: usize = 200;
/// Alerts that a listener may be behind before it misses some.
const BEHIND_MAX: usize = 256;

/// Collects and tells alerts.
pub(crate) struct Alerts {
    clock: SharedClock,
    settings: watch::Receiver<Arc<EngineConfig>>,
    state: Mutex<State>,
    told: broadcast::Sender<Alert>,
    held: Notify,
    feed: Feed,
}

#[derive(Default)]
struct State {
    sequence: u64,
    recent: VecDeque<Alert>,
    servers: HashMap<ServerId, Hush>,
}

/// One server's latest news.
#[derive(Debug)]
struct Hush {
    told: AlertKind,
    told_at: Instant,
    held: Option<News>,
    /// News held back since something was told.
    changes: u32,
}

/// What happened to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct News {
    pub(crate) kind: AlertKind,
    pub(crate) name: String,
    pub(crate) message: String,
}

impl Alerts {
    pub(crate) fn new(clock: SharedClock, settings: watch::Receiver<Arc<EngineConfig>>, feed: Feed) -> Self {
        let told = broadcast::Sender::new(BEHIND_MAX);
        Self { clock, settings, state: Mutex::default(), told, held: Notify::new(), feed }
    }

    /// Time after an alert in which further ones of the same server are held back, as it is set now.
    fn quiet(&self) -> Duration {
        self.settings.borrow().alerts.quiet
    }

    /// Alerts from now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Alert> {
        self.told.subscribe()
    }

    /// The newest alerts, oldest first.
    pub(crate) fn recent(&self) -> Vec<Alert> {
        self.state().recent.iter().cloned().collect()
    }

    /// Something happened to a server.
    pub(crate) fn tell(&self, server: ServerId, news: News, now: Instant) {
        let quiet = self.quiet();
        let mut state = self.state();
        match state.servers.get_mut(&server) {
            Some(hush) if now < hush.told_at + quiet => {
                hush.changes += 1;
                hush.held = Some(news);
                self.held.notify_one();
            }
            _ => self.publish(&mut state, server, news, now),
        }
    }

    /// A server changed its state, whether that is news to anybody or not.
    pub(crate) fn state_changed(&self, server: ServerId, name: &str, state: ServerState, reason: &str) {
        let reason = Some(reason.to_owned()).filter(|reason| !reason.is_empty());
        let change = ServerChange { at: self.clock.now(), server, name: name.to_owned(), state, reason };
        self.feed.tell(FeedEvent::Server(change));
    }

    /// The server left the pool: nothing is told of it any more.
    pub(crate) fn forget(&self, server: ServerId) {
        self.state().servers.remove(&server);
    }

    /// Tells what was held back, for ever.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut settings = self.settings.clone();
        loop {
            let due = self.release(Instant::now());
            let time = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = time => {}
                () = self.held.notified() => {}
                // The quiet time may be another now.
                changed = settings.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Tells what is due; answers when more will be.
    fn release(&self, now: Instant) -> Option<Instant> {
        let quiet = self.quiet();
        let mut state = self.state();
        let due: Vec<ServerId> = state
            .servers
            .iter()
            .filter(|(_, hush)| hush.held.is_some() && hush.told_at + quiet <= now)
            .map(|(server, _)| *server)
            .collect();
        for server in due {
            let Some(hush) = state.servers.get_mut(&server) else { continue };
            let (told, changes) = (hush.told, std::mem::take(&mut hush.changes));
            let Some(mut news) = hush.held.take() else { continue };
            if news.kind == told {
                // It is where it was when something was told.
                continue;
            }
            if changes > 1 {
                let within = now.duration_since(hush.told_at).as_secs();
                news.message = format!("{} It changed {changes} times within {within} s.", news.message);
            }
            self.publish(&mut state, server, news, now);
        }
        state.servers.values().filter(|hush| hush.held.is_some()).map(|hush| hush.told_at + quiet).min()
    }

    fn publish(&self, state: &mut State, server: ServerId, news: News, now: Instant) {
        let hush = Hush { told: news.kind, told_at: now, held: None, changes: 0 };
        state.servers.insert(server, hush);
        state.sequence += 1;
        let alert = Alert {
            sequence: state.sequence,
            at: self.clock.now(),
            kind: news.kind,
            server,
            name: news.name,
            message: news.message,
        };
        tracing::warn!(server = %alert.name, kind = alert.kind.as_str(), "{}", alert.message);
        if state.recent.len() == RECENT_MAX {
            state.recent.pop_front();
        }
        state.recent.push_back(alert.clone());
        self.feed.tell(FeedEvent::Alert(alert.clone()));
        // Nobody may listen.
        let _ = self.told.send(alert);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the alerts")
    }
}

/// What a state means to people; `None` for what they need not know. `ailing`: the newest thing told of the server
/// was that something is wrong with it.
pub(crate) fn kind_of(ailing: bool, state: ServerState) -> Option<AlertKind> {
    match state {
        ServerState::Down => Some(AlertKind::ServerLost),
        ServerState::Unauthorized => Some(AlertKind::ServerUnauthorized),
        ServerState::Incompatible => Some(AlertKind::ServerIncompatible),
        ServerState::Zombie => Some(AlertKind::ServerZombie),
        ServerState::Ready | ServerState::Degraded | ServerState::Draining => ailing.then_some(AlertKind::ServerBack),
        ServerState::Connecting | ServerState::Disabled => None,
    }
}

#[cfg(test)]
mod tests {
    use hub_core::clock::SystemClock;

    use super::*;
    use crate::AlertPolicy;

    const QUIET: Duration = Duration::from_secs(30);

    fn settings(quiet: Duration) -> Arc<EngineConfig> {
        Arc::new(EngineConfig { alerts: AlertPolicy { quiet, ..AlertPolicy::default() }, ..EngineConfig::default() })
    }

    fn alerts() -> Alerts {
        alerts_with(watch::Sender::new(settings(QUIET)).subscribe())
    }

    fn alerts_with(settings: watch::Receiver<Arc<EngineConfig>>) -> Alerts {
        let feed = Feed::new(chrono::DateTime::UNIX_EPOCH, tokio_util::sync::CancellationToken::new());
        Alerts::new(Arc::new(SystemClock), settings, feed)
    }

    fn news(kind: AlertKind) -> News {
        News { kind, name: "gpu".to_owned(), message: "It happened.".to_owned() }
    }

    fn kinds(alerts: &Alerts) -> Vec<AlertKind> {
        alerts.recent().iter().map(|alert| alert.kind).collect()
    }

    #[test]
    fn the_first_news_is_told_at_once_and_a_flapping_server_does_not_flood() {
        let (start, alerts, server) = (Instant::now(), alerts(), ServerId::new());
        let mut listener = alerts.subscribe();
        for second in 0..20 {
            let now = start + Duration::from_secs(second);
            alerts.tell(server, news(AlertKind::ServerLost), now);
            alerts.tell(server, news(AlertKind::ServerBack), now);
        }
        assert_eq!(kinds(&alerts), [AlertKind::ServerLost]);
        assert_eq!(listener.try_recv().expect("told").kind, AlertKind::ServerLost);
        assert_eq!(alerts.release(start + Duration::from_secs(29)), Some(start + QUIET));
        assert_eq!(alerts.release(start + QUIET), None);
        assert_eq!(kinds(&alerts), [AlertKind::ServerLost, AlertKind::ServerBack]);
        assert!(alerts.recent()[1].message.contains("39 times within 30 s"), "{:?}", alerts.recent()[1]);
        assert_eq!(alerts.recent()[1].sequence, 2);
    }

    #[test]
    fn a_server_that_is_where_it_was_is_not_told_again() {
        let (start, alerts, server) = (Instant::now(), alerts(), ServerId::new());
        for kind in [AlertKind::ServerLost, AlertKind::ServerBack, AlertKind::ServerLost] {
            alerts.tell(server, news(kind), start);
        }
        assert_eq!(alerts.release(start + QUIET), None);
        assert_eq!(kinds(&alerts), [AlertKind::ServerLost]);
        // Others are not held back by it.
        alerts.tell(ServerId::new(), news(AlertKind::ServerLost), start);
        assert_eq!(kinds(&alerts).len(), 2);
        // Much later it is news again.
        alerts.tell(server, news(AlertKind::ServerBack), start + QUIET);
        assert_eq!(kinds(&alerts).len(), 3);
    }

    #[test]
    fn another_quiet_time_counts_for_what_is_held_back_already() {
        let current = watch::Sender::new(settings(QUIET));
        let (start, alerts, server) = (Instant::now(), alerts_with(current.subscribe()), ServerId::new());
        alerts.tell(server, news(AlertKind::ServerLost), start);
        alerts.tell(server, news(AlertKind::ServerBack), start);
        assert_eq!(alerts.release(start), Some(start + QUIET));
        current.send_replace(settings(Duration::from_secs(3)));
        assert_eq!(alerts.release(start + Duration::from_secs(3)), None);
        assert_eq!(kinds(&alerts), [AlertKind::ServerLost, AlertKind::ServerBack]);
    }

    #[test]
    fn only_the_newest_are_kept() {
        let (start, alerts) = (Instant::now(), alerts());
        for _ in 0..RECENT_MAX + 5 {
            alerts.tell(ServerId::new(), news(AlertKind::ServerLost), start);
        }
        let recent = alerts.recent();
        assert_eq!((recent.len(), recent[0].sequence), (RECENT_MAX, 6));
    }

    #[test]
    fn a_start_that_goes_well_is_no_news() {
        assert_eq!(kind_of(false, ServerState::Ready), None);
        assert_eq!(kind_of(false, ServerState::Down), Some(AlertKind::ServerLost));
        assert_eq!(kind_of(true, ServerState::Connecting), None);
        assert_eq!(kind_of(true, ServerState::Ready), Some(AlertKind::ServerBack));
        assert_eq!(kind_of(false, ServerState::Zombie), Some(AlertKind::ServerZombie));
    }
}
