//! Listeners with certificates: those that are missing, that are bad, and that are renewed while a publisher and a player are there.

use super::site::{SOON, START, Site, becomes, never_shown, text};
use crate::ensure;
use crate::error::{Context as _, Error, Result};
use crate::harness::{Authority, Context, Pair, eventually};
use crate::media::{Player, Publisher, probe};
use serde_json::json;

/// What it proves.
pub(super) const ABOUT: &str = "RTMPS and HTTPS with a Secret: missing, bad and renewed certificates are told, shown and cut nobody; HLS over HTTP/2";

/// The name in the certificates; clients are told where it is.
const NAME: &str = "live.example";
const LISTENERS: &str = r#"{"spec": {"listeners": [
    {"name": "rtmp", "protocol": "RTMP", "port": 1935},
    {"name": "http", "protocol": "HTTP", "port": 8080},
    {"name": "rtmps", "protocol": "RTMPS", "port": 1936, "tls": {"secretName": "live-tls"}},
    {"name": "https", "protocol": "HTTPS", "port": 8443, "tls": {"secretName": "live-tls"}}]}}"#;

/// The scenario.
pub(super) async fn run(context: &Context) -> Result<()> {
    let site = Site::quickstart(context).await?;
    let before = site.pod().await?;
    let authority = Authority::new("scenario")?;

    context
        .kubectl
        .patch(
            "mediaserver",
            &context.namespace,
            "live",
            &serde_json::from_str(LISTENERS)?,
        )
        .await?;
    says(context, "live-tls").await.context("without a Secret")?;
    let first = authority.server(NAME)?;
    context.apply(&first.secret("live-tls").to_string()).await?;
    site.becomes("mediaserver", "live", "ResolvedRefs", "True", SOON)
        .await?;
    site.becomes("mediaserver", "live", "Ready", "True", START).await?;
    shows(&site, &authority, &first).await?;

    let key = site.key("alice-key").await?;
    let publish = format!("rtmps://{}/live/alice?secret={key}", site.address("rtmps").await?);
    let mut publisher = Publisher::start(&publish).await?;
    site.stream().await?;
    let mut player = Player::start(&format!("https://{}/live/alice.flv", site.address("https").await?))?;
    player.gets(10, SOON).await?;
    plays(&site).await?;
    over_http2(&site, &authority).await?;

    bad(context, &site, &authority, &first).await?;
    let second = authority.server(NAME)?;
    context.apply(&second.secret("live-tls").to_string()).await?;
    shows(&site, &authority, &second).await.context("after the renewal")?;
    site.becomes("mediaserver", "live", "ResolvedRefs", "True", SOON)
        .await?;

    publisher.must_be_live()?;
    player.gets(25, SOON).await?;
    ensure!(site.pod().await? == before, "the pod is another or has restarted");
    let keys = [first.key_lines(), second.key_lines()].concat();
    never_shown(context, &before.0, &keys).await?;
    publisher.stop().await
}

/// The condition names what is missing or wrong, and the listeners without a certificate hold nothing else up.
async fn says(context: &Context, secret: &str) -> Result<()> {
    let refs = becomes(context, "mediaserver", "live", "ResolvedRefs", "False", SOON).await?;
    let message = text(&refs, "/message")?;
    ensure!(message.contains(secret), "ResolvedRefs says: {message}");
    becomes(context, "mediaserver", "live", "Ready", "True", START)
        .await
        .map(drop)
}

/// Both listeners show this certificate to who connects now.
async fn shows(site: &Site<'_>, authority: &Authority, pair: &Pair) -> Result<()> {
    let wanted = pair.der()?;
    for listener in ["rtmps", "https"] {
        let address = site.address(listener).await?;
        eventually(SOON, &format!("{listener} shows its certificate"), async || {
            let shown = authority.dial(&address, NAME, &[]).await?;
            ensure!(shown.certificate == wanted, "it shows another");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// Every output over TLS, as ffmpeg reads it.
async fn plays(site: &Site<'_>) -> Result<()> {
    let (rtmps, https) = (site.address("rtmps").await?, site.address("https").await?);
    let mut urls = vec![format!("rtmps://{rtmps}/live/alice")];
    urls.extend(["flv", "ts", "mp4", "m3u8"].map(|form| format!("https://{https}/live/alice.{form}")));
    for url in urls {
        let tracks = probe(&url).await.context(&url)?;
        let codecs: Vec<_> = tracks.iter().map(|t| t.codec.as_str()).collect();
        ensure!(codecs == ["h264", "aac"], "{url} gave {codecs:?}");
    }
    Ok(())
}

/// A playlist over HTTP/2, and nothing where the authority is not the listener's.
async fn over_http2(site: &Site<'_>, authority: &Authority) -> Result<()> {
    let address = site.address("https").await?;
    let shown = authority.dial(&address, NAME, &["h2", "http/1.1"]).await?;
    ensure!(
        shown.protocol.as_deref() == Some("h2"),
        "the listener chose {:?}",
        shown.protocol
    );
    let (_, port) = address.rsplit_once(':').context("an address without a port")?;
    let wrong = |error: reqwest::Error| Error::new(format!("a playlist over HTTP/2: {error}"));
    let to = address
        .parse()
        .map_err(|_| Error::new(format!("{address} is no address")))?;
    let client = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(authority.pem().as_bytes()).map_err(wrong)?])
        .resolve(NAME, to)
        .timeout(SOON)
        .build()
        .map_err(wrong)?;
    let answer = client
        .get(format!("https://{NAME}:{port}/live/alice.m3u8"))
        .send()
        .await;
    let answer = answer.and_then(reqwest::Response::error_for_status).map_err(wrong)?;
    ensure!(
        answer.version() == reqwest::Version::HTTP_2,
        "it came over {:?}",
        answer.version()
    );
    let playlist = answer.text().await.map_err(wrong)?;
    ensure!(playlist.starts_with("#EXTM3U"), "the playlist is {playlist:?}");
    ensure!(
        Authority::new("another")?.dial(&address, NAME, &[]).await.is_err(),
        "a certificate of nobody's was believed"
    );
    Ok(())
}

/// A Secret that holds no pair: the condition says so, and the pods go on with what they have.
async fn bad(context: &Context, site: &Site<'_>, authority: &Authority, first: &Pair) -> Result<()> {
    let nonsense = json!({"stringData": {"tls.crt": "not a certificate"}});
    context
        .kubectl
        .patch("secret", &context.namespace, "live-tls", &nonsense)
        .await?;
    says(context, "live-tls").await.context("with a bad certificate")?;
    shows(site, authority, first).await.context("with a bad certificate")
}
