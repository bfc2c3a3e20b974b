//! What is left to chance, drawn from the seed.

use hub_core::request::PromptRequest;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::index};

use super::PromptGeneratorSettings;

/// Themes for requests that name no subject.
const THEMES: [&str; 16] = [
    "an animal doing something nobody expects of it",
    "a landscape on the day the season turns",
    "a craftsperson at work",
    "a street of a city at an unusual hour",
    "a machine that never was",
    "a scene of a fairy tale, seen from aside",
    "the inside of a house with a story",
    "life under water",
    "a journey through ice or desert",
    "a feast, and who came to it",
    "something very small, very close",
    "a building of another age",
    "people making music",
    "a garden that has grown wild",
    "weather at its mightiest",
    "a meeting of old and new technology",
];

/// What was drawn. Numbers count from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Draw {
    /// For a request without a subject.
    pub(super) theme: &'static str,
    /// Which of the proposed subjects.
    pub(super) subject: usize,
    /// Which of the proposed elements, ascending; empty when the caller named them.
    pub(super) elements: Vec<usize>,
    /// Which variation of each element.
    pub(super) variations: Vec<usize>,
    /// Decides on a style where the model did not.
    pub(super) style: u32,
}

impl Draw {
    /// The draw of a seed: the same for the same settings and elements.
    pub(super) fn of(seed: u64, settings: &PromptGeneratorSettings, request: &PromptRequest) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let theme = THEMES[rng.random_range(0..THEMES.len())];
        let subject = rng.random_range(0..settings.subjects_to_propose.max(1)) as usize;
        let elements = if request.elements.is_empty() {
            let (of, some) = (settings.elements_to_propose as usize, settings.elements_to_select as usize);
            let mut chosen = index::sample(&mut rng, of, some.min(of)).into_vec();
            chosen.sort_unstable();
            chosen
        } else {
            Vec::new()
        };
        let details = elements.len().max(request.elements.len());
        let most = settings.variations_to_propose.max(1);
        let variations = (0..details).map(|_| rng.random_range(0..most) as usize).collect();
        Self { theme, subject, elements, variations, style: rng.random() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_again_and_others_draw_otherwise() {
        let (settings, request) = (PromptGeneratorSettings::default(), PromptRequest::default());
        let draw = |seed| Draw::of(seed, &settings, &request);
        assert_eq!(draw(7), draw(7));
        let subjects: std::collections::BTreeSet<_> = (0..200).map(|seed| draw(seed).subject).collect();
        assert_eq!(subjects.len(), 5, "every proposal is drawn by some seed");
        for seed in 0..50 {
            let drawn = draw(seed);
            assert_eq!((drawn.elements.len(), drawn.variations.len()), (5, 5));
            assert!(drawn.elements.windows(2).all(|pair| pair[0] < pair[1]), "distinct: {drawn:?}");
            assert!(drawn.elements.iter().all(|at| *at < 15) && drawn.variations.iter().all(|at| *at < 10));
        }
    }

    #[test]
    fn named_elements_are_not_drawn_but_varied() {
        let request = PromptRequest { elements: vec!["hat".to_owned(), "rain".to_owned()], ..PromptRequest::default() };
        let drawn = Draw::of(1, &PromptGeneratorSettings::default(), &request);
        assert!(drawn.elements.is_empty());
        assert_eq!(drawn.variations.len(), 2);
    }
}
