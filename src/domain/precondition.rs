//! What a change takes for granted about the thing it changes.

/// What the caller knows: a version or revision by its number, a content by its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected<T = u64> {
    Any,
    OneOf(Vec<T>),
}

impl<T: PartialEq> Expected<T> {
    pub fn is_met_by(&self, current: &T) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(known) => known.contains(current),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_may_be_changed() {
        assert!(Expected::Any.is_met_by(&7));
        assert!(Expected::OneOf(vec![6, 7]).is_met_by(&7));
        assert!(!Expected::OneOf(vec![6]).is_met_by(&7) && !Expected::OneOf(vec![]).is_met_by(&7));
    }
}
