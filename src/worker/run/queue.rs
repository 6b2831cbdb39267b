//! Whose turn it is, as a plain structure.
//!
//! Invariants. Workspaces that have a run waiting that may start are served in turn: while one of them waits, no
//! other is served twice. Within a workspace the lower ticket is first, whenever it came. [`FairQueue::positions`] are
//! the places in the order in which everyone would be served if all might be and none came or left.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::Hash;

/// A number that says who came first.
pub type Ticket = u64;

#[derive(Debug, Clone)]
pub struct FairQueue<W> {
    /// Those that have runs waiting; the first is served next, and then goes to the end.
    turns: VecDeque<W>,
    /// Never empty lines, one for each of the above.
    lines: HashMap<W, BTreeSet<Ticket>>,
}

impl<W> Default for FairQueue<W> {
    fn default() -> Self {
        Self { turns: VecDeque::new(), lines: HashMap::new() }
    }
}

impl<W: Copy + Eq + Hash> FairQueue<W> {
    /// One more waits. A workspace that had none waiting has its turn after all others.
    pub fn push(&mut self, workspace: W, ticket: Ticket) {
        let line = self.lines.entry(workspace).or_default();
        if line.is_empty() {
            self.turns.push_back(workspace);
        }
        line.insert(ticket);
    }

    /// Serves the next whose turn it may be. A workspace whose first may not yet keeps its turn.
    pub fn pop(&mut self, may: impl Fn(W, Ticket) -> bool) -> Option<Ticket> {
        let first = |workspace: &W| self.lines.get(workspace).and_then(BTreeSet::first);
        let turn = self.turns.iter().position(|turn| first(turn).is_some_and(|ticket| may(*turn, *ticket)))?;
        let workspace = self.turns.remove(turn)?;
        let line = self.lines.get_mut(&workspace)?;
        let ticket = line.pop_first();
        if line.is_empty() {
            self.lines.remove(&workspace);
        } else {
            self.turns.push_back(workspace);
        }
        ticket
    }

    /// One waits no longer. False when it did not wait.
    pub fn remove(&mut self, workspace: W, ticket: Ticket) -> bool {
        let Some(line) = self.lines.get_mut(&workspace) else { return false };
        let waited = line.remove(&ticket);
        if line.is_empty() {
            self.lines.remove(&workspace);
            self.turns.retain(|turn| *turn != workspace);
        }
        waited
    }

    /// Everybody's place, from 1, in one pass over all.
    pub fn positions(&self) -> HashMap<Ticket, u64> {
        let mut lines: VecDeque<_> =
            self.turns.iter().filter_map(|turn| self.lines.get(turn)).map(BTreeSet::iter).collect();
        let mut positions = HashMap::with_capacity(self.len());
        while let Some(mut line) = lines.pop_front() {
            if let Some(&ticket) = line.next() {
                positions.insert(ticket, positions.len() as u64 + 1);
                lines.push_back(line);
            }
        }
        positions
    }

