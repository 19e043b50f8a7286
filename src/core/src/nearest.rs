//! "Did you mean …": the valid name that is nearest to one that isn't.

/// Longer texts aren't typing mistakes, and comparing them would cost time and memory.
const LONGEST: usize = 64;

/// The candidate that `given` was most likely meant to be, or none when all are too far off.
///
/// Near is a third of the longer text's characters, at least one change (a letter more, less, other, or two
/// swapped), and never all of it. Case doesn't count. Of equally near ones the first is taken.
pub fn nearest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase();
    let length = given.chars().count();
    if length > LONGEST {
        return None;
    }
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let longer = candidate.chars().count().max(length);
            let bound = (longer / 3).max(1).min(longer.saturating_sub(1));
            // Longer by more than the bound can't be near; this also keeps huge candidates from being compared.
            if longer > LONGEST || longer - length > bound {
                return None;
            }
            let distance = strsim::damerau_levenshtein(&given, &candidate.to_lowercase());
            (distance <= bound).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 5] = ["os", "arch", "tools", "labels", "displayName"];

    #[test]
    fn a_typing_mistake_is_recognised() {
        for (given, meant) in [
            ("tols", "tools"),
            ("label", "labels"),
            ("lables", "labels"),
            ("so", "os"),
            ("ARCH", "arch"),
            ("displayname", "displayName"),
            ("display_name", "displayName"),
        ] {
            assert_eq!(nearest(given, KEYS), Some(meant), "{given}");
        }
    }

    #[test]
    fn nonsense_is_not() {
        for given in ["", "x", "zone", "namespace", "ösößü", &"tools".repeat(100)] {
            assert_eq!(nearest(given, KEYS), None, "{given}");
        }
        assert_eq!(nearest("a", ["b"]), None);
        assert_eq!(nearest("tool", []), None);
    }

    #[test]
    fn the_nearest_wins_and_then_the_first() {
        assert_eq!(nearest("staging", ["stagings1", "stagin", "stagng"]), Some("stagin"));
    }
}
