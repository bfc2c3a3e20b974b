//! One server as the hub knows it: its settings, its client, its health, its event socket.
//!
//! Owned by one task per server ([`Session::run`]) that probes and listens; attempts read the state,
//! borrow the client, and get the events of their prompts. The state changes here and nowhere else;
//! every change is told to attempts (by the watch) and to the dispatcher (by a nudge).

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, RwLock,
        atomic::{AtomicBool, AtomicU64},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use comfyui::{Client, Event};
use hub_core::{
    ids::ServerId,
    server::{Server, ServerState},
};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    alerts::Alerts,
    breaker::{Breaker, Passage},
    credentials, inventory, probe,
    routes::{Inbox, Routes},
    seen::Seen,
    socket,
    state::{Health, Trouble},
    stock::Stock,
};
use crate::{BreakerView, ServerLive, ServerView, context::Context, dispatch::DispatchHandle};

/// What attempts must know of a session, as it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) state: ServerState,
    /// It answers HTTP.
    pub(crate) answers: bool,
    /// Nobody listens at its address: what ran there is gone.
    pub(crate) refuses: bool,
    /// Id of the open event socket.
    pub(crate) client_id: Option<Arc<str>>,
}

/// The session with one enabled server.
pub(crate) struct Session {
    server: RwLock<Arc<Server>>,
    client: RwLock<Option<Client>>,
    health: Mutex<Health>,
    pub(super) link: watch::Sender<Link>,
    seen: Mutex<Seen>,
    breaker: Mutex<Breaker>,
    pub(super) stock: Stock,
    /// Raised when the server's process is another one.
    pub(super) epoch: AtomicU64,
    /// The event socket broke: the process may be another one.
    pub(super) restart_suspected: AtomicBool,
    /// Wakes the inventory's reader before its time.
    pub(super) inventory_doubted: Notify,
    /// How often the inventory was read, or tried to be.
    pub(super) inventory_reads: watch::Sender<u64>,
    /// The newest alert says that something is wrong.
    pub(super) ailing: AtomicBool,
    pub(super) alerts: Arc<Alerts>,
    /// Prompts of ours that may still be there although their jobs have moved on.
    pub(super) leftovers: Mutex<BTreeSet<String>>,
    pub(super) routes: Arc<Routes>,
    /// Wakes the probe before its time.
    pub(super) probe_now: Notify,
    pub(super) retired: CancellationToken,
    pub(super) dispatch: DispatchHandle,
}

impl Session {
    /// A session that is yet to run; `breaker_pause` is the first rest of a server that fails job after job.
    pub(super) fn new(
        server: Server,
        breaker_pause: Duration,
        dispatch: DispatchHandle,
        alerts: Arc<Alerts>,
    ) -> Arc<Self> {
        let health = Health::new(server.draining);
        let link = Link { state: health.state(), answers: false, refuses: false, client_id: None };
        Arc::new(Self {
            server: RwLock::new(Arc::new(server)),
            client: RwLock::default(),
            health: Mutex::new(health),
            link: watch::Sender::new(link),
            seen: Mutex::default(),
            breaker: Mutex::new(Breaker::new(breaker_pause)),
            stock: Stock::default(),
            epoch: AtomicU64::new(0),
            restart_suspected: AtomicBool::new(false),
            inventory_doubted: Notify::new(),
            inventory_reads: watch::Sender::new(0),
            ailing: AtomicBool::new(false),
            alerts,
            leftovers: Mutex::default(),
            routes: Arc::default(),
            probe_now: Notify::new(),
            retired: CancellationToken::new(),
            dispatch,
        })
    }

    /// Probes and listens until the server leaves the pool or the hub lets go.
    pub(super) async fn run(self: Arc<Self>, ctx: Arc<Context>) {
        tokio::select! {
            () = ctx.kill.cancelled() => {}
            () = self.retired.cancelled() => {}
            _ = async { tokio::join!(probe::run(&self, &ctx), socket::run(&self), inventory::run(&self, &ctx)) } => {}
        }
    }

