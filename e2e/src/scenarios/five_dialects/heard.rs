//! The five endpoints, and what each of them must have heard.

use crate::ensure;
use crate::error::Result;
use crate::receiver::Call;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What is not taken for a while.
pub(super) const REFUSED: &str = "dev.headgate.close.v1";
/// The session of what belongs to none.
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

/// An endpoint: where it calls below the back end's address, in which dialect, of what; and what closes what in it.
pub(super) struct Hook {
    pub(super) name: &'static str,
    pub(super) dialect: &'static str,
    events: &'static str,
    pairs: &'static [(&'static str, &'static str)],
}

const SESSIONS: &str = "Connect, Close, Publish, Unpublish, Play, Stop";
const CALLBACKS: &[(&str, &str)] = &[
    ("on_connect", "on_close"),
    ("on_publish", "on_unpublish"),
    ("on_play", "on_stop"),
];

/// All five.
pub(super) const HOOKS: [Hook; 5] = [
    Hook {
        name: "srs",
        dialect: "SRS",
        events: SESSIONS,
        pairs: CALLBACKS,
    },
    Hook {
        name: "v1",
        dialect: "SRSv1",
        events: SESSIONS,
        pairs: CALLBACKS,
    },
    Hook {
        name: "zlm",
        dialect: "ZLMediaKit",
        events: "Publish, Play, StreamChanged, FlowReport, StreamNotFound, ServerStarted, ServerExited",
        pairs: &[
            ("on_publish", "on_flow_report"),
            ("on_play", "on_flow_report"),
            ("on_stream_changed rtmp true", "on_stream_changed rtmp false"),
            ("on_stream_changed hls true", "on_stream_changed hls false"),
        ],
    },
    Hook {
        name: "oryx",
        dialect: "Oryx",
        events: "Publish, Unpublish",
        pairs: &[("on_publish", "on_unpublish")],
    },
    Hook {
        name: "native",
        dialect: "CloudEvents",
        events: "Connect, Close, Publish, Unpublish, Play, Stop, StreamChanged",
        pairs: &[
            ("dev.headgate.connect.v1", "dev.headgate.close.v1"),
            ("dev.headgate.publish.v1", "dev.headgate.unpublish.v1"),
            ("dev.headgate.play.v1", "dev.headgate.stop.v1"),
            (
                "dev.headgate.stream_changed.v1 true",
                "dev.headgate.stream_changed.v1 false",
            ),
        ],
    },
];

impl Hook {
    /// As a user would apply it.
    pub(super) fn manifest(&self, namespace: &str) -> String {
        let to = if self.dialect == "SRSv1" { "zero" } else { "object" };
        format!(
            "apiVersion: headgate.dev/v1alpha1
kind: HookEndpoint
metadata: {{name: {name}}}
spec:
  serverRefs: [{{name: live}}]
  dialect: {dialect}
  urls: ['http://{to}.{namespace}.svc:8085/{name}/{{event}}']
  events: [{events}]
",
            name = self.name,
            dialect = self.dialect,
            events = self.events,
        )
    }
}

/// What a call says happened; a change of a stream with what it is about.
fn word(call: &Call) -> String {
    let (name, body) = (call.path.rsplit('/').next().unwrap_or_default(), call.json());
    let of_zlm = body.get("regist").map(|there| {
        format!(
            " {} {there}",
            body.get("schema").and_then(Value::as_str).unwrap_or_default()
        )
    });
    let of_native = body.pointer("/data/live").map(|there| format!(" {there}"));
    format!("{name}{}", of_zlm.or(of_native).unwrap_or_default())
}

/// Every session that began has its end, each under one id; and as many began as came.
pub(super) fn told_once(hook: &Hook, calls: &[Call], crowds: usize) -> Result<()> {
    let mut ids: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    // The start and the end of a server are of no session: each pod has its own.
    for call in calls.iter().filter(|call| call.header("x-media-session") != NOBODY) {
        let about = (call.header("x-media-session"), word(call));
        ids.entry(about).or_default().insert(call.header("webhook-id"));
    }
    for (opening, closing) in hook.pairs {
        let sessions = |event: &str| -> BTreeSet<&String> {
            ids.keys()
                .filter(|(_, word)| word == event)
                .map(|(session, _)| session)
                .collect()
        };
        let (open, closed) = (sessions(opening), sessions(closing));
        // One report tells of the ends of both kinds.
        let unclosed: Vec<_> = open.difference(&closed).collect();
        let whole = open.len() >= crowds && unclosed.len() == if crowds == 0 { open.len() } else { 0 };
        ensure!(
            whole,
            "{opening} of {} sessions, {closing} of {}; without an end {unclosed:?}",
            open.len(),
            closed.len()
        );
        let unopened = if *closing == "on_flow_report" {
            0
        } else {
            closed.difference(&open).count()
        };
        ensure!(unopened == 0, "{closing} of {unopened} sessions that never began");
    }
    let renamed = ids.iter().find(|(_, ids)| ids.len() > 1);
    ensure!(renamed.is_none(), "under several ids: {renamed:?}");
    Ok(())
}
