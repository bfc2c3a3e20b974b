//! The memory of a graphics card that a ComfyUI double and an Ollama double share.
//!
//! Owns who holds how much of it, and what happened in which order over both. It refuses nobody: Ollama itself
//! takes what is free and leaves the rest of a model outside; a ComfyUI that takes more than there is counts in
//! [`Card::overcommits`].

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Most events remembered.
const MAX_EVENTS: usize = 10_000;

/// A card; cheap to clone, all clones are the same card.
#[derive(Debug, Clone)]
pub struct Card(Arc<Mutex<Memory>>);

#[derive(Debug)]
struct Memory {
    total: u64,
    held: BTreeMap<String, u64>,
    events: Vec<CardEvent>,
    overcommits: usize,
    squeezes: usize,
}

/// A process took memory or gave it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardEvent {
    /// The process, as it was named when it was put on the card.
    pub who: String,
    /// What it holds since then, bytes.
    pub held: u64,
}

impl Card {
    /// A card with this much memory, bytes.
    pub fn new(total: u64) -> Self {
        let memory = Memory { total, held: BTreeMap::new(), events: Vec::new(), overcommits: 0, squeezes: 0 };
        Self(Arc::new(Mutex::new(memory)))
    }

    /// All changes so far, oldest first.
    pub fn events(&self) -> Vec<CardEvent> {
        self.memory().events.clone()
    }

    /// How often more was taken than there is.
    pub fn overcommits(&self) -> usize {
        self.memory().overcommits
    }

    /// How often an LLM found too little and went in part into the machine's memory.
    pub fn squeezes(&self) -> usize {
        self.memory().squeezes
    }

    /// How often the card went from one process to another: it held models of one, and then only of the other.
    pub fn switches(&self) -> usize {
        let holders: Vec<String> =
            self.memory().events.iter().filter(|event| event.held > 0).map(|event| event.who.clone()).collect();
        holders.windows(2).filter(|pair| pair[0] != pair[1]).count()
    }

    pub(crate) fn total(&self) -> u64 {
        self.memory().total
    }

    /// What everybody but `who` holds.
    pub(crate) fn held_by_others(&self, who: &str) -> u64 {
        self.memory().held.iter().filter(|(name, _)| *name != who).map(|(_, held)| held).sum()
    }

    /// `who` holds this much now.
    pub(crate) fn hold(&self, who: &str, bytes: u64) {
        let mut memory = self.memory();
        let before = memory.held.insert(who.to_owned(), bytes).unwrap_or_default();
        if before == bytes {
            return;
        }
        if memory.events.len() < MAX_EVENTS {
            memory.events.push(CardEvent { who: who.to_owned(), held: bytes });
        }
        if bytes > before && memory.held.values().sum::<u64>() > memory.total {
            memory.overcommits += 1;
        }
    }

    /// Somebody found too little.
    pub(crate) fn squeeze(&self) {
        self.memory().squeezes += 1;
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // A poisoned lock only means that another test thread panicked; the data is still whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
