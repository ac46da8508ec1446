//! Oryx's callback, as its documentation and its program have it.

use crate::{event, text};
use headgate_control::HookEvent;
use headgate_hooks::dialect::{Oryx, Speak as _};
use headgate_hooks::event::{Artifact, Details, Recording};

const HEAD: &str = r#"{"request_id":"00000000-0000-0000-0000-000000000001","action":""#;

#[test]
fn on_publish_has_the_query_and_on_unpublish_has_not() {
    let tail = r#"","opaque":"t0ken","vhost":"__defaultVhost__","app":"live","stream":"livestream""#;
    let publish = text(&Oryx, &event(HookEvent::Publish));
    // Go writes `&` as an escape.
    assert_eq!(
        publish,
        format!("{HEAD}on_publish{tail},\"param\":\"?token=abc\\u0026x=1\"}}")
    );
    assert_eq!(
        text(&Oryx, &event(HookEvent::Unpublish)),
        format!("{HEAD}on_unpublish{tail}}}")
    );
    let mut bare = event(HookEvent::Publish);
    bare.param = Box::default();
    assert_eq!(text(&Oryx, &bare), format!("{HEAD}on_publish{tail}}}"));
}

#[test]
fn a_recording_has_its_id_and_at_its_end_what_came_of_it() {
    let stream = r#"","opaque":"t0ken","vhost":"__defaultVhost__","app":"live","stream":"livestream","uuid":"u-1""#;
    let mut begin = event(HookEvent::RecordBegin);
    begin.details = Details::Recording(Box::new(Recording {
        uuid: "u-1".into(),
        artifact: None,
    }));
    assert_eq!(text(&Oryx, &begin), format!("{HEAD}on_record_begin{stream}}}"));
    let mut end = event(HookEvent::RecordEnd);
    end.details = Details::Recording(Box::new(Recording {
        uuid: "u-1".into(),
        artifact: Some(Artifact {
            code: 0,
            path: "/data/record/u-1/index.mp4".into(),
            url: "http://h/terraform/v1/hooks/record/hls/u-1/index.mp4".into(),
        }),
    }));
    let artifact = r#","artifact_code":0,"artifact_path":"/data/record/u-1/index.mp4","artifact_url":"http://h/terraform/v1/hooks/record/hls/u-1/index.mp4"}"#;
    assert_eq!(text(&Oryx, &end), format!("{HEAD}on_record_end{stream}{artifact}"));
}

#[test]
fn players_and_connections_are_none_of_its_business() {
    for kind in HookEvent::ALL {
        let told = Oryx.tells(&event(*kind));
        let known = [
            HookEvent::Publish,
            HookEvent::Unpublish,
            HookEvent::RecordBegin,
            HookEvent::RecordEnd,
        ];
        assert_eq!(told, known.contains(kind), "{kind}");
    }
}
