//! The kinds of work, a file each: what each of them needs beyond what all have in common.

pub mod run;
pub mod build;
pub mod execution;

use super::core::Core;

/// The one list of all kinds: `each_kind!(function(arguments))` calls `function::<Kind>(arguments)` for each of them and
/// awaits it, in the order in which a start of the service recovers them. Builds come before runs: a run that is recovered
/// may start a build at once, which must not be taken for one that the previous process has left.
macro_rules! each_kind {
    ($function:ident($($argument:expr),*)) => {{
        $function::<crate::domain::build::Build>($($argument),*).await?;
        $function::<crate::domain::run::Run>($($argument),*).await?;
        $function::<crate::domain::execution::Execution>($($argument),*).await?;
    }};
}
pub(super) use each_kind;

/// What workers reach of the registry, and of storage.
pub struct Ports(pub Core);

/// Why work that a crash has cut short is ended.
const INTERRUPTED: &str = "the service ended while this was at work";
