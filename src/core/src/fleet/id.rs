//! Ids of runs and of the commands that they consist of.

use serde::{Deserialize, Serialize};

use crate::id::{InvalidName, is_lower_hex, name_type};

name_type!(
    /// One fleet run, or one single call: `r-` and 20 hex digits, of which the first twelve are the time of its begin in
    /// milliseconds, so that runs sort by age.
    RunId, "run id", "it is 'r-' and 20 hex digits",
    |t| t.strip_prefix("r-").is_some_and(|d| d.len() == 20 && is_lower_hex(d))
);

name_type!(
    /// One tool call on one host: the run's id, a dot, and the target's place in the run. Never used twice.
    CommandId, "command id", "it is a run id, a dot and a number",
    |t| t.rsplit_once('.').is_some_and(|(run, target)| {
        RunId::new(run).is_ok() && target.parse::<u32>().is_ok_and(|number| number.to_string() == target)
    })
);

impl RunId {
    /// The id of a run that begins at `now_ms` (milliseconds since 1970); `random` tells it from others of that time.
    pub fn at(now_ms: i64, random: [u8; 4]) -> Self {
        let time = u64::try_from(now_ms).unwrap_or(0) & 0xffff_ffff_ffff;
        Self(format!("r-{time:012x}{}", hex::encode(random)).into_boxed_str())
    }
    /// Whether `text` may stand for an id as its prefix: `r-` and at least four digits.
    pub fn is_prefix(text: &str) -> bool {
        text.strip_prefix("r-").is_some_and(|d| (4..=20).contains(&d.len()) && is_lower_hex(d))
    }
}

impl CommandId {
    /// The command of the run's target at this place.
    pub fn of(run: &RunId, target: u32) -> Self {
        Self(format!("{run}.{target}").into_boxed_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_are_read_back() {
        let (early, late) = (RunId::at(1_000, [255; 4]), RunId::at(1_001, [0; 4]));
        assert!(early < late);
        assert_eq!(RunId::new(early.to_string()).unwrap(), early);
        let command = CommandId::of(&late, 17);
        assert_eq!(CommandId::new(command.to_string()).unwrap(), command);
        for wrong in
            ["r-1", "r-00000000000000000000.", "r-00000000000000000000.01", "r-0000000000000000000g.1"]
        {
            assert!(CommandId::new(wrong).is_err(), "{wrong}");
        }
    }
}
