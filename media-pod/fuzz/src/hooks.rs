//! What back ends answer, in every dialect.

use bytes::Bytes;
use headgate_control::{Dialect, HookEvent};
use headgate_hooks::dialect::{self, Answer};

pub(crate) fn answer(data: &[u8]) {
    let Some((head, body)) = data.split_first_chunk::<2>() else {
        return;
    };
    let answer = Answer {
        status: u16::from_be_bytes(*head),
        body: Some(Bytes::copy_from_slice(body)),
        retry_after: None,
        max_age: None,
    };
    for dialect in Dialect::ALL {
        let speaker = dialect::of(*dialect);
        for event in HookEvent::ALL {
            let _ = speaker.judge(*event, &answer);
            let _ = speaker.reply(*event, &answer);
        }
    }
}
