//! What must hold in every state, and in the end.

use stateright::Property;

use crate::{
    cluster::{Breach, Budget, State},
    model::World,
};

pub const TWO: &str = "never two migrations";
pub const ROLLOUT: &str = "never rolled out before its migration";
pub const DATA: &str = "data is never lost";
pub const FOREIGN: &str = "a foreign object is never touched";
pub const EMPTY: &str = "an empty database never takes the place of a full one";
pub const PAUSED: &str = "nothing is written while paused";
pub const PODS: &str = "only its owner changes the number of pods";
pub const SERVER: &str = "a server that may run is never stopped";
pub const ONCE: &str = "a migration that is recorded is not run again";
pub const AGAIN: &str = "a backup that is known is not made again";
pub const BESIDE: &str = "a requested backup never starts beside a migration";
pub const FIRST: &str = "nobody is answered before the data of the backup is there";
pub const SERVED: &str = "nothing is restored over data that has served";
pub const REST: &str = "once faults stop, every path ends in the wanted state";

/// One property for each promise.
pub fn promises() -> [Property<World>; 14] {
    fn kept(state: &State, breach: Breach) -> bool {
        state.breach != Some(breach)
    }
    [
        Property::always(TWO, |_, state: &State| state.migrations() <= 1),
        Property::always(ROLLOUT, |_, state| kept(state, Breach::RolledOutUnmigrated)),
        Property::always(DATA, |_, state| kept(state, Breach::DataLost)),
        Property::always(EMPTY, |_, state| kept(state, Breach::EmptyInPlace)),
        Property::always(FOREIGN, |_, state| kept(state, Breach::ForeignTouched)),
        Property::always(PAUSED, |_, state| kept(state, Breach::PausedWritten)),
        Property::always(PODS, |_, state| kept(state, Breach::PodsMiscounted)),
        Property::always(SERVER, |_, state| kept(state, Breach::ServerStopped)),
        Property::always(ONCE, |_, state| kept(state, Breach::MigratedAgain)),
        Property::always(AGAIN, |_, state| kept(state, Breach::BackedUpAgain)),
        Property::always(BESIDE, |_, state| kept(state, Breach::BackedUpBeside)),
        Property::always(FIRST, |_, state| kept(state, Breach::ServedEmpty)),
        Property::always(SERVED, |_, state| kept(state, Breach::RestoredOver)),
        Property::always(REST, |world: &World, state: &State| {
            let mut calm = state.clone();
            calm.left = Budget::default();
            world.ends_well(&calm, &mut world.calm.lock().unwrap())
        }),
    ]
}
