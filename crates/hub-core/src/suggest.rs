//! "Did you mean …": the nearest of the valid names to one that was mistyped.

/// The candidate nearest to `given`, when it is near enough to be worth naming: at most a third of
/// the longer name's letters differ (case-insensitive edit distance), or one contains the other.
pub fn nearest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (score(&given, &candidate.to_lowercase()), candidate))
        .filter(|((distance, longest), _)| distance * 3 <= *longest)
        .min_by_key(|((distance, _), _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn score(given: &str, candidate: &str) -> (usize, usize) {
    let longest = given.chars().count().max(candidate.chars().count());
    let contained = given.len() >= 3 && (candidate.contains(given) || given.contains(candidate));
    let distance = if contained && !candidate.is_empty() { 1 } else { edit_distance(given, candidate) };
    (distance, longest)
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
    }
}
