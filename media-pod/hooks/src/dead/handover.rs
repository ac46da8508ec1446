//! Dead letters on their way from a pod that ends to another one, so that somebody can still have them sent.

use serde::{Deserialize, Serialize};

use super::shelf::Letter;
use crate::handover::{TakeOverError, VERSION};
use crate::hooks::Hooks;

/// Letters that [`Hooks::letters`] gives at a time.
const LETTERS_MAX: usize = 1000;

/// A dead letter. As JSON it is what one pod says to another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LetterRecord {
    version: u32,
    letter: Letter,
    /// The number it has where it comes from.
    #[serde(skip)]
    number: u64,
}

impl Hooks {
    /// For shutdown, behind [`Hooks::flush`]: the oldest dead letters. They stay until [`Hooks::letters_taken`]; then the next call gives what follows.
    pub async fn letters(&self) -> Vec<LetterRecord> {
        let inner = self.inner();
        let page = inner.books().letters.oldest(LETTERS_MAX).await;
        let record = |(number, letter): (u64, Letter)| LetterRecord {
            version: VERSION,
            letter: Letter {
                event: inner.in_my_name(letter.event),
                ..letter
            },
            number,
        };
        page.into_iter().map(record).collect()
    }

    /// Another pod has these now.
    pub async fn letters_taken(&self, records: &[LetterRecord]) {
        let numbers = records.iter().map(|record| record.number).collect();
        self.inner().books().letters.gone(numbers).await;
    }

    /// Keeps dead letters that another pod hands over. `Ok`: they are where this pod's own are.
    pub async fn take_letters(&self, records: Vec<LetterRecord>) -> Result<(), TakeOverError> {
        if let Some(odd) = records.iter().find(|record| record.version != VERSION) {
            return Err(TakeOverError::UnknownVersion(odd.version));
        }
        let letters = records.into_iter().map(|record| record.letter).collect();
        if self.inner().books().letters.keep_all(letters).await {
            Ok(())
        } else {
            Err(TakeOverError::NotDurable)
        }
    }
}
