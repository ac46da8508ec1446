//! How values of the hub stand in JSON: protocols by the name that status and metrics show, traffic as a pair.

/// [`headgate_hub::Protocol`] by its name; one that this version does not know is an error.
pub(crate) mod protocol {
    use headgate_hub::Protocol;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub(crate) fn serialize<S: Serializer>(protocol: &Protocol, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(protocol.as_str())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Protocol, D::Error> {
        let name = String::deserialize(from)?;
        let known = Protocol::ALL.into_iter().find(|protocol| protocol.as_str() == name);
        known.ok_or_else(|| D::Error::custom(format!("unknown protocol {name:?}")))
    }
}

/// [`headgate_hub::Traffic`] as `[sent, received]`.
pub(crate) mod traffic {
    use headgate_hub::Traffic;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[allow(clippy::ref_option, reason = "serde calls it so")]
    pub(crate) fn serialize<S: Serializer>(traffic: &Option<Traffic>, to: S) -> Result<S::Ok, S::Error> {
        traffic.map(|traffic| (traffic.sent, traffic.received)).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Traffic>, D::Error> {
        let pair: Option<(u64, u64)> = Option::deserialize(from)?;
        Ok(pair.map(|(sent, received)| Traffic { sent, received }))
    }
}
