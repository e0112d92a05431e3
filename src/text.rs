//! How numbers and tables are put into words: rounding in a direction, columns, quoting.
//!
//! Nothing here prints and nothing here decides anything.

mod digits;
mod shell;
mod table;

pub use digits::{Direction, fixed, percent_down, percent_up, significant};
pub use shell::command_line;
pub use table::{Align, Table, printable};
