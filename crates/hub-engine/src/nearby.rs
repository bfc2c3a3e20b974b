//! Looks for ComfyUI and Ollama where they usually listen: what a person who just installed the hub most
//! likely wants to add. Asks only the configured places, all at once and briefly, and stores nothing.
//!
//! Who listens on this machine answers within milliseconds; a name that no resolver knows may take all the time there
//! is. So who asks is told what was found until then, and that the look goes on.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use comfyui::ClientConfig;
use hub_core::server::BaseUrl;
use ollama::{Capability, Dialect, LlmConfig};
use tokio::{sync::watch, time::Instant};
use tokio_util::task::TaskTracker;

/// Longest time for one place.
pub(crate) const LIMIT: Duration = Duration::from_millis(1500);
/// How long a look that somebody did not wait for is told to who asks again.
const TOLD_AGAIN: Duration = Duration::from_secs(5);
/// Ports of ComfyUI: started by hand, and as the desktop program.
const COMFYUI_PORTS: [u16; 2] = [8188, 8000];
/// Port of Ollama.
const OLLAMA_PORT: u16 = 11_434;
/// Files that container engines leave in a container.
const CONTAINER_MARKS: [&str; 2] = ["/.dockerenv", "/run/.containerenv"];
/// Name under which a container finds the machine it runs on.
const HOST_OF_CONTAINER: &str = "host.docker.internal";

/// Where to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsualPlaces {
    /// Addresses at which ComfyUI may listen.
    pub comfyui: Vec<BaseUrl>,
    /// Addresses at which Ollama may listen.
    pub ollama: Vec<BaseUrl>,
}

impl Default for UsualPlaces {
    /// The usual ports of this machine and, in a container, of the machine it runs on.
    fn default() -> Self {
        let in_container = CONTAINER_MARKS.iter().any(|mark| Path::new(mark).exists());
        let hosts: Vec<&str> = ["127.0.0.1"].into_iter().chain(in_container.then_some(HOST_OF_CONTAINER)).collect();
        let at = |ports: &[u16]| {
            let pairs = hosts.iter().flat_map(|host| ports.iter().map(move |port| format!("http://{host}:{port}")));
            pairs.filter_map(|address| address.parse().ok()).collect()
        };
        Self { comfyui: at(&COMFYUI_PORTS), ollama: at(&[OLLAMA_PORT]) }
    }
}

/// What answered at the usual places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Nearby {
    /// ComfyUI servers.
    pub comfyui: Vec<NearbyComfyUi>,
    /// Ollama servers.
    pub ollama: Vec<NearbyOllama>,
    /// Some places have not answered yet, nor has their time passed.
    pub looking: bool,
}

/// A ComfyUI that answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NearbyComfyUi {
    /// Its address.
    pub base_url: BaseUrl,
    /// ComfyUI's version, when it told.
    pub version: Option<String>,
    /// Its GPUs by name.
    pub devices: Vec<String>,
}

/// An Ollama that answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NearbyOllama {
    /// Its address.
    pub base_url: BaseUrl,
    /// Its version.
    pub version: String,
    /// Its models by name.
    pub models: Vec<String>,
    /// Whether one of them says that it can see pictures.
    pub sees: bool,
}

/// The look that is under way, or was a moment ago.
#[derive(Default)]
pub(crate) struct Lookout {
    last: Mutex<Option<Arc<Look>>>,
    clients: Arc<Clients>,
}

/// Clients of the places, kept: to build one takes longer than who is near takes to answer.
#[derive(Default)]
struct Clients {
    comfyui: Mutex<HashMap<BaseUrl, comfyui::Client>>,
    ollama: Mutex<HashMap<BaseUrl, ollama::Client>>,
}

/// One look at all places.
struct Look {
    begun: Instant,
    found: Mutex<Nearby>,
    /// Places that may still answer.
    open: watch::Sender<usize>,
    /// Somebody left before its end.
    left: watch::Sender<bool>,
}

impl Lookout {
    /// What was found when all places have answered or `patience` is over; what is something else is left out.
    pub(crate) async fn look(&self, places: &UsualPlaces, patience: Duration, tasks: &TaskTracker) -> Nearby {
        let look = self.current(places, tasks);
        let mut open = look.open.subscribe();
        let whole = tokio::time::timeout(patience, open.wait_for(|open| *open == 0)).await.is_ok();
        if !whole {
            look.left.send_replace(true);
        }
        let mut found = look.found.lock().unwrap_or_else(PoisonError::into_inner).clone();
        found.comfyui.sort_by_key(|found| places.comfyui.iter().position(|place| *place == found.base_url));
        found.ollama.sort_by_key(|found| places.ollama.iter().position(|place| *place == found.base_url));
        Nearby { looking: !whole, ..found }
    }

