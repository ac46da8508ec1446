//! What to do about a Secret that an endpoint names: label it, once, so that the watch on our label shows each change of it at once, and no watch on all
//! Secrets is needed. Nothing else of it is touched.
//!
//! Who may write HookEndpoints can send what stands in a Secret of the namespace to a back end. What nobody makes for that is refused: our own
//! certificates, and the tokens of service accounts.

use crate::names::{SECRET_LABEL, SecretUse, label};
use k8s_openapi::api::core::v1::Secret;

/// Types of Secrets that are no business of a back end.
const REFUSED: [&str; 2] = ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"];

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Todo {
    /// It is watched.
    Nothing,
    /// Label the one with this UID.
    Label(String),
    /// It is not to be used: as if it were not there.
    Refuse,
}

/// Decides.
pub fn todo(secret: &Secret) -> Todo {
    let label = label(secret, SECRET_LABEL);
    let refused = secret.type_.as_deref().is_some_and(|kind| REFUSED.contains(&kind));
    if refused || (label.is_some() && !SecretUse::is_of_users(label)) {
        Todo::Refuse
    } else if label.is_none() && secret.metadata.deletion_timestamp.is_none() {
        Todo::Label(secret.metadata.uid.clone().unwrap_or_default())
    } else {
        Todo::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(label: Option<&str>, kind: &str) -> Secret {
        let mut secret = Secret {
            type_: Some(kind.into()),
            ..Secret::default()
        };
        secret.metadata.uid = Some("u".into());
        secret.metadata.labels = label.map(|l| [(SECRET_LABEL.to_owned(), l.to_owned())].into());
        secret
    }

    #[test]
    fn a_secret_is_labelled_once_and_some_are_never_used() {
        let table = [
            (None, "Opaque", Todo::Label("u".into())),
            (None, "kubernetes.io/tls", Todo::Label("u".into())),
            (Some("hook-endpoint"), "Opaque", Todo::Nothing),
            (Some("stream-key"), "Opaque", Todo::Nothing),
            (Some("authority"), "Opaque", Todo::Refuse),
            (Some("pod"), "Opaque", Todo::Refuse),
            (None, "kubernetes.io/service-account-token", Todo::Refuse),
            (Some("hook-endpoint"), "bootstrap.kubernetes.io/token", Todo::Refuse),
        ];
        for (label, kind, expected) in table {
            assert_eq!(todo(&secret(label, kind)), expected, "{label:?} {kind}");
        }
    }
}
