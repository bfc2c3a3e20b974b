//! Seeds drawn for requests that name none.

use rand::Rng;

/// Largest seed that is drawn: every client that reads numbers as doubles reads it exactly.
const DRAWN_MAX: u64 = (1 << 53) - 1;

/// A seed that survives JSON in any language.
pub(crate) fn draw(rng: &mut impl Rng) -> u64 {
    rng.random_range(0..=DRAWN_MAX)
}

/// A drawn seed within what the workflow's nodes take; one that was given stays as it is.
pub(crate) fn within(drawn: u64, largest: u64) -> u64 {
    largest.checked_add(1).map_or(drawn, |span| drawn % span)
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn a_drawn_seed_is_brought_within_what_nodes_take() {
        assert_eq!(within(DRAWN_MAX, u64::MAX), DRAWN_MAX);
        assert_eq!(within(DRAWN_MAX, DRAWN_MAX), DRAWN_MAX);
        assert_eq!((within(1 << 32, u32::MAX.into()), within(u32::MAX.into(), u32::MAX.into())), (0, u32::MAX.into()));
    }

    #[test]
    fn drawn_seeds_are_exact_as_doubles() {
        let mut rng = StdRng::seed_from_u64(7);
        let drawn: Vec<u64> = (0..1000).map(|_| draw(&mut rng)).collect();
        assert!(drawn.iter().all(|seed| *seed <= DRAWN_MAX));
        assert!(drawn.iter().any(|seed| *seed > u64::from(u32::MAX)), "the whole range is used");
    }
}
