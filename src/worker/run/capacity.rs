//! How many engines run at once, who of the others is next, and how many may wait.
//!
//! Invariants. At most so many places hold a slot as there are slots, and none is given while the gate is not open.
//! Within a workspace slots are given in the order of enlisting: a place that is about to be ready is waited for,
//! unless it has stepped aside. A place that is dropped gives back whatever it had. Places learn their positions from
//! one list for all, which is made anew at most once a second however many ask.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::queue::{FairQueue, Ticket};
use crate::domain::WorkspaceId;
use crate::meter::Histogram;
use crate::worker::gate::{Gate, Passage};

/// How old a list of positions may be.
const FRESH: Duration = Duration::from_secs(1);

/// The running slots of a service, and the runs queued for one.
#[derive(Debug, Clone)]
pub struct Capacity {
    state: Arc<Mutex<State>>,
    gate: Gate,
    queue_size: usize,
    slots: usize,
    waited: Arc<Histogram>,
}

#[derive(Debug)]
struct State {
    free: usize,
    next: Ticket,
    queue: FairQueue<WorkspaceId>,
    places: HashMap<Ticket, Standing>,
    /// Places that are about to stand in line.
    preparing: HashMap<WorkspaceId, BTreeSet<Ticket>>,
    /// Places without a slot.
    queued: usize,
    told: Positions,
}

#[derive(Debug)]
struct Standing {
    workspace_id: WorkspaceId,
    step: Step,
    granted: Arc<Notify>,
    enlisted: Instant,
}

/// In their order; those in the middle may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// On the way into the line: it finds out whether it has a venv.
    Preparing,
    /// Not ready for as long as its build takes.
    Aside,
    InLine,
    Granted,
}

#[derive(Debug)]
struct Positions {
    made: Instant,
    of: HashMap<Ticket, u64>,
}

/// As many are queued as may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full {
    pub waiting: usize,
}

/// No slot will be given any more: the service is going down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

/// What keeps a place from its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    SafeMode,
    /// From 1, the next to be served.
    Line(u64),
}

/// A place among the queued, later a slot; given up when this is dropped or [`Place::leave`] is called.
#[derive(Debug)]
pub struct Place {
    capacity: Capacity,
    ticket: Ticket,
    granted: Arc<Notify>,
}

impl Capacity {
    pub fn new(slots: usize, queue_size: usize) -> Self {
        let state = State {
            free: slots,
            next: 0,
            queue: FairQueue::default(),
            places: HashMap::new(),
            preparing: HashMap::new(),
            queued: 0,
            told: Positions { made: Instant::now(), of: HashMap::new() },
        };
        let (state, waited) = (Arc::new(Mutex::new(state)), Arc::new(Histogram::of_durations()));
        Self { state, gate: Gate::default(), queue_size, slots, waited }
    }

    /// A place for a new run. Everything counts that is queued, for whatever it waits; a slot that is free is room for
    /// one more.
    pub fn enlist(&self, workspace_id: WorkspaceId) -> Result<Place, Full> {
        let mut state = self.lock();
        if state.queued >= self.queue_size + state.free {
            return Err(Full { waiting: state.queued });
        }
        Ok(self.place(&mut state, workspace_id))
    }

    /// A place for a run that was admitted in a previous process, however many there are.
    pub fn enlist_again(&self, workspace_id: WorkspaceId) -> Place {
        self.place(&mut self.lock(), workspace_id)
    }

    /// What runs and builds that are queued have to pass before they begin.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Gives out no slots until [`Capacity::release`].
    pub fn hold(&self) {
        self.gate.set(Passage::Held);
    }

    pub fn release(&self) {
        self.gate.set(Passage::Open);
        self.serve(&mut self.lock());
    }

    /// Gives out no more slots: waiting places are notified, granted ones stay granted.
    pub fn close(&self) {
        self.gate.set(Passage::Closed);
        self.lock().places.values().for_each(|standing| standing.granted.notify_one());
    }

    pub fn is_closed(&self) -> bool {
        self.gate.passage() == Passage::Closed
    }

    /// How many are queued.
    pub fn waiting(&self) -> usize {
        self.lock().queued
    }

    /// How many slots are taken, and how many there are.
    pub fn slots(&self) -> (usize, usize) {
        (self.slots - self.lock().free, self.slots)
    }

    /// How long places stood among the queued until they had a slot.
    pub fn waited(&self) -> &Histogram {
        &self.waited
    }

