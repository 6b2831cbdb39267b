//! The processes of the service that are alive.

use std::fs;

/// The living processes whose environment holds `NAME=value`.
pub fn carrying(marker: &str) -> Vec<i32> {
    let marked = |pid: i32| environment(pid).split(|&byte| byte == 0).any(|entry| entry == marker.as_bytes());
    all().into_iter().filter(|&pid| is_alive(pid) && marked(pid)).collect()
}

/// The living processes, this one aside, whose environment contains a text.
pub fn mentioning(text: &str) -> Vec<i32> {
    let own = std::process::id() as i32;
    let mentions = |pid: &i32| environment(*pid).windows(text.len()).any(|window| window == text.as_bytes());
    all().into_iter().filter(|pid| *pid != own && is_alive(*pid)).filter(mentions).collect()
}

pub fn of_run(id: &str) -> Vec<i32> {
    carrying(&format!("ADE_RUN_ID={id}"))
}

pub fn of_build(id: &str) -> Vec<i32> {
    carrying(&format!("ADE_BUILD_ID={id}"))
}

/// Whether a process is `sleep SECONDS`; a zombie has no command line.
pub fn sleeps(seconds: &str) -> bool {
    let wanted = format!("sleep\0{seconds}\0");
    all().into_iter().any(|pid| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == wanted.as_bytes()))
}

/// The parent of the program that an engine is: its launcher.
pub fn launcher_of(run: &str) -> Option<i32> {
    of_run(run).into_iter().find(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|&byte| byte == 0).nth(1) == Some(b"__ade-launch__")
    })
}

/// A zombie is dead.
pub fn is_alive(pid: i32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

fn all() -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("there is a process table").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Empty for a zombie.
fn environment(pid: i32) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/environ")).unwrap_or_default()
}

/// The bytes of memory that a process has.
pub fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is alive");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}

/// Lets this process open as many files as it may; how many.
pub fn raise_open_files() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointers are to a value that lives through the calls.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
    limit.rlim_max
}

/// The command lines of processes, for the message of a failed test.
pub fn describe(pids: &[i32]) -> String {
    let one = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        format!("{pid}: {}", String::from_utf8_lossy(&line).replace('\0', " "))
    };
    pids.iter().map(one).collect::<Vec<_>>().join("\n")
}

pub fn signal(pid: u32, signal: i32) {
    // SAFETY: takes no pointers; the caller has started this process and not yet reaped it.
    unsafe { libc::kill(pid as i32, signal) };
}
