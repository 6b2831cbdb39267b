//! An execution, followed to its end, with a person to answer its questions.
//!
//! Invariant: what is asked is known from the execution's events alone. So it does not matter who answers, here or elsewhere, nor
//! how often the connection breaks; nothing is asked twice, and what is answered elsewhere is not asked any more.

use std::collections::BTreeSet;
use std::io::IsTerminal as _;

use serde_json::Value;

use super::dialogue::{Dialogue, Next, key, name};
use super::input::Input;
use super::report;
use crate::cli::client::{ApiClient, ClientError, percent_encoded};
use crate::cli::follow::{Follower, Received, Target};
use crate::cli::output::{print_line, prompt};
use crate::cli::progress::Progress;
use crate::cli::signals::Signals;
use crate::domain::progress::{Pending, PendingKind};
use crate::domain::status::ExecutionStatus;
use crate::domain::text::printable;
use crate::event::codec;
use crate::summary::{ExecutionFold, Fact};

/// How the following ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With the execution.
    Over(ExecutionStatus),
    /// It is waiting, and there is no input here.
    Waiting,
    Interrupted,
}

pub struct Session {
    client: ApiClient,
    target: Target,
    fold: ExecutionFold,
    /// How far the fold has come, and how far the log had come at the beginning: what stands before that may long have
    /// been answered.
    sequence: u64,
    old_until: u64,
    progress: Progress,
    input: Input,
    input_has_ended: bool,
    dialogue: Option<Dialogue>,
    /// What has been answered here, perhaps not yet confirmed by an event.
    answered: BTreeSet<String>,
    /// Events that came while a question was on the screen.
    held: Vec<Value>,
}

impl Session {
    pub fn new(client: ApiClient, target: Target) -> Self {
        Self {
            client,
            target,
            fold: ExecutionFold::default(),
            sequence: 0,
            old_until: 0,
            progress: Progress::as_output(),
            input: Input::standard(),
            input_has_ended: false,
            dialogue: None,
            answered: BTreeSet::new(),
            held: Vec::new(),
        }
    }

    /// Follows to the end, and sums up what came of it.
    pub async fn follow(mut self, signals: &mut Signals) -> Result<Ending, ClientError> {
        let ending = self.run(signals).await;
        self.close_dialogue();
        self.progress.finish();
        print_line(&report::table(self.fold.progress()));
        if let Ok(Ending::Waiting) = ending {
            report::waiting(&self.target.id(), &self.fold.progress().pending())
                .iter()
                .for_each(|line| print_line(line));
        }
        ending
    }

    async fn run(&mut self, signals: &mut Signals) -> Result<Ending, ClientError> {
        self.old_until = self.client.get(&self.target.path()).await?["last_sequence"].as_u64().unwrap_or_default();
        let mut follower = Follower::new(self.client.clone(), &self.target, None, None);
        loop {
            self.look_for_questions().await;
            if self.input_has_ended && self.only_waits() {
                return Ok(Ending::Waiting);
            }
            tokio::select! {
                received = follower.next() => match received? {
                    Some(received) => self.apply(&received),
                    None => return Ok(Ending::Over(self.fold.progress().status)),
                },
                line = self.input.next(), if self.dialogue.is_some() => match line {
                    Some(line) => self.typed(&line).await?,
                    None => self.input_is_over(),
                },
                () = signals.next() => return Ok(Ending::Interrupted),
            }
        }
    }

    fn apply(&mut self, received: &Received) {
        if let Ok(event) = codec::decode(received.line.as_bytes()) {
            self.sequence = event.sequence;
            self.fold.apply(Fact::from(&event));
        }
        match self.dialogue {
            Some(_) => self.held.push(received.event.clone()),
            None => self.progress.show(&received.event),
        }
    }

