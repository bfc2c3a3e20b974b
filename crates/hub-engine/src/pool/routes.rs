//! Which attempt gets which event.
//!
//! The socket's reader hands events over without ever waiting: a reader that stalls would stop the
//! server's events for everybody. Of previews only the newest waits, beside the other events: an attempt that is behind
//! loses those that are old, and keeps one to show even when the server then stands still. If it loses other events, it is
//! told to ask the history instead.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use comfyui::Event;
use tokio::sync::{mpsc, watch};

/// Events that an attempt may be behind.
const INBOX_EVENTS: usize = 1024;

struct Route {
    events: mpsc::Sender<Event>,
    preview: watch::Sender<Option<Event>>,
    lagged: Arc<AtomicBool>,
}

/// Routes by prompt id.
#[derive(Default)]
pub(crate) struct Routes(Mutex<HashMap<String, Route>>);

impl Routes {
    /// Opens an inbox for a prompt's events. Open it before the prompt is posted.
    pub(crate) fn open(self: &Arc<Self>, prompt_id: String) -> Inbox {
        let (events, receiver) = mpsc::channel(INBOX_EVENTS);
        let (preview, newest_preview) = watch::channel(None);
        let lagged = Arc::new(AtomicBool::new(false));
        self.lock().insert(prompt_id.clone(), Route { events, preview, lagged: lagged.clone() });
        Inbox { prompt_id, events: receiver, preview: newest_preview, lagged, routes: self.clone() }
    }

    /// Hands an event to whom it concerns, if to anybody.
    pub(crate) fn deliver(&self, event: Event) {
        let routes = self.lock();
        let Some(route) = event.prompt_id().and_then(|id| routes.get(id)) else { return };
        if matches!(event, Event::Preview { .. }) {
            route.preview.send_replace(Some(event));
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
    preview: watch::Receiver<Option<Event>>,
    lagged: Arc<AtomicBool>,
    routes: Arc<Routes>,
}

impl Inbox {
    /// The next event; the newest preview once there is no other. Cancel safe. Never ends.
    pub(crate) async fn next(&mut self) -> Event {
        tokio::select! {
            biased;
            Some(event) = self.events.recv() => event,
            Ok(()) = self.preview.changed() => {
                let newest = self.preview.borrow_and_update().clone();
                newest.expect("only previews are sent, and none is taken back")
            }
            // The route was taken over by a newer inbox under the same id; ids are unique per attempt.
            else => std::future::pending().await,
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

    fn preview(prompt: &str, picture: &'static str) -> Event {
        Event::Preview {
            prompt_id: Some(prompt.to_owned()),
            node: None,
            format: ImageFormat::Jpeg,
            bytes: Bytes::from_static(picture.as_bytes()),
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
    async fn the_newest_preview_comes_after_what_waits_and_the_others_are_dropped() {
        let routes = Arc::new(Routes::default());
        let mut inbox = routes.open("a".to_owned());
        // A server that draws fast and then stands still: there is something to show.
        for picture in ["first", "second", "last"] {
            (0..20).for_each(|_| routes.deliver(start("a")));
            routes.deliver(preview("a", picture));
        }
        for _ in 0..60 {
            assert_eq!(inbox.next().await, start("a"));
        }
        assert_eq!(inbox.next().await, preview("a", "last"));
        assert!(!inbox.take_lagged());
        routes.deliver(start("a"));
        assert_eq!(inbox.next().await, start("a"), "each is heard once");
    }

    #[tokio::test]
    async fn a_flood_is_told_and_previews_are_none() {
        let routes = Arc::new(Routes::default());
        let inbox = routes.open("a".to_owned());
        (0..2 * INBOX_EVENTS).for_each(|_| routes.deliver(preview("a", "")));
        assert!(!inbox.take_lagged());
        (0..2 * INBOX_EVENTS).for_each(|_| routes.deliver(start("a")));
        assert!(inbox.take_lagged());
        assert!(!inbox.take_lagged());
    }
}
