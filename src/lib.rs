//! The jobs of lipcert: files in, serialisable results out.
//!
//! A job never prints and never reads the command line; the program of the same name does both.
//!
//! ```no_run
//! use lipcert::results::Run;
//!
//! let run = Run::read(&std::fs::read("run.json")?)?;
//! for model in run.models() {
//!     println!("{}: {} of {} correct", model.model.path, model.correct, model.samples);
//!     for row in &model.certified {
//!         println!("  certified at {}: {}", row.epsilon, row.count);
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod jobs;
pub mod results;
pub mod text;
