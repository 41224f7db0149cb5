//! The relay in this process, between a sender and receivers that do as they are told.

mod client;
mod conformance;
mod delivery;
mod documentation;
mod exposer;
mod harness;
mod histograms;
mod intake;
mod lanes;
mod listeners;
mod queues;
mod refusals;
mod reload;
mod scraping;
mod secrets;
mod targets;
mod versions;
mod web_secrets;
