//! The range of user ids that children of workspaces run under.

use std::fmt;

use super::value::{SettingValue, quoted};

/// User ids that nobody else on the machine has, each of which is the id of a group as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserIds {
    pub first: u32,
    pub last: u32,
}

impl UserIds {
    /// Fewer would soon be used up, since none is given twice.
    const LEAST: u32 = 100;
    /// More than a machine has workspaces.
    const MOST: u32 = 100_000;
    /// Of nobody, and what 16 bits have for no user; 32 bits have the largest number for that.
    const NOBODYS: [u32; 3] = [65_534, 65_535, u32::MAX];

    pub fn contains(self, id: u32) -> bool {
        (self.first..=self.last).contains(&id)
    }

    fn is_sensible(&self) -> bool {
        let count = self.last.checked_sub(self.first).map(|more| more.saturating_add(1));
        let fits = count.is_some_and(|count| (Self::LEAST..=Self::MOST).contains(&count));
        fits && self.first > 0 && !Self::NOBODYS.iter().any(|&id| self.contains(id))
    }
}

impl fmt::Display for UserIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl SettingValue for UserIds {
    const ALLOWED: &'static str = "a range of 100 to 100000 user ids such as 200000-265535, without 0, 65534 and 65535";

    fn parse(text: &str) -> Option<Self> {
        let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        let (first, last) = text.split_once('-')?;
        Some(Self { first: number(first)?, last: number(last)? }).filter(Self::is_sensible)
    }

    fn to_toml(&self) -> String {
        quoted(&self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_user_ids_is_large_enough_and_has_nobody_in_it() {
        let ids = UserIds { first: 200_000, last: 265_535 };
        assert_eq!(UserIds::parse("200000-265535"), Some(ids));
        assert_eq!(ids.to_toml(), "\"200000-265535\"");
        assert!(ids.contains(200_000) && ids.contains(265_535) && !ids.contains(265_536));
        for wrong in [
            "",
            "200000",
            "200000-",
            "-265535",
            "0-1000",
            "200000-200098",
            "200000-300000",
            "265535-200000",
            "65000-66000",
            "4294967000-4294967295",
            "200000-265535-1",
            "+200000-265535",
            "a-b",
            "200000 - 265535",
            "200000-4294967296",
        ] {
            assert_eq!(UserIds::parse(wrong), None, "{wrong}");
        }
    }
}
