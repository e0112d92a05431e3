//! The program that trains: a job on standard input, events on standard output.

fn main() {}
