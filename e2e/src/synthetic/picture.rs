//! What is on the picture: colour bars, and a white square that goes round.

use super::video::{HEIGHT_MBS, WIDTH_MBS};

/// Samples of one macroblock: 16×16 luma, then 8×8 of each chroma.
pub(super) const SAMPLES: usize = 384;
/// Side of the square in macroblocks.
const SQUARE: u32 = 2;

/// Y, Cb, Cr of the bars from left to right, limited range.
const BARS: [[u8; 3]; 8] = [
    [180, 128, 128],
    [162, 44, 142],
    [131, 156, 44],
    [112, 72, 58],
    [84, 184, 198],
    [65, 100, 212],
    [35, 212, 114],
    [16, 128, 128],
];

/// The samples of the macroblock at (`x`, `y`) in picture number `picture`.
pub(super) fn macroblock(picture: u64, x: u32, y: u32) -> [u8; SAMPLES] {
    let bar = BARS
        .iter()
        .cycle()
        .nth((x * 8 / WIDTH_MBS) as usize)
        .copied()
        .unwrap_or([16, 128, 128]);
    let [luma, cb, cr] = if in_square(picture, x, y) { [235, 128, 128] } else { bar };
    std::array::from_fn(|at| match at {
        0..256 => luma,
        256..320 => cb,
        _ => cr,
    })
}

/// Whether the macroblock looks different in this picture than in the one before.
pub(super) fn changed(picture: u64, x: u32, y: u32) -> bool {
    in_square(picture, x, y) != in_square(picture.wrapping_sub(1), x, y)
}

fn in_square(picture: u64, x: u32, y: u32) -> bool {
    let (left, top) = square(picture);
    (left..left + SQUARE).contains(&x) && (top..top + SQUARE).contains(&y)
}

/// Upper left corner; goes from left to right and starts again a row lower.
fn square(picture: u64) -> (u32, u32) {
    let (columns, rows) = (u64::from(WIDTH_MBS - SQUARE + 1), u64::from(HEIGHT_MBS - SQUARE + 1));
    let place = |n: u64| u32::try_from(n).unwrap_or(0);
    (place(picture % columns), place(picture / columns % rows))
}
