//! The layout of the authors' SLL code: one `Sequential` of padding, convolutions, pooling, flattening, dense layers, head.
//!
//! With `n` convolutions and `m` dense layers the index is 0 for the padding, `1..=n` for the convolutions (`kernel`
//! `(inner, w, 3, 3)`, `bias` `(1, inner, 1, 1)`, `q` `(inner,)`), `n + 1` for the pooling (windows of 4, divisor 4), `n + 2` for the
//! flattening, `n + 3 ..= n + 2 + m` for the dense layers (`weight` `(inner, F)`, `bias` `(1, inner)`, `q` `(inner,)`), and
//! `n + 3 + m` for the head (`weight` `(classes, F)`, `bias` `(classes,)`). The names start with `module.model.model.`, or with a
//! part of it. In the deployed convolution the two exponentials of `q` carry the same index and cancel: [`ScaleKind::RowSum`].
//!
//! # Source
//!
//! Araujo et al., *A Unified Algebraic Perspective on Lipschitz Neural Networks*, ICLR 2023; repository
//! araujoalexandre/Lipschitz-SLL-Networks, `core/models/{model,layers}.py`.

use std::collections::BTreeMap;

use super::{Architecture, ArchitectureError, Plan, PlannedLayer, ScaleKind};
use crate::checkpoint::{TensorInfo, shown};

/// Side of every kernel: the code pads by 1.
const KERNEL: usize = 3;
/// Side and divisor of the pooling.
const POOL: usize = 4;

/// The tensors of one index of the `Sequential`, by field.
type Group<'t> = BTreeMap<&'t str, &'t TensorInfo>;

/// Finds the layers.
pub(super) fn detect(tensors: &[TensorInfo]) -> Result<Architecture, ArchitectureError> {
    let kernel = tensors.iter().find_map(|info| match split(&info.name) {
        Some((prefix, _, "kernel")) if info.shape.len() == 4 => Some(prefix),
        _ => None,
    });
    let Some(prefix) = kernel else {
        return Err(ArchitectureError::Unknown {
            tensors: tensors.len(),
            first: tensors.first().map_or_else(String::new, |info| shown(info.name.as_bytes())),
        });
    };
    let mut groups: BTreeMap<usize, Group<'_>> = BTreeMap::new();
    for info in tensors {
        match split(&info.name) {
            Some((found, index, field)) if found == prefix => {
                groups.entry(index).or_default().insert(field, info);
            }
            _ => return Err(extra(info)),
        }
    }
    Reader { prefix, groups }.read()
}

/// A name as prefix, index and field: `module.model.model.12.bias`.
fn split(name: &str) -> Option<(&str, usize, &str)> {
    let (rest, field) = name.rsplit_once('.')?;
    let digits = rest.rsplit('.').next()?;
    let index: usize = digits.parse().ok()?;
    if index.to_string() != digits {
        return None;
    }
    let prefix = &rest[..rest.len() - digits.len()];
    let mut bare = prefix.strip_prefix("module.").unwrap_or(prefix);
    for _ in 0..2 {
        bare = bare.strip_prefix("model.").unwrap_or(bare);
    }
    bare.is_empty().then_some((prefix, index, field))
}

fn extra(info: &TensorInfo) -> ArchitectureError {
    ArchitectureError::Extra {
        tensor: info.name.clone(),
    }
}

/// Compares a shape; 0 stands for any size but zero itself.
fn expect(info: &TensorInfo, expected: &[usize]) -> Result<(), ArchitectureError> {
    let found = &info.shape;
    let fits = |(expected, found): (&usize, &usize)| *found > 0 && (*expected == 0 || expected == found);
    if found.len() == expected.len() && expected.iter().zip(found).all(fits) {
        return Ok(());
    }
    Err(ArchitectureError::Shape {
        tensor: info.name.clone(),
        expected: expected.to_vec(),
        found: found.clone(),
    })
}

/// The tensors, grouped; what is read is taken out.
struct Reader<'t> {
    prefix: &'t str,
    groups: BTreeMap<usize, Group<'t>>,
}

