//! Seeds that depend on what they are for and on nothing that came before.

/// What random numbers are for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// The first weights.
    Start,
    /// The order of an epoch.
    Order,
    /// Everything in a step.
    Step,
}

/// The seed of the numbers for one purpose: the finaliser of SplitMix64 (Steele, Lea, Flood 2014) over seed, purpose and place.
pub(super) fn mix(seed: u64, purpose: Purpose, place: usize) -> i64 {
    let mut state = seed;
    for part in [purpose as u64, place as u64] {
        state = state
            .wrapping_add(0x9e37_79b9_7f4a_7c15)
            .wrapping_add(part.wrapping_mul(0xd1b5_4a32_d192_ed03));
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        state ^= state >> 31;
    }
    state.cast_signed()
}
