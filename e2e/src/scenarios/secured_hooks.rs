//! A back end that knows its callers: https with an authority of its own, a client certificate, a token, signatures; and what it did not take is sent again.

use super::site::{SOON, Site, becomes, never_shown, text};
use crate::ensure;
use crate::error::{Context as _, Error, Result};
use crate::harness::{Authority, Context, eventually};
use crate::media::{Publisher, probe};
use crate::receiver::{Answer, Call, Receiver};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use std::time::Duration;

/// What it proves.
pub(super) const ABOUT: &str =
    "hooks over https with client certificate, token and signatures; rotation loses no call; dead letters come again";

/// From the edit of a Secret to a call that shows it.
const ROTATED: Duration = Duration::from_secs(20);

const ENDPOINT: &str = "
apiVersion: headgate.dev/v1alpha1
kind: HookEndpoint
metadata: {name: secured}
spec:
  serverRefs: [{name: live}]
  dialect: SRS
  urls: ['https://secured.NAMESPACE.svc:8443/{event}']
  events: [Publish, Unpublish, Play, Stop]
  signing: {secretRef: {name: signing}}
  headers: [{name: X-Tenant, valueFrom: {secretKeyRef: {name: token, key: tenant}}}]
  authentication: {bearerSecretRef: {name: token, key: token}}
  tls: {caSecretRef: {name: back-end-ca, key: ca.crt}, clientSecretRef: {name: pods}}
";

/// The scenario.
pub(super) async fn run(context: &Context) -> Result<()> {
    let site = Site::quickstart(context).await?;
    let mut publisher = Publisher::start(&site.alice().await?).await?;
    site.stream().await?;
    let (servers, clients) = (Authority::new("back ends")?, Authority::new("pods")?);
    let name = format!("secured.{}.svc", context.namespace);
    let config = clients.server_for_clients(&servers.server(&name)?)?;
    let back_end = context
        .secured_backend(&context.namespace, "secured", 8443, config)
        .await?;

    context
        .apply(&ENDPOINT.replace("NAMESPACE", &context.namespace))
        .await?;
    let refs = becomes(context, "hookendpoint", "secured", "ResolvedRefs", "False", SOON).await?;
    let message = text(&refs, "/message")?;
    ensure!(message.contains("create it"), "ResolvedRefs says: {message}");

    let client = clients.client("live")?;
    let (first, second) = (Key::new(), Key::new());
    let secrets = [
        client.secret("pods"),
        secret("back-end-ca", &json!({"ca.crt": servers.pem()})),
        secret("signing", &json!({"current": first.text()})),
        secret("token", &json!({"token": "first-token", "tenant": "acme"})),
    ];
    for secret in &secrets {
        context.apply(&secret.to_string()).await?;
    }
    site.becomes("hookendpoint", "secured", "Programmed", "True", SOON)
        .await?;
    site.becomes("hookendpoint", "secured", "Reachable", "True", ROTATED)
        .await?;

    let call = played(&site, &back_end).await?;
    ensure!(
        call.header("x-tenant") == "acme",
        "X-Tenant is {:?}",
        call.header("x-tenant")
    );
    ensure!(
        call.header("authorization") == "Bearer first-token",
        "the token is another"
    );
    ensure!(
        call.signatures() == 1 && first.signed(&call)?,
        "it is not signed with the one key"
    );

    rotated(context, &site, &back_end, &first, &second).await?;
    dead_letter(context, &site, &back_end).await?;

    let mut secrets = vec![first.bare(), second.bare()];
    secrets.extend(["first-token".to_owned(), "second-token".to_owned()]);
    secrets.extend(client.key_lines());
    never_shown(context, &site.pod().await?.0, &secrets).await?;
    publisher.must_be_live()?;
    publisher.stop().await
}

