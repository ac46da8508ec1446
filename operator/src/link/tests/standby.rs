//! One who does not lead hears what the pods have open, and has it when it leads.

use super::*;

fn target(uid: &str, peer: &Peer) -> Target {
    Target {
        pod: ObjectKey::new("n", format!("pod-{uid}")),
        uid: uid.into(),
        peer: peer.clone(),
        wish: Wish::AsItIs,
    }
}

fn open_of(links: &Links, uid: &str) -> Vec<u128> {
    let kept = links.ledgers(&server());
    let of = kept.iter().filter(|k| k.uid == uid);
    let mut open: Vec<u128> = of
        .flat_map(|k| k.ledger.lock().sessions().map(|(s, _)| s.as_u128()).collect::<Vec<_>>())
        .collect();
    open.sort_unstable();
    open
}

async fn until_open_of(links: &Links, uid: &str, wanted: &[u128]) {
    let seen = async {
        while open_of(links, uid) != wanted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(10), seen).await.unwrap();
}

async fn listening(played: &Played, authority: &Authority) -> Peer {
    peer(played.listen(serving(authority, NAME)).await, authority)
}

#[tokio::test]
async fn what_a_pod_had_open_that_went_with_the_leader_is_known_to_the_next_one() {
    let (lost, other, authority) = (Played::with_ledger([1, 2]), Played::with_ledger([3]), authority());
    let (links, told) = links();
    let (a, b) = (listening(&lost, &authority).await, listening(&other, &authority).await);
    links.stand_by(&server(), vec![target("a", &a), target("b", &b)]);
    until_open_of(&links, "a", &[1, 2]).await;
    lost.says(Some(opened(4)));
    until_open_of(&links, "a", &[1, 2, 4]).await;
    assert!(
        lost.pushed.lock().is_empty() && lost.drained.lock().is_empty(),
        "it only hears"
    );
    assert!(links.view(&ObjectKey::new("n", "pod-a"), "a").is_none());

    // The pod goes, and then this process leads.
    links.stand_by(&server(), vec![target("b", &b)]);
    lost.says(None);
    told.lock().clear();
    let body = Bytes::from(serde_json::to_vec(&config("1")).unwrap());
    links.sync(&server(), "u", &config("1"), &body, vec![target("b", &b)]);
    until_open_of(&links, "b", &[3]).await;
    assert_eq!(open_of(&links, "a"), [1, 2, 4]);
    links.tidy(|_| true);
    assert_eq!(
        open_of(&links, "a"),
        [1, 2, 4],
        "what it leads with it does not tidy away"
    );
    links.drop_ledger("a");
    assert!(open_of(&links, "a").is_empty());
}

#[tokio::test]
async fn what_the_leader_has_had_closed_by_another_pod_is_not_open_to_the_next_leader() {
    let (lost, heir, authority) = (Played::with_ledger([1, 2]), Played::with_ledger([3]), authority());
    let (links, _) = links();
    let (a, b) = (listening(&lost, &authority).await, listening(&heir, &authority).await);
    links.stand_by(&server(), vec![target("a", &a), target("b", &b)]);
    until_open_of(&links, "a", &[1, 2]).await;
    until_open_of(&links, "b", &[3]).await;
    links.stand_by(&server(), vec![target("b", &b)]);
    lost.says(None);
    let closed = |n| LedgerLine::Closed {
        session: uuid::Uuid::from_u128(n),
    };
    heir.says(Some(closed(1)));
    until_open_of(&links, "a", &[2]).await;
    assert_eq!(open_of(&links, "b"), [3]);
    let kept = links.ledgers(&server());
    assert!(
        kept.iter()
            .any(|k| k.uid == "a" && k.ledger.lock().is_closed(&uuid::Uuid::from_u128(1)))
    );
}

#[tokio::test]
async fn one_who_does_not_lead_any_more_knows_what_it_knew_and_hears_on() {
    let (played, authority, (links, _)) = (Played::with_ledger([1]), authority(), links());
    let peer = listening(&played, &authority).await;
    sync(&links, &peer, "1");
    until_open(&links, &[1]).await;
    links.clear();
    assert!(links.view(&pod(), "p").is_none());
    let waits = Target {
        pod: pod(),
        ..target("p", &peer)
    };
    links.stand_by(&server(), vec![waits]);
    // Opened anew, or heard on: in both cases.
    played.ledger.as_ref().unwrap().0.lock().push(opened(2));
    until_open(&links, &[1, 2]).await;
}

#[tokio::test]
async fn of_a_server_that_is_not_there_nothing_is_remembered() {
    let (played, authority, (links, _)) = (Played::with_ledger([1]), authority(), links());
    let peer = listening(&played, &authority).await;
    links.stand_by(&server(), vec![target("p", &peer)]);
    until_open(&links, &[1]).await;
    links.tidy(|_| true);
    assert_eq!(open_of(&links, "p"), [1]);
    links.tidy(|_| false);
    assert!(links.ledgers(&server()).is_empty());
}
