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

/// What must hold before something is changed, there or not: that it is one of some, and that it is none of others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conditions<T = u64> {
    pub matching: Option<Expected<T>>,
    pub none_matching: Option<Expected<T>>,
}

impl<T: PartialEq> Conditions<T> {
    pub fn matching(matching: Option<Expected<T>>) -> Self {
        Self { matching, none_matching: None }
    }

    /// Its caller takes nothing for granted.
    pub fn are_none(&self) -> bool {
        self.matching.is_none() && self.none_matching.is_none()
    }

    pub fn are_met_by(&self, current: Option<&T>) -> bool {
        let is_met = |expected: &Expected<T>| current.is_some_and(|current| expected.is_met_by(current));
        self.matching.as_ref().is_none_or(is_met) && !self.none_matching.as_ref().is_some_and(is_met)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_hold_of_what_is_there_or_of_its_absence() {
        let one = || Some(Expected::OneOf(vec![1]));
        for (matching, none_matching, current, met) in [
            (None, None, None, true),
            (None, None, Some(&1), true),
            (one(), None, Some(&1), true),
            (one(), None, Some(&2), false),
            (one(), None, None, false),
            (Some(Expected::Any), None, None, false),
            (Some(Expected::Any), None, Some(&2), true),
            (None, Some(Expected::Any), None, true),
            (None, Some(Expected::Any), Some(&1), false),
            (None, one(), Some(&2), true),
            (None, one(), Some(&1), false),
        ] {
            let conditions = Conditions { matching, none_matching };
            assert_eq!(conditions.are_met_by(current), met, "{conditions:?} {current:?}");
        }
    }

    #[test]
    fn only_what_is_known_may_be_changed() {
        assert!(Expected::Any.is_met_by(&7));
        assert!(Expected::OneOf(vec![6, 7]).is_met_by(&7));
        assert!(!Expected::OneOf(vec![6]).is_met_by(&7) && !Expected::OneOf(vec![]).is_met_by(&7));
    }
}
