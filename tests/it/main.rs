//! One test binary over the whole house.

#[cfg(test)]
mod arrows;
#[cfg(test)]
mod cli;