impl<'t> Reader<'t> {
    fn read(mut self) -> Result<Architecture, ArchitectureError> {
        let last_kernel = self.last("kernel").unwrap_or(0);
        let mut convolutions = Vec::new();
        let mut width = 0;
        for index in 1..=last_kernel {
            // a missing index ends the loop at once, however large the last one is
            let plan = self.convolution(index, width)?;
            if let Plan::Conv { channels, .. } = plan {
                width = channels;
            }
            convolutions.push(self.layer(index, plan));
        }
        let first_dense = last_kernel + 3;
        let head = self.last("weight").filter(|last| *last >= first_dense).unwrap_or(first_dense);
        let mut dense = Vec::new();
        let mut features = 0;
        for index in first_dense..head {
            let plan = self.dense(index, features)?;
            if let Plan::Dense { features: found, .. } = plan {
                features = found;
            }
            dense.push(self.layer(index, plan));
        }
        let plan = self.head(head, features)?;
        let head = self.layer(head, plan);
        if let Some(info) = self.groups.values().flat_map(Group::values).next() {
            return Err(extra(info));
        }
        let mut layers = vec![self.layer(0, Plan::PadChannels { channels: width })];
        layers.append(&mut convolutions);
        let pool = Plan::AveragePool {
            size: POOL,
            divisor: POOL as u32,
        };
        layers.push(self.layer(last_kernel + 1, pool));
        layers.push(self.layer(last_kernel + 2, Plan::Flatten));
        layers.append(&mut dense);
        layers.push(head);
        Ok(Architecture {
            name: "sll".to_owned(),
            input: None,
            preprocess: None,
            layers,
        })
    }

    /// The last index that has a field.
    fn last(&self, field: &str) -> Option<usize> {
        let mut indices = self.groups.iter().rev();
        indices.find(|(_, group)| group.contains_key(field)).map(|(index, _)| *index)
    }

    fn layer(&self, index: usize, plan: Plan) -> PlannedLayer {
        PlannedLayer {
            name: format!("{}{index}", self.prefix),
            plan,
        }
    }

    /// The tensors of a layer: a missing one is reported before a misshapen one.
    fn take_all<const N: usize>(&mut self, index: usize, fields: [&str; N]) -> Result<[&'t TensorInfo; N], ArchitectureError> {
        let mut group = self.groups.remove(&index).unwrap_or_default();
        let mut found = Vec::with_capacity(N);
        for field in fields {
            found.push(group.remove(field).ok_or_else(|| ArchitectureError::Missing {
                tensor: format!("{}{index}.{field}", self.prefix),
            })?);
        }
        if let Some(info) = group.values().next() {
            return Err(extra(info));
        }
        Ok(found.try_into().expect("one a field"))
    }

    fn convolution(&mut self, index: usize, width: usize) -> Result<Plan, ArchitectureError> {
        let [kernel, bias, q] = self.take_all(index, ["kernel", "bias", "q"])?;
        expect(kernel, &[0, width, KERNEL, KERNEL])?;
        let (inner, channels) = (kernel.shape[0], kernel.shape[1]);
        expect(bias, &[1, inner, 1, 1])?;
        expect(q, &[inner])?;
        Ok(Plan::Conv {
            scale: ScaleKind::RowSum,
            inner,
            channels,
            size: KERNEL,
        })
    }

    fn dense(&mut self, index: usize, features: usize) -> Result<Plan, ArchitectureError> {
        let [weight, bias, q] = self.take_all(index, ["weight", "bias", "q"])?;
        expect(weight, &[0, features])?;
        let (inner, features) = (weight.shape[0], weight.shape[1]);
        expect(bias, &[1, inner])?;
        expect(q, &[inner])?;
        Ok(Plan::Dense {
            scale: ScaleKind::Weighted,
            inner,
            features,
        })
    }

    fn head(&mut self, index: usize, features: usize) -> Result<Plan, ArchitectureError> {
        // a dense layer in the last place means that the head is what is missing
        if self.groups.get(&index).is_some_and(|group| group.contains_key("q")) {
            let tensor = format!("{}{}.weight", self.prefix, index + 1);
            return Err(ArchitectureError::Missing { tensor });
        }
        let [weight, bias] = self.take_all(index, ["weight", "bias"])?;
        expect(weight, &[0, features])?;
        expect(bias, &[weight.shape[0]])?;
        Ok(Plan::Head {
            classes: weight.shape[0],
            features: weight.shape[1],
        })
    }
}
