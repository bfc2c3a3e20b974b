//! Who writes a file and who deletes it keep out of each other's way, without holding up those of other files.

use std::sync::Arc;

use tokio::sync::RwLock;

/// As many as a key's first two digits tell apart.
const LANES: usize = 256;

/// One lock for each first byte of a file's hash, held for reading by whoever writes an object, for writing by who
/// deletes one that nothing names. A picture, its thumbnail and the recipes beside it share one. Cheap to clone.
#[derive(Clone)]
pub(super) struct Lanes(Arc<[RwLock<()>]>);

impl Default for Lanes {
    fn default() -> Self {
        Self((0..LANES).map(|_| RwLock::default()).collect())
    }
}

impl Lanes {
    /// The lock of an object, by its key.
    pub(super) fn of(&self, key: &str) -> &RwLock<()> {
        let own = key.strip_prefix("thumbs/").unwrap_or(key);
        let first = own.get(..2).and_then(|digits| usize::from_str_radix(digits, 16).ok()).unwrap_or(0);
        &self.0[first % LANES]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_one_picture_share_a_lane_and_others_do_not() {
        let lanes = Lanes::default();
        let same = |a: &str, b: &str| std::ptr::eq(lanes.of(a), lanes.of(b));
        assert!(same("ab/abcd.png", "thumbs/ab/abcd.jpg") && same("ab/abcd.png", "ab/abcd.job_1.json"));
        assert!(!same("ab/abcd.png", "ac/acde.png"));
        assert!(same("odd", "00/00.png"), "what is no key of ours has a lane too");
    }
}
