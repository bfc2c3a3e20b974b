//! The servers: one session for each that is enabled.
//!
//! Owns the set of sessions and keeps it equal to what the store says. A change of limits reaches a
//! session as it runs; another address or other credentials make a new one. Never decides where a job
//! goes: it answers what the scheduler asks.

mod alerts;
mod backoff;
mod breaker;
mod credentials;
mod examine;
mod foreign;
mod inventory;
mod learned;
mod probe;
mod routes;
mod seen;
mod session;
mod socket;
mod state;
mod stock;
mod suitable;
mod webhook;
mod withdraw;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, RwLock, RwLockReadGuard},
};

use hub_core::{
    error::UserError,
    ids::ServerId,
    placement::Placement,
    server::{Server, ServerState},
};
use tokio::time::Instant;

pub(crate) use alerts::Alerts;
pub(crate) use examine::examine;
pub(crate) use inventory::AT_ONCE as INVENTORIES_AT_ONCE;
pub(crate) use probe::trouble;
pub(crate) use routes::Inbox;
pub(crate) use session::{Link, Session};
pub(crate) use state::Trouble;

use crate::{
    ServerLive, ServerView,
    context::Context,
    dispatch::{Condition, DispatchHandle},
    persist,
    pool::breaker::Passage,
    schedule::Place,
};

/// How much a server's card holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) server: ServerId,
    /// Of its first device; `None` while it is not known.
    pub(crate) bytes: Option<u64>,
    pub(crate) takes_work: bool,
}

/// The pool.
pub(crate) struct Pool {
    dispatch: DispatchHandle,
    alerts: Arc<Alerts>,
    members: RwLock<Members>,
    /// Reloads go one after the other, so that the newest list wins.
    reloading: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Members {
    sessions: BTreeMap<ServerId, Arc<Session>>,
    disabled: Vec<Server>,
}

impl Pool {
    pub(crate) fn new(dispatch: DispatchHandle, alerts: Arc<Alerts>) -> Self {
        Self { dispatch, alerts, members: RwLock::default(), reloading: tokio::sync::Mutex::default() }
    }

    /// What happens to servers.
    pub(crate) fn alerts(&self) -> &Arc<Alerts> {
        &self.alerts
    }

    /// Makes the sessions what the store says.
    ///
    /// # Errors
    /// When the store cannot be read; the sessions then stay as they are.
    pub(crate) async fn reload(&self, ctx: &Arc<Context>) -> Result<(), UserError> {
        let _one = self.reloading.lock().await;
        let servers = persist::user(ctx, || ctx.store.server_list()).await?;
        let mut said = persist::user(ctx, || ctx.store.server_overrides()).await?;
        let runnables = Arc::new(ctx.catalogue.snapshot().runnables());
        let mut started = Vec::new();
        let mut members = self.members.write().expect("nothing panics while it holds the pool");
        let mut old = std::mem::take(&mut members.sessions);
        members.disabled.clear();
        for server in servers {
            if !server.enabled {
                members.disabled.push(server);
                continue;
            }
            let id = server.id;
            let session = match old.remove(&id) {
                Some(session) if session.reaches_the_same(&server) => {
                    session.configure(server);
                    session
                }
                replaced => {
                    if let Some(replaced) = replaced {
                        replaced.retire();
                    }
                    let pause = ctx.config.breaker_pause;
                    let session = Session::new(server, pause, self.dispatch.clone(), self.alerts.clone());
                    session.stock.catalogue(runnables.clone());
                    started.push(session.clone());
                    session
                }
            };
            session.stock.say(said.remove(&id).unwrap_or_default());
            members.sessions.insert(id, session);
        }
        drop(members);
        for gone in old.values() {
            gone.retire();
            self.alerts.forget(gone.id());
        }
        for session in started {
            ctx.tasks.spawn(session.run(ctx.clone()));
        }
        Ok(())
    }

    /// The session with an enabled server.
    pub(crate) fn session(&self, server: ServerId) -> Option<Arc<Session>> {
        self.members().sessions.get(&server).cloned()
    }

