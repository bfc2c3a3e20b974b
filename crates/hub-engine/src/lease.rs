//! GPUs that LLM servers and ComfyUI servers share: who may use one now, and the making of room on it.
//!
//! Owns one [`Lease`] per shared GPU and the task that obeys it. Who goes first is hub-schedule's policy; what is
//! loaded, what fits and how it is evicted is in `memory`. Of all this only what models need is stored: a hub that
//! restarts asks the servers for the rest. Every step has a limit, and one that fails never fails a job: the job goes on with the memory
//! there is, and the lease's view says what went wrong.

mod guess;
mod keep;
mod memory;

use std::{
    collections::{BTreeMap, HashMap},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, Mutex, MutexGuard, OnceLock, Weak},
    time::Duration,
};

use hub_core::server::{LlmDialect, LlmServer, Server};
use hub_schedule::{ClaimId, Lease, LeaseLimits, LeaseOrder, Load, ModelSet, Seconds, Side};
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

use self::memory::Facts;
use crate::{LeaseHolder, LeasePolicy, LeaseView, background::Inner};

/// The leases of all shared GPUs; cheap to clone.
#[derive(Clone)]
pub(crate) struct Leases(Arc<Shared>);

struct Shared {
    policy: LeasePolicy,
    /// Where servers and tasks are; none until the background work has begun.
    background: OnceLock<Weak<Inner>>,
    gpus: Mutex<BTreeMap<String, Arc<Gpu>>>,
}

/// One shared GPU.
struct Gpu {
    name: String,
    policy: LeasePolicy,
    started: Instant,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    lease: Lease,
    grants: HashMap<ClaimId, oneshot::Sender<()>>,
    facts: Facts,
    /// What went wrong last; none once it went well.
    problem: Option<String>,
    /// Whether prompts could come, as of the newest turn.
    open: bool,
}

/// A claim on a shared GPU; given back when dropped.
pub(crate) struct Claim {
    gpu: Arc<Gpu>,
    id: ClaimId,
    load: Load,
}

impl Claim {
    /// Waits until it may use the GPU. Dropping the future leaves the claim in its place.
    pub(crate) async fn granted(&self) {
        let (grant, granted) = oneshot::channel();
        self.gpu.ask(self, grant);
        // The lease ends with the hub; then nobody is granted anything, and whoever waits is ended too.
        if granted.await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let now = self.gpu.now();
        let mut state = self.gpu.state();
        state.grants.remove(&self.id);
        state.lease.done(self.id, now);
        drop(state);
        self.gpu.changed.notify_one();
    }
}

impl Leases {
    pub(crate) fn new(policy: LeasePolicy) -> Self {
        Self(Arc::new(Shared { policy, background: OnceLock::new(), gpus: Mutex::default() }))
    }

    /// Says where servers are found and tasks run. Before it, nothing is shared.
    pub(crate) fn begin(&self, inner: &Arc<Inner>) {
        // A second beginning would be that of the same hub.
        let _ = self.0.background.set(Arc::downgrade(inner));
    }

    /// A claim for a job of a ComfyUI server, which counts as coming work until it asks. `None` when the server
    /// shares no GPU, or the job loads nothing.
    pub(crate) fn announce(&self, server: &Server, models: ModelSet) -> Option<Claim> {
        let gpu = self.shared(server.gpu.as_deref()?).filter(|_| !models.is_none())?;
        let id = gpu.state().lease.announce(Side::Comfy);
        Some(Claim { gpu, id, load: memory::load_of(models) })
    }

    /// The same for a prompt that an earlier process posted: it may run already.
    pub(crate) fn adopt(&self, server: &Server, models: ModelSet) -> Option<Claim> {
        let gpu = self.shared(server.gpu.as_deref()?).filter(|_| !models.is_none())?;
        let load = memory::load_of(models);
        let id = gpu.state().lease.adopt(Side::Comfy, load);
        Some(Claim { gpu, id, load })
    }

