//! Room that a burst took and nobody needs any more. A map keeps it for ever, and a start, or ten thousand edits, has every object in several of them.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

/// Room for so many is kept.
const KEPT: usize = 256;

/// Gives room back of which an eighth is used. To be called where something is taken out.
pub fn give_back<K: Eq + Hash, V, S: BuildHasher>(map: &mut HashMap<K, V, S>) {
    if map.capacity() > KEPT && map.len() < map.capacity() / 8 {
        map.shrink_to(map.len().saturating_mul(2).max(KEPT / 2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_that_was_full_and_is_nearly_empty_gives_its_room_back_and_a_small_one_keeps_it() {
        let mut map: HashMap<u32, u32> = (0..10_000).map(|n| (n, n)).collect();
        for n in 0..9_900 {
            map.remove(&n);
            give_back(&mut map);
        }
        assert_eq!(map.len(), 100);
        assert!(map.capacity() < 1000, "{}", map.capacity());
        let before = map.capacity();
        map.clear();
        give_back(&mut map);
        assert!(before > KEPT || map.capacity() == before);
    }
}
