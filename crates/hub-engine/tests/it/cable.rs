//! The way to a server, which can be cut: the server works on, but nobody reaches it.

use std::net::SocketAddr;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

pub(crate) struct Cable {
    near: SocketAddr,
    far: SocketAddr,
    carrying: JoinHandle<()>,
}

impl Cable {
    pub(crate) async fn to(far: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { near: listener.local_addr().unwrap(), far, carrying: tokio::spawn(carry(listener, far)) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.near)
    }

    /// Drops every connection; new ones are refused.
    pub(crate) async fn cut(&mut self) {
        self.carrying.abort();
        // A cancelled task is what was asked for.
        let _cancelled = (&mut self.carrying).await;
    }

    pub(crate) async fn mend(&mut self) {
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