    /// The last look while it goes on, or while somebody who left it early may come back; else a new one.
    fn current(&self, places: &UsualPlaces, tasks: &TaskTracker) -> Arc<Look> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let still =
            |look: &&Arc<Look>| *look.open.borrow() > 0 || (*look.left.borrow() && look.begun.elapsed() < TOLD_AGAIN);
        if let Some(look) = last.as_ref().filter(still) {
            return Arc::clone(look);
        }
        let look = Arc::new(Look {
            begun: Instant::now(),
            found: Mutex::default(),
            open: watch::Sender::new(places.comfyui.len() + places.ollama.len()),
            left: watch::Sender::new(false),
        });
        for place in places.comfyui.clone() {
            let (look, clients) = (Arc::clone(&look), Arc::clone(&self.clients));
            tasks.spawn(
                async move { look.note(within(clients.comfyui_at(&place)).await, |nearby| &mut nearby.comfyui) },
            );
        }
        for place in places.ollama.clone() {
            let (look, clients) = (Arc::clone(&look), Arc::clone(&self.clients));
            tasks.spawn(async move { look.note(within(clients.ollama_at(&place)).await, |nearby| &mut nearby.ollama) });
        }
        *last = Some(Arc::clone(&look));
        look
    }
}

impl Look {
    /// One place less to wait for.
    fn note<T>(&self, answer: Option<T>, among: impl FnOnce(&mut Nearby) -> &mut Vec<T>) {
        among(&mut self.found.lock().unwrap_or_else(PoisonError::into_inner)).extend(answer);
        self.open.send_modify(|open| *open -= 1);
    }
}

async fn within<T>(asked: impl Future<Output = Option<T>>) -> Option<T> {
    tokio::time::timeout(LIMIT, asked).await.ok().flatten()
}

/// The client of a place, built when it is asked for the first time.
fn kept<C: Clone>(
    clients: &Mutex<HashMap<BaseUrl, C>>,
    place: &BaseUrl,
    build: impl FnOnce() -> Option<C>,
) -> Option<C> {
    let known = clients.lock().unwrap_or_else(PoisonError::into_inner).get(place).cloned();
    known.or_else(|| {
        let client = build()?;
        clients.lock().unwrap_or_else(PoisonError::into_inner).insert(place.clone(), client.clone());
        Some(client)
    })
}

impl Clients {
    async fn comfyui_at(&self, place: &BaseUrl) -> Option<NearbyComfyUi> {
        let build = || comfyui::Client::new(ClientConfig::new(place.as_url().clone())).ok();
        let client = kept(&self.comfyui, place, build)?;
        let stats = client.system_stats().await.ok()?;
        // Others have such a path too; only ComfyUI tells its queue.
        client.queue_remaining().await.ok()?;
        Some(NearbyComfyUi {
            base_url: place.clone(),
            version: stats.system.comfyui_version,
            devices: stats.devices.into_iter().map(|device| device.name).collect(),
        })
    }

    async fn ollama_at(&self, place: &BaseUrl) -> Option<NearbyOllama> {
        let build = || ollama::Client::new(LlmConfig::new(place.as_url().clone(), Dialect::Ollama)).ok();
        let client = kept(&self.ollama, place, build)?;
        let version = client.version().await.ok()?;
        let models = client.models().await.ok()?;
        let sees = |capabilities: &std::collections::BTreeSet<Capability>| capabilities.contains(&Capability::Vision);
        Some(NearbyOllama {
            base_url: place.clone(),
            version,
            sees: models.iter().filter_map(|model| model.capabilities.as_ref()).any(sees),
            models: models.into_iter().map(|model| model.name).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_places_are_on_this_machine() {
        let places = UsualPlaces::default();
        let shown: Vec<String> = places.comfyui.iter().map(ToString::to_string).collect();
        assert!(shown.iter().any(|place| place.contains("127.0.0.1:8188")), "{shown:?}");
        assert!(shown.iter().any(|place| place.contains("127.0.0.1:8000")), "{shown:?}");
        assert!(places.ollama.iter().any(|place| place.to_string().contains("127.0.0.1:11434")));
    }

    /// Answers like an Ollama, after a while.
    async fn ollama_that_answers_after(wait: Duration) -> BaseUrl {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let place = format!("http://{}", listener.local_addr().expect("bound")).parse().expect("an address");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut head = vec![0; 4096];
                    while stream.read(&mut head).await.is_ok_and(|read| read > 0) {
                        tokio::time::sleep(wait).await;
                        let body = r#"{"version":"0.12.0","models":[]}"#;
                        let answer = format!(
                            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                            body.len()
                        );
                        if stream.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        place
    }

    #[tokio::test]
    async fn who_does_not_wait_is_told_what_is_there_and_the_rest_when_he_comes_back() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (quick, slow) = tokio::join!(
            ollama_that_answers_after(Duration::ZERO),
            ollama_that_answers_after(Duration::from_millis(300))
        );
        let places = UsualPlaces { comfyui: Vec::new(), ollama: vec![slow.clone(), quick.clone()] };
        let (lookout, tasks) = (Lookout::default(), TaskTracker::new());
        let addresses = |nearby: &Nearby| nearby.ollama.iter().map(|found| found.base_url.clone()).collect::<Vec<_>>();
        let first = lookout.look(&places, Duration::ZERO, &tasks).await;
        assert!(first.looking && first.ollama.len() < 2, "{first:?}");
        let whole = lookout.look(&places, LIMIT * 4, &tasks).await;
        assert!(!whole.looking, "{whole:?}");
        assert_eq!(addresses(&whole), [slow, quick], "in the order of the places");
        let again = lookout.look(&places, Duration::ZERO, &tasks).await;
        assert_eq!(again, whole, "the look that was not waited for is told");
    }
}
