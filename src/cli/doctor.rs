//! `ade doctor`: what of this machine the service can rely on. It starts nothing, and changes nothing.

use super::exit::{CommandError, Exit};
use super::output::print_line;
use crate::app::doctor::{self, Finding, State};
use crate::config::Settings;

pub async fn doctor(settings: Settings) -> Result<Exit, CommandError> {
    let (file, is_ours) = match doctor::own_file(&settings) {
        Ok(file) => (file, false),
        Err(_) => {
            // Before the first start there is nothing to be kept from children yet.
            let file = std::env::temp_dir().join(format!("ade-doctor-{}", ulid::Ulid::generate()));
            std::fs::write(&file, "").map_err(CommandError::failed)?;
            (file, true)
        }
    };
    let findings = doctor::examine(settings, &file).await;
    if is_ours {
        std::fs::remove_file(&file).map_err(CommandError::failed)?;
    }
    findings.iter().for_each(|finding| print_line(&line(finding)));
    Ok(Exit::of_success(findings.iter().all(|finding| finding.state != State::Failed)))
}

fn line(finding: &Finding) -> String {
    let state = match finding.state {
        State::Ok => "ok",
        State::Unused => "unused",
        State::Failed => "FAILED",
    };
    format!("{state:<8}{:<26}{}", finding.name, finding.detail)
}
