//! "Did you mean …": the nearest of the valid names to one that was mistyped.

/// Names shorter than this are part of too many others to be meant by them.
const PART_MIN: usize = 3;

/// The candidate nearest to `given` (by case-insensitive edit distance), among those near enough to be worth naming: at
/// most a third of the longer name's letters differ, or one contains the other.
pub fn nearest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase();
    candidates
        .into_iter()
        .filter_map(|candidate| Some((distance_if_near(&given, &candidate.to_lowercase())?, candidate)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn distance_if_near(given: &str, candidate: &str) -> Option<usize> {
    let (given_length, length) = (given.chars().count(), candidate.chars().count());
    let distance = edit_distance(given, candidate);
    let contained = given_length.min(length) >= PART_MIN && (candidate.contains(given) || given.contains(candidate));
    (contained || distance * 3 <= given_length.max(length)).then_some(distance)
}

/// Levenshtein distance in characters, one row at a time.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_finds_its_name_and_nonsense_finds_none() {
        let styles = ["cinematic", "anime", "oil-painting"];
        assert_eq!(nearest("cinematik", styles), Some("cinematic"));
        assert_eq!(nearest("Anime ", styles), Some("anime"));
        assert_eq!(nearest("oil", styles), Some("oil-painting"));
        assert_eq!(nearest("zzzzzz", styles), None);
        assert_eq!(nearest("", styles), None);
        assert_eq!(nearest("", [""]), Some(""));
    }

    #[test]
    fn of_several_the_nearest_is_named_and_short_names_are_not_found_everywhere() {
        let arguments = ["height", "n", "negative_prompt", "prompt", "render_type", "seed"];
        assert_eq!(nearest("render_typ", arguments), Some("render_type"));
        assert_eq!(nearest("negativeprompt", arguments), Some("negative_prompt"));
        assert_eq!(nearest("prompts", arguments), Some("prompt"));
        assert_eq!(nearest("count", arguments), None);
        assert_eq!(nearest("N", arguments), Some("n"));
    }
}
