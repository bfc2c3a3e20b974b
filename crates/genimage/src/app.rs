//! The wiring: a running hub from a configuration.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use chrono::TimeDelta;
use hub_access::{Access, AccessConfig};
use hub_core::clock::{Clock as _, SharedClock, SteadyClock, SystemClock};
use hub_engine::Engine;
use hub_mcp::McpEdge;
use hub_store::Store;
use object_store::{ObjectStore, local::LocalFileSystem};
use secrecy::ExposeSecret as _;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{
    config::{self, Config},
    data_dir::DataDir,
    demo,
    demo::Demo,
    half_written, http,
    listen::{self, ConnectionLimits, Peers},
    secret_keys, seed_files,
    traces::Traces,
};

/// Longest wait for each part to end once the work is done.
const END_LIMIT: Duration = Duration::from_secs(1);

/// What differs between the commands that run a hub.
#[derive(Debug, Clone, Default)]
pub struct HubOptions {
    /// Start and register simulated servers.
    pub demo: bool,
    /// Register this ComfyUI server.
    pub server: Option<String>,
    /// Do not listen: for commands that need no HTTP edge.
    pub no_listener: bool,
}

/// A running hub.
pub struct Hub {
    /// The engine.
    pub engine: Engine,
    /// Where it listens, as a URL without trailing slash; the configured address when it does not.
    pub url: Url,
    stop: CancellationToken,
    server: Option<JoinHandle<()>>,
    mcp: McpEdge,
    traces: Option<Traces>,
    grace: Duration,
    // Dropped last: the simulators serve until the engine is done, the folder is held till the end.
    _demo: Option<Demo>,
    _data_dir: DataDir,
}

impl Hub {
    /// Starts everything and answers when the hub takes requests.
    ///
    /// # Errors
    /// Says which part failed and what to do: data folder, database, address, credentials.
    pub async fn start(config: &Config, options: &HubOptions) -> anyhow::Result<Self> {
        let data_dir = DataDir::open(&config.server.data_dir)?;
        // Bound before any work starts: a taken port must not leave a half-started hub.
        let listener = if options.no_listener { None } else { Some(bind(config.server.listen).await?) };
        let address = match &listener {
            Some(listener) => listener.local_addr().context("the listener has no address")?,
            None => config.server.listen,
        };
        let url = Url::parse(&format!("http://{address}")).context("the listen address makes no URL")?;

        let clock: SharedClock = Arc::new(SteadyClock::over(Arc::new(SystemClock), clock_was_set));
        let store = Store::open(&config.database_url(), clock.clone())
            .await
            .with_context(|| format!("cannot open the database {}", config.database_label()))?
            .with_secret_keys(secret_keys::open(config, &data_dir)?);
        let sealed = store.secrets_reseal().await.context("the stored secrets cannot be used")?;
        if sealed > 0 {
            tracing::info!(sealed, "stored secrets were encrypted with the newest key");
        }
        let objects = objects(config, &data_dir)?;
        let folder = objects_folder(config, &data_dir)?;
        half_written::remove_soon(&folder, config.objects.url.is_empty(), SystemClock.now().into());
        let traces = Traces::start(&config.traces)?;
        let mut engine_config = config.engine()?;
        engine_config.given = config::given::settings(config);
        let demo = if options.demo { Some(Demo::start().await?) } else { None };
        if engine_config.listen_url.is_none() {
            engine_config.listen_url = Some(url.clone());
        }
        let engine = Engine::start(engine_config, store, objects, clock).await.map_err(demo::told)?;
        let access = Access::open(engine.clone(), credentials(config)?)
            .await
            .map_err(demo::told)
            .context("auth.admin_password (GENIMAGE_ADMIN_PASSWORD) or the stored credentials")?;
        if let Err(refusal) = refuse_open_bind(config, options, &access) {
            engine.shutdown(Duration::ZERO).await;
            return Err(refusal);
        }
        seed(&engine).await?;
        register(&engine, config, options, demo.as_ref()).await?;

        let stop = CancellationToken::new();
        let (mut router, mcp) = http::router(&engine, access.clone(), config, &url, options.demo)?;
        if let Some(traces) = &traces {
            traces.follow_jobs(&engine);
            router = traces.around(router);
        }
        if listener.is_some() {
            tell_way_in(&access, config, &url);
        }
        let server = listener.map(|listener| {
            let stop = stop.clone();
            let limits = ConnectionLimits {
                read: Duration::from_secs(config.server.read_limit_s),
                connections: config.server.connections_max,
            };
            let peers = Peers::new(config.server.connections_max_per_address, config.server.connections_exempt.clone());
            tokio::spawn(listen::serve(listener, router, limits, peers, stop))
        });
        Ok(Self {
            engine,
            url,
            stop,
            server,
            mcp,
            traces,
            grace: Duration::from_secs(config.server.shutdown_grace_s),
            _demo: demo,
            _data_dir: data_dir,
        })
    }

