//! What is trained and how, as plain data: the file that a user writes, the networks it may describe, and what the program that trains says.
//!
//! Nothing here trains. The program that does is a crate of its own, because it needs libtorch; it gets a [`job::Job`] and answers with a stream of
//! [`job::Event`]s, both JSON, so that whoever starts it needs neither libtorch nor its crate.

pub mod candidates;
pub mod config;
pub mod folder;
pub mod job;
pub mod parameters;
pub mod place;
pub mod preset;
pub mod recipe;

pub use config::Config;