    /// A claim for a call of an LLM server. `None` when it shares no GPU, or cannot be told to make room on it.
    pub(crate) fn call(&self, server: &LlmServer, model: &str) -> Option<Claim> {
        let name = server.gpu.as_deref().filter(|_| server.dialect == LlmDialect::Ollama)?;
        let gpu = self.shared(name)?;
        let mut hasher = DefaultHasher::new();
        (server.id.as_uuid(), model).hash(&mut hasher);
        let load = Load(hasher.finish());
        let mut state = gpu.state();
        state.facts.calls(load, server.id, model);
        let id = state.lease.announce(Side::Llm);
        drop(state);
        Some(Claim { gpu, id, load })
    }

    /// Shared GPUs on which no prompt would run now, with who is in the way in words.
    pub(crate) fn closed(&self) -> BTreeMap<String, String> {
        let gpus: Vec<Arc<Gpu>> = self.gpus().values().cloned().collect();
        let closed = gpus.into_iter().filter(|gpu| !gpu.state().lease.open(Side::Comfy, gpu.now()));
        closed.filter_map(|gpu| Some((gpu.name.clone(), self.in_the_way(&gpu.name)?))).collect()
    }

    /// Says that a job for a closed GPU waits, and what it would load.
    pub(crate) fn wish(&self, gpu: &str, models: ModelSet) {
        let Some(gpu) = self.gpus().get(gpu).cloned() else { return };
        let now = gpu.now();
        gpu.state().lease.wish(Side::Comfy, memory::load_of(models), now);
        gpu.changed.notify_one();
    }

    /// A job ran out of memory there: its models need the whole GPU from now on.
    pub(crate) fn did_not_fit(&self, server: &Server, models: ModelSet) {
        let Some(gpu) = server.gpu.as_deref().and_then(|gpu| self.gpus().get(gpu).cloned()) else { return };
        let mut state = gpu.state();
        state.facts.needs_all(memory::load_of(models));
        state.lease.reconsider();
        drop(state);
        gpu.changed.notify_one();
    }

    /// A shared GPU as people see it; `None` when this one is not shared.
    pub(crate) fn view(&self, gpu: &str) -> Option<LeaseView> {
        let inner = self.0.background.get()?.upgrade()?;
        let on_gpu = inner.ctx.catalogue.snapshot().llm_servers_on(gpu);
        if on_gpu.is_empty() {
            return None;
        }
        let mut view = LeaseView {
            gpu: gpu.to_owned(),
            llm_servers: on_gpu.iter().map(|server| server.name.clone()).collect(),
            ..LeaseView::default()
        };
        for server in on_gpu.iter().filter(|server| server.dialect == LlmDialect::OpenAi) {
            view.warnings.push(format!(
                "the LLM server `{}` shares the GPU but cannot be told to unload its model: only Ollama can",
                server.name
            ));
        }
        if let Some(gpu) = self.gpus().get(gpu) {
            gpu.state().show(&mut view);
        }
        Some(view)
    }

    fn in_the_way(&self, gpu: &str) -> Option<String> {
        let inner = self.0.background.get()?.upgrade()?;
        let on_gpu = inner.ctx.catalogue.snapshot().llm_servers_on(gpu);
        let ollama = on_gpu.iter().filter(|server| server.dialect == LlmDialect::Ollama);
        let names: Vec<String> = ollama.map(|server| format!("`{}`", server.name)).collect();
        match names.len() {
            0 => None,
            1 => Some(format!("the LLM server {}", names[0])),
            _ => Some(format!("the LLM servers {}", names.join(", "))),
        }
    }

    /// The lease of a GPU that both an LLM server that can make room and an enabled ComfyUI server are on.
    fn shared(&self, name: &str) -> Option<Arc<Gpu>> {
        let inner = self.0.background.get()?.upgrade()?;
        let by_llm = inner.ctx.catalogue.snapshot().llm_servers_on(name);
        if !by_llm.iter().any(|server| server.dialect == LlmDialect::Ollama) || inner.pool.on_gpu(name).is_empty() {
            return None;
        }
        let mut gpus = self.gpus();
        if let Some(gpu) = gpus.get(name) {
            return Some(gpu.clone());
        }
        let gpu = Arc::new(Gpu::new(name, self.0.policy.clone()));
        gpus.insert(name.to_owned(), gpu.clone());
        let tasks = inner.ctx.tasks.clone();
        tasks.spawn(serve(gpu.clone(), inner));
        Some(gpu)
    }

