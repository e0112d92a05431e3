//! A family as a script: Lua without a library, bounded in what it may use.
//!
//! A script sees its weight, a few numbers and the functions of [`super::primitives`], and nothing else: no files, no clock, no randomness, no state from
//! one call to the next. So its `T` is a function of its arguments.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use lipcert_proofs::rules::refutation::Candidate;
use lipcert_proofs::statement::Matrix;
use mlua::chunk::ChunkMode;
use mlua::{
    AnyUserData, Function, HookTriggers, Lua, LuaOptions, MetaMethod, MultiValue, StdLib, Table, UserData, UserDataMethods,
    Value, VmState,
};

use super::array::{Array, Fault, Meter, Shape};
use super::primitives::{Operand, Output, PRIMITIVES, each, pairs, raise};

/// The text of a script and what to call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// The name of the family.
    pub(super) name: String,
    /// The file, for errors.
    pub(super) file: String,
    /// The text.
    pub(super) text: String,
}

/// What one call may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Instructions, and operations of the functions.
    pub(super) operations: u64,
    /// Bytes of arrays; as many again for everything else.
    pub(super) bytes: usize,
}

impl Limits {
    /// Enough for any sensible formula of a weight of this shape.
    pub(super) fn of(rows: usize, cols: usize) -> Self {
        let (rows, cols) = (rows as u64, cols as u64);
        let work = cols.saturating_mul(cols).saturating_mul(rows.saturating_add(cols));
        let entries = (rows + cols).saturating_mul(cols) as usize;
        Self {
            operations: work.saturating_mul(100).saturating_add(5_000_000),
            bytes: entries.saturating_mul(16 * 8).saturating_add(64 << 20),
        }
    }
}

/// Longest script.
const SCRIPT_MOST: usize = 1 << 20;

/// Instructions between two looks at the meter.
const STRIDE: u32 = 1000;

/// Why a script gave no `T`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ScriptError {
    /// At a line.
    #[error("`{file}` line {line}: {message}")]
    Line { file: String, line: usize, message: String },
    /// Of the whole script.
    #[error("`{file}`: {message}")]
    Whole { file: String, message: String },
}

/// The arguments of a family.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Arguments {
    /// Rows of the weight: inputs of the layer.
    pub(super) rows: usize,
    /// Columns of the weight: entries of `T`.
    pub(super) cols: usize,
    /// `W`, row-major.
    pub(super) weight: Vec<f64>,
    /// A positive vector, `(cols,)`.
    pub(super) q: Vec<f64>,
    /// Any vector, `(cols,)`.
    pub(super) z: Vec<f64>,
}

impl Arguments {
    /// `WᵀW`, about.
    pub(super) fn gram(&self) -> Vec<f64> {
        let m = self.cols;
        let mut gram = vec![0.0; m * m];
        for row in self.weight.chunks_exact(m) {
            for (i, a) in row.iter().enumerate() {
                for (sum, b) in gram[i * m..(i + 1) * m].iter_mut().zip(row) {
                    *sum += a * b;
                }
            }
        }
        gram
    }

    /// `Wᵀ`, as the rules read it.
    pub(super) fn turned(&self) -> Option<Matrix> {
        let entries = (0..self.weight.len()).map(|k| self.weight[k % self.rows * self.cols + k / self.rows]);
        Matrix::new("weight", self.cols, self.rows, entries.collect()).ok()
    }
}

/// What a script returned.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    /// `T = diag(t)`.
    Diagonal(Vec<f64>),
    /// `T`, row-major and symmetric.
    Full(Vec<f64>),
    /// `R` with `T = RᵀR`, row-major.
    Factor(Vec<f64>),
}

impl Answer {
    /// As the rules read it; nothing if a number is not finite.
    pub(super) fn candidate(&self, n: usize) -> Option<Candidate> {
        let square = |what, data: &Vec<f64>| Matrix::new(what, n, n, data.clone()).ok();
        match self {
            Self::Diagonal(t) => t.iter().all(|t| t.is_finite()).then(|| Candidate::Diagonal(t.clone())),
            Self::Full(t) => square("T", t).map(Candidate::Full),
            Self::Factor(r) => square("factor", r).map(Candidate::Factor),
        }
    }
}

