//! One test binary over the whole house.

mod arrows;
mod cli;
