//! "did you mean": the nearest of the words that would have been right.

/// Words that differ by more are no suggestion.
const FARTHEST: usize = 2;

/// The option that is nearest to `word`, if one is near and none is equal.
pub(crate) fn nearest<'a>(word: &str, options: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A long word has no near one; this also bounds the work.
    if word.len() > 64 {
        return None;
    }
    let mut best: Option<(usize, &str)> = None;
    for option in options {
        let distance = distance(word, option);
        if distance == 0 {
            return None;
        }
        if distance <= FARTHEST && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, option));
        }
    }
    best.map(|(_, option)| option)
}

/// Levenshtein's.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_suggested() {
        let options = ["FROM", "RUN", "COPY"];
        assert_eq!(nearest("FRUM", options), Some("FROM"));
        assert_eq!(nearest("BOGUS", options), None);
        assert_eq!(nearest("RUN", options), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
