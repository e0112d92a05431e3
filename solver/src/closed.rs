//! Bounds without iteration: formulas, one file a family.
//!
//! - [`diagonal`]: diagonal matrices `T ⪰ WᵀW` for one layer.
//! - [`product`]: the product of the norms of a chain, with the multipliers that make LipSDP feasible there.
//! - [`recursion`]: layer by layer through a chain, a diagonal `T` at each.

pub mod diagonal;
pub mod product;
pub mod recursion;
