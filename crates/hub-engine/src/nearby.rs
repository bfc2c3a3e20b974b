//! Looks for ComfyUI and Ollama where they usually listen: what a person who just installed the hub most
//! likely wants to add. Asks only the configured places, all at once and briefly, and stores nothing.

use std::{path::Path, time::Duration};

use comfyui::ClientConfig;
use futures_util::future::join_all;
use hub_core::server::BaseUrl;
use ollama::{Capability, Dialect, LlmConfig};

/// Longest time for one place. Whoever listens on this machine answers within milliseconds.
const LIMIT: Duration = Duration::from_millis(1500);
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

/// Looks at all places at once; what does not answer in time, or is something else, is left out.
pub(crate) async fn look(places: &UsualPlaces) -> Nearby {
    let comfyui = join_all(places.comfyui.iter().map(|place| within(comfyui_at(place))));
    let ollama = join_all(places.ollama.iter().map(|place| within(ollama_at(place))));
    let (comfyui, ollama) = tokio::join!(comfyui, ollama);
    Nearby { comfyui: comfyui.into_iter().flatten().collect(), ollama: ollama.into_iter().flatten().collect() }
}

async fn within<T>(asked: impl Future<Output = Option<T>>) -> Option<T> {
    tokio::time::timeout(LIMIT, asked).await.ok().flatten()
}

async fn comfyui_at(place: &BaseUrl) -> Option<NearbyComfyUi> {
    let client = comfyui::Client::new(ClientConfig::new(place.as_url().clone())).ok()?;
    let stats = client.system_stats().await.ok()?;
    // Others have such a path too; only ComfyUI tells its queue.
    client.queue_remaining().await.ok()?;
    Some(NearbyComfyUi {
        base_url: place.clone(),
        version: stats.system.comfyui_version,
        devices: stats.devices.into_iter().map(|device| device.name).collect(),
    })
}

async fn ollama_at(place: &BaseUrl) -> Option<NearbyOllama> {
    let client = ollama::Client::new(LlmConfig::new(place.as_url().clone(), Dialect::Ollama)).ok()?;
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
}