/// Both keys sign while the back end changes over, and then the new one alone; the new token is in force as well. Every call carries what was in force.
async fn rotated(context: &Context, site: &Site<'_>, back_end: &Receiver, first: &Key, second: &Key) -> Result<()> {
    let both = json!({"stringData": {"current": second.text(), "previous": first.text()}});
    context
        .kubectl
        .patch("secret", &context.namespace, "signing", &both)
        .await?;
    let token = json!({"stringData": {"token": "second-token"}});
    context
        .kubectl
        .patch("secret", &context.namespace, "token", &token)
        .await?;
    let call = eventually(ROTATED, "calls have both signatures and the new token", async || {
        let call = played(site, back_end).await?;
        ensure!(call.signatures() == 2, "{} signatures", call.signatures());
        ensure!(
            call.header("authorization") == "Bearer second-token",
            "it has the old token"
        );
        Ok(call)
    })
    .await?;
    ensure!(
        first.signed(&call)? && second.signed(&call)?,
        "one of the two keys does not verify"
    );
    let new = json!({"data": {"previous": null}});
    context
        .kubectl
        .patch("secret", &context.namespace, "signing", &new)
        .await?;
    eventually(ROTATED, "calls are signed with the new key alone", async || {
        let call = played(site, back_end).await?;
        ensure!(
            call.signatures() == 1 && second.signed(&call)?,
            "{} signatures",
            call.signatures()
        );
        Ok(())
    })
    .await?;
    let unsigned = back_end.calls().iter().filter(|call| call.signatures() == 0).count();
    ensure!(unsigned == 0, "{unsigned} calls had no signature");
    Ok(())
}

/// What the back end calls nonsense is given up, kept, and comes again when it is asked for, under its id.
async fn dead_letter(context: &Context, site: &Site<'_>, back_end: &Receiver) -> Result<()> {
    back_end.answer("on_stop", Answer::status(400));
    back_end.forget();
    probe(&site.flv("alice").await?).await?;
    let refused = back_end.wait_for("on_stop", 1, SOON).await?;
    let id = refused
        .first()
        .map(|call| call.header("webhook-id"))
        .context("no call")?;
    eventually(SOON, "the status shows a dead letter", async || {
        let endpoint = context.get("hookendpoint", "secured").await?;
        let kept = text(&endpoint, "/status/deadLetters")?;
        ensure!(kept == "1", "deadLetters is {kept:?}");
        Ok(())
    })
    .await?;
    back_end.answer("on_stop", Answer::allow());
    let annotate = [
        "annotate",
        "hookendpoint",
        "secured",
        "-n",
        &context.namespace,
        "headgate.dev/replay=all",
    ];
    context.kubectl.run(&annotate).await?;
    let again = back_end.wait_for("on_stop", 2, ROTATED).await?;
    let again = again.last().context("no call")?;
    ensure!(
        again.header("webhook-id") == id,
        "the id is another: {}",
        again.header("webhook-id")
    );
    ensure!(
        again.header("webhook-replay") == "1",
        "it does not say that it is a replay"
    );
    eventually(SOON, "no dead letter is left", async || {
        let endpoint = context.get("hookendpoint", "secured").await?;
        let kept = text(&endpoint, "/status/deadLetters")?;
        ensure!(kept == "0", "deadLetters is {kept:?}");
        Ok(())
    })
    .await
}

/// A player comes and goes; the call that asked about it.
async fn played(site: &Site<'_>, back_end: &Receiver) -> Result<Call> {
    let before = back_end.calls_of("on_play").len();
    probe(&site.flv("alice").await?).await?;
    let calls = back_end.wait_for("on_play", before.saturating_add(1), SOON).await?;
    calls.last().cloned().context("nobody was asked about")
}

fn secret(name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data})
}

/// What a back end signs with.
struct Key([u8; 32]);

impl Key {
    fn new() -> Self {
        Self(rand::random())
    }

    fn bare(&self) -> String {
        STANDARD.encode(self.0)
    }

    fn text(&self) -> String {
        format!("whsec_{}", self.bare())
    }

    /// Whether one of the call's signatures is of this key, as Standard Webhooks has it.
    fn signed(&self, call: &Call) -> Result<bool> {
        let mac = Hmac::<Sha256>::new_from_slice(&self.0);
        let mut mac = mac.map_err(|error| Error::new(error.to_string()))?;
        mac.update(format!("{}.{}.", call.header("webhook-id"), call.header("webhook-timestamp")).as_bytes());
        mac.update(&call.body);
        let wanted = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        Ok(call.header("webhook-signature").split(' ').any(|one| one == wanted))
    }
}
