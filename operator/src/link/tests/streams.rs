//! What several pods say of one stream.

use super::*;

#[tokio::test]
async fn viewers_of_every_pod_count_for_the_publisher_that_they_see_and_an_edge_alone_is_no_stream() {
    let (origin, edge, authority, (links, _)) = (Played::new(), Played::new(), authority(), links());
    let mut targets = Vec::new();
    for (name, played) in [("live-0", &origin), ("live-1", &edge)] {
        let address = played.listen(serving(&authority, NAME)).await;
        targets.push(Target {
            pod: ObjectKey::new("n", name),
            uid: name.into(),
            peer: peer(address, &authority),
            wish: Wish::AsItIs,
        });
    }
    let body = Bytes::from(serde_json::to_vec(&config("1")).unwrap());
    links.sync(&server(), "u", &config("1"), &body, targets);
    let relays = |session: u128, viewers: u32| {
        let yaml = format!(
            "{{vhost: __defaultVhost__, app: live, stream: alice, session: {}, from: live-0, viewers: {{RTMP: {viewers}, HTTP-FLV: 1}}}}",
            uuid::Uuid::from_u128(session)
        );
        edge.report
            .send_modify(|r| r.edges = vec![serde_yaml::from_str(&yaml).unwrap()]);
    };
    let at = ObjectKey::new("n", "live-live-alice");
    let seen = async |wanted: Option<(u32, u32)>| {
        let check = async {
            loop {
                let seen = links.sightings(&at).pop();
                let of = |s: &Sighting, p: &str| s.report.viewers.get(p).copied().unwrap_or(0);
                if seen.map(|s| (of(&s, "RTMP"), of(&s, "HTTP-FLV"))) == wanted {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(10), check).await.unwrap();
    };
    relays(1, 4);
    let heard = async {
        while links
            .view(&ObjectKey::new("n", "live-1"), "live-1")
            .is_none_or(|v| v.edge_names().count() == 0)
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(10), heard).await.unwrap();
    seen(None).await;
    let stream = "{vhost: __defaultVhost__, app: live, stream: alice, session: 00000000-0000-0000-0000-000000000001, protocol: RTMP, address: x, clientId: c, started: 2027-01-01T00:00:00Z, bitrateKilobits: 1, viewers: {RTMP: 3}}";
    origin
        .report
        .send_modify(|r| r.streams = vec![serde_yaml::from_str(stream).unwrap()]);
    seen(Some((7, 1))).await;
    relays(1, 5);
    seen(Some((8, 1))).await;
    relays(2, 5);
    seen(Some((3, 0))).await;
}
