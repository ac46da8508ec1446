//! Fan-out as a pass, not a crowd: over the viewers of one (stream, format) goes one task a core, which writes to each socket what it takes and
//! waits for none. What most of them need is made one piece once a merge window; a viewer that cannot take it all goes on by itself, at its own
//! place in the ring, once its socket has room.
//!
//! A connection's own task sleeps meanwhile. It hears of the end, reads what the peer says, and can have something said between two packets:
//! [`Seated`]. Bounds: a viewer holds what was begun, a batch or some packets of the ring, and 64 KiB of what is to be said. A socket that does
//! not take its share in time is cut.

mod desk;
mod outlet;
mod seated;
mod slot;
mod step;
mod sweep;

pub(crate) use desk::Passes;
pub use outlet::Outlet;
pub use seated::Seated;
pub(crate) use slot::Slot;
