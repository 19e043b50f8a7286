//! A list in a manifest whose entries are unique and whose order means nothing.

use std::{borrow::Cow, collections::BTreeSet, fmt, marker::PhantomData};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, de};

/// A sorted set, written as a list. An entry that stands twice in a manifest is an error: one of the two was meant
/// to be something else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct UniqueSet<T: Ord>(pub BTreeSet<T>);

impl<T: Ord> Default for UniqueSet<T> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}

impl<T: Ord> UniqueSet<T> {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// The entries, in order.
    pub fn iter(&self) -> std::collections::btree_set::Iter<'_, T> {
        self.0.iter()
    }
}

impl<'a, T: Ord> IntoIterator for &'a UniqueSet<T> {
    type Item = &'a T;
    type IntoIter = std::collections::btree_set::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T: Ord> FromIterator<T> for UniqueSet<T> {
    fn from_iter<I: IntoIterator<Item = T>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl<'de, T: Deserialize<'de> + Ord + fmt::Display + Clone> Deserialize<'de> for UniqueSet<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de> + Ord + fmt::Display + Clone> de::Visitor<'de> for Entries<T> {
            type Value = UniqueSet<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of unique entries")
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
                let mut set = BTreeSet::new();
                while let Some(entry) = entries.next_element::<T>()? {
                    if let Some(twice) = set.replace(entry.clone()) {
                        return Err(de::Error::custom(format_args!("'{twice}' stands twice in the list")));
                    }
                }
                Ok(UniqueSet(set))
            }
        }
        deserializer.deserialize_seq(Entries(PhantomData))
    }
}

impl<T: Ord + JsonSchema> JsonSchema for UniqueSet<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Set_of_{}", T::schema_name()).into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let items = generator.subschema_for::<T>();
        schemars::json_schema!({ "type": "array", "items": items, "uniqueItems": true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_stands_twice_is_named() {
        let error = serde_json::from_str::<UniqueSet<String>>(r#"["a","b","a"]"#).unwrap_err();
        assert!(error.to_string().contains("'a' stands twice"), "{error}");
        let set: UniqueSet<String> = serde_json::from_str(r#"["b","a"]"#).unwrap();
        assert_eq!(serde_json::to_string(&set).unwrap(), r#"["a","b"]"#);
    }
}
