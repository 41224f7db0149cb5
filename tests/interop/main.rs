//! promrelay between real programs: Prometheus scrapes and writes, and what arrives behind the
//! relay is compared with what arrives without it.
//!
//! Every program runs on loopback, on a port that was free, in a directory of its own, and is
//! ended by its process id. `PROMRELAY_BIN` names the binary to test; without it, cargo's own.
//! A program that is not installed fails the test where `CI` is set and skips it elsewhere;
//! `tests/run` installs them.

mod attacks;
mod certificates;
mod chain;
mod cluster;
mod crash;
mod disk_full;
mod equivalence;
mod exposition;
mod guarded;
mod kubernetes;
mod listener;
mod messages;
mod neighbour;
mod outage;
mod owner;
mod peers;
mod process;
mod receivers;
mod recorder;
mod routes;
mod samples;
mod scraping;
mod second;
mod secured;
#[path = "../../src/discovery/kubernetes/tests/stand_in.rs"]
#[expect(
    dead_code,
    reason = "the claims about broken watches stand beside the code"
)]
mod stand_in;
