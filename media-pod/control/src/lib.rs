//! What operator and media pod say to each other: types only.
//!
//! The operator dials the pod on its control port (mutual TLS) and speaks HTTP/1.1:
//!
//! | request | body | answer |
//! |---|---|---|
//! | `PUT /v1/config` | [`PodConfig`] | `200` with [`Applied`]: in force; `422` with [`Problem`]: refused whole, the old one stays |
//! | `GET /v1/report` | none | `200`, held open: one [`PodReport`] as a JSON line at once, then on change and every few seconds |
//! | `DELETE /v1/sessions/{id}` | none | `204`: the session is told to end; `404`: no such session here |
//!
//! The same types are the whole of what a standalone pod works from, so both ways of running share one path.
//! Unknown fields are ignored on purpose: operator and pod may be one version apart.

mod config;
mod report;

pub use config::*;
pub use report::*;

/// Where a pod listens for its operator.
pub const CONTROL_PORT: u16 = 9443;
/// Where a pod serves `/healthz`, `/readyz` and `/metrics`.
pub const METRICS_PORT: u16 = 9090;
/// Path of the config resource on the control port.
pub const CONFIG_PATH: &str = "/v1/config";
/// Path of the report stream on the control port.
pub const REPORT_PATH: &str = "/v1/report";
/// Path below which a session's id names it.
pub const SESSIONS_PATH: &str = "/v1/sessions";
/// The name of the file in the mounted Secret that holds the [`PodConfig`] a pod starts from.
pub const CONFIG_FILE: &str = "config.json";
/// The pod's certificate, key and its server's CA in the mounted Secret.
pub const TLS_FILES: [&str; 3] = ["tls.crt", "tls.key", "ca.crt"];
/// The name that every media pod's certificate carries, and that the operator asks for: `<server>.<namespace>.media.headgate`.
pub fn pod_tls_name(namespace: &str, server: &str) -> String {
    format!("{server}.{namespace}.media.headgate")
}
/// The name in the operator's client certificate, the only client a control port answers.
pub const OPERATOR_TLS_NAME: &str = "operator.headgate";
