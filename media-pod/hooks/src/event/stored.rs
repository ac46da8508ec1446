//! How parts of an event that know no serde are written down.

/// Shared text.
pub(super) mod text {
    use serde::{Deserialize as _, Deserializer, Serializer};
    use std::sync::Arc;

    pub(crate) fn serialize<S: Serializer>(text: &Arc<str>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(text)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<str>, D::Error> {
        String::deserialize(from).map(Into::into)
    }
}

/// Bytes sent and received, in this order.
pub(super) mod traffic {
    use headgate_hub::Traffic;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    #[allow(clippy::ref_option, reason = "serde asks for it")]
    pub(crate) fn serialize<S: Serializer>(traffic: &Option<Traffic>, to: S) -> Result<S::Ok, S::Error> {
        traffic.map(|Traffic { sent, received }| (sent, received)).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Traffic>, D::Error> {
        let pair = Option::<(u64, u64)>::deserialize(from)?;
        Ok(pair.map(|(sent, received)| Traffic { sent, received }))
    }
}
