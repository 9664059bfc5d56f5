//! When the stand-in for the controllers of a namespace acts: whenever something changes there.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{Stream, StreamExt, future, stream};
use hello_crds::HelloService;
use hello_operator::object::kind::Kind;
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject},
    runtime::watcher::{self, Event, watcher},
};
use tokio::{
    sync::{Mutex, Notify, OwnedMutexGuard},
    time::Instant,
};

use crate::stand_in::StandIn;

/// Controllers are not as fast as this stand-in could be: what was changed together is acted on together.
const PAUSE: Duration = Duration::from_millis(20);
/// How often everything is looked at again: an act that the API server did not answer is not tried again by itself.
const AGAIN: Duration = Duration::from_secs(2);
/// How often garbage is looked for after a resource was deleted, and for how long.
const BUSY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(3));
/// How often otherwise: a test may have made an object whose owner never existed.
const CALM: Duration = Duration::from_secs(1);

/// The rounds of the stand-in.
#[derive(Default)]
pub struct Rounds {
    /// Held while it acts.
    acting: Arc<Mutex<()>>,
    /// Everything has to be looked at again.
    asked: Notify,
}

/// What a change asks the stand-in for.
enum News {
    /// To act on this object.
    Object(Kind, Box<DynamicObject>),
    /// To look at everything.
    Everything,
    /// To look for objects without owner.
    Garbage,
}

impl Rounds {
    /// Waits until the stand-in does nothing, and keeps it from acting until the result is dropped.
    pub async fn hold(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.acting).lock_owned().await
    }

    /// Asks for a look at everything.
    pub fn ask(&self) {
        self.asked.notify_one();
    }

    /// Acts, and never ends by itself.
    pub async fn act(self: Arc<Self>, stand_in: StandIn, client: Client, namespace: String) {
        let mut news = news(&client, &namespace).ready_chunks(64);
        let (mut next, mut busy_until) = (Instant::now() + CALM, Instant::now());
        let mut again = Instant::now() + AGAIN;
        loop {
            let batch = tokio::select! {
                batch = news.next() => batch.unwrap_or_default(),
                () = self.asked.notified() => vec![Ok(News::Everything)],
                () = tokio::time::sleep_until(next) => vec![],
            };
            // Without a server it has nothing to do; the watches begin again by themselves.
            tokio::time::sleep(PAUSE).await;
            let acting = self.acting.lock().await;
            let (mut objects, mut everything) = (BTreeMap::new(), false);
            for news in batch.into_iter().flatten() {
                match news {
                    News::Object(kind, object) => {
                        drop(objects.insert((kind, object.name_any()), object));
                    }
                    News::Everything => everything = true,
                    News::Garbage => {
                        let now = Instant::now();
                        (next, busy_until) = (now, now + BUSY.1);
                    }
                }
            }
            stream::iter(objects)
                .for_each_concurrent(8, async |((kind, _), object)| {
                    stand_in.act(kind, &object).await;
                })
                .await;
            if everything || again <= Instant::now() {
                stand_in.round(&namespace).await;
                again = Instant::now() + AGAIN;
            }
            if next <= Instant::now() {
                stand_in.collect_garbage(&namespace).await;
                let now = Instant::now();
                next = now + if now < busy_until { BUSY.0 } else { CALM };
            }
            drop(acting);
        }
    }
}

/// What happens in the namespace.
fn news(
    client: &Client,
    namespace: &str,
) -> impl Stream<Item = Result<News, watcher::Error>> + Unpin {
    let watch = |resource: &ApiResource| {
        let api = Api::namespaced_with(client.clone(), namespace, resource);
        watcher(api, watcher::Config::default())
    };
    let objects = StandIn::KINDS.map(|kind| {
        let changes = watch(&kind.resource()).filter_map(move |event| {
            future::ready(match event {
                Ok(Event::Apply(object) | Event::InitApply(object)) => {
                    Some(Ok(News::Object(kind, Box::new(object))))
                }
                Ok(_) => None,
                Err(error) => Some(Err(error)),
            })
        });
        changes.boxed()
    });
    let gone = |resource: &ApiResource, news: fn() -> News| {
        let changes = watch(resource).filter_map(move |event| {
            future::ready(match event {
                Ok(Event::Delete(_)) => Some(Ok(news())),
                Ok(_) => None,
                Err(error) => Some(Err(error)),
            })
        });
        changes.boxed()
    };
    let claims = gone(&Kind::PersistentVolumeClaim.resource(), || News::Everything);
    let services = ApiResource::erase::<HelloService>(&());
    let services = gone(&services, || News::Garbage);
    stream::select_all(objects.into_iter().chain([claims, services]))
}
