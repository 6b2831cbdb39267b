//! How the lines of a task start that direct the builtin provider.

pub const MARK: &str = "builtin:";

/// The line is for the builtin provider.
pub fn is_directive(line: &str) -> bool {
    line.trim().starts_with(MARK)
}
