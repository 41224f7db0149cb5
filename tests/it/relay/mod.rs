//! The relay in this process, between a sender and receivers that do as they are told.

mod delivery;
mod documentation;
mod harness;
mod intake;
mod queues;
mod refusals;
mod reload;
