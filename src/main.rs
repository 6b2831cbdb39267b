use std::process::ExitCode;

fn main() -> ExitCode {
    // The only place where the environment of the process is read.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    ade::cli::main(std::env::args_os(), environment)
}
