//! A hub on PostgreSQL whose way to it is cut and comes back, as by a restart or a broken network. Needs `psql` and a
//! server at `GENIMAGE_TEST_POSTGRES_URL`, as the tests of the store do; without, it is left out.

use std::{net::SocketAddr, process::Command};

use hub_sim::{ComfyConfig, ComfySim, Fault};
use serde_json::json;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};
use url::Url;
use uuid::Uuid;

use crate::{
    bed::any_port,
    hub::{Hub, serve},
};

/// An empty database, dropped in the end.
struct Database {
    admin: Url,
    name: String,
}

impl Database {
    fn make() -> Option<Self> {
        let admin = std::env::var("GENIMAGE_TEST_POSTGRES_URL")
            .unwrap_or_else(|_| "postgres://postgres@127.0.0.1:5432/postgres".to_owned());
        let made = Self { admin: admin.parse().unwrap(), name: format!("genimage_test_{}", Uuid::new_v4().simple()) };
        let outcome = made.sql(&format!("CREATE DATABASE {}", made.name));
        if outcome.is_ok() {
            return Some(made);
        }
        #[expect(clippy::print_stderr, reason = "a test that was left out must say so")]
        {
            eprintln!("left out: no PostgreSQL, or no psql: {outcome:?}");
        }
        None
    }

    fn sql(&self, sql: &str) -> Result<(), String> {
        let output = Command::new("psql").arg(self.admin.as_str()).args(["-qc", sql]).output();
        let output = output.map_err(|error| error.to_string())?;
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }

    /// Where it is.
    async fn address(&self) -> SocketAddr {
        let place = (self.admin.host_str().unwrap(), self.admin.port().unwrap_or(5432));
        tokio::net::lookup_host(place).await.unwrap().next().unwrap()
    }

    /// Its address by another way.
    fn url_by(&self, way: SocketAddr) -> Url {
        let mut url = self.admin.clone();
        url.set_ip_host(way.ip()).unwrap();
        url.set_port(Some(way.port())).unwrap();
        url.set_path(&self.name);
        url
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // One that stays is in nobody's way.
        let _ = self.sql(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

/// A way that can be cut.
struct Cable {
    near: SocketAddr,
    far: SocketAddr,
    carrying: JoinHandle<()>,
}

impl Cable {
    async fn to(far: SocketAddr) -> Self {
        let listener = TcpListener::bind(any_port()).await.unwrap();
        Self { near: listener.local_addr().unwrap(), far, carrying: tokio::spawn(carry(listener, far)) }
    }

    /// Drops every connection; new ones are refused.
    async fn cut(&mut self) {
        self.carrying.abort();
        // A cancelled task is what was asked for.
        let _cancelled = (&mut self.carrying).await;
    }

    async fn mend(&mut self) {
        let listener = TcpListener::bind(self.near).await.unwrap();
        self.carrying = tokio::spawn(carry(listener, self.far));
    }
}

async fn carry(listener: TcpListener, far: SocketAddr) {
    let mut connections = JoinSet::new();
    while let Ok((mut near, _)) = listener.accept().await {
        connections.spawn(async move {
            if let Ok(mut far) = TcpStream::connect(far).await {
                // Either side may end it at any time.
                let _ended = copy_bidirectional(&mut near, &mut far).await;
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_whose_postgresql_was_away_ends_what_it_accepted_once() {
    let Some(database) = Database::make() else { return };
    let mut cable = Cable::to(database.address().await).await;
    let folder = tempfile::tempdir().unwrap();
    let mut command = serve(folder.path());
    command.env("GENIMAGE_DATABASE_URL", database.url_by(cable.near).as_str());
    let hub = Hub::run(command);
    let server = ComfySim::start(any_port(), ComfyConfig { run_ms: 100, ..ComfyConfig::default() }).await.unwrap();
    hub.add_server(&server.url()).await;
    server.inject(Fault::Hold.always());
    let job = hub.submit(&json!({ "prompt": "a fox", "render_type": "smoke", "seed": 1 })).await;
    hub.wait_for_state(&job, &["running"]).await;
    hub.wait_for("/readyz", |told| told["ready"] == true).await;

    cable.cut().await;
    let told = hub.wait_for("/readyz", |told| told["ready"] == false).await;
    assert_eq!((&told["store"], &told["objects"]), (&json!("unreachable"), &json!("ok")), "{told}");
    // Its picture is made meanwhile, and its end cannot be written yet.
    server.clear_faults();
    hub.wait_for("/readyz", |_| !server.stats().executed.is_empty()).await;

    cable.mend().await;
    hub.wait_for("/readyz", |told| told["ready"] == true).await;
    let ended = hub.wait_for_state(&job, &["succeeded", "failed", "cancelled", "expired"]).await;
    assert_eq!((&ended["state"], &ended["attempts"]), (&json!("succeeded"), &json!(1)), "{ended}");
    assert_eq!(ended["images"].as_array().map(Vec::len), Some(1), "{ended}");
    assert_eq!(server.stats().executed.len(), 1, "it was made once");
}
