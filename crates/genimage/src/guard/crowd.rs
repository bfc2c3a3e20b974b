//! How many requests of one caller are open at once: whoever asks for too much waits, and others are served.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use hub_core::caller::Caller;

/// The open requests by caller.
#[derive(Debug, Clone)]
pub(crate) struct Crowd {
    open: Arc<Mutex<HashMap<Caller, usize>>>,
    most: usize,
}

/// The place of one open request; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    open: Arc<Mutex<HashMap<Caller, usize>>>,
    caller: Caller,
}

impl Crowd {
    /// At most so many for each caller.
    pub(crate) fn new(most: usize) -> Self {
        Self { open: Arc::default(), most }
    }

    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// A place for one more request of the caller; `None` when all are taken.
    pub(super) fn enter(&self, caller: &Caller) -> Option<Place> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(caller.clone()).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Place { open: self.open.clone(), caller: caller.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.caller) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, response::Response};

    use super::*;
    use crate::held::until_sent;

    #[test]
    fn a_callers_places_are_his_own_and_come_back() {
        let crowd = Crowd::new(2);
        let (one, other) = (Caller::named("one"), Caller::named("other"));
        let held = (crowd.enter(&one).expect("a place"), crowd.enter(&one).expect("another"));
        assert!(crowd.enter(&one).is_none());
        let response = until_sent(Response::new(Body::from("text")), crowd.enter(&other).expect("his own"));
        drop(held.0);
        assert!(crowd.enter(&one).is_some());
        drop(held.1);
        assert_eq!(crowd.open.lock().expect("unpoisoned").len(), 1, "the answer is not sent yet");
        drop(response);
        assert!(crowd.open.lock().expect("unpoisoned").is_empty(), "nobody is remembered");
    }
}