    fn serve(&self, state: &mut State) {
        state.serve(&self.gate, &self.waited);
    }

    fn place(&self, state: &mut State, workspace_id: WorkspaceId) -> Place {
        let (ticket, granted) = (state.next, Arc::new(Notify::new()));
        state.next += 1;
        state.queued += 1;
        let standing =
            Standing { workspace_id, step: Step::Preparing, granted: granted.clone(), enlisted: Instant::now() };
        state.places.insert(ticket, standing);
        state.preparing.entry(workspace_id).or_default().insert(ticket);
        Place { capacity: self.clone(), ticket, granted }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl State {
    /// Gives every free slot to the next in line.
    fn serve(&mut self, gate: &Gate, waited: &Histogram) {
        while self.free > 0 && gate.passage() == Passage::Open {
            let preparing = &self.preparing;
            let is_first = |workspace_id, ticket: Ticket| {
                preparing.get(&workspace_id).and_then(BTreeSet::first).is_none_or(|first| ticket < *first)
            };
            let Some(ticket) = self.queue.pop(is_first) else { break };
            let standing = self.places.get_mut(&ticket).expect("who is in line has a place");
            standing.step = Step::Granted;
            standing.granted.notify_one();
            waited.observe_time(standing.enlisted.elapsed());
            self.free -= 1;
            self.queued -= 1;
        }
    }

    fn leave(&mut self, ticket: Ticket) {
        let Some(standing) = self.places.remove(&ticket) else { return };
        match standing.step {
            Step::Preparing => {
                self.prepared(standing.workspace_id, ticket);
                self.queued -= 1;
            }
            Step::Aside => self.queued -= 1,
            Step::InLine => {
                self.queue.remove(standing.workspace_id, ticket);
                self.queued -= 1;
            }
            Step::Granted => self.free += 1,
        }
    }

    /// Takes the step, if it is one ahead; says whose it is.
    fn advance(&mut self, ticket: Ticket, to: Step) -> Option<WorkspaceId> {
        let standing = self.places.get_mut(&ticket).filter(|standing| standing.step < to)?;
        let (from, workspace_id) = (std::mem::replace(&mut standing.step, to), standing.workspace_id);
        if from == Step::Preparing {
            self.prepared(workspace_id, ticket);
        }
        Some(workspace_id)
    }

    fn prepared(&mut self, workspace_id: WorkspaceId, ticket: Ticket) {
        if let Some(preparing) = self.preparing.get_mut(&workspace_id) {
            preparing.remove(&ticket);
            if preparing.is_empty() {
                self.preparing.remove(&workspace_id);
            }
        }
    }

    fn step(&self, ticket: Ticket) -> Option<Step> {
        self.places.get(&ticket).map(|standing| standing.step)
    }

    fn position(&mut self, ticket: Ticket) -> Option<u64> {
        if !self.told.of.contains_key(&ticket) || self.told.made.elapsed() > FRESH {
            self.told = Positions { made: Instant::now(), of: self.queue.positions() };
        }
        self.told.of.get(&ticket).copied()
    }
}

impl Place {
    /// Ready to run: from now on it stands in line, at its place by when it was enlisted.
    pub fn stand(&self) {
        let mut state = self.capacity.lock();
        if let Some(workspace_id) = state.advance(self.ticket, Step::InLine) {
            state.queue.push(workspace_id, self.ticket);
            self.capacity.serve(&mut state);
        }
    }

    /// It will be a while until it is ready: nothing is to wait for it.
    pub fn step_aside(&self) {
        let mut state = self.capacity.lock();
        if state.advance(self.ticket, Step::Aside).is_some() {
            self.capacity.serve(&mut state);
        }
    }

    /// What it waits for at present; nothing when it has its slot.
    pub fn obstacle(&self) -> Option<Obstacle> {
        let mut state = self.capacity.lock();
        if state.step(self.ticket) != Some(Step::InLine) {
            return None;
        }
        if self.capacity.gate.passage() == Passage::Held {
            return Some(Obstacle::SafeMode);
        }
        state.position(self.ticket).map(Obstacle::Line)
    }

    /// Waits for the slot.
    pub async fn granted(&self) -> Result<(), Closed> {
        loop {
            // A notification between this look and the wait is kept, and ends the wait.
            if self.capacity.lock().step(self.ticket) == Some(Step::Granted) {
                return Ok(());
            }
            if self.capacity.is_closed() {
                return Err(Closed);
            }
            self.granted.notified().await;
        }
    }

    /// Gives up the place, or the slot.
    pub fn leave(&self) {
        let mut state = self.capacity.lock();
        state.leave(self.ticket);
        self.capacity.serve(&mut state);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_line(capacity: &Capacity, workspace_id: WorkspaceId) -> Place {
        let place = capacity.enlist(workspace_id).unwrap();
        place.stand();
        place
    }

    #[tokio::test]
    async fn slots_are_given_in_turn_and_come_back() {
        let (capacity, [greedy, modest]) = (Capacity::new(1, 10), [(); 2].map(|()| WorkspaceId::generate()));
        let running = in_line(&capacity, greedy);
        assert_eq!((running.granted().await, running.obstacle()), (Ok(()), None));
        let [second, third, other] = [greedy, greedy, modest].map(|id| in_line(&capacity, id));
        assert_eq!(second.obstacle(), Some(Obstacle::Line(1)));
        assert_eq!(other.obstacle(), Some(Obstacle::Line(2)));
        assert_eq!(third.obstacle(), Some(Obstacle::Line(3)));
        drop(running);
        assert_eq!(second.granted().await, Ok(()));
        second.leave();
        second.leave();
        assert_eq!(other.granted().await, Ok(()), "a slot that is given back twice is one slot");
        assert!(third.obstacle().is_some());
        capacity.close();
        assert_eq!(third.granted().await, Err(Closed), "who waits is told");
        assert_eq!(other.granted().await, Ok(()), "who has one keeps it");
    }

    #[tokio::test]
    async fn who_was_enlisted_first_is_first_however_late_it_is_ready() {
        let (capacity, id) = (Capacity::new(1, 10), WorkspaceId::generate());
        let running = in_line(&capacity, id);
        let first = capacity.enlist(id).unwrap();
        let second = in_line(&capacity, id);
        drop(running);
        assert_eq!(second.obstacle(), Some(Obstacle::Line(1)), "the slot is kept for the first");
        first.stand();
        assert_eq!(first.granted().await, Ok(()));
        assert!(second.obstacle().is_some());
        drop(first);
        assert_eq!(second.granted().await, Ok(()));
    }

    #[tokio::test]
    async fn who_steps_aside_leaves_or_is_of_another_workspace_holds_up_nobody() {
        let (capacity, [id, other]) = (Capacity::new(4, 10), [(); 2].map(|()| WorkspaceId::generate()));
        let places = [(); 3].map(|()| capacity.enlist(id).unwrap());
        let last = in_line(&capacity, id);
        assert_eq!(in_line(&capacity, other).granted().await, Ok(()));
        let [aside, leaving, ready] = places;
        ready.stand();
        aside.step_aside();
        assert!(ready.obstacle().is_some() && last.obstacle().is_some());
        drop(leaving);
        assert_eq!((ready.granted().await, last.granted().await), (Ok(()), Ok(())));
        aside.stand();
        aside.step_aside();
        assert_eq!(aside.granted().await, Ok(()), "it has its slot when it is ready");
    }

    #[test]
    fn all_that_is_queued_counts_and_free_slots_are_room() {
        let (capacity, id) = (Capacity::new(2, 1), WorkspaceId::generate());
        let running = [(); 2].map(|()| in_line(&capacity, id));
        let preparing = capacity.enlist(id).unwrap();
        assert_eq!((capacity.enlist(id).unwrap_err(), capacity.waiting()), (Full { waiting: 1 }, 1));
        let again = capacity.enlist_again(id);
        assert_eq!(capacity.enlist(id).unwrap_err(), Full { waiting: 2 });
        drop((again, preparing));
        drop(running);
        let admitted = [(); 3].map(|()| capacity.enlist(id).unwrap());
        assert_eq!(capacity.enlist(id).unwrap_err(), Full { waiting: 3 });
        drop(admitted);
        assert_eq!(capacity.waiting(), 0);
    }

    #[tokio::test]
    async fn nobody_is_served_while_the_gate_is_held() {
        let (capacity, id) = (Capacity::new(1, 10), WorkspaceId::generate());
        capacity.hold();
        let place = in_line(&capacity, id);
        assert_eq!(place.obstacle(), Some(Obstacle::SafeMode));
        capacity.release();
        assert_eq!((place.granted().await, place.obstacle()), (Ok(()), None));
    }
}