    /// Its settings as they are now.
    pub(crate) fn server(&self) -> Arc<Server> {
        self.server.read().expect("nothing panics while it holds the settings").clone()
    }

    pub(crate) fn id(&self) -> ServerId {
        self.server().id
    }

    /// Whether these settings lead to the same server in the same way.
    pub(super) fn reaches_the_same(&self, other: &Server) -> bool {
        self.server().reach() == other.reach()
    }

    /// Takes new limits.
    pub(super) fn configure(&self, server: Server) {
        let draining = server.draining;
        *self.server.write().expect("nothing panics while it holds the settings") = Arc::new(server);
        self.change(|health| health.draining = draining);
    }

    /// The server left the pool.
    pub(super) fn retire(&self) {
        self.retired.cancel();
        self.link.send_modify(|link| {
            *link = Link { state: ServerState::Disabled, answers: false, refuses: false, client_id: None };
        });
    }

    /// Fires when the server leaves the pool.
    pub(crate) fn retired(&self) -> &CancellationToken {
        &self.retired
    }

    /// The client; none until the credentials were read once.
    pub(crate) fn client(&self) -> Option<Client> {
        self.client.read().expect("nothing panics while it holds the client").clone()
    }

    /// Builds the client anew: secrets are read again, since one may have been rotated.
    pub(super) async fn rebuild_client(&self) -> Result<Client, String> {
        let client = credentials::client(&self.server().reach()).await?;
        *self.client.write().expect("nothing panics while it holds the client") = Some(client.clone());
        Ok(client)
    }

    /// Follows what attempts must know.
    pub(crate) fn link(&self) -> watch::Receiver<Link> {
        self.link.subscribe()
    }

    pub(crate) fn state(&self) -> ServerState {
        self.link.borrow().state
    }

    pub(super) fn state_and_reason(&self) -> (ServerState, Option<String>) {
        let health = self.health();
        (health.state(), health.reason())
    }

    /// Opens an inbox for a prompt's events. Open it before the prompt is posted.
    pub(crate) fn inbox(&self, prompt_id: String) -> Inbox {
        self.routes.open(prompt_id)
    }

    /// A call of an attempt failed in a way that says something about the server.
    pub(crate) fn suffered(&self, trouble: Trouble, why: String) {
        // A secret that is kept elsewhere may have been rotated: it is read again before the server is blamed.
        if trouble == Trouble::Unauthorized && credentials::can_rotate(&self.server().auth) {
            self.change(|health| health.doubted(why));
        } else {
            self.change(|health| health.failed(trouble, why));
        }
        self.probe_now.notify_one();
    }

    /// Something an attempt saw makes a probe worth while.
    pub(crate) fn probe_soon(&self) {
        self.probe_now.notify_one();
    }

    /// An attempt came through.
    pub(crate) fn job_succeeded(&self) {
        self.breaker().reset();
    }

    pub(super) fn passage(&self, now: Instant) -> Passage {
        self.breaker().passage(now)
    }

    /// Its worker is dead: it gets nothing until its process was gone.
    pub(crate) fn quarantine(&self) {
        tracing::warn!(server = %self.server().name, "the server runs nothing any more and gets no work until it restarts");
        self.change(|health| health.zombie = true);
    }

    /// Memory of its first device, in bytes; `None` while it is not known.
    pub(crate) fn memory_bytes(&self) -> Option<u64> {
        self.seen().info.as_ref()?.devices.first()?.vram_total_bytes
    }

    /// Prompts in its queue, anybody's.
    pub(super) fn queue_remaining(&self) -> Option<u32> {
        self.seen().queue_remaining
    }