/// What the functions of one state share.
struct Host {
    meter: Rc<Meter>,
    /// What went wrong first, and where.
    failure: RefCell<Option<(Fault, Option<usize>)>>,
    /// The line that runs, where it is followed.
    line: Cell<Option<usize>>,
}

/// A script, ready to be called.
pub(super) struct Script {
    source: Source,
    lua: Lua,
    chunk: Function,
    /// Metatable of the names that a call sees.
    names: Table,
    host: Rc<Host>,
}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    ///
    /// [`ScriptError`] if it is no script.
    pub(super) fn new(source: &Source, limits: Limits) -> Result<Self, ScriptError> {
        if source.text.len() > SCRIPT_MOST {
            return Err(whole(
                source,
                &format!("{} bytes, at most {SCRIPT_MOST} are read", source.text.len()),
            ));
        }
        let host = Rc::new(Host {
            meter: Meter::new(limits.operations, limits.bytes),
            failure: RefCell::new(None),
            line: Cell::new(None),
        });
        let build = || -> mlua::Result<(Lua, Function, Table)> {
            let lua = Lua::new_with(StdLib::NONE, LuaOptions::new())?;
            lua.set_memory_limit(limits.bytes)?;
            lua.set_app_data(Rc::clone(&host));
            let names = names(&lua)?;
            // Text only: no compiled chunk.
            let chunk = lua
                .load(&source.text)
                .set_name("@script")
                .set_mode(ChunkMode::Text)
                .into_function()?;
            lua.set_hook(HookTriggers::new().every_nth_instruction(STRIDE), |lua, debug| {
                let host = host_of(lua);
                match host.meter.charge(u64::from(STRIDE)) {
                    Ok(()) => Ok(VmState::Continue),
                    Err(fault) => Err(host.fail(fault, debug.current_line())),
                }
            })?;
            Ok((lua, chunk, names))
        };
        match build() {
            Ok((lua, chunk, names)) => Ok(Self {
                source: source.clone(),
                lua,
                chunk,
                names,
                host,
            }),
            Err(error) => Err(located(source, &error)),
        }
    }

    /// Calls the script.
    ///
    /// # Errors
    ///
    /// [`ScriptError`] if it fails, uses too much, or returns nothing that can stand for `T`.
    pub(super) fn call(&self, arguments: &Arguments, gram: &[f64]) -> Result<Answer, ScriptError> {
        let value = match self.run(arguments, gram) {
            Err(mlua::Error::MemoryError(_)) => return Err(self.out_of_memory(arguments, gram)),
            Err(error) => return Err(self.explain(&error)),
            Ok(value) => value,
        };
        self.answer(&value, arguments.cols)
    }

    fn run(&self, arguments: &Arguments, gram: &[f64]) -> mlua::Result<Value> {
        let (n, m) = (arguments.rows, arguments.cols);
        let host = &self.host;
        host.meter.restart();
        host.failure.take();
        let array = |shape, data: &[f64]| match host.meter.array(shape, |k| data[k]) {
            Ok(array) => self.lua.create_userdata(array),
            Err(fault) => Err(host.fail(fault, None)),
        };
        let given = self.lua.create_table()?;
        given.raw_set("w", array(Shape::Matrix(n, m), &arguments.weight)?)?;
        given.raw_set("g", array(Shape::Matrix(m, m), gram)?)?;
        given.raw_set("q", array(Shape::Vector(m), &arguments.q)?)?;
        given.raw_set("z", array(Shape::Vector(m), &arguments.z)?)?;
        given.raw_set("n", n)?;
        given.raw_set("m", m)?;
        given.set_metatable(Some(self.names.clone()))?;
        self.chunk.set_environment(given)?;
        self.chunk.call(())
    }

    /// Runs the script once more, line by line, to say where it ran out of memory.
    fn out_of_memory(&self, arguments: &Arguments, gram: &[f64]) -> ScriptError {
        self.lua.remove_hook();
        let line = Rc::clone(&self.host);
        let triggers = HookTriggers::new().every_line().every_nth_instruction(STRIDE);
        let hooked = self.lua.set_hook(triggers, move |_, debug| {
            line.line.set(debug.current_line());
            match line.meter.charge(1) {
                Ok(()) => Ok(VmState::Continue),
                Err(fault) => Err(line.fail(fault, debug.current_line())),
            }
        });
        let again = hooked.and_then(|()| self.run(arguments, gram).map(drop));
        drop(again);
        let message = Fault::Memory(self.lua.set_memory_limit(0).unwrap_or(0)).to_string();
        match self.host.line.get() {
            Some(line) => ScriptError::Line {
                file: self.source.file.clone(),
                line,
                message,
            },
            None => whole(&self.source, &message),
        }
    }

    fn explain(&self, error: &mlua::Error) -> ScriptError {
        match self.host.failure.take() {
            Some((fault, Some(line))) => ScriptError::Line {
                file: self.source.file.clone(),
                line,
                message: fault.to_string(),
            },
            Some((fault, None)) => whole(&self.source, &fault.to_string()),
            None => located(&self.source, error),
        }
    }

    /// What the returned value stands for.
    fn answer(&self, value: &Value, m: usize) -> Result<Answer, ScriptError> {
        let refuse = |found: &str| {
            let expected = "expected a vector with one entry for each column, a number, a symmetric matrix or `factor(…)`";
            Err(whole(&self.source, &format!("returned {found}: {expected} ({m} here)")))
        };
        let diagonal = |t: Vec<f64>| {
            if t.len() == m {
                Ok(Answer::Diagonal(t))
            } else {
                refuse(&format!("a vector of {}", t.len()))
            }
        };
        match value {
            Value::Number(t) => Ok(Answer::Diagonal(vec![*t; m])),
            Value::Integer(t) => Ok(Answer::Diagonal(vec![*t as f64; m])),
            Value::Table(table) => match numbers(table) {
                Some(t) => diagonal(t),
                None => refuse("a table that is no list of numbers"),
            },
            Value::UserData(data) => {
                let Ok(array) = data.borrow::<Array>() else {
                    return refuse("something else");
                };
                match array.shape {
                    Shape::Vector(_) => diagonal(array.data.clone()),
                    Shape::Matrix(rows, cols) if rows == m && cols == m => {
                        if array.factor {
                            return Ok(Answer::Factor(array.data.clone()));
                        }
                        match symmetric(&array.data, m) {
                            Some(t) => Ok(Answer::Full(t)),
                            None => refuse("a matrix that is not symmetric"),
                        }
                    }
                    shape @ Shape::Matrix(..) => refuse(&format!("a {shape}")),
                }
            }
            other => refuse(other.type_name()),
        }
    }
}

