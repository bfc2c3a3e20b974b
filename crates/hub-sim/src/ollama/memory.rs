//! The models in memory: how long they stay and who makes room for whom.
//!
//! Owns the double's wall clock. Never waits: how long loading takes is decided elsewhere.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};

use super::request::KeepAlive;

/// The real server's default.
const KEEP_ALIVE: Duration = Duration::from_mins(5);

/// A model in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Loaded {
    pub(super) num_ctx: u64,
    /// Of its size, what is on the card, bytes; all of it where no card is shared.
    pub(super) vram_bytes: u64,
    /// `None` is for ever.
    pub(super) expires: Option<DateTime<Utc>>,
}

/// All models in memory, by name with tag.
#[derive(Debug, Default)]
pub(super) struct Memory {
    loaded: HashMap<String, Loaded>,
}

impl Memory {
    /// The model as it is in memory, if it is.
    pub(super) fn get(&mut self, name: &str) -> Option<Loaded> {
        let now = now();
        self.loaded.retain(|_, loaded| loaded.expires.is_none_or(|expires| expires > now));
        self.loaded.get(name).copied()
    }

    /// Puts a model into memory; those that would go first make room for it.
    pub(super) fn insert(
        &mut self,
        name: &str,
        (num_ctx, vram_bytes): (u64, u64),
        keep_alive: Option<KeepAlive>,
        most: usize,
    ) {
        self.loaded.insert(name.to_owned(), Loaded { num_ctx, vram_bytes, expires: expiry(keep_alive) });
        while self.loaded.len() > most.max(1) {
            let others = self.loaded.iter().filter(|(other, _)| *other != name);
            let first = others.min_by_key(|(_, loaded)| end(loaded)).map(|(other, _)| other.clone());
            let Some(first) = first else { break };
            self.loaded.remove(&first);
        }
    }

    /// What all models take on the card, bytes.
    pub(super) fn vram_bytes(&self) -> u64 {
        self.loaded.values().map(|loaded| loaded.vram_bytes).sum()
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.loaded.remove(name);
    }

    /// A model was used until now: its time starts again, or ends when it was not to be kept.
    pub(super) fn used(&mut self, name: &str, keep_alive: Option<KeepAlive>) {
        if keep_alive == Some(KeepAlive::For(Duration::ZERO)) {
            self.remove(name);
        } else if let Some(loaded) = self.loaded.get_mut(name) {
            loaded.expires = expiry(keep_alive);
        }
    }
}

/// When it goes, for ordering.
pub(super) fn end(loaded: &Loaded) -> DateTime<Utc> {
    loaded.expires.unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// The double stands for a foreign server, which has a clock of its own.
#[expect(clippy::disallowed_methods, reason = "the simulated server's own wall clock, never stored by the product")]
pub(super) fn now() -> DateTime<Utc> {
    Utc::now()
}

fn expiry(keep_alive: Option<KeepAlive>) -> Option<DateTime<Utc>> {
    match keep_alive.unwrap_or(KeepAlive::For(KEEP_ALIVE)) {
        KeepAlive::Forever => None,
        KeepAlive::For(time) => now().checked_add_signed(chrono::Duration::from_std(time).ok()?),
    }
}
