//! Which attempt gets which event.
//!
//! The socket's reader hands events over without ever waiting: a reader that stalls would stop the
//! server's events for everybody. An attempt that is far behind loses previews first; if it loses more,
//! it is told to ask the history instead.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use comfyui::Event;
use tokio::sync::mpsc;

/// Events that an attempt may be behind.
const INBOX_EVENTS: usize = 1024;
/// From this many events behind on, previews are dropped.
const PREVIEWS_BEHIND_MAX: usize = 8;

struct Route {
    events: mpsc::Sender<Event>,
    lagged: Arc<AtomicBool>,
}

/// Routes by prompt id.
#[derive(Default)]
pub(crate) struct Routes(Mutex<HashMap<String, Route>>);

impl Routes {
    /// Opens an inbox for a prompt's events. Open it before the prompt is posted.
    pub(crate) fn open(self: &Arc<Self>, prompt_id: String) -> Inbox {
        let (events, receiver) = mpsc::channel(INBOX_EVENTS);
        let lagged = Arc::new(AtomicBool::new(false));
        self.lock().insert(prompt_id.clone(), Route { events, lagged: lagged.clone() });
        Inbox { prompt_id, events: receiver, lagged, routes: self.clone() }
    }

    /// Hands an event to whom it concerns, if to anybody.
    pub(crate) fn deliver(&self, event: Event) {
        let routes = self.lock();
        let Some(route) = event.prompt_id().and_then(|id| routes.get(id)) else { return };
        let behind = INBOX_EVENTS - route.events.capacity();
        if matches!(event, Event::Preview { .. }) && behind >= PREVIEWS_BEHIND_MAX {
            return;
        }
        if let Err(mpsc::error::TrySendError::Full(_)) = route.events.try_send(event) {
            route.lagged.store(true, Ordering::Relaxed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Route>> {
        self.0.lock().expect("nothing panics while it holds the routes")
    }
}

/// Events of one prompt; closed when dropped.
pub(crate) struct Inbox {
    prompt_id: String,
    events: mpsc::Receiver<Event>,
    lagged: Arc<AtomicBool>,
    routes: Arc<Routes>,
}

impl Inbox {
    /// The next event. Cancel safe. Never ends.
    pub(crate) async fn next(&mut self) -> Event {
        match self.events.recv().await {
            Some(event) => event,
            // The route was taken over by a newer inbox under the same id; ids are unique per attempt.
            None => std::future::pending().await,
        }
    }

    /// Whether events were lost since the last call.
    pub(crate) fn take_lagged(&self) -> bool {
        self.lagged.swap(false, Ordering::Relaxed)
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.routes.lock().remove(&self.prompt_id);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use comfyui::events::ImageFormat;

    use super::*;

    fn preview(prompt: &str) -> Event {
        Event::Preview {
            prompt_id: Some(prompt.to_owned()),
            node: None,
            format: ImageFormat::Jpeg,
            bytes: Bytes::new(),
        }
    }

    fn start(prompt: &str) -> Event {
        Event::ExecutionStart { prompt_id: prompt.to_owned() }
    }

    #[tokio::test]
    async fn events_reach_their_prompt_only() {
        let routes = Arc::new(Routes::default());
        let mut inbox = routes.open("a".to_owned());
        routes.deliver(start("b"));
        routes.deliver(start("a"));
        assert_eq!(inbox.next().await, start("a"));
        drop(inbox);
        routes.deliver(start("a"));
        assert!(routes.lock().is_empty());
    }

    #[tokio::test]
    async fn previews_are_dropped_first_and_a_flood_is_told() {
        let routes = Arc::new(Routes::default());
        let inbox = routes.open("a".to_owned());
        (0..100).for_each(|_| routes.deliver(preview("a")));
        assert_eq!(inbox.events.len(), PREVIEWS_BEHIND_MAX);
        assert!(!inbox.take_lagged());
        (0..2 * INBOX_EVENTS).for_each(|_| routes.deliver(start("a")));
        assert!(inbox.take_lagged());
        assert!(!inbox.take_lagged());
    }
}
