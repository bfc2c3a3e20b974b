//! Objects whose rows are on their way: an equal file that is deleted meanwhile must not take them along.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The objects that were written, or are about to be, and are not named yet: how often, by key.
#[derive(Debug, Clone, Default)]
pub(super) struct UnnamedObjects(Arc<Mutex<HashMap<String, usize>>>);

/// One object that is to be named; to be held until its row is written, or will not be.
#[derive(Debug)]
pub(crate) struct Unnamed {
    objects: UnnamedObjects,
    key: String,
}

impl UnnamedObjects {
    /// Notes an object before it is written.
    pub(super) fn note(&self, key: &str) -> Unnamed {
        *self.counts().entry(key.to_owned()).or_default() += 1;
        Unnamed { objects: self.clone(), key: key.to_owned() }
    }

    /// Whether somebody is about to name it.
    pub(super) fn holds(&self, key: &str) -> bool {
        self.counts().contains_key(key)
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        let mut counts = self.objects.counts();
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_held_until_all_who_wrote_it_are_done() {
        let objects = UnnamedObjects::default();
        let (one, other) = (objects.note("a"), objects.note("a"));
        drop(one);
        assert!(objects.holds("a") && !objects.holds("b"));
        drop(other);
        assert!(!objects.holds("a"));
    }
}
