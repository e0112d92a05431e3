//! The jobs of lipcert: files in, serialisable results out.
//!
//! A job never prints and never reads the command line; the program of the same name does both.

pub mod jobs;
pub mod results;
pub mod text;
