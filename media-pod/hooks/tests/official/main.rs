//! What is sent is what the official libraries of Standard Webhooks verify, in every dialect, with both keys while one follows the other.
//!
//! `cargo verify` installs the libraries below its cache and says here where they are; it can be done by hand:
//! `HEADGATE_PYTHONPATH=DIR HEADGATE_NODE_MODULES=DIR cargo test -p headgate-hooks --test official -- --ignored`.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "a test that panics fails, as it should"
)]

#[path = "../common/mod.rs"]
mod common;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{Backend, endpoint, ok, publisher, session};
use headgate_control::{Dialect, HookCredentials, HookEndpoint, HookEvent};
use headgate_hub::{SessionKind, Traffic};
use serde_json::{Value, json};
use std::process::Command;

const KEYS: [[u8; 32]; 2] = [[1; 32], [2; 32]];

/// What each dialect sends of a publisher's and a player's session, signed with both keys.
async fn sent() -> Vec<Value> {
    let mut all = Vec::new();
    for dialect in Dialect::ALL {
        let backend = Backend::new(|_, _| ok());
        let signed = HookEndpoint {
            dialect: *dialect,
            events: HookEvent::ALL.to_vec(),
            credentials: HookCredentials {
                signing: KEYS.iter().map(|key| STANDARD.encode(key).into()).collect(),
                ..HookCredentials::default()
            },
            ..endpoint("b")
        };
        let (hooks, _registry) = backend.hooks(&[signed]);
        let (publisher, player) = (publisher("é b"), session(SessionKind::Play, "é b"));
        // Whether it is let in is another test's business.
        let _ = hooks.publish(&publisher).await;
        let _ = hooks.play(&player).await;
        hooks.unpublish(&publisher, Traffic { sent: 1, received: 2 });
        backend.calls(2).await;
        for seen in backend.seen() {
            let headers = ["webhook-id", "webhook-timestamp", "webhook-signature"];
            let headers: serde_json::Map<_, _> = headers
                .map(|name| (name.to_owned(), json!(seen.header(name))))
                .into_iter()
                .collect();
            let body = String::from_utf8(seen.call.body.to_vec()).expect("text");
            all.push(json!({ "dialect": dialect.to_string(), "headers": headers, "body": body }));
        }
    }
    all
}

/// Runs a library over all of it. The program says how many it has verified, by either key.
async fn verified_by(program: &str, script: &str, variable: &str, library: &str) {
    let place = std::env::var(variable).unwrap_or_else(|_| panic!("{variable} says where {library} is"));
    let sent = sent().await;
    assert!(sent.len() >= Dialect::ALL.len() * 2, "{}", sent.len());
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("sent.json");
    let keys: Vec<String> = KEYS
        .iter()
        .map(|key| format!("whsec_{}", STANDARD.encode(key)))
        .collect();
    let all = json!({ "keys": keys, "other": format!("whsec_{}", STANDARD.encode([3; 32])), "sent": sent });
    std::fs::write(&file, all.to_string()).expect("writable");
    let script = format!("{}/tests/official/{script}", env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(program)
        .args([script.as_ref(), file.as_os_str()])
        .env("PYTHONPATH", &place)
        .env("HEADGATE_NODE_MODULES", &place)
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(said.trim(), format!("verified {}", sent.len() * 2));
}

#[tokio::test]
#[ignore = "needs the library: cargo verify installs it"]
async fn the_python_library_verifies_what_is_sent() {
    verified_by(
        "python3",
        "verify.py",
        "HEADGATE_PYTHONPATH",
        "standardwebhooks of PyPI",
    )
    .await;
}

#[tokio::test]
#[ignore = "needs the library: cargo verify installs it"]
async fn the_javascript_library_verifies_what_is_sent() {
    verified_by("node", "verify.cjs", "HEADGATE_NODE_MODULES", "standardwebhooks of npm").await;
}
