//! The parent of every child: a small process between the service and what it starts, this program under a hidden
//! argument.
//!
//! Invariant: it is the subreaper of everything below it, so an orphan comes back to it whatever session, group or
//! environment it has given itself, and it ends only when nothing descends from it any more. Hence ancestry finds all
//! that a child has started, and a launcher that has ended by itself proves that nothing is left. When the service
//! dies, it ends what it has started.
//!
//! A child may signal, stop or kill its launcher, where that has the same user. That helps it nowhere: the service watches
//! the child itself too, and adopts the orphans of a launcher that was killed (see [`super::adoption`]).

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;

use super::kill;
use super::report::{Refusal, Report, Usage, read_message};
use super::spec::ResourceLimits;
use super::table::Target;
use crate::isolation::{Confinement, Policy};

/// The first argument that makes this program a launcher.
pub const ARGUMENT: &str = "__ade-launch__";

/// Of a program that could not be started; the service knows why by then.
const NOT_STARTED: libc::c_int = 127;

/// Does the work of a launcher if the arguments ask for that; else `None`. To be called before anything is set up.
pub fn main(mut arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    if arguments.nth(1)? != ARGUMENT {
        return None;
    }
    Some(launch(arguments).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS))
}

/// The arguments: two descriptors, the limits, the working directory, the program and its own arguments. What the child
/// may reach comes by the first descriptor: as arguments it would be what people see in a list of processes.
fn launch(mut arguments: impl Iterator<Item = OsString>) -> io::Result<()> {
    let mut text = || arguments.next().and_then(|text| text.into_string().ok()).unwrap_or_default();
    let (control, gate) = (descriptor(&text())?, descriptor(&text())?);
    close_all_but([control.as_raw_fd(), gate.as_raw_fd()]);
    let limits = ResourceLimits::from_argument(&text()).ok_or(io::ErrorKind::InvalidInput)?;
    std::env::set_current_dir(arguments.next().ok_or(io::ErrorKind::InvalidInput)?)?;
    let command: Vec<CString> = arguments.map(|text| CString::new(text.into_vec())).collect::<Result<_, _>>()?;
    let mut control = UnixStream::from(control);
    let policy = Policy::decode(&read_message(&mut control)?).ok_or(io::ErrorKind::InvalidInput)?;
    let confinement = Confinement::prepare(&policy).map_err(|error| error.raw_os_error().unwrap_or(libc::EINVAL));
    give_pipes(&confinement)?;
    prctl::set_child_subreaper(true)?;
    let signals = take_signals()?;
    let main = start(&command, limits, &confinement, gate.as_raw_fd())?;
    drop(confinement);
    // The child waits at the gate: before it can do anything, nothing of its own is held here.
    drop(gate);
    close_standard_streams()?;
    control.write_all(&Report::Started(main).encode())?;
    watch(control, &signals, main)
}

/// By the names that `/dev/stdout` and `/dev/stderr` lead to, a pipe is opened by its owner only.
fn give_pipes(confinement: &Prepared) -> io::Result<()> {
    let Some(user) = confinement.as_ref().ok().and_then(Confinement::user) else { return Ok(()) };
    for pipe in [1, 2] {
        // SAFETY: takes no pointers.
        if unsafe { libc::fchown(pipe, user, user) } == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// A descriptor that the service has left open for us.
fn descriptor(number: &str) -> io::Result<OwnedFd> {
    let number: RawFd = number.parse().map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: takes no pointers; fails for a number that is no descriptor.
    if number < 3 || unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } == -1 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: it is open, as just seen, and nothing else in this process holds it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// The service opens everything close-on-exec; this is for descriptors that others have opened in it or left to it. Some
/// containers do not allow the call: then they stay open, which harms nobody else.
fn close_all_but(mut kept: [RawFd; 2]) {
    kept.sort_unstable();
    let [first, second] = kept.map(RawFd::cast_unsigned);
    for (from, to) in [(3, first - 1), (first + 1, second.saturating_sub(1)), (second + 1, libc::c_uint::MAX)] {
        if from <= to {
            // SAFETY: takes no pointers, and nothing here owns what is closed.
            unsafe { libc::syscall(libc::SYS_close_range, from, to, 0) };
        }
    }
}

/// The end of a child is read from a descriptor; what asks a process to end is not for the launcher.
fn take_signals() -> io::Result<SignalFd> {
    for ignored in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGUSR1, libc::SIGUSR2] {
        // SAFETY: installs no handler.
        unsafe { libc::signal(ignored, libc::SIG_IGN) };
    }
    let ended = SigSet::from(Signal::SIGCHLD);
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&ended), None)?;
    Ok(SignalFd::with_flags(&ended, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?)
}

