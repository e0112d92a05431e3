//! What a script can compute: entry-wise functions, sums, products, a few iterations.
//!
//! Everything here is approximate arithmetic in float64. Numbers that are no numbers pass through; only shapes are refused.

mod algebra;

use std::rc::Rc;

use mlua::UserDataRef;

use self::algebra::{PERRON_STEPS, cholesky, inverse, perron, power, product, spectral_norm};
use super::array::{Array, Fault, Meter, Shape};

/// An argument.
#[derive(Debug)]
pub(super) enum Operand {
    Number(f64),
    Array(UserDataRef<Array>),
}

/// What comes back.
#[derive(Debug)]
pub(super) enum Output {
    Number(f64),
    Array(Array),
}

type Run = fn(&Rc<Meter>, &'static str, &[Operand]) -> Result<Output, Fault>;

/// One function of the language.
#[derive(Clone, Copy, Debug)]
pub(super) struct Primitive {
    pub(super) name: &'static str,
    pub(super) arguments: usize,
    pub(super) run: Run,
}

const fn primitive(name: &'static str, arguments: usize, run: Run) -> Primitive {
    Primitive { name, arguments, run }
}

/// Every function but the constructors from tables, which `docs/explore.md` lists too.
pub(super) const PRIMITIVES: [Primitive; 36] = [
    primitive("abs", 1, |meter, _, a| each(meter, &a[0], f64::abs)),
    primitive("sqrt", 1, |meter, _, a| each(meter, &a[0], f64::sqrt)),
    primitive("exp", 1, |meter, _, a| each(meter, &a[0], f64::exp)),
    primitive("log", 1, |meter, _, a| each(meter, &a[0], f64::ln)),
    primitive("sign", 1, |meter, _, a| each(meter, &a[0], sign)),
    primitive("max", 2, |meter, name, a| pairs(meter, name, &a[0], &a[1], larger)),
    primitive("min", 2, |meter, name, a| {
        pairs(meter, name, &a[0], &a[1], |x, y| -larger(-x, -y))
    }),
    primitive("transpose", 1, |meter, name, a| {
        let (a, rows, cols) = matrix(name, &a[0])?;
        filled(meter, Shape::Matrix(cols, rows), |k| a.at(k % rows, k / rows))
    }),
    primitive("symmetric", 1, |meter, name, a| {
        let (a, n) = square(name, &a[0])?;
        filled(meter, Shape::Matrix(n, n), |k| {
            0.5 * (a.at(k / n, k % n) + a.at(k % n, k / n))
        })
    }),
    primitive("diag", 1, |meter, name, a| {
        let a = array(name, &a[0])?;
        match a.shape {
            Shape::Vector(n) => filled(
                meter,
                Shape::Matrix(n, n),
                |k| if k / n == k % n { a.data[k / n] } else { 0.0 },
            ),
            Shape::Matrix(rows, cols) => filled(meter, Shape::Vector(rows.min(cols)), |i| a.at(i, i)),
        }
    }),
    primitive("identity", 1, |meter, name, a| {
        let n = size(name, &a[0])?;
        filled(meter, Shape::Matrix(n, n), |k| if k / n == k % n { 1.0 } else { 0.0 })
    }),
    primitive("ones", 1, |meter, name, a| {
        filled(meter, Shape::Vector(size(name, &a[0])?), |_| 1.0)
    }),
    primitive("zeros", 1, |meter, name, a| {
        filled(meter, Shape::Vector(size(name, &a[0])?), |_| 0.0)
    }),
    primitive("rows", 1, |_, name, a| Ok(Output::Number(matrix(name, &a[0])?.1 as f64))),
    primitive("cols", 1, |_, name, a| Ok(Output::Number(matrix(name, &a[0])?.2 as f64))),
    primitive("outer", 2, |meter, name, a| {
        let ((a, rows), (b, cols)) = (vector(name, &a[0])?, vector(name, &a[1])?);
        filled(meter, Shape::Matrix(rows, cols), |k| a.data[k / cols] * b.data[k % cols])
    }),
    primitive("scale_rows", 2, |meter, name, a| {
        let ((a, rows, cols), (v, length)) = (matrix(name, &a[0])?, vector(name, &a[1])?);
        fits(name, a, v, rows == length)?;
        filled(meter, a.shape, |k| a.data[k] * v.data[k / cols])
    }),
    primitive("scale_cols", 2, |meter, name, a| {
        let ((a, _, cols), (v, length)) = (matrix(name, &a[0])?, vector(name, &a[1])?);
        fits(name, a, v, cols == length)?;
        filled(meter, a.shape, |k| a.data[k] * v.data[k % cols])
    }),
    primitive("sum", 1, |meter, name, a| fold(meter, name, &a[0], 0.0, |sum, v| sum + v)),
    primitive("largest", 1, |meter, name, a| {
        fold(meter, name, &a[0], f64::NEG_INFINITY, larger)
    }),
    primitive("smallest", 1, |meter, name, a| {
        fold(meter, name, &a[0], f64::INFINITY, |x, y| -larger(-x, -y))
    }),
    primitive("norm", 1, |meter, name, a| {
        let a = array(name, &a[0])?;
        meter.charge(a.data.len() as u64)?;
        Ok(Output::Number(length(a.data.iter().copied())))
    }),
    primitive("trace", 1, |_, name, a| {
        let (a, n) = square(name, &a[0])?;
        Ok(Output::Number((0..n).map(|i| a.at(i, i)).sum()))
    }),
    primitive("row_sums", 1, |meter, name, a| {
        let (a, rows, cols) = matrix(name, &a[0])?;
        meter.charge(a.data.len() as u64)?;
        filled(meter, Shape::Vector(rows), |i| (0..cols).map(|j| a.at(i, j)).sum())
    }),
    primitive("col_sums", 1, |meter, name, a| {
        let (a, rows, cols) = matrix(name, &a[0])?;
        meter.charge(a.data.len() as u64)?;
        filled(meter, Shape::Vector(cols), |j| (0..rows).map(|i| a.at(i, j)).sum())
    }),
    primitive("row_norms", 1, |meter, name, a| {
        let (a, rows, cols) = matrix(name, &a[0])?;
        meter.charge(a.data.len() as u64)?;
        filled(meter, Shape::Vector(rows), |i| length((0..cols).map(|j| a.at(i, j))))
    }),
    primitive("col_norms", 1, |meter, name, a| {
        let (a, rows, cols) = matrix(name, &a[0])?;
        meter.charge(a.data.len() as u64)?;
        filled(meter, Shape::Vector(cols), |j| length((0..rows).map(|i| a.at(i, j))))
    }),
    primitive("dot", 2, |meter, name, a| {
        let ((a, left), (b, right)) = (vector(name, &a[0])?, vector(name, &a[1])?);
        fits(name, a, b, left == right)?;
        meter.charge(left as u64)?;
        Ok(Output::Number(a.data.iter().zip(&b.data).map(|(a, b)| a * b).sum()))
    }),
    primitive("matmul", 2, |meter, name, a| {
        let (left, rows, inner) = matrix(name, &a[0])?;
        product(meter, name, left, (rows, inner), array(name, &a[1])?)
    }),
    primitive("power", 2, |meter, name, a| {
        let (a, n) = square(name, &a[0]).and_then(|(base, n)| Ok(((base, size(name, &a[1])?), n)))?;
        power(meter, name, a.0, a.1, n)
    }),
    primitive("spectral_norm", 1, |meter, name, a| {
        let (a, rows, cols) = matrix(name, &a[0])?;
        spectral_norm(meter, a, rows, cols)
    }),
    primitive("perron", 1, |meter, name, a| {
        let (a, n) = square(name, &a[0])?;
        meter.charge((PERRON_STEPS * n) as u64 * n as u64)?;
        let vector = perron(a, n);
        filled(meter, Shape::Vector(n), |i| vector[i])
    }),
    primitive("cholesky", 1, |meter, name, a| {
        let (a, n) = square(name, &a[0])?;
        meter.charge(cube(n))?;
        let lower = cholesky(a, n);
        filled(meter, Shape::Matrix(n, n), |k| lower[k % n * n + k / n])
    }),
    primitive("inverse", 1, |meter, name, a| {
        let (a, n) = square(name, &a[0])?;
        meter.charge(2 * cube(n))?;
        let inverse = inverse(a, n);
        filled(meter, Shape::Matrix(n, n), |k| inverse[k])
    }),
    primitive("factor", 1, |meter, name, a| {
        let (a, n) = square(name, &a[0])?;
        let mut copy = meter.array(Shape::Matrix(n, n), |k| a.data[k])?;
        copy.factor = true;
        Ok(Output::Array(copy))
    }),
    primitive("finite", 1, |_, _, a| {
        let finite = match &a[0] {
            Operand::Number(value) => value.is_finite(),
            Operand::Array(array) => array.data.iter().all(|value| value.is_finite()),
        };
        Ok(Output::Number(if finite { 1.0 } else { 0.0 }))
    }),
];

/// `f` of every entry.
pub(super) fn each(meter: &Rc<Meter>, a: &Operand, f: impl Fn(f64) -> f64) -> Result<Output, Fault> {
    match a {
        Operand::Number(value) => Ok(Output::Number(f(*value))),
        Operand::Array(a) => filled(meter, a.shape, |k| f(a.data[k])),
    }
}

/// `f` of every pair of entries; a number goes with every entry.
pub(super) fn pairs(
    meter: &Rc<Meter>,
    name: &'static str,
    a: &Operand,
    b: &Operand,
    f: impl Fn(f64, f64) -> f64,
) -> Result<Output, Fault> {
    match (a, b) {
        (Operand::Number(a), Operand::Number(b)) => Ok(Output::Number(f(*a, *b))),
        (Operand::Number(a), Operand::Array(b)) => filled(meter, b.shape, |k| f(*a, b.data[k])),
        (Operand::Array(a), Operand::Number(b)) => filled(meter, a.shape, |k| f(a.data[k], *b)),
        (Operand::Array(a), Operand::Array(b)) => {
            fits(name, a, b, a.shape == b.shape)?;
            filled(meter, a.shape, |k| f(a.data[k], b.data[k]))
        }
    }
}

/// `x^y`; whole powers are products.
pub(super) fn raise(x: f64, y: f64) -> f64 {
    match y as i32 {
        whole if f64::from(whole).to_bits() == y.to_bits() => x.powi(whole),
        _ => x.powf(y),
    }
}

fn filled(meter: &Rc<Meter>, shape: Shape, entry: impl FnMut(usize) -> f64) -> Result<Output, Fault> {
    meter.array(shape, entry).map(Output::Array)
}

fn array<'o>(name: &'static str, operand: &'o Operand) -> Result<&'o Array, Fault> {
    match operand {
        Operand::Array(array) => Ok(array),
        Operand::Number(value) => Err(Fault::Type {
            name,
            expected: "an array",
            found: format!("the number {value}"),
        }),
    }
}

fn matrix<'o>(name: &'static str, operand: &'o Operand) -> Result<(&'o Array, usize, usize), Fault> {
    let array = array(name, operand)?;
    match array.shape {
        Shape::Matrix(rows, cols) => Ok((array, rows, cols)),
        shape @ Shape::Vector(_) => Err(Fault::Type {
            name,
            expected: "a matrix",
            found: format!("a {shape}"),
        }),
    }
}

