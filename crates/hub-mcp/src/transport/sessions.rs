//! Sessions of clients from before 2026-07-28: bounded, and tolerant of a restart of the hub.
//!
//! Clients of those eras neither end their sessions nor begin a new one when theirs is gone, so
//! [`SessionMemory`] vouches for any plausible id and [`CappedSessions`] drops the least recently
//! used one when there are too many. An id is never a credential: each request is authorised alone.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{Stream, StreamExt};
use rmcp::{
    model::{ClientJsonRpcMessage, InitializeRequestParams, ProtocolVersion, ServerJsonRpcMessage},
    transport::streamable_http_server::session::{
        RestoreOutcome, ServerSseMessage, SessionId, SessionManager, SessionState, SessionStore, SessionStoreError,
        local::LocalSessionManager,
    },
};

/// Longest session id that is taken up again, in bytes. Ours have 36.
const ID_MAX_BYTES: usize = 128;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that holds these locks can panic half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What clients said when their sessions began, and which sessions they ended.
#[derive(Default)]
pub(super) struct SessionMemory {
    known: Mutex<Known>,
    max: usize,
}

#[derive(Default)]
struct Known {
    states: HashMap<String, SessionState>,
    /// Ids in the order in which they began.
    order: VecDeque<String>,
    /// Ids that their client ended: these are told that they are gone.
    ended: VecDeque<String>,
}

impl SessionMemory {
    pub(super) fn new(max: usize) -> Self {
        Self { known: Mutex::default(), max }
    }
}

#[async_trait]
impl SessionStore for SessionMemory {
    async fn load(&self, id: &str) -> Result<Option<SessionState>, SessionStoreError> {
        let known = lock(&self.known);
        let plausible = id.len() <= ID_MAX_BYTES && id.bytes().all(|byte| byte.is_ascii_graphic());
        if !plausible || known.ended.iter().any(|ended| ended == id) {
            return Ok(None);
        }
        Ok(Some(known.states.get(id).cloned().unwrap_or_else(|| {
            let mut params = InitializeRequestParams::default();
            params.protocol_version = ProtocolVersion::LATEST_WITH_INITIALIZE;
            SessionState::new(params)
        })))
    }

    async fn store(&self, id: &str, state: &SessionState) -> Result<(), SessionStoreError> {
        let mut known = lock(&self.known);
        if known.states.insert(id.to_owned(), state.clone()).is_none() {
            known.order.push_back(id.to_owned());
        }
        while known.order.len() > self.max {
            if let Some(oldest) = known.order.pop_front() {
                known.states.remove(&oldest);
            }
        }
        Ok(())
    }

    async fn delete(&self, id: &str) -> Result<(), SessionStoreError> {
        let mut known = lock(&self.known);
        known.states.remove(id);
        known.order.retain(|other| other != id);
        known.ended.push_back(id.to_owned());
        while known.ended.len() > self.max {
            known.ended.pop_front();
        }
        Ok(())
    }
}

/// The SDK's sessions in memory, at most so many.
pub(super) struct CappedSessions {
    inner: LocalSessionManager,
    usage: Arc<Mutex<Usage>>,
    max: usize,
}

#[derive(Default)]
struct Usage {
    uses: u64,
    sessions: HashMap<SessionId, SessionUse>,
}

#[derive(Default, Clone, Copy)]
struct SessionUse {
    last: u64,
    open_streams: usize,
}

impl Usage {
    fn touch(&mut self, id: &SessionId) {
        self.uses += 1;
        self.sessions.entry(id.clone()).or_default().last = self.uses;
    }

    /// The session to give up: one that nobody listens to, if there is any; else the oldest.
    fn victim(&self) -> Option<SessionId> {
        self.sessions.iter().min_by_key(|(_, used)| (used.open_streams > 0, used.last)).map(|(id, _)| id.clone())
    }
}

/// Counts one open stream of a session while it lives.
struct OpenStream {
    usage: Arc<Mutex<Usage>>,
    id: SessionId,
}

impl OpenStream {
    fn new(usage: &Arc<Mutex<Usage>>, id: &SessionId) -> Self {
        lock(usage).sessions.entry(id.clone()).or_default().open_streams += 1;
        Self { usage: usage.clone(), id: id.clone() }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        // The session may have been closed meanwhile; then there is nothing to count.
        if let Some(used) = lock(&self.usage).sessions.get_mut(&self.id) {
            used.open_streams = used.open_streams.saturating_sub(1);
        }
    }
}

