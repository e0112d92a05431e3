//! A command as one line that a shell reads back.

/// Joins arguments into one line for a POSIX shell, quoting those that need it.
///
/// ```
/// use lipcert::text::command_line;
///
/// assert_eq!(command_line(["lipcert", "verify", "my net.pth"]), "lipcert verify 'my net.pth'");
/// ```
pub fn command_line<S: AsRef<str>>(arguments: impl IntoIterator<Item = S>) -> String {
    let quoted: Vec<String> = arguments.into_iter().map(|argument| quoted(argument.as_ref())).collect();
    quoted.join(" ")
}

/// One argument, in single quotes if a shell would read it as anything but itself.
fn quoted(argument: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,+@%".contains(&byte);
    if !argument.is_empty() && argument.bytes().all(plain) {
        argument.to_owned()
    } else {
        format!("'{}'", argument.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_what_a_shell_would_change() {
        assert_eq!(
            command_line(["a", "", "it's", "$x;y", "36/255,1"]),
            r"a '' 'it'\''s' '$x;y' 36/255,1"
        );
    }
}
