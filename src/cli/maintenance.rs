//! `ade maintenance`: one maintenance pass now, by the service that owns the data directory, or on the directory itself.

use comfy_table::{Table, presets};

use super::exit::{CommandError, Exit};
use super::output::print_line;
use super::service::{Service, running_service};
use crate::app;
use crate::config::Settings;
use crate::domain::maintenance::MaintenanceReport;
use crate::telemetry;

const PATH: &str = "/api/v1/system/maintenance";

pub async fn maintenance(settings: Settings, server: Option<&str>) -> Result<Exit, CommandError> {
    telemetry::init(&settings.telemetry).map_err(CommandError::failed)?;
    let service = match server {
        Some(url) => Some(Service::remote(url, &settings)),
        None => running_service(&settings).await,
    };
    let report = match service {
        Some(service) => ask(&service).await?,
        // No service is started: it would start the work in its queue.
        None => app::maintain(settings).await.map_err(CommandError::failed)?,
    };
    print_line(&to_table(&report));
    report.tasks.iter().flat_map(|task| &task.errors).for_each(|error| print_line(error));
    Ok(Exit::of_success(report.succeeded()))
}

async fn ask(service: &Service) -> Result<MaintenanceReport, CommandError> {
    let answer = service.client().post(PATH, &serde_json::json!({})).await.map_err(CommandError::failed)?;
    serde_json::from_value(answer).map_err(CommandError::failed)
}

fn to_table(report: &MaintenanceReport) -> String {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    table.set_header(["task", "done", "skipped", "failed", "freed", ""]);
    for task in &report.tasks {
        let numbers = [task.done, task.skipped, task.failed].map(|number| number.to_string());
        let [done, skipped, failed] = numbers;
        let more = if task.unfinished { "unfinished" } else { "" };
        table.add_row([&task.name, &*done, &skipped, &failed, &size(task.bytes_freed), more]);
    }
    table.to_string()
}

/// `512 B`, `1.5 MiB`.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let power = (bytes.ilog2() / 10).min(UNITS.len() as u32);
    format!("{:.1} {}", bytes as f64 / 1024f64.powi(power as i32), UNITS[power as usize - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_unit_that_fits() {
        let shown = [0, 1023, 1024, 1536, 1 << 20, 5 << 30, 3 << 40, u64::MAX].map(size);
        let expected = ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB", "5.0 GiB", "3.0 TiB", "16777216.0 TiB"];
        assert_eq!(shown, expected);
    }
}