    fn gpus(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Gpu>>> {
        self.0.gpus.lock().expect("nothing panics while it holds the leases")
    }
}

/// Obeys a lease until the hub lets go.
async fn serve(gpu: Arc<Gpu>, inner: Arc<Inner>) {
    let far = Duration::from_hours(1);
    tokio::select! {
        () = inner.ctx.kill.cancelled() => return,
        () = keep::recall(&inner, &gpu) => {}
    }
    loop {
        keep::save(&inner, &gpu);
        let Turn { work, wake_in, opened } = gpu.turn();
        if opened {
            inner.dispatch.nudge();
        }
        let step = async {
            match work {
                Some(order) => memory::obey(&inner, &gpu, order).await,
                None => {
                    // Either is only a reason to look again.
                    let _ = tokio::time::timeout(wake_in.unwrap_or(far), gpu.changed.notified()).await;
                }
            }
        };
        tokio::select! {
            () = inner.ctx.kill.cancelled() => return,
            () = step => {}
        }
    }
}

/// What follows from a turn of the lease.
struct Turn {
    work: Option<LeaseOrder>,
    wake_in: Option<Duration>,
    /// Prompts can come, which could not before.
    opened: bool,
}

impl Gpu {
    fn new(name: &str, policy: LeasePolicy) -> Self {
        let limits = LeaseLimits {
            llm_wait: policy.llm_wait.as_secs_f64(),
            comfy_wait: policy.comfy_wait.as_secs_f64(),
            linger: policy.linger.as_secs_f64(),
        };
        let state = State {
            lease: Lease::new(limits),
            grants: HashMap::new(),
            facts: Facts::default(),
            problem: None,
            open: true,
        };
        Self {
            name: name.to_owned(),
            policy,
            started: Instant::now(),
            state: Mutex::new(state),
            changed: Notify::new(),
        }
    }

    fn ask(&self, claim: &Claim, grant: oneshot::Sender<()>) {
        let now = self.now();
        let mut state = self.state();
        state.grants.insert(claim.id, grant);
        state.lease.ask(claim.id, claim.load, now);
        drop(state);
        self.changed.notify_one();
    }

    fn turn(&self) -> Turn {
        let now = self.now();
        let mut state = self.state();
        let turn = state.lease.advance(now);
        let mut work = None;
        for order in turn.orders {
            match order {
                LeaseOrder::Grant(id) => {
                    if let Some(grant) = state.grants.remove(&id) {
                        // Whoever stopped waiting gives the claim back.
                        let _ = grant.send(());
                    }
                }
                order => work = Some(order),
            }
        }
        let open = state.lease.open(Side::Comfy, now);
        let opened = open && !std::mem::replace(&mut state.open, open);
        Turn { work, wake_in: turn.wake_at.map(|at| Duration::from_secs_f64((at - now).max(0.001))), opened }
    }

    fn now(&self) -> Seconds {
        self.started.elapsed().as_secs_f64()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds a lease")
    }
}

impl State {
    fn show(&self, view: &mut LeaseView) {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let lease = &self.lease;
        view.holder = match (lease.resident(Side::Llm), lease.resident(Side::Comfy)) {
            (true, true) if lease.fits_both() => LeaseHolder::Both,
            (true, true) => LeaseHolder::Unknown,
            (true, false) => LeaseHolder::Llm,
            (false, true) => LeaseHolder::Comfyui,
            (false, false) => LeaseHolder::Nobody,
        };
        (view.calls, view.calls_waiting) = (count(lease.runs(Side::Llm)), count(lease.waits(Side::Llm)));
        (view.prompts, view.prompts_waiting) = (count(lease.runs(Side::Comfy)), count(lease.waits(Side::Comfy)));
        view.switches = lease.switches();
        view.llm_models = self.facts.llm_models();
        view.problem.clone_from(&self.problem);
    }
}
