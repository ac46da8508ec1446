//! One object that cannot be read costs itself alone.
//!
//! `kube` has this too, with a copy of each object on the way; at tens of thousands of objects that is most of a start.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::PartialObjectMeta;
use serde::de::{DeserializeOwned, DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;

/// An object, or what could be read of it.
#[derive(Clone, Debug)]
pub struct Guarded<K>(pub Result<K, Unreadable>);

/// An object that does not fit its type: one of another version, or one written around the schema.
#[derive(Clone, Debug)]
pub struct Unreadable {
    /// Why.
    pub error: String,
    /// Its name and so on.
    pub metadata: ObjectMeta,
}

impl<'de, K: Resource + DeserializeOwned> Deserialize<'de> for Guarded<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = deserializer.deserialize_map(Whole)?;
        let error = match K::deserialize(&value) {
            Ok(object) => return Ok(Self(Ok(object))),
            Err(error) => error.to_string(),
        };
        let PartialObjectMeta::<K> { metadata, .. } =
            PartialObjectMeta::deserialize(&value).map_err(D::Error::custom)?;
        Ok(Self(Err(Unreadable { error, metadata })))
    }
}

/// An object's fields.
struct Whole;

impl<'de> Visitor<'de> for Whole {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = match name.as_str() {
                "metadata" => map.next_value_seed(Metadata)?,
                _ => map.next_value()?,
            };
            fields.insert(name, value);
        }
        Ok(fields.into())
    }
}

/// Its metadata without `managedFields`: half of an object's bytes, and nobody reads them.
struct Metadata;

impl<'de> DeserializeSeed<'de> for Metadata {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Metadata {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object's metadata")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == "managedFields" {
                map.next_value::<IgnoredAny>()?;
            } else {
                fields.insert(name, map.next_value()?);
            }
        }
        Ok(fields.into())
    }
}

impl<K: Resource> Resource for Guarded<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(dt)
    }

    fn group(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::group(dt)
    }

    fn version(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::version(dt)
    }

    fn plural(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(dt)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.as_ref().map_or_else(|bad| &bad.metadata, K::meta)
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.as_mut().map_or_else(|bad| &mut bad.metadata, K::meta_mut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use headgate_api::StreamKey;

    fn read(server_refs: &str) -> Guarded<StreamKey> {
        let text = format!(
            r#"{{"apiVersion":"headgate.dev/v1alpha1","kind":"StreamKey",
                "metadata":{{"name":"a","namespace":"n","managedFields":[{{"manager":"m"}}]}},
                "spec":{{"serverRefs":{server_refs},"stream":{{"app":"live"}},"secretRef":{{"name":"s"}}}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn an_object_is_read_without_its_managed_fields() {
        let object = read(r#"[{"name":"live"}]"#).0.unwrap();
        assert_eq!(object.spec.server_refs[0].name, "live");
        assert!(object.metadata.managed_fields.is_none());
    }

    #[test]
    fn of_one_that_does_not_fit_its_name_is_known() {
        let bad = read("7");
        assert_eq!(bad.meta().name.as_deref(), Some("a"));
        assert!(bad.0.unwrap_err().error.contains("invalid type"));
    }
}
