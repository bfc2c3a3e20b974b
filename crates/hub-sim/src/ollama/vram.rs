//! The part of a graphics card that the models take, when the double shares one.

use std::sync::{MutexGuard, PoisonError};

use super::{SimModel, server::Shared};
use crate::card::Card;

impl Shared {
    /// Puts the process on a card that it shares with others.
    pub(super) fn share(&self, card: Card, name: &str) {
        *self.card() = Some((card, name.to_owned()));
        self.hold();
    }

    /// Tells the card what the process holds now.
    pub(super) fn hold(&self) {
        let bytes = self.state().memory.vram_bytes();
        if let Some((card, name)) = &*self.card() {
            card.hold(name, bytes);
        }
    }

    /// What of a model goes on the card, bytes; what does not fit goes into the machine's memory.
    pub(super) fn room_for(&self, model: &SimModel, resident: bool) -> u64 {
        let (own, placed) = {
            let mut state = self.state();
            (state.memory.vram_bytes(), state.memory.get(&model.name).map(|loaded| loaded.vram_bytes))
        };
        if let Some(placed) = placed.filter(|_| resident) {
            return placed;
        }
        let card = self.card();
        let Some((card, name)) = &*card else { return model.size_bytes };
        let free = card.total().saturating_sub(card.held_by_others(name) + own);
        if free < model.size_bytes {
            card.squeeze();
        }
        free.min(model.size_bytes)
    }

    fn card(&self) -> MutexGuard<'_, Option<(Card, String)>> {
        // Nothing panics while holding it, and if something did, it would still be whole.
        self.card.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
