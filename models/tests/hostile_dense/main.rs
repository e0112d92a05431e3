//! Dense network files that must be refused, with the reason; the graphs and arrays are written here byte by byte.

#[path = "../common/mod.rs"]
mod common;
mod graph;
mod matlab;
mod onnx;
mod stacks;
