//! How lanes are named in a queue.

/// Identifies a lane in a queue: how many lanes the route had, and which one of them this is.
///
/// The number of lanes is part of it because a route with another number of them sorts its series
/// differently: a sender must finish the old lanes before it starts with the new ones.
#[must_use]
pub fn stream(lanes: u8, lane: u8) -> u16 {
    u16::from_be_bytes([lanes, lane])
}

/// The opposite of [`stream`]: how many lanes, and which.
#[must_use]
pub fn lane_of(stream: u16) -> (u8, u8) {
    let [lanes, lane] = stream.to_be_bytes();
    (lanes, lane)
}
