//! The exit status.

use std::process::ExitCode;

use lipcert::results::Verdict;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// The claim is certified, or the job is done.
    Proved = 0,
    /// The tool worked and a claim is not proved.
    NotProved = 1,
    /// Bad usage, unreadable or malformed input, non-finite weights, or a fault of the tool.
    Fault = 2,
}

impl Status {
    /// The status of a verdict; a conditional one is proved unless `strict`.
    pub(crate) const fn of(verdict: Verdict, strict: bool) -> Self {
        match (verdict, strict) {
            (Verdict::Certified, _) | (Verdict::Conditional, false) => Self::Proved,
            (Verdict::Conditional, true) | (Verdict::NotCertified, _) => Self::NotProved,
        }
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_turns_conditional_into_not_proved() {
        for (verdict, lenient, strict) in [
            (Verdict::Certified, Status::Proved, Status::Proved),
            (Verdict::Conditional, Status::Proved, Status::NotProved),
            (Verdict::NotCertified, Status::NotProved, Status::NotProved),
        ] {
            assert_eq!(Status::of(verdict, false), lenient);
            assert_eq!(Status::of(verdict, true), strict);
        }
    }
}
