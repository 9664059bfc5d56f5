//! What the operator's own program leaves as the termination message of a container: one JSON object.
//!
//! The image is whatever the resource names, so nothing of it is taken for granted.

use serde::de::DeserializeOwned;

/// Longest text that a container may leave, in bytes: that of Kubernetes.
pub const LONGEST: usize = 4096;

/// Reads one; `None` when it is something else.
#[must_use]
pub fn parse<T: DeserializeOwned>(text: &str) -> Option<T> {
    let fits = text.len() <= LONGEST;
    fits.then(|| serde_json::from_str(text.trim()).ok())?
}

/// Makes the type of causes from their names, which are those of the program.
macro_rules! causes {
    ($(#[$attribute:meta])* pub enum $type:ident { $($name:ident,)+ }) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, serde::Deserialize, Eq, Hash, PartialEq, serde::Serialize)]
        #[allow(missing_docs)] // The table of reasons explains each.
        pub enum $type {
            $($name,)+
        }

        impl $type {
            /// Every cause.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }
        }
    };
}
pub(super) use causes;
