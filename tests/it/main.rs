//! One test binary over the whole house.

#[cfg(test)]
mod arrows;
#[cfg(test)]
mod attack_dense;
#[cfg(test)]
mod certify;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod convolution;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod dense;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod verify;
