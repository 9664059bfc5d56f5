//! An operator that dies in the middle of a rollout, and the next one.

use futures::{StreamExt, stream};
use serde_json::{Value, json};

use crate::{
    converge::everything,
    injector::{Faults, Mode},
    state::{assert_same, likeness, state},
    world::{World, eventually},
};

/// A spec whose rollout creates, changes and deletes children, depending on where it starts.
fn small() -> Value {
    json!({"image": "hello-app:1", "replicas": 3, "networkPolicy": {"enabled": false}})
}

fn large() -> Value {
    let mut spec = everything();
    spec["image"] = "hello-app:2".into();
    spec["database"] = json!({"managed": {"parameters": {"work_mem": "2MB"}}});
    spec
}

/// Applies a spec while an operator runs that dies after `writes` writes, and lets another one finish. Returns
/// whether the first one finished.
async fn roll_out(world: &World, name: &str, spec: Value, writes: u32) -> bool {
    let faults = Faults::new(Mode::DieAfter(writes));
    let doomed = world.operator_through(faults.client());
    world.apply(name, spec).await;
    eventually("it has died or finished", || async {
        let dead = faults.writes() > writes;
        (dead || world.is_ready(name).await).then_some(())
    })
    .await;
    doomed.stop().await;
    let undisturbed = faults.writes() <= writes;
    let successor = world.operator();
    world.ready(name).await;
    if undisturbed {
        world.settle(&successor).await;
        assert_eq!(successor.writes(), 0, "it did not finish");
    }
    successor.stop().await;
    undisturbed
}

/// More writes than any rollout needs.
const MANY: u32 = 60;

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_any_single_write_of_a_rollout_ends_the_same() {
    // Two namespaces share the crashes: most of the time is spent waiting.
    let (odd, even) = tokio::join!(
        roll_there_and_back("crash-odd", (1..MANY).step_by(2)),
        roll_there_and_back("crash-even", (2..MANY).step_by(2))
    );
    // Two statuses, the migration, both sets, and what only one of them has.
    for (odd, even) in odd.into_iter().zip(even) {
        let count = odd + even;
        assert!((10..MANY - 1).contains(&count), "{count} crashes");
    }
}

/// Rolls the small and the large spec out in turn, with a crash after each of these numbers of writes. Returns how many of
/// the rollouts to each were disturbed.
async fn roll_there_and_back(namespace: &str, numbers: impl Iterator<Item = u32>) -> [u32; 2] {
    let world = World::new(namespace).await;
    // From the second time on, the small one also has what the large one leaves behind.
    for spec in [large(), small()] {
        assert!(roll_out(&world, "demo", spec, MANY).await);
    }
    let small_state = state(&world, "demo").await;
    assert!(roll_out(&world, "demo", large(), MANY).await);
    let large_state = state(&world, "demo").await;
    let mut crashes = [0, 0];
    for writes in numbers {
        let mut done = true;
        let ways = [(small(), &small_state), (large(), &large_state)];
        for ((spec, expected), crashes) in ways.into_iter().zip(&mut crashes) {
            let undisturbed = roll_out(&world, "demo", spec, writes).await;
            let now = state(&world, "demo").await;
            assert_same(&now, expected, &format!("crash after {writes} writes"));
            *crashes += u32::from(!undisturbed);
            done &= undisturbed;
        }
        if done {
            return crashes;
        }
    }
    panic!("it never finished");
}

/// First rollouts at a time, each in a namespace of its own: an operator also looks at what others have left.
const AT_ONCE: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_any_single_write_of_the_first_rollout_ends_the_same() {
    let reach = async |writes: u32| {
        let world = World::new(&format!("crash-first-{writes:02}")).await;
        let undisturbed = roll_out(&world, "demo", large(), writes).await;
        (writes, undisturbed, likeness(&world, "demo").await)
    };
    let (_, undisturbed, expected) = reach(MANY).await;
    assert!(undisturbed);
    let mut reached = stream::iter(1..MANY).map(reach).buffered(AT_ONCE);
    while let Some((writes, undisturbed, now)) = reached.next().await {
        assert_same(&now, &expected, &format!("crash after {writes} writes"));
        if undisturbed {
            // Each child but the data's claim, and a status before.
            assert!(writes as usize >= expected.len(), "{writes} writes");
            return;
        }
    }
    panic!("it never finished");
}
