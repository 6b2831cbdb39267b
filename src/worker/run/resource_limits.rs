//! An end that a resource limit explains.
//!
//! The kernel informs a process by a signal that its time is over or its file too long; memory that it does not get is
//! told by the process alone, in the words of its language.

use super::stderr_tail::StderrTail;
use crate::worker::process::{Exit, ResourceLimits, Usage};

const OUT_OF_MEMORY: &[&str] = &["MemoryError", "Cannot allocate memory", "out of memory", "bad_alloc"];
const TOO_LARGE: &[&str] = &["File too large", "File size limit exceeded"];

/// What the limit was, for people; nothing when no limit explains this end. `told` is the engine's own explanation.
pub fn explanation(
    limits: ResourceLimits,
    exit: Exit,
    usage: Usage,
    told: &str,
    stderr_tail: &StderrTail,
) -> Option<String> {
    let said = |any: &[&str]| {
        let heard = std::iter::once(told).chain(stderr_tail.stderr_lines());
        heard.into_iter().any(|line| any.iter().any(|word| line.contains(word)))
    };
    let (cpu, memory, file) = (limits.cpu_seconds, limits.memory_bytes, limits.file_size_bytes);
    if let Some(seconds) = cpu.filter(|seconds| out_of_time(*seconds, exit, usage)) {
        return Some(format!("the engine used up its CPU time of {seconds} s (ADE_WORKER_CPU_SECONDS)"));
    }
    if let Some(bytes) = file.filter(|_| exit.signal == Some(libc::SIGXFSZ) || said(TOO_LARGE)) {
        return Some(format!("the engine wrote more than {} MiB into one file (ADE_WORKER_FSIZE_MB)", bytes >> 20));
    }
    let bytes = memory.filter(|_| said(OUT_OF_MEMORY))?;
    Some(format!("the engine needed more memory than its {} MiB (ADE_WORKER_MEM_MB)", bytes >> 20))
}

/// Past the soft limit the kernel sends SIGXCPU, a second later SIGKILL.
fn out_of_time(seconds: u64, exit: Exit, usage: Usage) -> bool {
    let used = usage.user_ms + usage.system_ms >= seconds.saturating_mul(1000);
    exit.signal == Some(libc::SIGXCPU) || (exit.signal == Some(libc::SIGKILL) && used)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: ResourceLimits =
        ResourceLimits { cpu_seconds: Some(2), memory_bytes: Some(64 << 20), file_size_bytes: Some(1 << 20) };

    fn explained(limits: ResourceLimits, signal: Option<i32>, used_ms: u64, stderr: &str) -> Option<String> {
        let mut stderr_tail = StderrTail::default();
        stderr_tail.stderr_line(stderr);
        let exit = Exit { code: signal.is_none().then_some(1), signal };
        explanation(limits, exit, Usage { user_ms: used_ms, ..Usage::default() }, "", &stderr_tail)
    }

    #[test]
    fn a_limit_is_named_only_where_it_explains_the_end() {
        for (signal, used_ms, stderr, name) in [
            (Some(libc::SIGXCPU), 0, "", Some("ADE_WORKER_CPU_SECONDS")),
            (Some(libc::SIGKILL), 2100, "", Some("ADE_WORKER_CPU_SECONDS")),
            (Some(libc::SIGKILL), 100, "", None),
            (Some(libc::SIGXFSZ), 0, "", Some("ADE_WORKER_FSIZE_MB")),
            (None, 0, "OSError: [Errno 27] File too large", Some("ADE_WORKER_FSIZE_MB")),
            (None, 0, "MemoryError", Some("ADE_WORKER_MEM_MB")),
            (None, 0, "ValueError: no", None),
        ] {
            let found = explained(ALL, signal, used_ms, stderr);
            assert_eq!(found.is_some(), name.is_some(), "{found:?}");
            assert!(found.is_none_or(|text| text.contains(name.unwrap_or_default())));
            assert_eq!(explained(ResourceLimits::default(), signal, used_ms, stderr), None, "no limit, no explanation");
        }
    }
}
