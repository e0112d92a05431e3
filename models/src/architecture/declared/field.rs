//! What may stand in the fields of a layer, field by field: a whole entry that does not fit does not say which of them it is.

use lipcert_proofs::statement::{BlockOrder, Over, Pairing};
use serde::Deserialize;
use serde_json::Value;

use super::super::convolution::DeclaredPadding;
use super::kind::Between;

/// The name of the field and what is expected there, if the value cannot stand in it.
pub(crate) fn fault(kind: &str, field: &str, value: &Value) -> Option<(&'static str, &'static str)> {
    fn is<'v, T: Deserialize<'v>>(value: &'v Value) -> bool {
        T::deserialize(value).is_ok()
    }
    let number = "a finite number";
    let count = "an integer that is not negative";
    let (fits, field, expected) = match field {
        "name" => (value.is_string(), "name", "a text"),
        "activation" if kind == "sandwich" => (is::<Between>(value), "activation", "`relu` or `leaky-relu`"),
        "activation" => (value.is_string(), "activation", "a text"),
        "slope" => (is::<f64>(value), "slope", number),
        "beta" => (is::<f64>(value), "beta", number),
        "epsilon" => (is::<f64>(value), "epsilon", number),
        "offset" => (is::<f64>(value), "offset", number),
        "iterations" => (is::<usize>(value), "iterations", count),
        "terms" => (is::<usize>(value), "terms", count),
        "divisor" => (is::<u32>(value), "divisor", "an integer from 1 to 4294967295"),
        "pairing" => (is::<Pairing>(value), "pairing", "`split` or `adjacent`"),
        "order" => (is::<BlockOrder>(value), "order", "`channel-first` or `block-first`"),
        "over" => (is::<Over>(value), "over", "`all` or `channel`"),
        "padding" => (is::<DeclaredPadding>(value), "padding", "`zero` or `circular`"),
        _ => return None,
    };
    (!fits).then_some((field, expected))
}