    /// Stops: no new requests, a grace for what runs, then the end. Takes at most the configured
    /// grace and two seconds, four where traces are told.
    ///
    /// # Errors
    /// When the listener had died before.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.mcp.close();
        self.engine.shutdown(self.grace).await;
        let served = match self.server.take() {
            None => Ok(()),
            Some(server) => end(server).await,
        };
        let traces = self.traces.take();
        if let Some(traces) = &traces {
            traces.settle().await;
        }
        let deliver = async {
            if let Some(traces) = traces {
                traces.deliver().await;
            }
        };
        // Folds SQLite's write-ahead log into the file, so that a copy of the file is whole. A collector that does
        // not answer must not hold that up.
        let ((), closed) = tokio::join!(deliver, tokio::time::timeout(END_LIMIT, self.engine.store().close()));
        match closed {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the database was not closed"),
            Err(_) => tracing::warn!("the database takes too long to close"),
        }
        served
    }

    /// Resolves when the listener dies without being told to.
    pub async fn listener_died(&mut self) -> anyhow::Error {
        match self.server.as_mut() {
            None => std::future::pending().await,
            Some(server) => match server.await {
                Ok(()) => anyhow::anyhow!("the HTTP server ended by itself"),
                Err(error) => anyhow::Error::new(error).context("the HTTP server panicked"),
            },
        }
    }
}

/// Waits for the listener's end. Event streams stay open as long as their readers like: they are cut.
async fn end(mut server: JoinHandle<()>) -> anyhow::Result<()> {
    if let Ok(ended) = tokio::time::timeout(END_LIMIT, &mut server).await {
        return ended.context("the HTTP server panicked");
    }
    server.abort();
    Ok(())
}

/// A hub that strangers can reach must know its friends.
fn refuse_open_bind(config: &Config, options: &HubOptions, access: &Access) -> anyhow::Result<()> {
    let listen = config.server.listen;
    if !options.no_listener && !listen.ip().is_loopback() && !access.is_closed() {
        bail!(
            "refusing to listen on {listen} without credentials: anybody who reaches it could use your GPUs; \
             set GENIMAGE_API_KEY (agents, scripts) and GENIMAGE_ADMIN_PASSWORD (pages), or listen on 127.0.0.1"
        );
    }
    Ok(())
}

/// Credentials of the configuration.
fn credentials(config: &Config) -> anyhow::Result<AccessConfig> {
    Ok(AccessConfig {
        api_key: Some(config.auth.api_key.clone()),
        admin_password: Some(config.auth.admin_password.clone()),
        oauth: config.oauth()?,
    })
}

/// Where strangers are kept out and nobody can log in yet, whoever reads the log can make the account.
fn tell_way_in(access: &Access, config: &Config, url: &Url) {
    let Some(token) = access.setup_token().filter(|_| access.is_closed()) else { return };
    let base = config.server.public_url.trim_end_matches('/');
    let base = if base.is_empty() { url.as_str().trim_end_matches('/') } else { base };
    // Worth nothing once there is an account, and new at each start.
    tracing::warn!(
        "nobody can log in yet: make the admin account at {base}/setup with the token {}",
        token.expose_secret()
    );
}

/// What is said when the machine's clock was set.
fn clock_was_set(by: TimeDelta) {
    tracing::warn!(by_s = by.num_seconds(), "the machine's clock was set; limits go by the time that really passes");
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}; another program may use it: choose another with --listen")
    })
}

/// Where pictures lie.
///
/// # Errors
/// When it is not supported or cannot be made.
pub(crate) fn objects(config: &Config, data_dir: &DataDir) -> anyhow::Result<Arc<dyn ObjectStore>> {
    let folder = objects_folder(config, data_dir)?;
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let store = LocalFileSystem::new_with_prefix(&folder)
        .with_context(|| format!("cannot use the folder {} for pictures", folder.display()))?;
    Ok(Arc::new(store))
}

fn objects_folder(config: &Config, data_dir: &DataDir) -> anyhow::Result<PathBuf> {
    let url = match config.objects.url.as_str() {
        "" => return data_dir.objects(),
        url => url,
    };
    let folder = Url::parse(url).ok().filter(|url| url.scheme() == "file").and_then(|url| url.to_file_path().ok());
    folder.with_context(|| {
        format!("objects.url `{url}` is not supported; give file:///absolute/folder or leave it empty")
    })
}

async fn seed(engine: &Engine) -> anyhow::Result<()> {
    let files = seed_files::workflows();
    let pairs: Vec<(&str, &str)> = files.iter().map(|(toml, json)| (toml.as_str(), json.as_str())).collect();
    engine
        .seed_catalogue(&pairs, seed_files::STYLES, seed_files::RENDER_TYPES)
        .await
        .map_err(demo::told)
        .context("cannot fill the catalogue")
}

async fn register(engine: &Engine, config: &Config, options: &HubOptions, demo: Option<&Demo>) -> anyhow::Result<()> {
    if let Some(demo) = demo {
        demo.register(engine).await?;
    }
    if let Some(url) = &options.server {
        demo::register_comfyui(engine, "server", url).await.with_context(|| format!("--server {url}"))?;
    }
    if !config.comfyui.url.is_empty() {
        demo::register_comfyui(engine, "default", &config.comfyui.url).await.context("COMFYUI_API_URL")?;
    }
    if !config.ollama.url.is_empty() {
        demo::register_ollama(engine, "default", &config.ollama.url).await.context("OLLAMA_API_URL")?;
    }
    Ok(())
}
