//! Why an ONNX file, or the graph in it, was refused.

/// Why a file is no ONNX model that can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// The file is longer than any message can be.
    #[error("{size} bytes are more than a model can have ({most})")]
    TooLong {
        /// Bytes of the file.
        size: u64,
        /// The limit.
        most: u64,
    },
    /// A field ends behind its message.
    #[error("truncated: the field at byte {at} does not end within its message")]
    Truncated {
        /// Where in the file.
        at: u64,
    },
    /// A number that is no 64-bit number.
    #[error("the number at byte {at} has more than 64 bits")]
    Varint {
        /// Where in the file.
        at: u64,
    },
    /// A field number or kind that does not exist.
    #[error("not a field at byte {at}")]
    Key {
        /// Where in the file.
        at: u64,
    },
    /// A field of another kind than the schema says.
    #[error("field {number} at byte {at} is of another kind than it should be")]
    Kind {
        /// Its number.
        number: u32,
        /// Where in the file.
        at: u64,
    },
    /// A text that is not UTF-8.
    #[error("the text at byte {at} is not UTF-8")]
    Text {
        /// Where in the file.
        at: u64,
    },
    /// A field that may stand once.
    #[error("field {number} stands twice, the second time at byte {at}")]
    Twice {
        /// Its number.
        number: u32,
        /// Where in the file.
        at: u64,
    },
    /// More items than are read.
    #[error("more than {most} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        most: usize,
    },
    /// Something that every model has.
    #[error("the model has no {what}")]
    Missing {
        /// What.
        what: &'static str,
    },
    /// Operators that the file defines itself.
    #[error("the model defines functions, which are not read")]
    Functions,
    /// Sparse tensors.
    #[error("the model has sparse initializers, which are not read")]
    Sparse,
    /// An element type that is not read.
    #[error("initializer `{tensor}` has elements of type {code}, which are not read")]
    Element {
        /// The tensor.
        tensor: String,
        /// Code of the type in the schema.
        code: i64,
    },
    /// Elements in a field that cannot hold them, or in none.
    #[error("initializer `{tensor}`: {what}")]
    Data {
        /// The tensor.
        tensor: String,
        /// What is wrong.
        what: &'static str,
    },
    /// Another number of bytes or elements than the shape needs.
    #[error("initializer `{tensor}` has {found} bytes, shape {shape:?} of {dtype} needs {expected}")]
    Size {
        /// The tensor.
        tensor: String,
        /// Its sizes.
        shape: Vec<usize>,
        /// Its element type.
        dtype: crate::checkpoint::Dtype,
        /// Bytes that the shape needs.
        expected: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// External data that are not a file beside the model, or do not hold the bytes.
    #[error("initializer `{tensor}`, external data `{location}`: {what}")]
    External {
        /// The tensor.
        tensor: String,
        /// The file that it names.
        location: String,
        /// What is wrong.
        what: String,
    },
}

/// Why the graph of a model is not a chain of layers that are read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// A version of the operators that is not read.
    #[error("operator set {found} is not read ({least} to {most} are)")]
    Opset {
        /// In the file.
        found: i64,
        /// The oldest that is read.
        least: i64,
        /// The newest that is read.
        most: i64,
    },
    /// Not one input or not one output.
    #[error("the graph has {count} {what}, one is read{}", list(names))]
    Ends {
        /// `inputs` or `outputs`.
        what: &'static str,
        /// How many.
        count: usize,
        /// The first few names.
        names: Vec<String>,
    },
    /// An input without sizes, or with sizes that are not those of one sample.
    #[error(
        "input `{input}` has the sizes {sizes}: a network on one sample has one size, or a batch of 1 (or of any size) in front"
    )]
    Input {
        /// The input.
        input: String,
        /// Its sizes, `?` for open ones.
        sizes: String,
    },
    /// A node that is not read.
    #[error("node `{node}` ({operator}): {cause}")]
    Node {
        /// Name of the node; its first output where it has none.
        node: String,
        /// Its operator.
        operator: String,
        /// What is not read.
        cause: NodeError,
    },
    /// The output does not come out of the last node.
    #[error("output `{output}` is not what the last node makes (`{last}`)")]
    Output {
        /// The output.
        output: String,
        /// The last tensor.
        last: String,
    },
    /// A graph that does not end in an affine layer and is too wide for an identity behind it.
    #[error(
        "the graph ends in {outputs} numbers that are not the outputs of an affine layer, and an identity of this size is larger than the file"
    )]
    Identity {
        /// Length of the output.
        outputs: usize,
    },
    /// No layers.
    #[error("the output does not depend on the input through any layer")]
    Empty,
}

/// Why a node is not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// Another operator.
    #[error("this operator is not read")]
    Operator,
    /// An operator of a domain of its own.
    #[error("operators of the domain `{domain}` are not read")]
    Domain {
        /// The domain.
        domain: String,
    },
    /// An attribute that the operator does not have, or a value that is not read.
    #[error("attribute `{attribute}` is {value}, which is not read")]
    Attribute {
        /// Its name.
        attribute: String,
        /// Its value in words.
        value: String,
    },
    /// Another number of inputs or outputs.
    #[error("{inputs} inputs and {outputs} outputs are not read")]
    Arity {
        /// Number of inputs.
        inputs: usize,
        /// Number of outputs.
        outputs: usize,
    },
    /// A tensor that nothing before has made.
    #[error("tensor `{tensor}` does not exist at this point of the graph")]
    Unknown {
        /// Its name.
        tensor: String,
    },
    /// A tensor that is made twice.
    #[error("tensor `{tensor}` exists already")]
    Redefined {
        /// Its name.
        tensor: String,
    },
    /// A branch.
    #[error("tensor `{tensor}` is used twice, branches are not read")]
    Branch {
        /// Its name.
        tensor: String,
    },
    /// Both operands depend on the input.
    #[error("both operands depend on the input")]
    TwoOperands,
    /// An operand that has to be a constant, or must not be.
    #[error("`{tensor}` has to be {expected}")]
    Operand {
        /// Its name.
        tensor: String,
        /// What it has to be.
        expected: &'static str,
    },
    /// Shapes that do not go together for one sample.
    #[error("shapes {left:?} and {right:?} do not go together for one sample")]
    Shapes {
        /// One shape.
        left: Vec<usize>,
        /// The other.
        right: Vec<usize>,
    },
    /// A shape that cannot be made.
    #[error("shape {found:?} cannot become {asked:?}")]
    Reshape {
        /// Sizes before.
        found: Vec<usize>,
        /// Sizes asked for.
        asked: Vec<i64>,
    },
    /// Constants that would become much larger than the file.
    #[error("the constants that the graph computes are larger than the file")]
    TooLarge,
    /// Numbers that cannot be read.
    #[error("{reason}")]
    Unreadable {
        /// Why.
        reason: String,
    },
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    format!(": {}", quoted.join(", "))
}
