//! Which numbers of a sender have come. Pure.

/// Numbers that may be under way at once: one that comes later than so many newer ones is taken for one that has come.
const WINDOW: u64 = 1 << 16;
const BITS: u64 = u64::BITS as u64;

/// Numbers begin at 1; each is taken once.
pub struct Window {
    newest: u64,
    seen: Vec<u64>,
}

impl Default for Window {
    fn default() -> Self {
        Self { newest: 0, seen: vec![0; (WINDOW / BITS) as usize] }
    }
}

impl Window {
    /// False when it has come before, or is too old for anybody to know.
    pub fn take(&mut self, number: u64) -> bool {
        if number == 0 || self.newest.saturating_sub(number) >= WINDOW {
            return false;
        }
        self.move_to(number);
        let (word, bit) = self.place(number);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    fn move_to(&mut self, number: u64) {
        match number.saturating_sub(self.newest) {
            0 => return,
            WINDOW.. => self.seen.fill(0),
            _ => {
                for passed in self.newest + 1..=number {
                    let (word, bit) = self.place(passed);
                    *word &= !bit;
                }
            }
        }
        self.newest = number;
    }

    fn place(&mut self, number: u64) -> (&mut u64, u64) {
        let at = number % WINDOW;
        (&mut self.seen[(at / BITS) as usize], 1 << (at % BITS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_taken_once_in_whatever_order_they_come() {
        let mut window = Window::default();
        for number in [3, 1, 2, 1000, 4] {
            assert!(window.take(number) && !window.take(number), "{number}");
        }
        assert!(!window.take(0));
        for number in (5..1000).rev() {
            assert!(window.take(number), "{number}");
        }
        assert!((1..=1000).all(|number| !window.take(number)));
    }

    #[test]
    fn what_is_too_old_is_taken_for_seen_and_what_is_far_ahead_is_not() {
        let mut window = Window::default();
        assert!(window.take(1) && window.take(WINDOW));
        assert!(!window.take(1) && window.take(2));
        assert!(window.take(WINDOW + 2) && !window.take(2), "its place is another's now");
        assert!(window.take(10 * WINDOW) && !window.take(9 * WINDOW) && window.take(9 * WINDOW + 1));
        assert!(window.take(u64::MAX) && !window.take(u64::MAX) && window.take(u64::MAX - 1));
    }
}