type InnerError = <LocalSessionManager as SessionManager>::Error;
type InnerTransport = <LocalSessionManager as SessionManager>::Transport;

impl CappedSessions {
    pub(super) fn new(max: usize, idle: Duration) -> Self {
        let mut inner = LocalSessionManager::default();
        inner.session_config.keep_alive = Some(idle);
        Self { inner, usage: Arc::default(), max }
    }

    async fn make_room(&self) -> Result<(), InnerError> {
        loop {
            let victim = {
                let usage = lock(&self.usage);
                if usage.sessions.len() < self.max {
                    return Ok(());
                }
                usage.victim()
            };
            let Some(victim) = victim else { return Ok(()) };
            tracing::debug!(session = %victim, "closing the least recently used session");
            self.close_session(&victim).await?;
        }
    }

    fn counted(
        &self,
        id: &SessionId,
        stream: impl Stream<Item = ServerSseMessage> + Send + Sync + 'static,
    ) -> impl Stream<Item = ServerSseMessage> + Send + Sync + 'static {
        let open = OpenStream::new(&self.usage, id);
        stream.map(move |message| {
            let _held_while_the_stream_lives = &open;
            message
        })
    }
}

impl SessionManager for CappedSessions {
    type Error = InnerError;
    type Transport = InnerTransport;

    async fn create_session(&self) -> Result<(SessionId, Self::Transport), Self::Error> {
        self.make_room().await?;
        let (id, transport) = self.inner.create_session().await?;
        lock(&self.usage).touch(&id);
        Ok((id, transport))
    }

    async fn restore_session(&self, id: SessionId) -> Result<RestoreOutcome<Self::Transport>, Self::Error> {
        self.make_room().await?;
        lock(&self.usage).touch(&id);
        self.inner.restore_session(id).await
    }

    async fn initialize_session(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, Self::Error> {
        self.inner.initialize_session(id, message).await
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, Self::Error> {
        let has = self.inner.has_session(id).await?;
        if has {
            lock(&self.usage).touch(id);
        }
        Ok(has)
    }

    async fn close_session(&self, id: &SessionId) -> Result<(), Self::Error> {
        lock(&self.usage).sessions.remove(id);
        self.inner.close_session(id).await
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        let stream = self.inner.create_stream(id, message).await?;
        Ok(self.counted(id, stream))
    }

    async fn accept_message(&self, id: &SessionId, message: ClientJsonRpcMessage) -> Result<(), Self::Error> {
        self.inner.accept_message(id, message).await
    }

    async fn create_standalone_stream(
        &self,
        id: &SessionId,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        let stream = self.inner.create_standalone_stream(id).await?;
        Ok(self.counted(id, stream))
    }

    async fn resume(
        &self,
        id: &SessionId,
        last_event_id: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        let stream = self.inner.resume(id, last_event_id).await?;
        Ok(self.counted(id, stream))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_unknown_id_is_taken_up_and_an_ended_one_is_not() {
        let memory = SessionMemory::new(2);
        assert!(memory.load("from-before-the-restart").await.expect("memory").is_some());
        memory.delete("from-before-the-restart").await.expect("memory");
        assert!(memory.load("from-before-the-restart").await.expect("memory").is_none());
        assert!(memory.load(&"x".repeat(129)).await.expect("memory").is_none());
        assert!(memory.load("line\nbreak").await.expect("memory").is_none());
    }

    #[tokio::test]
    async fn beyond_the_cap_the_least_recently_used_idle_session_goes() {
        let sessions = CappedSessions::new(2, Duration::from_mins(1));
        let (first, _first_transport) = sessions.create_session().await.expect("room");
        let (second, _second_transport) = sessions.create_session().await.expect("room");
        let listener = OpenStream::new(&sessions.usage, &first);
        let (third, _third_transport) = sessions.create_session().await.expect("room is made");
        assert!(sessions.has_session(&first).await.expect("memory"), "somebody listens to the first");
        assert!(!sessions.has_session(&second).await.expect("memory"));
        drop(listener);
        assert!(sessions.has_session(&third).await.expect("memory"));
        let (_fourth, _fourth_transport) = sessions.create_session().await.expect("room is made");
        assert!(!sessions.has_session(&first).await.expect("memory"), "the first was used before the third");
    }
}
