//! Pods that lie, dribble and flood.

use super::*;

fn sends(chunks: impl tokio_stream::Stream<Item = Vec<u8>> + Send + Sync + 'static) -> Body {
    let frames = chunks.map(|bytes| Ok::<_, Infallible>(Frame::data(Bytes::from(bytes))));
    BodyExt::boxed(StreamBody::new(frames))
}

fn again_and_again(chunk: &'static [u8]) -> Body {
    sends(tokio_stream::iter(std::iter::repeat_with(|| chunk.to_vec())))
}

fn twice() -> Body {
    let stream = "{\"vhost\":\"v\",\"app\":\"a\",\"stream\":\"s\",\"session\":\"00000000-0000-0000-0000-000000000001\",\"protocol\":\"RTMP\",\"address\":\"x\",\"clientId\":\"c\",\"started\":\"2027-01-01T00:00:00Z\",\"bitrateKilobits\":1}";
    let line = format!(
        "{{\"instance\":\"i\",\"sequence\":1,\"revision\":\"1\",\"ready\":true,\"streams\":[{stream},{stream}]}}\n"
    );
    sends(tokio_stream::once(line.into_bytes()))
}

#[tokio::test]
async fn a_pod_that_lies_is_not_believed_and_others_are_not_touched() {
    let cases: [(&str, Lie, &str); 5] = [
        (
            "invalid UTF-8",
            || again_and_again(b"{\"instance\":\"\xff\xfe\"}\n"),
            "PodNotUnderstood",
        ),
        ("no JSON", || again_and_again(b"hello\n"), "PodNotUnderstood"),
        (
            "a line without end",
            || again_and_again(&[b' '; 8192]),
            "PodNotUnderstood",
        ),
        ("one stream twice", twice, "PodNotUnderstood"),
        ("nothing at all", || sends(tokio_stream::empty()), "PodUnreachable"),
    ];
    let (honest, authority) = (Played::new(), authority());
    let (good, _) = links();
    let at = peer(honest.listen(serving(&authority, NAME)).await, &authority);
    sync(&good, &at, "1");
    until(&good, |v| v.revision == "1").await;
    let _reports = honest.keeps_reporting();
    for (name, lies, reason) in cases {
        let (played, (links, _)) = (Played::lying(lies), links());
        let peer = peer(played.listen(serving(&authority, NAME)).await, &authority);
        sync(&links, &peer, "1");
        let view = until(&links, |v| v.problem.is_some()).await;
        assert_eq!(view.problem.unwrap().reason, reason, "{name}");
        assert!(!view.connected && view.report.is_none(), "{name}");
    }
    assert!(good.view(&pod(), "p").unwrap().connected);
}

#[tokio::test]
async fn a_pod_that_dribbles_is_silent() {
    let (played, authority, (links, _)) = (
        Played::lying(|| {
            let ticks = tokio_stream::wrappers::IntervalStream::new(tokio::time::interval(Duration::from_millis(50)));
            sends(ticks.map(|_| b" ".to_vec()))
        }),
        authority(),
        links(),
    );
    let peer = peer(played.listen(serving(&authority, NAME)).await, &authority);
    sync(&links, &peer, "1");
    let view = until(&links, |v| v.problem.is_some()).await;
    assert_eq!(view.problem.unwrap().reason, "PodSilent");
}

#[tokio::test]
async fn a_pod_that_floods_is_read_no_faster_than_others_can_bear() {
    static SENT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let (played, authority, (links, told)) = (
        Played::lying(|| {
            sends(tokio_stream::iter(std::iter::repeat_with(|| {
                let n = SENT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let padding = " ".repeat(512 << 10);
                let report =
                    format!("{{\"instance\":\"i\",\"sequence\":{n},\"revision\":\"1\",\"ready\":true}}{padding}\n");
                report.into_bytes()
            })))
        }),
        authority(),
        links(),
    );
    let peer = peer(played.listen(serving(&authority, NAME)).await, &authority);
    sync(&links, &peer, "1");
    until(&links, |v| v.connected).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let heard = links.view(&pod(), "p").unwrap().report.unwrap().sequence;
    assert!(heard <= 96, "heard {heard} reports of 512 KiB in two seconds");
    assert!(told.lock().len() < 5, "what says nothing new wakes nobody");
}
