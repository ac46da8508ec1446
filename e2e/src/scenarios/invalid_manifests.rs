//! What is wrong is refused at admission, or says what is wrong and what to do; nothing else is disturbed.

use super::site::{SOON, Site, becomes};
use crate::ensure;
use crate::error::{Context as _, Result};
use crate::harness::Context;
use crate::media::{Player, Publisher};
use serde_json::Value;

/// What it proves.
pub(super) const ABOUT: &str = "invalid manifests: refused by the schema, or a False condition that says what to do";

/// Kind, spec, and what the API server's refusal must name.
const REFUSED: &[(&str, &str, &str)] = &[
    ("MediaServer", "{replicaz: 1}", "unknown field"),
    (
        "MediaServer",
        "{listeners: [{name: a, protocol: RTSP, port: 8554}]}",
        "Unsupported value",
    ),
    (
        "MediaServer",
        "{listeners: [{name: a, protocol: RTMP, port: 1935}, {name: b, protocol: HTTP, port: 1935}]}",
        "port of its own",
    ),
    (
        "MediaServer",
        "{listeners: [{name: a, protocol: RTMP, port: 9090}]}",
        "pod's own",
    ),
    ("MediaServer", "{replicas: -1}", "greater than or equal to 0"),
    (
        "StreamKey",
        "{serverRefs: [{name: live}], stream: {app: 'a[b]'}, secretRef: {name: s}}",
        "spec.stream.app",
    ),
    (
        "StreamKey",
        "{serverRefs: [], stream: {app: live}, secretRef: {name: s}}",
        "spec.serverRefs",
    ),
    (
        "StreamKey",
        "{serverRefs: [{name: live}], stream: {app: live}, secretRef: {name: s}, permissions: [Watch]}",
        "Unsupported value",
    ),
    (
        "StreamKey",
        "{serverRefs: [{name: live}], stream: {app: live}, secretRef: {name: s}, notBefore: '2030-01-01T00:00:00Z', notAfter: '2029-01-01T00:00:00Z'}",
        "notBefore",
    ),
    (
        "HookEndpoint",
        "{serverRefs: [{name: live}], dialect: Morse, urls: ['http://b/'], events: [Publish]}",
        "Unsupported value",
    ),
    (
        "HookEndpoint",
        "{serverRefs: [{name: live}], dialect: SRS, urls: ['backend:8085'], events: [Publish]}",
        "http://",
    ),
    (
        "HookEndpoint",
        "{serverRefs: [{name: live}], dialect: SRS, urls: ['http://b/'], events: [Publish], retries: 3}",
        "unknown field",
    ),
];

const SHOWN: &str = "
apiVersion: v1
kind: Service
metadata: {name: taken}
spec: {ports: [{port: 80}]}
---
apiVersion: headgate.dev/v1alpha1
kind: MediaServer
metadata: {name: taken}
spec: {}
---
apiVersion: v1
kind: Secret
metadata: {name: without-entry}
stringData: {something: else}
---
apiVersion: headgate.dev/v1alpha1
kind: StreamKey
metadata: {name: no-entry}
spec: {serverRefs: [{name: live}], stream: {app: live, name: x}, secretRef: {name: without-entry, key: key}}
---
apiVersion: headgate.dev/v1alpha1
kind: StreamKey
metadata: {name: no-server}
spec: {serverRefs: [{name: nobody}], stream: {app: live, name: x}, secretRef: {name: no-server-key}}
---
apiVersion: headgate.dev/v1alpha1
kind: HookEndpoint
metadata: {name: no-server}
spec: {serverRefs: [{name: nobody}], dialect: SRS, urls: ['http://b.default.svc/'], events: [Publish]}
";

/// Kind, name, condition, reason, and what the message must name.
const FALSE: &[(&str, &str, &str, &str, &str)] = &[
    ("mediaserver", "taken", "Ready", "NameTaken", "Service"),
    (
        "streamkey",
        "no-entry",
        "ResolvedRefs",
        "SecretEntryNotFound",
        "without-entry",
    ),
    (
        "streamkey",
        "no-entry",
        "Programmed",
        "SecretEntryNotFound",
        "without-entry",
    ),
    ("streamkey", "no-server", "Accepted", "ServerNotFound", "nobody"),
    ("hookendpoint", "no-server", "Accepted", "ServerNotFound", "nobody"),
];

/// The scenario.
pub(super) async fn run(context: &Context) -> Result<()> {
    let site = Site::quickstart(context).await?;
    let mut publisher = Publisher::start(&site.alice().await?).await?;
    site.stream().await?;
    let mut player = Player::start(&site.rtmp("alice").await?)?;
    let before = site.pod().await?;

    for (kind, spec, named) in REFUSED {
        let yaml =
            format!("{{apiVersion: headgate.dev/v1alpha1, kind: {kind}, metadata: {{name: bad}}, spec: {spec}}}");
        let refusal = context
            .apply(&yaml)
            .await
            .err()
            .context(format_args!("this was accepted: {yaml}"))?;
        ensure!(
            refusal.to_string().contains(named),
            "{yaml} was refused, but not for {named:?}: {refusal}"
        );
    }
    context.apply(SHOWN).await?;
    for (kind, name, condition, reason, named) in FALSE {
        let found = becomes(context, kind, name, condition, "False", SOON).await?;
        let text = |field: &str| found.get(field).and_then(Value::as_str).unwrap_or_default();
        ensure!(
            text("reason") == *reason && text("message").contains(named),
            "{kind} {name} says {found}"
        );
    }
    let service = context.get("service", "taken").await?;
    ensure!(
        service.pointer("/spec/ports/0/port") == Some(&Value::from(80)),
        "a Service that is not ours was changed: {service}"
    );

    site.all_in_force().await?;
    publisher.must_be_live()?;
    player.gets(25, SOON).await?;
    ensure!(site.pod().await? == before, "the media pod is another or has restarted");
    publisher.stop().await
}