impl Host {
    /// Keeps the first failure and gives the error that ends the script.
    fn fail(&self, fault: Fault, line: Option<usize>) -> mlua::Error {
        let mut failure = self.failure.borrow_mut();
        let message = fault.to_string();
        if failure.is_none() {
            *failure = Some((fault, line));
        }
        mlua::Error::RuntimeError(message)
    }
}

/// The matrix with equal entries on both sides of the diagonal, if it had them up to rounding. NaN passes.
fn symmetric(data: &[f64], m: usize) -> Option<Vec<f64>> {
    let largest = data.iter().fold(0.0, |most, v| if v.abs() > most { v.abs() } else { most });
    let differs = |k: usize| (data[k] - data[k % m * m + k / m]).abs() > 1e-10 * largest;
    if (0..m * m).any(differs) {
        return None;
    }
    Some((0..m * m).map(|k| 0.5 * data[k] + 0.5 * data[k % m * m + k / m]).collect())
}

/// A list of numbers.
fn numbers(table: &Table) -> Option<Vec<f64>> {
    (1..=table.raw_len())
        .map(|k| match table.raw_get::<Value>(k) {
            Ok(Value::Number(value)) => Some(value),
            Ok(Value::Integer(value)) => Some(value as f64),
            _ => None,
        })
        .collect()
}

