//! From the objects a user wrote to the [`headgate_control::PodConfig`] a pod runs, and to what each object should say of itself.
//!
//! Pure: no client, no clock, no I/O. The operator feeds it from the cluster and a standalone pod from files, so both say the
//! same of the same manifests. Nothing here trusts that the API server's schema has been applied.

mod config;
mod credentials;
mod findings;
mod rotation;
mod secret;
mod stream;
mod tls;
mod urls;
mod validate;

pub use config::{EntryKind, REPLAY_ANNOTATION, Surroundings, entry_digests, pod_config};
pub use credentials::{CredentialProblem, credentials};
pub use findings::{Back, InForce, hook_findings, key_findings, programmed, reachable, troubles};
pub use rotation::{KnownKey, forget_previous, keep_previous, known_keys, overlaps};
pub use secret::{KeyProblem, KeySource, Secrets, hash_key};
pub use stream::{live, stream_object_name, stream_spec, stream_status};
pub use tls::{CHAIN_ENTRY, KEY_ENTRY, TlsProblem, certificate, server_findings, tls_secrets};
pub use urls::{addresses, key_urls};
pub use validate::{Invalid, validate_hook, validate_key, validate_server};

/// Exact below 10, then one digit and zeros with a `+`, so that a status does not change with every viewer: `7`, `40+`, `3000+`.
pub fn coarse(count: u64) -> String {
    if count < 10 {
        return count.to_string();
    }
    let magnitude = 10_u64.saturating_pow(count.ilog10());
    let floor = count.checked_div(magnitude).unwrap_or(0).saturating_mul(magnitude);
    format!("{floor}+")
}

#[cfg(test)]
mod tests {
    #[test]
    fn counts_are_exact_when_small_and_coarse_when_not() {
        let cases = [
            (0, "0"),
            (9, "9"),
            (10, "10+"),
            (19, "10+"),
            (57, "50+"),
            (1234, "1000+"),
            (u64::MAX, "10000000000000000000+"),
        ];
        for (count, expected) in cases {
            assert_eq!(super::coarse(count), expected);
        }
    }
}
