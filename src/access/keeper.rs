//! Keeps memory and database together for as long as the service runs.

use std::time::Duration;

use super::Access;

/// What another process has revoked is over this much later, at most, and the answer of the database.
pub const ROUND: Duration = Duration::from_secs(2);

/// Goes on until it is dropped. While the database does not answer, what was known last holds.
pub async fn keep(access: Access) {
    let mut is_away = false;
    loop {
        tokio::time::sleep(ROUND).await;
        match access.refresh().await {
            Ok(()) => is_away = false,
            // Once, and not every two seconds.
            Err(error) if !is_away => {
                is_away = true;
                tracing::warn!(error = %error, "keys could not be compared with the database");
            }
            Err(_) => {}
        }
    }
}
