//! Names of metrics: those that are promised, and those that an alert or a dashboard uses.

use std::collections::BTreeSet;

/// Metrics that users' dashboards and alerts may rely on. A histogram stands under its name without `_bucket`.
pub const PROMISED: [&str; 21] = [
    "headgate_api_writes_total",
    "headgate_config_push_seconds",
    "headgate_egress_bytes_total",
    "headgate_hook_admission_duration_seconds",
    "headgate_hook_deadletter_total",
    "headgate_hook_fail_open_total",
    "headgate_hook_inflight",
    "headgate_hook_outbox_pending",
    "headgate_hook_request_duration_seconds",
    "headgate_hook_requests_total",
    "headgate_hook_ssrf_blocked_total",
    "headgate_ingest_bytes_total",
    "headgate_leader",
    "headgate_pods",
    "headgate_publishers",
    "headgate_reconcile_errors_total",
    "headgate_reconcile_total",
    "headgate_sessions_refused_total",
    "headgate_streams",
    "headgate_viewer_skips_total",
    "headgate_viewers",
];

/// Every metric of ours that a text names, such as the rules or a dashboard.
pub fn metrics_named(text: &str) -> BTreeSet<String> {
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    let ours = text.split(word).filter(|name| name.starts_with("headgate_"));
    ours.map(|name| base(name).to_owned()).collect()
}

/// Every metric that the reference page has a row for.
pub fn documented() -> BTreeSet<String> {
    let page = include_str!("../../../docs/metrics.md");
    page.lines()
        .filter(|line| line.starts_with('|'))
        .flat_map(metrics_named)
        .collect()
}

fn base(name: &str) -> &str {
    let suffix = ["_bucket", "_sum", "_count"]
        .into_iter()
        .find_map(|suffix| name.strip_suffix(suffix));
    suffix.unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_expressions() {
        let text = "sum(rate(headgate_viewers{a=\"headgate\"}[5m])) / headgate_push_seconds_bucket # headgate-operator";
        assert_eq!(
            metrics_named(text).into_iter().collect::<Vec<_>>(),
            ["headgate_push_seconds", "headgate_viewers"]
        );
    }

    #[test]
    fn what_is_promised_has_a_row_in_the_reference() {
        let documented = documented();
        for name in PROMISED {
            assert!(documented.contains(name), "{name} is not in docs/metrics.md");
        }
    }

    #[test]
    fn every_metric_of_the_sources_has_a_row_and_every_row_a_metric() {
        let root = crate::tools::paths::workspace();
        let mut sources = String::new();
        for folder in ["media-pod", "operator"] {
            gather(&root.join(folder), &mut sources);
        }
        let quoted = sources.split('"').filter(|text| text.starts_with("headgate_"));
        let is_metric = |text: &&str| {
            let in_alphabet = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            in_alphabet && !text.ends_with('_')
        };
        let undocumented: Vec<_> = quoted
            .filter(is_metric)
            .filter(|name| !documented().contains(*name))
            .collect();
        assert!(undocumented.is_empty(), "not in docs/metrics.md: {undocumented:?}");
        for name in documented() {
            // The operator's registry puts the prefix on.
            let bare = name.trim_start_matches("headgate_");
            let is_there = [name.as_str(), bare]
                .iter()
                .any(|name| sources.contains(&format!("\"{name}\"")));
            assert!(is_there, "docs/metrics.md has {name}, which nothing exports");
        }
    }

    /// The text of every source below a folder, but not of tests.
    fn gather(folder: &std::path::Path, text: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !["tests", "fuzz"].contains(&name.as_str()) {
                gather(&path, text);
            } else if path.extension().is_some_and(|it| it == "rs") && name != "tests.rs" {
                text.push_str(&std::fs::read_to_string(&path).unwrap());
            }
        }
    }

    #[test]
    fn alerts_and_dashboard_use_only_what_is_promised() {
        let texts = [
            include_str!("../../../config/prometheus/rules.yaml"),
            include_str!("../../../config/grafana/headgate.json"),
        ];
        for name in texts.into_iter().flat_map(metrics_named) {
            assert!(PROMISED.contains(&name.as_str()), "{name} is not promised");
        }
    }
}
