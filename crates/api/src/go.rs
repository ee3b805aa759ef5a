//! Go's JSON habits: `null` reads as the zero value, empty fields are left out where the tag says `omitempty`.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, DerefMut};

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Declares a document: every field defaults when missing and accepts `null`.
///
/// The fields of an embedded Go struct are written as `flatten { pub name: Type }`.
macro_rules! document {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $($(#[$a_meta:meta])* pub $a:ident : $a_ty:ty,)*
            $(flatten { $(#[$f_meta:meta])* pub $f:ident : $f_ty:ty }
            $($(#[$b_meta:meta])* pub $b:ident : $b_ty:ty,)*)?
        }
    ) => {
        #[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default)]
        $(#[$meta])*
        pub struct $name {
            $($(#[$a_meta])* #[serde(deserialize_with = "crate::go::null_as_zero")] pub $a: $a_ty,)*
            $($(#[$f_meta])* #[serde(flatten)] pub $f: $f_ty,
            $($(#[$b_meta])* #[serde(deserialize_with = "crate::go::null_as_zero")] pub $b: $b_ty,)*)?
        }
    };
}

/// Reads `null` as the zero value of the type.
pub(crate) fn null_as_zero<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Go's `omitempty`.
pub(crate) fn omit<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A Go `map[string]string`: `None` is nil and prints as `null`.
pub type Map = Option<BTreeMap<String, String>>;

/// A Go `map[string]struct{}`.
pub type Set = BTreeMap<String, Empty>;

/// A Go `struct{}`: prints as `{}`, reads anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Empty;

impl Serialize for Empty {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(std::iter::empty::<((), ())>())
    }
}

impl<'de> Deserialize<'de> for Empty {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Empty)
    }
}

/// A command line: a list of arguments, also read from a single string (one argument).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct StrSlice(pub Vec<String>);

impl Deref for StrSlice {
    type Target = Vec<String>;

    fn deref(&self) -> &Vec<String> {
        &self.0
    }
}

impl DerefMut for StrSlice {
    fn deref_mut(&mut self) -> &mut Vec<String> {
        &mut self.0
    }
}

impl From<Vec<String>> for StrSlice {
    fn from(arguments: Vec<String>) -> Self {
        StrSlice(arguments)
    }
}

impl FromIterator<String> for StrSlice {
    fn from_iter<I: IntoIterator<Item = String>>(arguments: I) -> Self {
        StrSlice(arguments.into_iter().collect())
    }
}

impl<'de> Deserialize<'de> for StrSlice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StrSliceVisitor;

        impl<'de> Visitor<'de> for StrSliceVisitor {
            type Value = StrSlice;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<StrSlice, E> {
                Ok(StrSlice(vec![value.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<StrSlice, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = seq.next_element::<Option<String>>()? {
                    list.push(item.unwrap_or_default());
                }
                Ok(StrSlice(list))
            }
        }

        deserializer.deserialize_any(StrSliceVisitor)
    }
}
