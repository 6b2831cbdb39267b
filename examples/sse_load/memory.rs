//! What a server holds for its readers.

/// What the server's process and the kernel's sockets hold, in KiB.
pub struct Memory {
    resident: Option<u64>,
    sockets: Option<u64>,
}

impl Memory {
    pub fn of(pid: Option<u32>) -> Self {
        let status = pid.and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/status")).ok());
        let resident = status.as_deref().and_then(|text| number_after(text, "VmRSS:"));
        let sockstat = std::fs::read_to_string("/proc/net/sockstat").ok();
        // In pages of 4 KiB, for both ends of every connection of the machine.
        let tcp = sockstat.as_deref().and_then(|text| text.lines().find(|line| line.starts_with("TCP:")));
        Self { resident, sockets: tcp.and_then(|line| number_after(line, " mem ")).map(|pages| pages * 4) }
    }
}

fn number_after(text: &str, word: &str) -> Option<u64> {
    text.split_once(word)?.1.split_whitespace().next()?.parse().ok()
}

pub fn tell_memory(before: &Memory, pid: Option<u32>, streams: usize) {
    let after = Memory::of(pid);
    let tell = |what: &str, before: Option<u64>, after: Option<u64>| {
        if let Some((before, after)) = before.zip(after) {
            let each = after.saturating_sub(before) as f64 / streams.max(1) as f64;
            println!("{what} {before} KiB -> {after} KiB ({each:.1} KiB a stream)");
        }
    };
    tell("resident", before.resident, after.resident);
    tell("kernel tcp", before.sockets, after.sockets);
}