fn whole(source: &Source, message: &str) -> ScriptError {
    ScriptError::Whole {
        file: source.file.clone(),
        message: message.to_owned(),
    }
}

/// The error of the interpreter, with the line that its text begins with.
fn located(source: &Source, error: &mlua::Error) -> ScriptError {
    let text = match error {
        mlua::Error::SyntaxError { message, .. } | mlua::Error::RuntimeError(message) | mlua::Error::MemoryError(message) => {
            message.clone()
        }
        other => other.to_string(),
    };
    let first = text.lines().next().unwrap_or("").trim();
    let split = first
        .strip_prefix("script:")
        .and_then(|rest| rest.split_once(": "))
        .and_then(|(line, message)| Some((line.parse().ok()?, message)));
    match split {
        Some((line, message)) => ScriptError::Line {
            file: source.file.clone(),
            line,
            message: message.to_owned(),
        },
        None => whole(source, first),
    }
}

fn host_of(lua: &Lua) -> Rc<Host> {
    let host = lua.app_data_ref::<Rc<Host>>().expect("it is set where the state is made");
    Rc::clone(&host)
}

/// Runs a function of the language; if memory is short, once more after a collection.
fn perform(lua: &Lua, run: impl Fn(&Rc<Meter>) -> Result<Output, Fault>) -> mlua::Result<Value> {
    let host = host_of(lua);
    let outcome = match run(&host.meter) {
        Err(Fault::Memory(_)) => {
            lua.gc_collect()?;
            run(&host.meter)
        }
        outcome => outcome,
    };
    match outcome {
        Ok(Output::Number(value)) => Ok(Value::Number(value)),
        Ok(Output::Array(array)) => lua.create_userdata(array).map(Value::UserData),
        Err(fault) => {
            let line = lua.inspect_stack(1, |debug| debug.current_line()).flatten();
            Err(host.fail(fault, line))
        }
    }
}

fn operand(name: &'static str, value: &Value) -> Result<Operand, Fault> {
    let found = match value {
        Value::Number(value) => return Ok(Operand::Number(*value)),
        Value::Integer(value) => return Ok(Operand::Number(*value as f64)),
        Value::UserData(data) => match data.borrow::<Array>() {
            Ok(array) => return Ok(Operand::Array(array)),
            Err(_) => "something else",
        },
        other => other.type_name(),
    };
    Err(Fault::Type {
        name,
        expected: "numbers and arrays",
        found: found.to_owned(),
    })
}

/// The metatable behind the arguments: functions are found, nothing is assigned.
fn names(lua: &Lua) -> mlua::Result<Table> {
    let functions = lua.create_table()?;
    for primitive in PRIMITIVES {
        let name = primitive.name;
        let function = lua.create_function(move |lua, values: MultiValue| {
            perform(lua, |meter| {
                if values.len() != primitive.arguments {
                    return Err(Fault::Arity {
                        name,
                        expected: primitive.arguments,
                        found: values.len(),
                    });
                }
                let operands: Result<Vec<Operand>, Fault> = values.iter().map(|value| operand(name, value)).collect();
                (primitive.run)(meter, name, &operands?)
            })
        })?;
        functions.raw_set(name, function)?;
    }
    let vector = lua.create_function(|lua, value: Value| {
        perform(lua, |meter| {
            let list = list_of("vector", "a list of numbers", &value, numbers)?;
            meter.array(Shape::Vector(list.len()), |k| list[k]).map(Output::Array)
        })
    })?;
    functions.raw_set("vector", vector)?;
    let matrix = lua.create_function(|lua, value: Value| {
        perform(lua, |meter| {
            let rows = list_of("matrix", "a list of rows of equal length", &value, lists)?;
            let cols = rows.first().map_or(0, Vec::len);
            meter
                .array(Shape::Matrix(rows.len(), cols), |k| rows[k / cols][k % cols])
                .map(Output::Array)
        })
    })?;
    functions.raw_set("matrix", matrix)?;
    // The two that Lua brings and that see nothing but their arguments.
    for name in ["ipairs", "error"] {
        functions.raw_set(name, lua.globals().raw_get::<Value>(name)?)?;
    }
    let refuse = lua.create_function(|lua, (_, name, _): (Value, Value, Value)| {
        perform(lua, |_| {
            let name = name.as_string().map(|name| name.to_string_lossy());
            Err(Fault::Assignment(name.unwrap_or_default()))
        })
    })?;
    let names = lua.create_table()?;
    names.raw_set("__index", functions)?;
    names.raw_set("__newindex", refuse)?;
    Ok(names)
}