    pub fn len(&self) -> usize {
        self.lines.values().map(BTreeSet::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn queue(waiting: &[(char, Ticket)]) -> FairQueue<char> {
        let mut queue = FairQueue::default();
        waiting.iter().for_each(|&(workspace, ticket)| queue.push(workspace, ticket));
        queue
    }

    fn drained(mut queue: FairQueue<char>) -> Vec<Ticket> {
        std::iter::from_fn(|| queue.pop(anybody)).collect()
    }

    fn anybody(_: char, _: Ticket) -> bool {
        true
    }

    #[test]
    fn workspaces_take_turns() {
        for (waiting, served) in [
            (&[('a', 1), ('a', 2), ('a', 3), ('b', 4), ('c', 5)][..], &[1, 4, 5, 2, 3][..]),
            (&[('a', 2), ('a', 1)], &[1, 2]),
            (&[('a', 9), ('b', 1), ('b', 2)], &[9, 1, 2]),
            (&[], &[]),
        ] {
            assert_eq!(drained(queue(waiting)), served);
        }
    }

    #[test]
    fn one_that_comes_back_waits_for_the_others() {
        let mut queue = queue(&[('a', 1), ('b', 2), ('b', 3)]);
        assert_eq!(queue.pop(anybody), Some(1));
        queue.push('a', 4);
        assert_eq!(drained(queue), [2, 4, 3]);
    }

    #[test]
    fn who_leaves_is_not_served_and_makes_room() {
        let mut queue = queue(&[('a', 1), ('b', 2), ('b', 3)]);
        assert!(queue.remove('b', 2));
        assert!(!queue.remove('b', 2) && !queue.remove('c', 1));
        assert_eq!(queue.positions(), HashMap::from([(1, 1), (3, 2)]));
        assert!(queue.remove('a', 1) && queue.remove('b', 3) && queue.is_empty());
        assert_eq!(queue.pop(anybody), None);
    }

    #[test]
    fn who_may_not_be_served_yet_holds_up_its_own_workspace_and_keeps_the_turn() {
        let mut queue = queue(&[('a', 1), ('a', 2), ('b', 3), ('b', 4)]);
        let not_the_first = |_, ticket| ticket != 1;
        assert_eq!(queue.pop(not_the_first), Some(3));
        assert_eq!(queue.pop(not_the_first), Some(4));
        assert_eq!(queue.pop(not_the_first), None);
        queue.push('b', 5);
        assert_eq!(drained(queue), [1, 5, 2]);
    }

    /// What may happen to a queue.
    #[derive(Debug, Clone)]
    enum Step {
        Push(u8),
        Pop,
        /// The n-th of those that wait leaves.
        Remove(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0_u8..4).prop_map(Step::Push),
            2 => Just(Step::Pop),
            1 => (0_usize..40).prop_map(Step::Remove),
        ];
        prop::collection::vec(step, 0..120)
    }

    proptest! {
        /// Against a plain list of what waits: nothing is lost, doubled or overtaken within a workspace, and no workspace
        /// is served twice while another waits.
        #[test]
        fn everybody_is_served_once_in_turn(steps in steps()) {
            let (mut queue, mut waiting) = (FairQueue::default(), Vec::<(u8, Ticket)>::new());
            // For each workspace that waits, who was served since it began to, or was served itself.
            let mut passed: HashMap<u8, BTreeSet<u8>> = HashMap::new();
            for (ticket, step) in (1..).zip(steps) {
                match step {
                    Step::Push(workspace) => {
                        if waiting.iter().all(|(other, _)| *other != workspace) {
                            passed.insert(workspace, BTreeSet::new());
                        }
                        queue.push(workspace, ticket);
                        waiting.push((workspace, ticket));
                    }
                    Step::Remove(n) if n < waiting.len() => {
                        let (workspace, ticket) = waiting.remove(n);
                        prop_assert!(queue.remove(workspace, ticket));
                    }
                    Step::Remove(_) => {}
                    Step::Pop => {
                        let next = queue.positions().into_iter().find(|(_, position)| *position == 1);
                        let served = queue.pop(|_, _| true);
                        prop_assert_eq!(served, next.map(|(ticket, _)| ticket));
                        prop_assert_eq!(served.is_none(), waiting.is_empty());
                        let Some(served) = served else { continue };
                        let place = waiting.iter().position(|(_, ticket)| *ticket == served).expect("it waited");
                        let (workspace, _) = waiting.remove(place);
                        prop_assert!(waiting.iter().all(|(other, ticket)| *other != workspace || *ticket > served));
                        let others: BTreeSet<u8> = waiting.iter().map(|(other, _)| *other).collect();
                        for other in others.into_iter().filter(|other| *other != workspace) {
                            let is_first = passed.entry(other).or_default().insert(workspace);
                            prop_assert!(is_first, "{workspace} was served twice while {other} waited");
                        }
                        passed.insert(workspace, BTreeSet::new());
                    }
                }
                prop_assert_eq!(queue.len(), waiting.len());
            }
        }

        /// Positions are the order of serving.
        #[test]
        fn positions_tell_the_future(waiting in prop::collection::vec(0_u8..5, 0..80)) {
            let mut queue = FairQueue::default();
            (1..).zip(&waiting).for_each(|(ticket, workspace)| queue.push(*workspace, ticket));
            let mut positions: Vec<_> = queue.positions().into_iter().collect();
            positions.sort_by_key(|(_, position)| *position);
            prop_assert!(positions.iter().map(|(_, position)| *position).eq(1..=waiting.len() as u64));
            let served: Vec<_> = std::iter::from_fn(|| queue.pop(|_, _| true)).collect();
            prop_assert_eq!(positions.into_iter().map(|(ticket, _)| ticket).collect::<Vec<_>>(), served);
        }
    }
}