    /// Starts a dialogue about what is pending, and closes one about what no longer is.
    async fn look_for_questions(&mut self) {
        if self.sequence < self.old_until {
            return;
        }
        let open = self.open();
        if let Some(dialogue) = &self.dialogue
            && !open.iter().any(|pending| key(pending) == key(dialogue.pending()))
        {
            self.close_dialogue();
            self.progress.note("answered elsewhere");
        }
        if self.dialogue.is_some() || self.input_has_ended {
            return;
        }
        if let Some(pending) = open.into_iter().next() {
            self.progress.pause();
            self.introduce(&pending).await;
            self.dialogue = Some(Dialogue::new(pending));
            self.prompt();
        }
    }

    /// What waits and has not been answered here.
    fn open(&self) -> Vec<Pending> {
        let pending = self.fold.progress().pending();
        pending.into_iter().filter(|pending| !self.answered.contains(&key(pending))).collect()
    }

    /// Nothing is running, and every answer has been confirmed by an event.
    fn only_waits(&self) -> bool {
        let progress = self.fold.progress();
        let waits =
            matches!(progress.status, ExecutionStatus::WaitingClarification | ExecutionStatus::WaitingAcceptance);
        waits
            && self.sequence >= self.old_until
            && progress.pending().iter().all(|pending| !self.answered.contains(&key(pending)))
    }

    /// Shows the document that is to be accepted.
    async fn introduce(&self, pending: &Pending) {
        let Some(document) = pending.document.as_ref().filter(|_| pending.kind == PendingKind::Acceptance) else {
            return;
        };
        let path = format!("/api/v1/documents/{}?version={}", document.document_id, document.version);
        match self.client.get(&path).await {
            Ok(document) => format!("{:#}", document["content"]).lines().for_each(|line| print_line(&printable(line))),
            Err(error) => print_line(&format!("the document cannot be shown: {error}")),
        }
    }

    fn prompt(&self) {
        let Some(dialogue) = &self.dialogue else { return };
        dialogue.prompt().iter().for_each(|line| print_line(line));
        if std::io::stdin().is_terminal() {
            prompt("> ");
        }
    }

    async fn typed(&mut self, line: &str) -> Result<(), ClientError> {
        let Some(dialogue) = &mut self.dialogue else { return Ok(()) };
        match dialogue.take(line) {
            Next::Ask => self.prompt(),
            Next::Again(why) => {
                print_line(&format!("  {}", printable(&why)));
                self.prompt();
            }
            Next::Send(body) => self.send(&body).await?,
        }
        Ok(())
    }

    async fn send(&mut self, body: &Value) -> Result<(), ClientError> {
        let Some(dialogue) = &mut self.dialogue else { return Ok(()) };
        let pending = dialogue.pending();
        let (key, name) = (key(pending), name(pending));
        match self.client.post(&path(&self.target, pending.kind, &pending.step_id), body).await {
            Ok(_) => {
                self.answered.insert(key);
                self.close_dialogue();
            }
            Err(ClientError::Refused { status: 422, faults, detail, .. }) => {
                match faults.as_slice() {
                    [] => print_line(&format!("  {}", printable(&detail))),
                    faults => {
                        faults.iter().for_each(|fault| print_line(&format!("  {}", printable(&fault.to_string()))))
                    }
                }
                dialogue.refused(&faults);
                self.prompt();
            }
            Err(ClientError::Refused { status: 409, detail, .. }) => {
                self.answered.insert(key);
                self.close_dialogue();
                self.progress.note(&format!("{name}: {}", printable(&detail)));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn input_is_over(&mut self) {
        self.input_has_ended = true;
        self.close_dialogue();
    }

    fn close_dialogue(&mut self) {
        if self.dialogue.take().is_some() {
            self.progress.resume();
            self.held.drain(..).for_each(|event| self.progress.show(&event));
        }
    }
}

/// Where answers to a step go.
pub fn path(target: &Target, kind: PendingKind, step_id: &str) -> String {
    format!("{}/steps/{}/{kind}", target.path(), percent_encoded(step_id))
}