    /// The enabled servers that share this GPU.
    pub(crate) fn on_gpu(&self, gpu: &str) -> Vec<Arc<Session>> {
        let members = self.members();
        members.sessions.values().filter(|session| session.server().gpu.as_deref() == Some(gpu)).cloned().collect()
    }

    /// The enabled servers as the scheduler sees them. `known` adds what is in flight there, told the server and
    /// the life it is in.
    pub(crate) fn places(&self, known: impl Fn(ServerId, u64) -> Place) -> Vec<Place> {
        let now = Instant::now();
        let place = |session: &Arc<Session>| {
            let server = session.server();
            let passage = session.passage(now);
            let known = known(server.id, session.epoch());
            let in_flight = u32::try_from(known.prompts.len()).unwrap_or(u32::MAX);
            Place {
                group: server.group.as_deref().map(Arc::from),
                weight: server.weight,
                max_in_flight: if passage == Passage::One { 1 } else { server.max_in_flight },
                foreign: session.queue_remaining().unwrap_or_default().saturating_sub(in_flight),
                takes_work: session.state().takes_work() && passage != Passage::None,
                lacks: session.lacks(),
                barred: session.barred(),
                ..known
            }
        };
        self.members().sessions.values().map(place).collect()
    }

    /// Whether any server, enabled or not, is one that a pin means; where none is, none will be.
    pub(crate) fn may_come(&self, placement: &Placement) -> bool {
        let members = self.members();
        let meant = |server: &Server| placement.allows(server.id, server.group.as_deref());
        matches!(placement, Placement::Anywhere)
            || members.sessions.values().any(|session| meant(&session.server()))
            || members.disabled.iter().any(meant)
    }

    /// The memory of each enabled server.
    pub(crate) fn memories(&self) -> Vec<Memory> {
        let memory = |session: &Arc<Session>| Memory {
            server: session.id(),
            bytes: session.memory_bytes(),
            takes_work: session.state().takes_work(),
        };
        self.members().sessions.values().map(memory).collect()
    }

    /// What the enabled servers are at, for those who ask why a job waits.
    pub(crate) fn conditions(&self) -> HashMap<ServerId, Condition> {
        let now = Instant::now();
        let condition = |session: &Arc<Session>| {
            let (state, reason) = session.state_and_reason();
            let rests = session.passage(now) == Passage::None;
            let server = session.server();
            let (name, gpu) = (server.name.clone(), server.gpu.clone());
            (server.id, Condition { name, state, reason, rests, gpu, awaits: None })
        };
        self.members().sessions.values().map(condition).collect()
    }

    /// Clients of the enabled servers by name; those that take work first.
    pub(crate) fn clients(&self) -> Vec<(String, comfyui::Client)> {
        let members = self.members();
        let mut sessions: Vec<_> = members.sessions.values().collect();
        sessions.sort_by_key(|session| (!session.state().takes_work(), session.server().name.clone()));
        sessions.iter().filter_map(|session| Some((session.server().name.clone(), session.client()?))).collect()
    }

    /// All servers with their live state, by name.
    pub(crate) fn views(&self, ctx: &Context, in_flight: impl Fn(ServerId) -> u32) -> Vec<ServerView> {
        let max_age = inventory::max_age(ctx);
        let members = self.members();
        let disabled = members.disabled.iter().map(|server| ServerView {
            server: server.clone(),
            state: ServerState::Disabled,
            reason: None,
            version: None,
            devices: Vec::new(),
            in_flight: in_flight(server.id),
            queue_remaining: None,
            latency: None,
            live: ServerLive::default(),
        });
        let enabled = members.sessions.values().map(|session| session.view(in_flight(session.id()), max_age));
        let mut views: Vec<ServerView> = disabled.chain(enabled).collect();
        views.sort_by(|a, b| a.server.name.cmp(&b.server.name));
        views
    }

    fn members(&self) -> RwLockReadGuard<'_, Members> {
        self.members.read().expect("nothing panics while it holds the pool")
    }
}
