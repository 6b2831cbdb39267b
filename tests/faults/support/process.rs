//! Who is alive, and whose they are.

use std::fs;

/// The living processes whose environment holds `NAME=value`.
pub fn carrying(marker: &str) -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("there is a process table");
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    numbers.filter(|&pid| is_alive(pid) && has(pid, marker)).collect()
}

pub fn of_run(id: &str) -> Vec<i32> {
    carrying(&format!("ADE_RUN_ID={id}"))
}

pub fn of_build(id: &str) -> Vec<i32> {
    carrying(&format!("ADE_BUILD_ID={id}"))
}

/// Whether anybody is `sleep SECONDS`; the dead have no command line.
pub fn sleeps(seconds: &str) -> bool {
    let wanted = format!("sleep\0{seconds}\0");
    let entries = fs::read_dir("/proc").expect("there is a process table");
    entries.flatten().any(|entry| fs::read(entry.path().join("cmdline")).is_ok_and(|line| line == wanted.as_bytes()))
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

fn has(pid: i32, marker: &str) -> bool {
    let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environ.split(|&byte| byte == 0).any(|entry| entry == marker.as_bytes())
}

/// For a look at what a failed test has found.
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
