//! What to do about the Secret that a key names.
//!
//! A Secret that a user made is labelled, once: then the watch on our label shows each change of it at once, and no watch on all
//! Secrets, nor one a Secret, is needed. Nothing else of it is touched.

use crate::names::{SECRET_LABEL, label};
use k8s_openapi::api::core::v1::Secret;

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Todo {
    /// It is there and watched, or nobody would use it.
    Nothing,
    /// Make it with a random key.
    Make,
    /// Label the one with this UID.
    Label(String),
}

/// Decides.
pub fn todo(is_valid: bool, secret: Option<&Secret>) -> Todo {
    match secret {
        None if is_valid => Todo::Make,
        Some(secret) if label(secret, SECRET_LABEL).is_none() && secret.metadata.deletion_timestamp.is_none() => {
            Todo::Label(secret.metadata.uid.clone().unwrap_or_default())
        }
        _ => Todo::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_made_only_where_there_is_none_and_labelled_only_once() {
        let mut secret = Secret::default();
        secret.metadata.uid = Some("u".into());
        let label = todo(true, Some(&secret));
        assert_eq!(label, Todo::Label("u".into()));
        secret.metadata.labels = Some([(SECRET_LABEL.to_owned(), "stream-key".to_owned())].into());
        assert_eq!(todo(true, Some(&secret)), Todo::Nothing);
        assert_eq!(todo(true, None), Todo::Make);
        assert_eq!(todo(false, None), Todo::Nothing);
    }
}
