//! The steps of a restore. Each is one Job.

use crate::object::restore_result::{Deed, Done, Failure};

/// A step of a restore.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Step {
    /// Proves the backup again, and restores it beside the live data.
    Stage,
    /// Puts the restored data in place of the live data; `true`: with the loss of rows.
    Swap(bool),
    /// Puts the former data back; `true`: with the loss of what was written since the swap.
    Undo(bool),
    /// Removes the data that does not serve.
    Drop,
    /// Removes the staged data of a restore that was not swapped.
    Discard,
}

impl Step {
    /// Every step.
    pub const ALL: [Self; 7] = [
        Self::Stage,
        Self::Swap(false),
        Self::Swap(true),
        Self::Undo(false),
        Self::Undo(true),
        Self::Drop,
        Self::Discard,
    ];

    /// A short name, for that of the Job.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stage => "stage",
            Self::Swap(_) => "swap",
            Self::Undo(_) => "undo",
            Self::Drop => "drop",
            Self::Discard => "discard",
        }
    }

    /// Whether it may lose rows.
    #[must_use]
    pub const fn accepts_loss(self) -> bool {
        matches!(self, Self::Swap(true) | Self::Undo(true))
    }

    /// What is done when it has succeeded.
    #[must_use]
    pub const fn deed(self) -> Deed {
        match self {
            Self::Stage => Deed::Staged,
            Self::Swap(_) => Deed::Swapped,
            Self::Undo(_) => Deed::Undone,
            Self::Drop => Deed::Dropped,
            Self::Discard => Deed::Discarded,
        }
    }
}

/// How far the Job of a step is.
#[derive(Clone, Debug, PartialEq)]
pub enum Run {
    /// Its pods may be at work.
    Active,
    /// It is being deleted, and its pods may still be at work.
    Leaving,
    /// It has succeeded.
    Done(Done),
    /// It has ended, and would end in the same way again.
    Refused(Option<Failure>),
    /// It has given up for a reason that may pass.
    GaveUp(Option<Failure>),
    /// It has succeeded, and left nothing that can be read as a result of this step.
    Unreadable,
    /// It has succeeded, and its pod is gone, with what that reported.
    Lost,
}

impl Run {
    /// Whether a pod of it may be at work.
    #[must_use]
    pub const fn is_at_work(&self) -> bool {
        matches!(self, Self::Active | Self::Leaving)
    }
}
