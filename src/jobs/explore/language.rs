//! The functions of [`super::primitives`] and the operators of arrays, as the interpreter calls them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use mlua::{AnyUserData, Lua, MetaMethod, MultiValue, Table, UserData, UserDataMethods, Value};

use super::array::{Array, Fault, Meter, Shape};
use super::primitives::{Operand, Output, PRIMITIVES, each, pairs, raise};

/// What the functions of one state share.
pub(super) struct Host {
    pub(super) meter: Rc<Meter>,
    /// What went wrong first, and where.
    pub(super) failure: RefCell<Option<(Fault, Option<usize>)>>,
    /// The line that runs, where it is followed.
    pub(super) line: Cell<Option<usize>>,
}

impl Host {
    /// Keeps the first failure and gives the error that ends the script.
    pub(super) fn fail(&self, fault: Fault, line: Option<usize>) -> mlua::Error {
        let mut failure = self.failure.borrow_mut();
        let message = fault.to_string();
        if failure.is_none() {
            *failure = Some((fault, line));
        }
        mlua::Error::RuntimeError(message)
    }
}

/// A list of numbers.
pub(super) fn numbers(table: &Table) -> Option<Vec<f64>> {
    (1..=table.raw_len())
        .map(|k| match table.raw_get::<Value>(k) {
            Ok(Value::Number(value)) => Some(value),
            Ok(Value::Integer(value)) => Some(value as f64),
            _ => None,
        })
        .collect()
}

/// What the state shares.
pub(super) fn host_of(lua: &Lua) -> Rc<Host> {
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
pub(super) fn names(lua: &Lua) -> mlua::Result<Table> {
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
