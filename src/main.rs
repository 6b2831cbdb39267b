use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// Sizes lie apart in it, so what many requests of one moment took goes back to the system when they are over.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Unused memory is returned after a second, by a thread of the allocator's own.
// SAFETY: jemalloc reads this name as a pointer to text that ends with a zero; a slice begins with such a pointer.
#[allow(unsafe_code)]
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static ALLOCATOR_SETTINGS: &[u8] = b"background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0,narenas:4\0";

fn main() -> ExitCode {
    // Every child of the service has a process of this program above it, which should be small and quick.
    if let Some(exit) = ade::worker::process::launcher::main(std::env::args_os()) {
        return exit;
    }
    if let Some(exit) = ade::isolation::attempt::main(std::env::args_os()) {
        return exit;
    }
    // The only place where the environment of the process is read.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    ade::cli::main(std::env::args_os().collect(), environment)
}
