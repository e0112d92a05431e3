//! One test binary over the whole house.

#[cfg(test)]
mod arrows;
#[cfg(test)]
mod attack;
#[cfg(test)]
mod attack_dense;
#[cfg(test)]
mod certify;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod convolution;
#[cfg(test)]
mod curvature;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod dense;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod explore;
#[cfg(test)]
mod explore_hostile;
#[cfg(test)]
mod families;
#[cfg(test)]
mod finetune;
#[cfg(test)]
mod formula;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod joint;
#[cfg(test)]
mod libtorch;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod residual_block;
#[cfg(test)]
mod train;
#[cfg(test)]
mod train_folder;
#[cfg(test)]
mod train_whole;
#[cfg(test)]
mod trainer;
#[cfg(test)]
mod trainer_hangs;
#[cfg(test)]
mod verify;
