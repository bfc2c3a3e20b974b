//! The shared state of a double and its small atomic changes.
//!
//! Owns every lock. No lock is held across an await, and none is taken while another is held except `state` then
//! `files`. What a process loses when it dies is in [`State`]; what survives is in [`Sim`].

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::config::{ComfyConfig, SimAuth, Version};
use super::files::{FileStore, Folder};
use super::graph::Signature;
use super::history::History;
use super::network::Frost;
use super::object_info::{Catalogue, Listing};
use super::queue::{Heap, Job};
use super::render;
use super::trace::Subject;
use super::ws::Sockets;
use super::{ExecutedPrompt, SimStats};
use crate::card::Card;
use crate::script::FaultPlan;

/// Finished prompts kept for [`SimStats::executed`].
const MAX_EXECUTED_KEPT: usize = 10_000;
/// Pictures every double has in its input folder.
const INPUT_PICTURES: [&str; 3] = ["example.png", "input.png", "mask.png"];
/// Their side, pixels.
const INPUT_SIDE: u32 = 192;

/// The double behind all connections.
pub(crate) struct Sim {
    pub(crate) config: ComfyConfig,
    pub(crate) version: Version,
    pub(crate) addr: SocketAddr,
    pub(crate) catalogue: Catalogue,
    /// Wakes the worker: a prompt was queued or something healed.
    pub(crate) wake: Notify,
    /// Wakes a running prompt: it was interrupted or something healed.
    pub(crate) nudge: Notify,
    state: Mutex<State>,
    files: Mutex<FileStore>,
    faults: Mutex<FaultPlan>,
    auth: Mutex<Option<SimAuth>>,
    stats: Mutex<SimStats>,
    random: Mutex<StdRng>,
    life: Mutex<Life>,
    /// The card that it shares with others, and its name there.
    card: Mutex<Option<(Card, String)>>,
    /// Whether the connections stand still.
    pub(crate) frost: Arc<Frost>,
    heals: AtomicU64,
}

impl std::fmt::Debug for Sim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sim").field("addr", &self.addr).finish_non_exhaustive()
    }
}

/// One run of the process, from start to kill.
#[derive(Default)]
struct Life {
    over: CancellationToken,
    serving: Option<JoinHandle<()>>,
    retired: bool,
}

/// What a process holds in memory.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) pending: Heap,
    pub(crate) running: Option<Running>,
    pub(crate) next_number: i64,
    pub(crate) history: History,
    pub(crate) sockets: Sockets,
    /// Results of the last prompt by signature, with what the node showed.
    pub(crate) cache: HashMap<Signature, Option<Value>>,
    /// The model files in memory.
    pub(crate) resident: BTreeSet<String>,
    pub(crate) worker_is_dead: bool,
    pub(crate) free_models: bool,
    pub(crate) free_cache: bool,
}

/// The prompt that runs.
pub(crate) struct Running {
    pub(crate) job: Arc<Job>,
    pub(crate) node: Option<String>,
    pub(crate) interrupted: bool,
}

impl State {
    /// Running and pending together.
    pub(crate) fn queue_remaining(&self) -> usize {
        self.pending.len() + usize::from(self.running.is_some())
    }

    /// Tells everybody how long the queue is.
    pub(crate) fn broadcast_status(&mut self) {
        let data = json!({"status": {"exec_info": {"queue_remaining": self.queue_remaining()}}});
        self.sockets.broadcast("status", &data);
    }

    /// Applies `/free` once nothing runs.
    pub(crate) fn free(&mut self) {
        if self.running.is_some() {
            return;
        }
        if std::mem::take(&mut self.free_models) {
            self.resident.clear();
        }
        if std::mem::take(&mut self.free_cache) {
            self.cache.clear();
        }
    }
}

