//! An object in few bytes: its JSON, compressed against another of its kind.
//!
//! Objects of one kind are nearly alike, and a typed one takes many times the room of its JSON. Tens of thousands are kept for each
//! that is looked at, so what is looked at is unpacked then, in some microseconds.

use lz4_flex::block::{compress_prepend_size_with_dict, decompress_size_prepended_with_dict};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// More of a dictionary is of no use: matches reach 64 KiB back.
const DICTIONARY_MAX: usize = 16 * 1024;

/// What objects are compressed against: the JSON of one of them.
#[derive(Clone, Debug, Default)]
pub struct Dictionary(Arc<Vec<u8>>);

/// A packed object.
#[derive(Debug)]
pub struct Packed {
    dictionary: Arc<Vec<u8>>,
    bytes: Box<[u8]>,
}

impl Dictionary {
    /// Packs an object. One that has much more to it than those before becomes what the next are compressed against.
    pub fn pack(&mut self, object: &impl Serialize) -> Result<Packed, serde_json::Error> {
        let json = serde_json::to_vec(object)?;
        let known = self.0.len();
        if known < DICTIONARY_MAX && json.len() > known.saturating_add(known.div_ceil(4)) {
            self.0 = Arc::new(json.iter().copied().take(DICTIONARY_MAX).collect());
        }
        Ok(Packed {
            bytes: compress_prepend_size_with_dict(&json, &self.0).into_boxed_slice(),
            dictionary: self.0.clone(),
        })
    }
}

/// Why a packed object does not come out again: a bug.
#[derive(Debug, thiserror::Error)]
pub enum BadPack {
    /// Not what was packed.
    #[error("not decompressed: {0}")]
    Bytes(#[from] lz4_flex::block::DecompressError),
    /// Not what its type writes.
    #[error("not read: {0}")]
    Json(#[from] serde_json::Error),
}

impl Packed {
    /// The object.
    pub fn unpack<K: DeserializeOwned>(&self) -> Result<K, BadPack> {
        let json = decompress_size_prepended_with_dict(&self.bytes, &self.dictionary)?;
        Ok(serde_json::from_slice(&json)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use headgate_api::StreamKey;
    use proptest::prelude::*;

    fn key(name: &str) -> StreamKey {
        let yaml = format!(
            "{{apiVersion: headgate.dev/v1alpha1, kind: StreamKey, metadata: {{name: {name}, namespace: n, uid: 0a1b2c3d-{name}}}, spec: {{serverRefs: [{{name: live}}], stream: {{app: live, name: {name}}}, secretRef: {{name: {name}-key}}}}}}"
        );
        serde_yaml::from_str(&yaml).unwrap()
    }

    #[test]
    fn the_second_of_a_kind_takes_a_fraction_of_its_json() {
        let mut dictionary = Dictionary::default();
        dictionary.pack(&key("alice")).unwrap();
        let packed = dictionary.pack(&key("bob")).unwrap();
        let length = serde_json::to_vec(&key("bob")).unwrap().len();
        assert!(packed.bytes.len() * 3 < length, "{} of {length}", packed.bytes.len());
        assert_eq!(packed.unpack::<StreamKey>().unwrap(), key("bob"));
    }

    #[test]
    fn what_was_packed_before_a_new_dictionary_still_comes_out() {
        let mut dictionary = Dictionary::default();
        let first = dictionary.pack(&"a").unwrap();
        let second = dictionary.pack(&"a".repeat(100_000)).unwrap();
        assert_eq!(first.unpack::<String>().unwrap(), "a");
        assert_eq!(second.unpack::<String>().unwrap().len(), 100_000);
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(texts in proptest::collection::vec(".{0,300}", 1..20)) {
            let mut dictionary = Dictionary::default();
            let packed: Vec<Packed> = texts.iter().map(|t| dictionary.pack(t).unwrap()).collect();
            for (text, packed) in texts.iter().zip(&packed) {
                prop_assert_eq!(text, &packed.unpack::<String>().unwrap());
            }
        }
    }
}
