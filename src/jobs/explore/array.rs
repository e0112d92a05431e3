//! Vectors and matrices of scripts, and the meter that bounds what a script may use.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

/// What a script may use, and what it has used.
#[derive(Debug)]
pub(super) struct Meter {
    operations: Cell<u64>,
    most_operations: u64,
    bytes: Cell<usize>,
    most_bytes: usize,
}

/// Bytes of the bookkeeping of one array.
const OVERHEAD: usize = 128;

impl Meter {
    pub(super) fn new(most_operations: u64, most_bytes: usize) -> Rc<Self> {
        Rc::new(Self {
            operations: Cell::new(0),
            most_operations,
            bytes: Cell::new(0),
            most_bytes,
        })
    }

    /// A new call begins.
    pub(super) fn restart(&self) {
        self.operations.set(0);
    }

    /// Counts operations.
    ///
    /// # Errors
    ///
    /// [`Fault::Operations`] if they are too many.
    pub(super) fn charge(&self, operations: u64) -> Result<(), Fault> {
        let sum = self.operations.get().saturating_add(operations);
        self.operations.set(sum);
        if sum <= self.most_operations {
            Ok(())
        } else {
            Err(Fault::Operations(self.most_operations))
        }
    }

    /// An array, filled entry by entry, if there is room for it.
    ///
    /// # Errors
    ///
    /// [`Fault::Memory`] if there is not.
    pub(super) fn array(self: &Rc<Self>, shape: Shape, entry: impl FnMut(usize) -> f64) -> Result<Array, Fault> {
        let wanted = shape
            .count()
            .and_then(|count| count.checked_mul(size_of::<f64>()))
            .and_then(|bytes| bytes.checked_add(OVERHEAD));
        let sum = wanted.and_then(|wanted| self.bytes.get().checked_add(wanted));
        let (Some(wanted), Some(sum)) = (wanted, sum.filter(|sum| *sum <= self.most_bytes)) else {
            return Err(Fault::Memory(self.most_bytes));
        };
        self.charge(wanted as u64 / 8)?;
        self.bytes.set(sum);
        Ok(Array {
            data: (0..shape.count().unwrap_or(0)).map(entry).collect(),
            shape,
            factor: false,
            bytes: wanted,
            meter: Rc::clone(self),
        })
    }
}

/// Sizes of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Vector(usize),
    Matrix(usize, usize),
}

impl Shape {
    /// Number of entries, if it is one.
    fn count(self) -> Option<usize> {
        match self {
            Self::Vector(length) => Some(length),
            Self::Matrix(rows, cols) => rows.checked_mul(cols),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vector(length) => write!(f, "vector of {length}"),
            Self::Matrix(rows, cols) => write!(f, "{rows} x {cols} matrix"),
        }
    }
}

/// A vector or a matrix, row-major.
#[derive(Debug)]
pub(super) struct Array {
    pub(super) shape: Shape,
    pub(super) data: Vec<f64>,
    /// Whether the script has called it a factor of `T`.
    pub(super) factor: bool,
    bytes: usize,
    meter: Rc<Meter>,
}

impl Array {
    /// Entry `(i, j)` of a matrix.
    pub(super) fn at(&self, i: usize, j: usize) -> f64 {
        match self.shape {
            Shape::Vector(_) => self.data[i],
            Shape::Matrix(_, cols) => self.data[i * cols + j],
        }
    }
}

impl Drop for Array {
    fn drop(&mut self) {
        self.meter.bytes.set(self.meter.bytes.get().saturating_sub(self.bytes));
    }
}

/// Why a primitive was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("more than {0} operations: the script is endless or too slow")]
    Operations(u64),
    #[error("more than {} MiB of memory", .0 >> 20)]
    Memory(usize),
    #[error("`{name}` takes {expected} arguments, found {found}")]
    Arity {
        name: &'static str,
        expected: usize,
        found: usize,
    },
    #[error("`{name}` expects {expected}, found {found}")]
    Type {
        name: &'static str,
        expected: &'static str,
        found: String,
    },
    #[error("`{name}`: a {left} and a {right} do not fit")]
    Shapes { name: &'static str, left: Shape, right: Shape },
    #[error("index {index} is outside 1 to {length}")]
    Index { index: String, length: usize },
    #[error("arrays do not change: build a table and make a new one of it")]
    Immutable,
    #[error("there is nothing called `{0}` to assign to: write `local {0} = …`")]
    Assignment(String),
}
