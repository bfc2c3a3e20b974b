//! A small HTTP server in the test process.

use std::net::SocketAddr;

use axum::Router;
use comfyui::{Client, ClientConfig};
use tokio::task::JoinHandle;

/// Serves a router on a free port until dropped.
pub(crate) struct Server {
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(router: Router) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, task }
    }

    pub(crate) fn config(&self, path: &str) -> ClientConfig {
        ClientConfig::new(format!("http://{}{path}", self.address).parse().unwrap())
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.config("")).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}
