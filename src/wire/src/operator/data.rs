//! The result for programs, as a host sends it. Each value in it takes many times the memory of its text.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// How many values there may be in all: ten thousand entries of a listing, with all that each has.
const VALUES: usize = 80_000;
/// How many of them may be lists or objects, which take the most.
const NESTS: usize = 20_000;

/// Why a result for programs is left out.
pub(super) const TOO_MUCH: &str =
    "the data is left out: it has more than 80000 values or 20000 lists and objects; ask for less";

/// Reads it. None: it isn't JSON. An error: there is too much in it.
pub(super) fn read(bytes: &[u8]) -> Result<Option<Value>, ()> {
    let mut left = Left { values: VALUES, nests: NESTS };
    let counted = (&mut left).deserialize(&mut serde_json::Deserializer::from_slice(bytes));
    if counted.is_err() && left.is_over() { Err(()) } else { Ok(serde_json::from_slice(bytes).ok()) }
}

/// What there may be yet.
struct Left {
    values: usize,
    nests: usize,
}

impl Left {
    fn is_over(&self) -> bool {
        self.values == 0 || self.nests == 0
    }

    fn value<E: Error>(&mut self) -> Result<(), E> {
        self.values = self.values.saturating_sub(1);
        if self.is_over() { Err(E::custom(TOO_MUCH)) } else { Ok(()) }
    }

    fn nest<E: Error>(&mut self) -> Result<(), E> {
        self.nests = self.nests.saturating_sub(1);
        self.value()
    }
}

impl<'de> DeserializeSeed<'de> for &mut Left {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Left {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.value()
    }
    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.value()
    }
    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.value()
    }
    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.value()
    }
    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.value()
    }
    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.value()
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.nest()?;
        while list.next_element_seed(&mut *self)?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        self.nest()?;
        while object.next_key::<IgnoredAny>()?.is_some() {
            object.next_value_seed(&mut *self)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_take_much_memory_is_left_out() {
        let many = |of: &str, times: usize| format!("[{}]", vec![of; times].join(","));
        assert_eq!(read(many("{}", NESTS).as_bytes()), Err(()));
        assert_eq!(read(many("0", VALUES).as_bytes()), Err(()));
        assert_eq!(read(many(r#"{"a":[1,"x",null,true,0.5]}"#, NESTS / 2).as_bytes()), Err(()));
        // As much as a listing has.
        let entry = r#"{"name":"a","type":"file","size":1,"mode":"0644","modified":"t","target":"b"}"#;
        assert!(matches!(read(many(entry, 10_000).as_bytes()), Ok(Some(_))));
        assert_eq!(read(b"no JSON"), Ok(None));
        assert_eq!(read(b""), Ok(None));
        assert_eq!(read("[".repeat(1000).as_bytes()), Ok(None), "nor what is nested too deep");
    }
    #[test]
    fn a_result_says_that_its_data_was_left_out() {
        let run = aegis_core::fleet::RunId::at(1, [2; 4]);
        let result = crate::edge::CommandResult {
            command: aegis_core::fleet::CommandId::of(&run, 0),
            outcome: aegis_core::fleet::TargetOutcome::Ok,
            exit_code: Some(0),
            error: String::new(),
            refusal: None,
            stdout: bytes::Bytes::new(),
            stderr: bytes::Bytes::new(),
            stdout_bytes: 0,
            stderr_bytes: 0,
            data: format!("[{}0]", "[],".repeat(NESTS)).into(),
            duration: std::time::Duration::ZERO,
        };
        let node_id = aegis_core::NodeId::of_public_key(&[1; 32]);
        let host = crate::operator::RunTarget { node_id, name: "web-1".into() };
        let told = crate::operator::TargetResult::of_host(0, host, result);
        assert_eq!((told.data, told.error.as_str()), (None, TOO_MUCH));
    }
}
