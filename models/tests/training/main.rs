//! From descriptions and presets to architectures.

#[path = "../common/mod.rs"]
mod common;
mod described;
mod faults;
mod nonsense;
mod preset;
mod recipe;
