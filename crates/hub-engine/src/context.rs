//! What every part of the engine works with. Owns nothing but the handles; each is a cheap clone.
//!
//! Two tokens end the background work: `stop` means "take nothing new, let go where work can be found
//! again", `kill` means "return now".

use std::sync::Arc;

use hub_core::clock::SharedClock;
use hub_store::Store;
use object_store::ObjectStore;
use tokio::sync::{Semaphore, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    EngineConfig,
    artifacts::{Fetcher, Vault},
    callers::Callers,
    catalogue::CatalogueHolder,
    feed::Feed,
    lease::Leases,
    llm::Llm,
    nearby::Lookout,
    pool,
    settings::Settings,
    submit::RecentCalls,
};

/// The engine's shared handles.
pub(crate) struct Context {
    /// As of the start. What may change while the hub runs is taken from `settings`.
    pub(crate) config: EngineConfig,
    pub(crate) settings: Settings,
    pub(crate) store: Store,
    pub(crate) clock: SharedClock,
    pub(crate) vault: Vault,
    pub(crate) catalogue: CatalogueHolder,
    pub(crate) leases: Leases,
    pub(crate) llm: Llm,
    pub(crate) fetcher: Fetcher,
    pub(crate) recent_calls: RecentCalls,
    /// What is nearby, for who sets up the hub.
    pub(crate) lookout: Lookout,
    pub(crate) callers: Callers,
    pub(crate) feed: Feed,
    /// Counts up when pictures were deleted.
    pub(crate) pictures_gone: watch::Sender<u64>,
    /// Turns at fetching a server's list of nodes.
    pub(crate) inventory_turns: Semaphore,
    /// The turn at making a backup.
    pub(crate) backups: Arc<Semaphore>,
    pub(crate) tasks: TaskTracker,
    /// Soft: take nothing new, let go of what can be found again.
    pub(crate) stop: CancellationToken,
    /// Hard: return now.
    pub(crate) kill: CancellationToken,
}

impl Context {
    /// Handles over a store and an object store. Nothing is read or started yet.
    pub(crate) fn new(settings: Settings, store: Store, objects: Arc<dyn ObjectStore>, clock: SharedClock) -> Self {
        let stop = CancellationToken::new();
        let config = EngineConfig::clone(&settings.now());
        let leases = Leases::new(config.lease.clone());
        Self {
            feed: Feed::new(clock.now(), stop.clone()),
            vault: Vault::new(objects, store.clone()),
            catalogue: CatalogueHolder::default(),
            llm: Llm::new(leases.clone()),
            leases,
            fetcher: Fetcher::new(config.input.clone()),
            recent_calls: RecentCalls::default(),
            lookout: Lookout::default(),
            callers: Callers::default(),
            pictures_gone: watch::Sender::new(0),
            inventory_turns: Semaphore::new(pool::INVENTORIES_AT_ONCE),
            backups: Arc::new(Semaphore::new(1)),
            tasks: TaskTracker::new(),
            stop,
            kill: CancellationToken::new(),
            config,
            settings,
            store,
            clock,
        }
    }
}