impl Sim {
    pub(crate) fn new(config: ComfyConfig, addr: SocketAddr) -> Sim {
        let mut files = FileStore::default();
        for (index, name) in (0_u64..).zip(INPUT_PICTURES) {
            files.put(Folder::Input, "", name, Bytes::from(input_picture(index)));
        }
        let version = Version::read(&config.version);
        Sim {
            version,
            random: Mutex::new(StdRng::seed_from_u64(config.seed)),
            auth: Mutex::new(config.auth.clone()),
            config,
            addr,
            catalogue: Catalogue::load(version),
            wake: Notify::new(),
            nudge: Notify::new(),
            state: Mutex::default(),
            files: Mutex::new(files),
            faults: Mutex::default(),
            stats: Mutex::default(),
            life: Mutex::default(),
            card: Mutex::default(),
            frost: Arc::default(),
            heals: AtomicU64::new(0),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(crate) fn files(&self) -> MutexGuard<'_, FileStore> {
        lock(&self.files)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, FaultPlan> {
        lock(&self.faults)
    }

    /// What guards the door at this moment.
    pub(crate) fn auth(&self) -> MutexGuard<'_, Option<SimAuth>> {
        lock(&self.auth)
    }

    pub(crate) fn stats(&self) -> SimStats {
        lock(&self.stats).clone()
    }

    /// Changes the counters.
    pub(crate) fn count(&self, change: impl FnOnce(&mut SimStats)) {
        change(&mut lock(&self.stats));
    }

    pub(crate) fn record(&self, executed: ExecutedPrompt) {
        let mut stats = lock(&self.stats);
        if stats.executed.len() >= MAX_EXECUTED_KEPT {
            stats.executed.remove(0);
        }
        stats.executed.push(executed);
    }

    /// The lists that loaders show now.
    pub(crate) fn listing(&self) -> Listing {
        let missing = self.faults().missing_models();
        Listing { models: self.config.models.clone().without(&missing), inputs: self.files().input_names() }
    }

    /// Five random letters, as in the names of temporary files.
    pub(crate) fn random_letters(&self) -> String {
        let mut random = lock(&self.random);
        (0..5).map(|_| char::from(random.random_range(b'a'..=b'z'))).collect()
    }

    /// A factor around 1.0 for run times.
    pub(crate) fn jitter(&self) -> f64 {
        let spread = self.config.jitter.clamp(0.0, 1.0);
        if spread == 0.0 { 1.0 } else { lock(&self.random).random_range(1.0 - spread..=1.0 + spread) }
    }

    /// Interrupts the running prompt if it is the one asked for; true when it was.
    pub(crate) fn interrupt(&self, only: Option<&str>) -> bool {
        let hit = match &mut self.state().running {
            Some(running) if only.is_none_or(|id| id == running.job.id) => {
                running.interrupted = true;
                true
            }
            _ => false,
        };
        if hit {
            self.count(|s| s.interrupts += 1);
            self.nudge.notify_waiters();
        }
        hit
    }

    /// Removes a pending prompt; true when it was there.
    pub(crate) fn delete_pending(&self, id: &str) -> bool {
        let mut state = self.state();
        let removed = state.pending.remove(id);
        if removed {
            state.broadcast_status();
        }
        removed
    }

    /// Disarms all faults and wakes what they held.
    pub(crate) fn heal(&self) {
        self.faults().clear();
        self.state().worker_is_dead = false;
        self.heals.fetch_add(1, Ordering::SeqCst);
        self.wake.notify_one();
        self.nudge.notify_waiters();
    }

    /// How often [`Sim::heal`] was called.
    pub(crate) fn healed(&self) -> u64 {
        self.heals.load(Ordering::SeqCst)
    }

    /// Puts the process on a card that it shares with others.
    pub(crate) fn share(&self, card: Card, name: &str) {
        *lock(&self.card) = Some((card, name.to_owned()));
        self.hold();
    }

    /// Tells the card what the process holds now.
    pub(crate) fn hold(&self) {
        let bytes = self.vram_held();
        if let Some((card, name)) = &*lock(&self.card) {
            card.hold(name, bytes);
        }
    }

    /// Video memory in all, and what others hold of it: the driver takes a little of a card of one's own.
    pub(crate) fn vram(&self) -> (u64, u64) {
        match &*lock(&self.card) {
            Some((card, name)) => (card.total(), card.held_by_others(name)),
            None => (self.config.vram_total, self.config.vram_total / 32),
        }
    }

    /// Video memory that the process holds for models.
    pub(crate) fn vram_held(&self) -> u64 {
        let models = self.config.vram_models.unwrap_or(self.config.vram_total / 2);
        if self.state().resident.is_empty() { 0 } else { models }
    }

    /// Begins a life: fresh state, and the token that ends it. `None` when the handle is gone.
    pub(crate) fn begin(&self) -> Option<CancellationToken> {
        let mut life = lock(&self.life);
        if life.retired {
            return None;
        }
        *self.state() = State::default();
        self.hold();
        self.files().wipe_temp();
        self.frost.set(false);
        life.over = CancellationToken::new();
        Some(life.over.clone())
    }

    /// Remembers the task that owns the listener.
    pub(crate) fn serving(&self, task: JoinHandle<()>) {
        lock(&self.life).serving = Some(task);
    }

    pub(crate) fn is_up(&self) -> bool {
        let life = lock(&self.life);
        life.serving.is_some() && !life.over.is_cancelled()
    }

    /// Ends the current life at once; returns the ending listener task.
    pub(crate) fn down(&self) -> Option<JoinHandle<()>> {
        let mut life = lock(&self.life);
        life.over.cancel();
        // The dead hold no connection: what stood still ends; and no memory.
        self.frost.set(false);
        if let Some((card, name)) = &*lock(&self.card) {
            card.hold(name, 0);
        }
        let task = life.serving.take();
        if let Some(task) = &task {
            task.abort();
        }
        task
    }

    /// Ends the current life and forbids another.
    pub(crate) fn retire(&self) {
        lock(&self.life).retired = true;
        drop(self.down());
    }
}

/// The wall clock of the simulated machine.
#[expect(clippy::disallowed_methods, reason = "the simulated server's own wall clock, never stored by the product")]
pub(crate) fn wall_clock() -> SystemTime {
    SystemTime::now()
}

/// Unix time in milliseconds.
pub(crate) fn now_ms() -> u64 {
    let elapsed = wall_clock().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

fn input_picture(index: u64) -> Vec<u8> {
    let subject = Subject::sample(INPUT_SIDE, index);
    render::png(&render::draw(&subject, 0, None), None)
}

/// A poisoned lock only means that another test thread panicked; the data is still whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
