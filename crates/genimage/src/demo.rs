//! The demo: simulated servers in the hub's own process, over real sockets, registered like any other.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context as _;
use hub_core::{
    error::UserError,
    server::{BaseUrl, LlmAssignment, LlmDialect, LlmRole, NewServer},
};
use hub_engine::Engine;
use hub_sim::{
    ComfyConfig, ComfySim,
    ollama::{OllamaConfig, OllamaSim},
};

/// How many ComfyUI servers the demo has.
const SERVERS: usize = 2;
/// Time one demo picture takes, in milliseconds: long enough to see progress.
const RUN_MS: u64 = 1200;
/// Time a demo model load takes, in milliseconds.
const LOAD_MS: u64 = 500;

/// The running simulators; they stop when dropped.
pub(crate) struct Demo {
    comfyui: Vec<ComfySim>,
    ollama: OllamaSim,
}

impl Demo {
    /// Starts the simulators on free loopback ports.
    ///
    /// # Errors
    /// When no port can be bound.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut comfyui = Vec::with_capacity(SERVERS);
        for _ in 0..SERVERS {
            let config = ComfyConfig {
                run_ms: RUN_MS,
                load_ms: LOAD_MS,
                preview: true,
                label: Some("SIMULATED".to_owned()),
                ..ComfyConfig::default()
            };
            comfyui.push(ComfySim::start(any_port, config).await.context("cannot start a simulated ComfyUI server")?);
        }
        let ollama = OllamaSim::start(any_port, OllamaConfig::default())
            .await
            .context("cannot start a simulated Ollama server")?;
        Ok(Self { comfyui, ollama })
    }

    /// Registers the simulators, or points the rows of an earlier demo at the new ports.
    ///
    /// # Errors
    /// When a row cannot be written.
    pub(crate) async fn register(&self, engine: &Engine) -> anyhow::Result<()> {
        for (index, sim) in self.comfyui.iter().enumerate() {
            register_comfyui(engine, &format!("demo-{}", index + 1), &sim.url()).await?;
        }
        register_ollama(engine, "demo", &self.ollama.url()).await
    }
}

/// Registers a ComfyUI server under `name`, or moves the one of that name to `url`.
///
/// # Errors
/// When the address is invalid or the row cannot be written.
pub(crate) async fn register_comfyui(engine: &Engine, name: &str, url: &str) -> anyhow::Result<()> {
    let base_url: BaseUrl = url.parse()?;
    let known = engine.servers().into_iter().map(|view| view.server);
    let result = match known.into_iter().find(|server| server.name == name || server.base_url == base_url) {
        Some(server) if server.base_url == base_url => return Ok(()),
        Some(mut server) => {
            server.base_url = base_url;
            engine.server_update(server).await
        }
        None => engine.server_add(NewServer::named(name, base_url)).await,
    };
    result.map(|_| ()).map_err(told)
}

/// Registers an Ollama server under `name`, or replaces the one of that name, and gives it every role
/// that nobody has.
///
/// # Errors
/// When the address is invalid or a row cannot be written.
pub(crate) async fn register_ollama(engine: &Engine, name: &str, url: &str) -> anyhow::Result<()> {
    let base_url: BaseUrl = url.parse()?;
    let known = engine.store().llm_server_list().await.context("cannot read the LLM servers")?;
    let server = match known.into_iter().find(|server| server.name == name || server.base_url == base_url) {
        Some(server) if server.base_url == base_url => server,
        Some(mut server) => {
            server.base_url = base_url;
            engine.llm_server_update(server).await.map_err(told)?
        }
        None => engine.llm_server_add(name, base_url, LlmDialect::Ollama, None).await.map_err(told)?,
    };
    for role in LlmRole::ALL {
        if engine.store().llm_assignment(role).await.context("cannot read the LLM roles")?.is_none() {
            let assignment = LlmAssignment { server: server.id, model: None };
            engine.llm_assign(role, Some(assignment)).await.map_err(told)?;
        }
    }
    Ok(())
}

/// The error with its advice, for the terminal.
#[expect(clippy::needless_pass_by_value, reason = "handed to map_err as it is")]
pub(crate) fn told(error: UserError) -> anyhow::Error {
    anyhow::anyhow!(error.explain())
}
