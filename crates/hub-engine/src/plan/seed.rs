//! Seeds drawn for requests that name none.

use rand::Rng;

/// Largest seed that is drawn: every client that reads numbers as doubles reads it exactly.
const DRAWN_MAX: u64 = (1 << 53) - 1;

/// A seed that survives JSON in any language.
pub(crate) fn draw(rng: &mut impl Rng) -> u64 {
    rng.random_range(0..=DRAWN_MAX)
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn drawn_seeds_are_exact_as_doubles() {
        let mut rng = StdRng::seed_from_u64(7);
        let drawn: Vec<u64> = (0..1000).map(|_| draw(&mut rng)).collect();
        assert!(drawn.iter().all(|seed| *seed <= DRAWN_MAX));
        assert!(drawn.iter().any(|seed| *seed > u64::from(u32::MAX)), "the whole range is used");
    }
}
