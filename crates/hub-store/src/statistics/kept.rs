//! Days that do not change any more, in memory. Bounded; another hub's deletions are not seen until the next start.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::NaiveDate;

use super::{DAYS_MAX, day::Day};

/// The days, by date.
#[derive(Default)]
pub(crate) struct KeptDays(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    days: BTreeMap<NaiveDate, Arc<Day>>,
    deletions: u64,
}

impl KeptDays {
    pub(super) fn get(&self, date: NaiveDate) -> Option<Arc<Day>> {
        self.kept().days.get(&date).cloned()
    }

    /// How often something was forgotten, to say with what is kept.
    pub(super) fn deletions(&self) -> u64 {
        self.kept().deletions
    }

    /// Keeps a day that was read after so many deletions; one that was read before the newest is not worth it.
    pub(super) fn keep(&self, date: NaiveDate, day: &Arc<Day>, deletions: u64) {
        let mut kept = self.kept();
        if kept.deletions == deletions {
            kept.days.insert(date, day.clone());
            while kept.days.len() > DAYS_MAX as usize {
                kept.days.pop_first();
            }
        }
    }

    /// Something was deleted: days must be read again.
    pub(crate) fn forget(&self) {
        let mut kept = self.kept();
        kept.deletions += 1;
        kept.days.clear();
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
