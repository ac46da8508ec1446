//! How values of the hub stand in JSON: traffic as a pair.

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
