//! Who is told of changes: sessions of the older eras, and `subscriptions/listen` of the current one.
//!
//! Both follow the same [`Updates`]. A session has one small task of its own, begun when it is
//! initialised or first subscribes; it ends with the session.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock},
    time::Duration,
};

use hub_core::caller::Caller;
use rmcp::{
    ErrorData, Peer, RoleServer,
    model::ResourceUpdatedNotificationParam,
    service::{SubscriptionContext, SubscriptionSink},
};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use crate::{
    hub::{Hub, log_failure},
    resources::{Address, Update, Updates},
};

/// Most resources that one session or stream follows.
const SUBSCRIPTIONS_MAX: usize = 64;
/// Wishes of a session that may wait for its task.
const WISHES_WAITING: usize = 4;
/// Longest time that one notification may take to leave.
const SEND_MAX: Duration = Duration::from_secs(5);

/// A change of what a session follows.
enum Wish {
    /// Answered whether there was room for it.
    Add(String, Address, oneshot::Sender<bool>),
    Remove(String),
}

/// What a session of the older eras follows. Its task ends when this is dropped.
#[derive(Default)]
pub(super) struct Listening(OnceLock<mpsc::Sender<Wish>>);

impl Listening {
    /// Begins to tell the session what changes.
    pub(super) fn begin(&self, hub: &Arc<Hub>, peer: &Peer<RoleServer>) {
        self.wishes(hub, peer);
    }

    fn wishes(&self, hub: &Arc<Hub>, peer: &Peer<RoleServer>) -> &mpsc::Sender<Wish> {
        self.0.get_or_init(|| {
            let (wishes, coming) = mpsc::channel(WISHES_WAITING);
            let session = SessionTask { hub: hub.clone(), peer: peer.clone(), updates: Updates::of(hub) };
            tokio::spawn(session.run(coming));
            wishes
        })
    }

    /// Follows one more resource.
    ///
    /// # Errors
    /// When the session follows as much as it may; when the hub ends.
    pub(super) async fn add(
        &self,
        hub: &Arc<Hub>,
        peer: &Peer<RoleServer>,
        uri: String,
        address: Address,
    ) -> Result<(), ErrorData> {
        // A session of before a restart of the hub was not initialised here.
        let wishes = self.wishes(hub, peer);
        let ended = || ErrorData::internal_error("The session is told of no changes any more.", None);
        let (answer, answered) = oneshot::channel();
        wishes.send(Wish::Add(uri, address, answer)).await.map_err(|_| ended())?;
        if answered.await.map_err(|_| ended())? { Ok(()) } else { Err(too_many("Unsubscribe from one first.")) }
    }

    /// Follows a resource no longer.
    pub(super) async fn remove(&self, uri: String) {
        let Some(wishes) = self.0.get() else { return };
        if wishes.send(Wish::Remove(uri)).await.is_err() {
            tracing::debug!("a session that is told of nothing was unsubscribed");
        }
    }
}

/// The error for one resource more than can be followed.
fn too_many(hint: &str) -> ErrorData {
    let message = format!("A client follows at most {SUBSCRIPTIONS_MAX} resources at once. {hint}");
    ErrorData::invalid_params(message, Some(json!({"max": SUBSCRIPTIONS_MAX})))
}

struct SessionTask {
    hub: Arc<Hub>,
    peer: Peer<RoleServer>,
    updates: Updates,
}

impl SessionTask {
    async fn run(mut self, mut wishes: mpsc::Receiver<Wish>) {
        let closing = self.hub.closing.clone();
        let mut followed = BTreeMap::new();
        loop {
            tokio::select! {
                () = closing.cancelled() => return,
                wish = wishes.recv() => match wish {
                    None => return,
                    Some(Wish::Add(uri, address, answer)) => {
                        let room = followed.len() < SUBSCRIPTIONS_MAX || followed.contains_key(&uri);
                        // Who asked may be gone; what it asked for is followed as if it were not.
                        let _ = answer.send(room);
                        if !room {
                            continue;
                        }
                        if let Address::Job(job) | Address::Recipe(job) = address {
                            self.updates.follow(&self.hub.engine, job);
                        }
                        followed.insert(uri, address);
                    }
                    Some(Wish::Remove(uri)) => drop(followed.remove(&uri)),
                },
                update = self.updates.next() => {
                    let Some(update) = update else { return };
                    // On the heap, so that an idle session does not hold room for what it would send.
                    if !Box::pin(tell(&Listener::Session(&self.peer), update, &followed)).await {
                        return;
                    }
                }
            }
        }
    }
}