/// Forks the child, in a session of its own, where it waits for a byte from the service.
fn start(command: &[CString], limits: ResourceLimits, confinement: &Prepared, gate: RawFd) -> io::Result<i32> {
    let mut words: Vec<_> = command.iter().map(|word| word.as_ptr()).collect();
    words.push(std::ptr::null());
    // SAFETY: the child makes nothing but system calls: `become_program` neither allocates nor locks.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => become_program(&words, limits, confinement, gate),
        pid => Ok(pid),
    }
}

/// Or the number of the error.
type Prepared = Result<Confinement, libc::c_int>;

/// In the child. What the launcher has changed for itself is as it was.
fn become_program(words: &[*const libc::c_char], limits: ResourceLimits, confinement: &Prepared, gate: RawFd) -> ! {
    let mut pass = 0_u8;
    // SAFETY: all pointers are to values that live through the calls, and `words` ends with a null pointer.
    unsafe {
        libc::setsid();
        for signal in 1..=libc::SIGRTMAX() {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
        if libc::read(gate, (&raw mut pass).cast(), 1) == 1 {
            let confined = confine(confinement);
            if confined.is_ok() && limits.apply().is_ok() {
                libc::execvp(words[0], words.as_ptr());
            }
            let refusal = Refusal::encode(confined.is_err(), confined.err().unwrap_or(*libc::__errno_location()));
            libc::write(gate, refusal.as_ptr().cast(), refusal.len());
        }
        libc::_exit(NOT_STARTED)
    }
}

fn confine(confinement: &Prepared) -> Result<(), libc::c_int> {
    match confinement {
        Ok(confinement) => confinement.apply().map_err(|error| error.raw_os_error().unwrap_or(libc::EINVAL)),
        Err(errno) => Err(*errno),
    }
}

/// The pipes end when the child and its descendants have closed them.
fn close_standard_streams() -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    for stream in 0..3 {
        // SAFETY: takes no pointers, and nothing here owns the standard streams.
        if unsafe { libc::dup2(null.as_raw_fd(), stream) } == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Reaps whatever ends, until there is nothing that could.
fn watch(control: UnixStream, signals: &SignalFd, main: i32) -> io::Result<()> {
    let mut control = Some(control);
    loop {
        match reap()? {
            Reaped::One(pid, status) if pid == main => send_report(&mut control, Report::Ended(status)),
            Reaped::One(..) => {}
            Reaped::NobodyLeft => {
                let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
                send_report(&mut control, Report::Used(Usage::of(usage.as_ref())));
                return Ok(());
            }
            Reaped::NobodyYet => wait(&mut control, signals)?,
        }
    }
}

enum Reaped {
    One(i32, i32),
    NobodyYet,
    NobodyLeft,
}

fn reap() -> io::Result<Reaped> {
    let mut status = 0;
    // SAFETY: the pointer is to a value that lives through the call.
    match unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) } {
        -1 => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ECHILD) => Ok(Reaped::NobodyLeft),
            error => Err(error),
        },
        0 => Ok(Reaped::NobodyYet),
        pid => Ok(Reaped::One(pid, status)),
    }
}

/// Returns when a child may have ended. When the service is gone, whatever is left here is killed.
fn wait(control: &mut Option<UnixStream>, signals: &SignalFd) -> io::Result<()> {
    let mut waited = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
    // Nothing is read from the service, but that it has hung up is told unasked.
    waited.extend(control.as_ref().map(|control| PollFd::new(control.as_fd(), PollFlags::empty())));
    match poll(&mut waited, PollTimeout::NONE) {
        Err(nix::errno::Errno::EINTR) => return Ok(()),
        found => found?,
    };
    let service_is_gone = waited.get(1).is_some_and(|control| control.any().unwrap_or(true));
    while let Ok(Some(_)) = signals.read_signal() {}
    if service_is_gone {
        *control = None;
        kill::sweep(&Target::below(Pid::this().as_raw()));
    }
    Ok(())
}

/// A service that is gone needs no report.
fn send_report(control: &mut Option<UnixStream>, report: Report) {
    if let Some(stream) = control {
        let _ = stream.write_all(&report.encode());
    }
}
