//! The readers: those that are checked, and those that stall.

use std::cell::RefCell;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::AsyncReadExt as _;

use crate::body::Body;
use crate::connection::{Head, Target};
use crate::options::Options;
use crate::scan::Scan;
use crate::tally::Tally;

/// Reads the whole stream and checks it.
pub async fn check(number: usize, options: &Options, target: &Target, tally: &RefCell<Tally>) {
    let mut reader = Reader::new(number, options);
    loop {
        match reader.connection(target, tally).await {
            Ok(Leave::Ended) => break,
            Ok(Leave::HungUp) => tally.borrow_mut().reconnects += 1,
            Err(error) => {
                let failure = format!("reader {number} behind {}: {error}", reader.scan.last_id());
                tally.borrow_mut().failures.push(failure);
                return;
            }
        }
    }
    tally.borrow_mut().ends.push(reader.scan.last_id());
}

/// Why a connection is over.
enum Leave {
    Ended,
    HungUp,
}

struct Reader<'o> {
    options: &'o Options,
    pause: Option<Duration>,
    scan: Scan,
    connected: bool,
}

impl<'o> Reader<'o> {
    fn new(number: usize, options: &'o Options) -> Self {
        let pause = (number < options.slow).then(|| Duration::from_millis(options.slow_pause_ms));
        Self { options, pause, scan: Scan::new(options.first_id, options.unnumbered), connected: false }
    }

    async fn connection(&mut self, target: &Target, tally: &RefCell<Tally>) -> std::io::Result<Leave> {
        let position = self.connected.then(|| self.scan.last_id());
        let mut socket = target.connect(position).await?;
        let head = Head::read(&mut socket).await?;
        match head.status {
            200 => {}
            // Everything was there already.
            204 if self.connected => return Ok(Leave::Ended),
            other => return Err(std::io::Error::other(format!("status {other}"))),
        }
        if !std::mem::replace(&mut self.connected, true) {
            tally.borrow_mut().heads += 1;
        }
        self.scan.restart();
        let mut buffer = vec![0; self.options.buffer];
        let mut body = Body::new(head.chunked);
        let mut of_connection = self.take(&head.rest, &mut body, tally);
        while !self.has_all(&body) {
            if self.options.reconnect_every > 0 && of_connection >= self.options.reconnect_every {
                return Ok(Leave::HungUp);
            }
            if let Some(pause) = self.pause {
                tokio::time::sleep(pause).await;
            }
            match socket.read(&mut buffer).await? {
                0 if head.chunked => return Err(std::io::Error::other("cut off")),
                0 => break,
                length => of_connection += self.take(&buffer[..length], &mut body, tally),
            }
        }
        Ok(Leave::Ended)
    }

    fn has_all(&self, body: &Body) -> bool {
        body.is_done() || (self.options.unnumbered && self.scan.last_id() >= self.options.last_id)
    }

    /// The number of events that these bytes completed.
    fn take(&mut self, bytes: &[u8], body: &mut Body, tally: &RefCell<Tally>) -> u64 {
        body.decode(bytes, |piece| self.scan.push(piece));
        let events = self.scan.batch.events;
        tally.borrow_mut().add(&mut self.scan.batch, bytes.len());
        events
    }
}

/// Takes the head and nothing after it, for as long as the driver runs.
pub async fn stall(options: &Options, target: &Target, tally: &RefCell<Tally>) {
    let opened = async {
        let mut socket = target.connect(None).await?;
        if options.receive_buffer > 0 {
            SockRef::from(&socket).set_recv_buffer_size(options.receive_buffer)?;
        }
        let head = Head::read(&mut socket).await?;
        match head.status {
            // Off the runtime: one who does not read does nothing about what arrives either.
            200 => socket.into_std(),
            status => Err(std::io::Error::other(format!("status {status}"))),
        }
    };
    match opened.await {
        Ok(_socket) => {
            tally.borrow_mut().heads += 1;
            std::future::pending::<()>().await;
        }
        Err(error) => tally.borrow_mut().failures.push(format!("stalled reader: {error}")),
    }
}