/// Tells one `subscriptions/listen` what it asked for and its caller sees, until it is closed.
///
/// What another caller's is, is acknowledged like what does not exist, and never spoken of.
///
/// # Errors
/// When it asks for more than may be followed.
pub(super) async fn serve(hub: &Hub, context: &SubscriptionContext, caller: &Caller) -> Result<(), ErrorData> {
    let mut updates = Updates::of(hub);
    let mut followed = BTreeMap::new();
    let wanted: BTreeSet<&String> = context.sink().accepted().resource_subscriptions.iter().flatten().collect();
    if wanted.len() > SUBSCRIPTIONS_MAX {
        return Err(too_many("Listen to fewer, or open another stream for the rest."));
    }
    for uri in wanted {
        let Some(address) = Address::parse(uri) else { continue };
        if let Address::Job(job) | Address::Recipe(job) = address {
            if let Err(error) = hub.engine.check_job(caller, job).await {
                log_failure("following a job", &error);
                continue;
            }
            updates.follow(&hub.engine, job);
        }
        followed.insert(uri.clone(), address);
    }
    loop {
        let update = tokio::select! {
            () = context.cancelled() => return Ok(()),
            () = hub.closing.cancelled() => return Ok(()),
            update = updates.next() => update,
        };
        let Some(update) = update else { return Ok(()) };
        if !tell(&Listener::Stream(context.sink()), update, &followed).await {
            return Ok(());
        }
    }
}

/// Where notifications go.
enum Listener<'a> {
    Session(&'a Peer<RoleServer>),
    Stream(&'a SubscriptionSink),
}

/// What a client can be told.
enum News<'a> {
    Tools,
    Resources,
    Resource(&'a str),
}

/// Tells one change; `false` when nobody is there any more.
async fn tell(listener: &Listener<'_>, update: Update, followed: &BTreeMap<String, Address>) -> bool {
    let mut news = match update {
        Update::Catalogue => vec![News::Tools, News::Resources],
        Update::Images => vec![News::Resources],
        Update::Job(_) => Vec::new(),
    };
    let touched = followed.iter().filter(|(_, address)| address.is_touched_by(&update));
    news.extend(touched.map(|(uri, _)| News::Resource(uri)));
    for one in &news {
        if !listener.wants(one) {
            continue;
        }
        match tokio::time::timeout(SEND_MAX, listener.send(one)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(error, "a listener was not told of a change");
                return false;
            }
            Err(_) => tracing::debug!("a listener takes no notifications"),
        }
    }
    true
}

impl Listener<'_> {
    /// A session gets everything that it subscribed to, a stream only what it was accepted for.
    fn wants(&self, news: &News<'_>) -> bool {
        let Self::Stream(sink) = self else { return true };
        match news {
            News::Tools => sink.accepted().tools_list_changed == Some(true),
            News::Resources => sink.accepted().resources_list_changed == Some(true),
            News::Resource(_) => true,
        }
    }

    async fn send(&self, news: &News<'_>) -> Result<(), String> {
        match self {
            Self::Session(peer) => match news {
                News::Tools => peer.notify_tool_list_changed().await,
                News::Resources => peer.notify_resource_list_changed().await,
                News::Resource(uri) => peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(*uri)).await,
            }
            .map_err(|error| error.to_string()),
            Self::Stream(sink) => match news {
                News::Tools => sink.notify_tool_list_changed().await,
                News::Resources => sink.notify_resource_list_changed().await,
                News::Resource(uri) => sink.notify_resource_updated(*uri).await,
            }
            .map_err(|error| error.to_string()),
        }
    }
}
