//! What state a piece of work is in, and which state may follow which.

macro_rules! text_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name { $(#[serde(rename = $text)] $(#[$of])* $variant),* }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            pub const WORDS: &'static [&'static str] = &[$($text),*];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == text)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                $crate::domain::schema::words(Self::WORDS)
            }
        }

        impl utoipa::ToSchema for $name {}

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use text_enum;

text_enum! {
    RunStatus {
        Queued = "queued", Building = "building", Running = "running",
        Succeeded = "succeeded", Failed = "failed", Cancelled = "cancelled",
    }
}

text_enum! {
    BuildStatus {
        Queued = "queued", Building = "building",
        Active = "active", Failed = "failed", Cancelled = "cancelled",
    }
}

text_enum! {
    #[derive(Default)]
    ExecutionStatus {
        #[default]
        Pending = "pending",
        Running = "running",
        WaitingClarification = "waiting_clarification", WaitingAcceptance = "waiting_acceptance",
        Completed = "completed", Failed = "failed", Cancelled = "cancelled",
    }
}

text_enum! {
    #[derive(Default)]
    StepStatus {
        #[default]
        Pending = "pending",
        Running = "running",
        WaitingClarification = "waiting_clarification", WaitingAcceptance = "waiting_acceptance",
        Completed = "completed", Failed = "failed", Skipped = "skipped", Cancelled = "cancelled",
    }
}

text_enum! {
    /// What retention has made of the log of a piece of work that has ended.
    #[derive(Default)]
    LogState {
        #[default]
        Plain = "plain",
        Compressed = "compressed",
        /// It is in the object store, and read from there.
        Archived = "archived",
        /// It is to be deleted, and may be gone already: a crash can come between the two.
        Expiring = "expiring",
        Deleted = "deleted",
    }
}

impl LogState {
    /// Its stream is over for good: there is nothing to read any more, or soon will not be.
    pub fn is_expired(self) -> bool {
        matches!(self, Self::Expiring | Self::Deleted)
    }
}

impl RunStatus {
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// Forward only; a terminal status is never left.
    pub fn can_become(self, next: Self) -> bool {
        match self {
            Self::Queued => next != Self::Queued && next != Self::Succeeded,
            Self::Building => matches!(next, Self::Running | Self::Failed | Self::Cancelled),
            Self::Running => next.is_terminal(),
            Self::Succeeded | Self::Failed | Self::Cancelled => false,
        }
    }
}

impl BuildStatus {
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Active | Self::Failed | Self::Cancelled)
    }

    /// Forward only; `queued` becomes `active` directly when an existing build is reused.
    pub fn can_become(self, next: Self) -> bool {
        match self {
            Self::Queued => next != Self::Queued,
            Self::Building => next.is_terminal(),
            Self::Active | Self::Failed | Self::Cancelled => false,
        }
    }
}

impl ExecutionStatus {
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// What waits for a person goes on when it has the answer; a terminal status is never left.
    pub fn can_become(self, next: Self) -> bool {
        match self {
            Self::Pending => next == Self::Running || next == Self::Failed || next == Self::Cancelled,
            Self::Running | Self::WaitingClarification | Self::WaitingAcceptance => {
                next != Self::Pending && next != self
            }
            Self::Completed | Self::Failed | Self::Cancelled => false,
        }
    }
}

impl StepStatus {
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Skipped | Self::Cancelled)
    }

    /// A step starts before it completes, and only one that has not started is skipped.
    pub fn can_become(self, next: Self) -> bool {
        match self {
            Self::Pending => matches!(next, Self::Running | Self::Failed | Self::Skipped | Self::Cancelled),
            Self::Running => !matches!(next, Self::Pending | Self::Running | Self::Skipped),
            Self::WaitingClarification => matches!(next, Self::Running | Self::Failed | Self::Cancelled),
            Self::WaitingAcceptance => {
                matches!(next, Self::Running | Self::Completed | Self::Failed | Self::Cancelled)
            }
            Self::Completed | Self::Failed | Self::Skipped | Self::Cancelled => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_status_moves_forward_only() {
        use RunStatus::*;
        let allowed = [
            (Queued, Building),
            (Queued, Running),
            (Queued, Failed),
            (Queued, Cancelled),
            (Building, Running),
            (Building, Failed),
            (Building, Cancelled),
            (Running, Succeeded),
            (Running, Failed),
            (Running, Cancelled),
        ];
        for &from in RunStatus::ALL {
            for &to in RunStatus::ALL {
                assert_eq!(from.can_become(to), allowed.contains(&(from, to)), "{from} -> {to}");
            }
        }
    }

    #[test]
    fn build_status_moves_forward_only() {
        use BuildStatus::*;
        let allowed = [
            (Queued, Building),
            (Queued, Active),
            (Queued, Failed),
            (Queued, Cancelled),
            (Building, Active),
            (Building, Failed),
            (Building, Cancelled),
        ];
        for &from in BuildStatus::ALL {
            for &to in BuildStatus::ALL {
                assert_eq!(from.can_become(to), allowed.contains(&(from, to)), "{from} -> {to}");
            }
        }
    }

    #[test]
    fn execution_status_ends_once_and_waits_as_often_as_it_must() {
        use ExecutionStatus::*;
        let working = [Running, WaitingClarification, WaitingAcceptance];
        for &from in ExecutionStatus::ALL {
            for &to in ExecutionStatus::ALL {
                let allowed = match from {
                    Pending => [Running, Failed, Cancelled].contains(&to),
                    from if working.contains(&from) => to != from && to != Pending,
                    _ => false,
                };
                assert_eq!(from.can_become(to), allowed, "{from} -> {to}");
            }
        }
    }

    #[test]
    fn step_status_moves_by_its_table() {
        use StepStatus::*;
        let allowed = [
            (Pending, Running),
            (Pending, Failed),
            (Pending, Skipped),
            (Pending, Cancelled),
            (Running, WaitingClarification),
            (Running, WaitingAcceptance),
            (Running, Completed),
            (Running, Failed),
            (Running, Cancelled),
            (WaitingClarification, Running),
            (WaitingClarification, Failed),
            (WaitingClarification, Cancelled),
            (WaitingAcceptance, Running),
            (WaitingAcceptance, Completed),
            (WaitingAcceptance, Failed),
            (WaitingAcceptance, Cancelled),
        ];
        for &from in StepStatus::ALL {
            for &to in StepStatus::ALL {
                assert_eq!(from.can_become(to), allowed.contains(&(from, to)), "{from} -> {to}");
            }
        }
    }
}
