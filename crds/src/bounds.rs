//! Small types that several kinds share, and the schemas of what is embedded from Kubernetes, each with its bounds.
//!
//! Kubernetes' own schemas have no bounds and carry fields that mean nothing here, so the embedded types get a schema by hand.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Names an object of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct ObjectRef {
    /// Name of the object, in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Names a key of a Secret of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretKeyRef {
    /// Name of the Secret, in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Which entry of the Secret's data.
    #[serde(default = "default_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

fn default_key() -> String {
    "key".into()
}

/// Conditions as a map by type, so that server-side apply merges them one by one. Bounds and patterns are those of
/// `metav1.Condition`.
pub(crate) fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "description": "What holds for this object, each with a reason and what to do.",
        "type": "array",
        "maxItems": 16,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "description": "One thing that holds, does not hold or is not known.",
            "type": "object",
            "required": ["lastTransitionTime", "message", "reason", "status", "type"],
            "properties": {
                "type": text("Name of the condition, such as Ready.", 316, r"^[A-Za-z]([A-Za-z0-9]*[A-Za-z0-9])?$"),
                "status": { "description": "Whether the condition holds: True, False, or Unknown.", "type": "string", "enum": ["True", "False", "Unknown"] },
                "reason": text("Why, in one word.", 1024, r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"),
                "message": text("Why, and what to do.", 32768, ""),
                "observedGeneration": {
                    "description": "The generation of the spec that it is about.", "type": "integer", "format": "int64", "minimum": 0
                },
                "lastTransitionTime": {
                    "description": "When the status last changed.", "type": "string", "format": "date-time"
                },
            },
        },
    })
}

/// Requests and limits, without `claims`: the pods have none to name.
pub(crate) fn resources(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "properties": {
            "requests": quantities("What a pod is given at least, such as `cpu: 500m` and `memory: 256Mi`."),
            "limits": quantities("What a pod may use at most, such as `memory: 1Gi`."),
        },
    })
}

/// Tolerations as in a pod's own spec.
pub(crate) fn tolerations(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 32,
        "items": {
            "type": "object",
            "properties": {
                "key": text("Key of the taint; every key when absent.", 316, ""),
                "operator": { "description": "How the value is compared; Equal when absent.", "type": "string", "enum": ["Exists", "Equal"] },
                "value": text("Value of the taint, for the operator Equal.", 63, ""),
                "effect": {
                    "description": "Effect of the taint; every effect when absent.",
                    "type": "string", "enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"]
                },
                "tolerationSeconds": {
                    "description": "How long a pod stays on a node that gets the taint, for the effect NoExecute; for ever when absent.",
                    "type": "integer", "format": "int64", "minimum": 0, "maximum": 31_536_000
                },
            },
        },
    })
}

/// Labels, or a node selector.
pub(crate) fn labels(_: &mut SchemaGenerator) -> Schema {
    string_map(63)
}

/// Annotations.
pub(crate) fn annotations(_: &mut SchemaGenerator) -> Schema {
    string_map(8192)
}

/// A coarse count by name.
pub(crate) fn coarse_counts(_: &mut SchemaGenerator) -> Schema {
    string_map(16)
}

fn string_map(max_length: u32) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": { "type": "string", "maxLength": max_length },
    })
}

fn quantities(description: &str) -> Value {
    json!({
        "description": description,
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": {
            "x-kubernetes-int-or-string": true,
            "maxLength": 64,
            "pattern": r"^[0-9]+([.][0-9]*)?([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$",
        },
    })
}

fn text(description: &str, max_length: u32, pattern: &str) -> Value {
    let any = json!({ "description": description, "type": "string", "maxLength": max_length });
    match pattern {
        "" => any,
        _ => json!({ "description": description, "type": "string", "maxLength": max_length, "pattern": pattern }),
    }
}
