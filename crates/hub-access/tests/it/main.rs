//! Who comes in, and how long, by a clock that the tests move.

#![expect(clippy::unwrap_used, reason = "a test that cannot get what it needs fails there")]

mod keys;
mod sessions;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use hub_access::{Access, AccessConfig};
use hub_core::clock::{Clock as _, MockClock, SharedClock};
use hub_engine::{Engine, EngineConfig};
use hub_store::Store;
use object_store::memory::InMemory;

/// An open hub without pages or pool.
struct Bed {
    access: Access,
    engine: Engine,
    clock: Arc<MockClock>,
}

impl Bed {
    async fn new() -> Self {
        let clock = Arc::new(MockClock::at(DateTime::UNIX_EPOCH + TimeDelta::days(20_000)));
        let shared = || Arc::clone(&clock) as SharedClock;
        let store = Store::open("sqlite::memory:", shared()).await.unwrap();
        let objects = Arc::new(InMemory::new());
        let engine = Engine::start(EngineConfig::default(), store, objects, shared()).await.unwrap();
        let access = Access::open(engine.clone(), AccessConfig::default()).await.unwrap();
        Self { access, engine, clock }
    }

    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }
}