fn list_of<L>(name: &'static str, expected: &'static str, value: &Value, read: impl Fn(&Table) -> Option<L>) -> Result<L, Fault> {
    let wrong = |found: &str| Fault::Type {
        name,
        expected,
        found: found.to_owned(),
    };
    match value {
        Value::Table(table) => read(table).ok_or_else(|| wrong("another table")),
        other => Err(wrong(other.type_name())),
    }
}

/// Rows of equal length.
fn lists(table: &Table) -> Option<Vec<Vec<f64>>> {
    let rows: Option<Vec<Vec<f64>>> = (1..=table.raw_len())
        .map(|k| match table.raw_get::<Value>(k) {
            Ok(Value::Table(row)) => numbers(&row),
            _ => None,
        })
        .collect();
    rows.filter(|rows| rows.iter().all(|row| row.len() == rows[0].len()))
}

impl UserData for Array {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        type Pair = fn(f64, f64) -> f64;
        let operators: [(MetaMethod, &'static str, Pair); 5] = [
            (MetaMethod::Add, "+", |a, b| a + b),
            (MetaMethod::Sub, "-", |a, b| a - b),
            (MetaMethod::Mul, "*", |a, b| a * b),
            (MetaMethod::Div, "/", |a, b| a / b),
            (MetaMethod::Pow, "^", raise),
        ];
        for (method, name, f) in operators {
            methods.add_meta_function(method, move |lua, (a, b): (Value, Value)| {
                perform(lua, |meter| pairs(meter, name, &operand(name, &a)?, &operand(name, &b)?, f))
            });
        }
        methods.add_meta_function(MetaMethod::Unm, |lua, a: Value| {
            perform(lua, |meter| each(meter, &operand("-", &a)?, |a| -a))
        });
        methods.add_meta_function(MetaMethod::Len, |_, a: AnyUserData| {
            let array = a.borrow::<Self>()?;
            Ok(match array.shape {
                Shape::Vector(length) | Shape::Matrix(length, _) => length,
            })
        });
        methods.add_meta_function(MetaMethod::Index, |lua, (a, index): (AnyUserData, Value)| {
            let array = a.borrow::<Self>()?;
            perform(lua, |meter| {
                let (Shape::Vector(length) | Shape::Matrix(length, _)) = array.shape;
                let position = match &index {
                    Value::Integer(index) => usize::try_from(*index).ok(),
                    Value::Number(index) if index.fract().abs() <= 0.0 => Some(*index as usize),
                    _ => None,
                };
                let position = position.filter(|position| (1..=length).contains(position));
                let position = position.ok_or_else(|| Fault::Index {
                    index: index.to_string().unwrap_or_else(|_| index.type_name().to_owned()),
                    length,
                })? - 1;
                match array.shape {
                    Shape::Vector(_) => Ok(Output::Number(array.data[position])),
                    Shape::Matrix(_, cols) => meter.array(Shape::Vector(cols), |j| array.at(position, j)).map(Output::Array),
                }
            })
        });
        methods.add_meta_function(MetaMethod::NewIndex, |lua, _: MultiValue| {
            perform(lua, |_| Err(Fault::Immutable))
        });
    }
}
