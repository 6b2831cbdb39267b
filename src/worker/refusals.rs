//! What isolation refuses is told by the child alone, in the words of its language: the kernel tells nobody else.

use crate::isolation::Strictness;

const WORDS: &[&str] = &["PermissionError", "Permission denied", "permission denied", "Operation not permitted"];

/// For people who read of a failure that a refusal may explain; nothing where the child is not isolated, or says nothing of
/// the kind.
pub fn hint<'a>(level: Strictness, said: impl IntoIterator<Item = &'a str>) -> Option<&'static str> {
    let is_refusal = |line: &str| WORDS.iter().any(|word| line.contains(word));
    let was_refused = level != Strictness::Off && said.into_iter().any(is_refusal);
    was_refused.then_some("isolation refuses what is not its own (ADE_ISOLATION; `ade doctor`)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_given_where_something_was_refused_and_isolation_can_be_the_reason() {
        let refused = "PermissionError: [Errno 13] Permission denied: '/proc/1/environ'";
        assert!(hint(Strictness::BestEffort, ["x", refused]).is_some());
        assert!(hint(Strictness::Required, ["error: failed to open: Permission denied (os error 13)"]).is_some());
        assert_eq!(hint(Strictness::Off, [refused]), None);
        assert_eq!(hint(Strictness::BestEffort, ["ValueError: no"]), None);
    }
}
