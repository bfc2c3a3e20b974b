//! One server as the hub knows it: its settings, its client, its health, its event socket.
//!
//! Owned by one task per server ([`Session::run`]) that probes and listens; attempts read the state,
//! borrow the client, and get the events of their prompts. The state changes here and nowhere else;
//! every change is told to attempts (by the watch) and to the dispatcher (by a nudge).

use std::{
    collections::{BTreeSet, HashSet},
    sync::{Arc, Mutex, MutexGuard, RwLock},
    time::Duration,
};

use comfyui::{Auth, Client, ClientConfig, Event};
use hub_core::{
    ids::{ServerId, WorkflowId},
    server::{Server, ServerAuth, ServerState},
};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    breaker::{Breaker, Passage},
    probe,
    routes::{Inbox, Routes},
    socket,
    state::{Health, Trouble},
};
use crate::{ServerLive, ServerView, context::Context, dispatch::DispatchHandle, secret};

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

/// What the server told about itself, and what the newest probe saw.
#[derive(Debug, Default)]
struct Seen {
    version: Option<String>,
    devices: Vec<String>,
    queue_remaining: Option<u32>,
    latency: Option<Duration>,
}

/// The session with one enabled server.
pub(crate) struct Session {
    server: RwLock<Arc<Server>>,
    client: RwLock<Option<Client>>,
    health: Mutex<Health>,
    link: watch::Sender<Link>,
    seen: Mutex<Seen>,
    breaker: Mutex<Breaker>,
    lacks: Mutex<Arc<HashSet<WorkflowId>>>,
    /// Prompts of ours that may still be there although their jobs have moved on.
    pub(super) leftovers: Mutex<BTreeSet<String>>,
    pub(super) routes: Arc<Routes>,
    /// Wakes the probe before its time.
    pub(super) probe_now: Notify,
    retired: CancellationToken,
    dispatch: DispatchHandle,
}

impl Session {
    pub(super) fn new(server: Server, dispatch: DispatchHandle) -> Arc<Self> {
        let health = Health::new(server.draining);
        let link = Link { state: health.state(), answers: false, refuses: false, client_id: None };
        Arc::new(Self {
            server: RwLock::new(Arc::new(server)),
            client: RwLock::default(),
            health: Mutex::new(health),
            link: watch::Sender::new(link),
            seen: Mutex::default(),
            breaker: Mutex::default(),
            lacks: Mutex::default(),
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
            ((), ()) = async { tokio::join!(probe::run(&self, &ctx), socket::run(&self)) } => {}
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
        let server = self.server();
        let mut config = ClientConfig::new(server.base_url.as_url().clone());
        config.auth = auth(&server.auth).await.map_err(|error| error.to_string())?;
        config.origin.clone_from(&server.origin);
        let client = Client::new(config).map_err(|error| error.to_string())?;
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
        self.change(|health| health.failed(trouble, why));
        self.probe_now.notify_one();
    }

    /// Something an attempt saw makes a probe worth while.
    pub(crate) fn probe_soon(&self) {
        self.probe_now.notify_one();
    }

    /// An attempt failed by the server's fault.
    pub(crate) fn job_failed(&self) {
        self.breaker().failed(Instant::now());
    }

    /// An attempt came through.
    pub(crate) fn job_succeeded(&self) {
        self.breaker().reset();
    }

    pub(super) fn passage(&self, now: Instant) -> Passage {
        self.breaker().passage(now)
    }

    /// The server refused a workflow for want of a file or a node.
    pub(crate) fn lacks_for(&self, workflow: WorkflowId) {
        let mut lacks = self.lacks.lock().expect("nothing panics while it holds the list");
        Arc::make_mut(&mut lacks).insert(workflow);
    }

    pub(super) fn lacks(&self) -> Arc<HashSet<WorkflowId>> {
        self.lacks.lock().expect("nothing panics while it holds the list").clone()
    }

    /// The server ran a workflow that it lacked something for: somebody installed it.
    pub(crate) fn can_run(&self, workflow: WorkflowId) {
        let mut lacks = self.lacks.lock().expect("nothing panics while it holds the list");
        if lacks.contains(&workflow) {
            Arc::make_mut(&mut lacks).remove(&workflow);
        }
    }

    /// Its worker is dead: it gets nothing until its process was gone.
    pub(crate) fn quarantine(&self) {
        tracing::warn!(server = %self.server().name, "the server runs nothing any more and gets no work until it restarts");
        self.change(|health| health.zombie = true);
    }

    /// Prompts in its queue, anybody's.
    pub(super) fn queue_remaining(&self) -> Option<u32> {
        self.seen().queue_remaining
    }

    pub(super) fn view(&self, in_flight: u32) -> ServerView {
        let (state, reason) = self.state_and_reason();
        let seen = self.seen();
        ServerView {
            server: Server::clone(&self.server()),
            state,
            reason,
            version: seen.version.clone(),
            devices: seen.devices.clone(),
            in_flight,
            queue_remaining: seen.queue_remaining,
            latency: seen.latency,
            live: ServerLive::default(),
        }
    }

    // What the probe and the socket report.

    pub(super) fn introduced(&self, stats: comfyui::SystemStats) {
        let mut seen = self.seen();
        seen.version = stats.system.comfyui_version;
        seen.devices = stats.devices.into_iter().map(|device| device.name).collect();
    }

    pub(super) fn probed(&self, queue_remaining: u32, latency: Duration) {
        let mut seen = self.seen();
        seen.queue_remaining = Some(queue_remaining);
        seen.latency = Some(latency);
    }

    /// The server answers again; what was learned of the process before may be wrong now.
    pub(super) fn forget_the_past(&self) {
        self.breaker().reset();
        *self.lacks.lock().expect("nothing panics while it holds the list") = Arc::default();
    }

    pub(super) fn hear(&self, event: Event) {
        match event {
            Event::Status { queue_remaining, .. } => self.seen().queue_remaining = Some(queue_remaining),
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
            self.dispatch.nudge();
        }
        result
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().expect("nothing panics while it holds the health")
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().expect("nothing panics while it holds the breaker")
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
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

async fn auth(auth: &ServerAuth) -> Result<Auth, secret::SecretError> {
    Ok(match auth {
        ServerAuth::None => Auth::None,
        ServerAuth::Basic { user, password } => {
            Auth::Basic { user: user.clone(), password: secret::resolve(password).await? }
        }
        ServerAuth::Bearer { token } => Auth::Bearer(secret::resolve(token).await?),
        ServerAuth::ApiKey { header, key } => Auth::Header { name: header.clone(), value: secret::resolve(key).await? },
        ServerAuth::Headers { headers } => {
            let mut resolved = Vec::with_capacity(headers.len());
            for (name, value) in headers {
                resolved.push((name.clone(), secret::resolve(value).await?));
            }
            Auth::Headers(resolved)
        }
    })
}