fn vector<'o>(name: &'static str, operand: &'o Operand) -> Result<(&'o Array, usize), Fault> {
    let array = array(name, operand)?;
    match array.shape {
        Shape::Vector(length) => Ok((array, length)),
        shape @ Shape::Matrix(..) => Err(Fault::Type {
            name,
            expected: "a vector",
            found: format!("a {shape}"),
        }),
    }
}

fn square<'o>(name: &'static str, operand: &'o Operand) -> Result<(&'o Array, usize), Fault> {
    let (array, rows, cols) = matrix(name, operand)?;
    if rows == cols {
        Ok((array, rows))
    } else {
        Err(Fault::Type {
            name,
            expected: "a square matrix",
            found: format!("a {}", array.shape),
        })
    }
}

/// A whole number from 0.
fn size(name: &'static str, operand: &Operand) -> Result<usize, Fault> {
    match operand {
        Operand::Number(value) if *value >= 0.0 && *value <= 1e15 && value.fract().abs() <= 0.0 => Ok(*value as usize),
        Operand::Number(value) => Err(Fault::Type {
            name,
            expected: "a whole number",
            found: value.to_string(),
        }),
        Operand::Array(array) => Err(Fault::Type {
            name,
            expected: "a whole number",
            found: format!("a {}", array.shape),
        }),
    }
}

fn fits(name: &'static str, a: &Array, b: &Array, fitting: bool) -> Result<(), Fault> {
    if fitting {
        Ok(())
    } else {
        Err(Fault::Shapes {
            name,
            left: a.shape,
            right: b.shape,
        })
    }
}

fn fold(meter: &Rc<Meter>, name: &'static str, a: &Operand, start: f64, f: impl Fn(f64, f64) -> f64) -> Result<Output, Fault> {
    let a = array(name, a)?;
    meter.charge(a.data.len() as u64)?;
    Ok(Output::Number(a.data.iter().copied().fold(start, f)))
}

fn sign(x: f64) -> f64 {
    if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        // Zero stays zero, and what is no number stays none.
        x
    }
}

/// The larger one; NaN if one is NaN.
fn larger(x: f64, y: f64) -> f64 {
    if x.is_nan() || x >= y { x } else { y }
}

/// The root of the sum of the squares.
fn length(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|v| v * v).sum::<f64>().sqrt()
}

fn cube(n: usize) -> u64 {
    (n as u64).saturating_mul(n as u64).saturating_mul(n as u64)
}