    pub(super) fn view(&self, in_flight: u32, max_age: Duration) -> ServerView {
        let (state, reason) = self.state_and_reason();
        let now = Instant::now();
        let breaker = self.breaker().view(now);
        let seen = self.seen();
        let info = seen.info.as_ref();
        ServerView {
            server: Server::clone(&self.server()),
            state,
            reason,
            version: info.and_then(|info| info.version.clone()),
            devices: info
                .map(|info| info.devices.iter().map(|device| device.name.clone()).collect())
                .unwrap_or_default(),
            in_flight,
            queue_remaining: seen.queue_remaining,
            latency: seen.latency,
            live: self.live(&seen, breaker, now, max_age),
        }
    }

    fn live(&self, seen: &Seen, breaker: BreakerView, now: Instant, max_age: Duration) -> ServerLive {
        ServerLive {
            epoch: self.epoch(),
            last_seen: seen.answered_at,
            info: seen.info.clone(),
            foreign: seen.foreign.view(now),
            breaker,
            loaded: seen.loaded.clone(),
            // Counted by the dispatcher.
            runs: 0,
            model_loads: 0,
            inventory: self.stock.view(now, max_age),
            workflows: self.stock.workflows(),
            lease: None,
            warnings: seen.warnings(),
        }
    }

    /// Its model files by the input that takes them.
    pub(crate) fn files(&self) -> std::collections::BTreeMap<String, Vec<String>> {
        self.stock.files()
    }

    // What the probe and the socket report.

    pub(super) fn introduced(&self, stats: comfyui::SystemStats) {
        self.seen().info = Some(stats.into());
    }

    pub(super) fn is_guest(&self, guest: bool) {
        self.seen().guest = guest;
    }

    pub(super) fn probed(&self, queue_remaining: u32, latency: Duration, at: DateTime<Utc>) {
        let own = self.dispatch.in_flight(self.id());
        let mut seen = self.seen();
        seen.queue(queue_remaining, own, Instant::now());
        seen.latency = Some(latency);
        seen.answered_at = Some(at);
    }

    pub(super) fn hear(&self, event: Event) {
        match event {
            Event::Status { queue_remaining, .. } => {
                let own = self.dispatch.in_flight(self.id());
                self.seen().queue(queue_remaining, own, Instant::now());
            }
            event => self.routes.deliver(event),
        }
    }

    pub(super) fn socket_opened(&self, client_id: &str) {
        self.change_link(SocketNews::Open(client_id.into()), Health::socket_opened);
    }

    pub(super) fn socket_ended(&self) {
        self.change_link(SocketNews::Closed, Health::socket_ended);
    }

    pub(super) fn socket_failed(&self, why: String) {
        self.change_link(SocketNews::Closed, |health| health.socket_failed(why));
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Health) -> T) -> T {
        self.change_link(SocketNews::None, change)
    }

    fn change_link<T>(&self, socket: SocketNews, change: impl FnOnce(&mut Health) -> T) -> T {
        let mut health = self.health();
        let result = change(&mut health);
        // Told while the health is held, so that changes are told in the order they were made.
        let mut state_changed = false;
        if !self.retired.is_cancelled() {
            self.link.send_if_modified(|link| {
                let client_id = match socket {
                    SocketNews::None => link.client_id.clone(),
                    SocketNews::Open(client_id) => Some(client_id),
                    SocketNews::Closed => None,
                };
                let new =
                    Link { state: health.state(), answers: health.answers(), refuses: health.refuses(), client_id };
                state_changed = link.state != new.state;
                let changed = *link != new;
                *link = new;
                changed
            });
        }
        if state_changed {
            let (state, reason) = (health.state(), health.reason());
            drop(health);
            let reason = reason.unwrap_or_default();
            tracing::info!(server = %self.server().name, state = state.as_str(), reason, "server state");
            self.alert_state(state, &reason);
            self.dispatch.nudge();
        }
        result
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().expect("nothing panics while it holds the health")
    }

    pub(super) fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().expect("nothing panics while it holds the breaker")
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("nothing panics while it holds what was seen")
    }
}

/// What happened to the event socket.
enum SocketNews {
    None,
    /// Open, under this client id.
    Open(Arc<str>),
    Closed,
}
