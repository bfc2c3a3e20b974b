//! How long things took, for percentiles, in little memory: times within one in a hundred of each other share a place.

use std::collections::BTreeMap;

use super::Percentiles;

/// Times below it have a place each; above, each power of two has so many.
const PLACES: u64 = 128;

/// Many times.
#[derive(Debug, Clone, Default)]
pub(super) struct Times(BTreeMap<u64, Place>);

#[derive(Debug, Clone, Copy, Default)]
struct Place {
    count: u64,
    /// The longest of them, in milliseconds.
    longest: u64,
}

impl Times {
    pub(super) fn add_all(&mut self, other: &Self) {
        for (at, other) in &other.0 {
            self.0.entry(*at).or_default().add(*other);
        }
    }

    pub(super) fn percentiles(&self) -> Option<Percentiles> {
        let count: u64 = self.0.values().map(|place| place.count).sum();
        let rank = |percent: u64| {
            let rank = (count * percent).div_ceil(100);
            let mut before = 0;
            let found = self.0.values().find(|place| {
                before += place.count;
                before >= rank
            });
            found.map(|place| place.longest)
        };
        Some(Percentiles { p50_ms: rank(50)?, p95_ms: rank(95)? })
    }
}

impl Extend<u64> for Times {
    fn extend<T: IntoIterator<Item = u64>>(&mut self, times: T) {
        for time in times {
            self.0.entry(place(time)).or_default().add(Place { count: 1, longest: time });
        }
    }
}

impl Place {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.longest = self.longest.max(other.longest);
    }
}

/// Grows with the time; times of one place are within 1/128 of each other.
fn place(time: u64) -> u64 {
    let power = u64::from((time / PLACES).checked_ilog2().map_or(0, |power| power + 1));
    let halvings = power.saturating_sub(1);
    power * PLACES + (time >> halvings) % PLACES
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(times: impl IntoIterator<Item = u64>) -> Option<(u64, u64)> {
        let mut all = Times::default();
        all.extend(times);
        all.percentiles().map(|found| (found.p50_ms, found.p95_ms))
    }

    #[test]
    fn percentiles_are_times_that_were_measured() {
        assert_eq!(of([]), None);
        assert_eq!(of([7]), Some((7, 7)));
        assert_eq!(of((1..=100).rev()), Some((50, 95)));
        assert_eq!(of([30, 10, 20]), Some((20, 30)));
        assert_eq!(of([20_000; 3]), Some((20_000, 20_000)));
    }

    proptest! {
        #[test]
        fn percentiles_are_right_to_one_in_a_hundred_however_they_are_added(
            mut times in prop::collection::vec(prop_oneof![0..1000_u64, 0..u64::MAX], 1..60),
            cut in 0..60_usize,
        ) {
            let (first, second) = times.split_at(cut.min(times.len()));
            let (mut all, mut rest) = (Times::default(), Times::default());
            all.extend(first.iter().copied());
            rest.extend(second.iter().copied());
            all.add_all(&rest);
            times.sort_unstable();
            let told = all.percentiles().expect("there are some");
            for (percent, told) in [(50, told.p50_ms), (95, told.p95_ms)] {
                let exact = times[(times.len() * percent).div_ceil(100) - 1];
                prop_assert!(times.contains(&told));
                prop_assert!(told >= exact && told - exact <= exact / 100, "{told} for {exact}");
            }
        }

        #[test]
        fn longer_times_are_never_before_shorter_ones(one: u64, other: u64) {
            prop_assert_eq!(one.cmp(&other).then(place(one).cmp(&place(other))), one.cmp(&other));
            prop_assert!(one > other || place(one) <= place(other));
        }
    }
}
