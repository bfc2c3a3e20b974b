//! The way to PostgreSQL is cut and comes back.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use hub_core::clock::SharedClock;
use hub_store::{Store, StoreErrorKind};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::Notify,
};
use url::Url;

use crate::{
    bed::Bed,
    samples::{artifact, insert, queued, succeeded},
};

/// Hands connections on to the database as long as it is up, and breaks them when it goes down.
struct Proxy {
    address: SocketAddr,
    up: Arc<AtomicBool>,
    cut: Arc<Notify>,
}

impl Proxy {
    async fn to(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (up, cut) = (Arc::new(AtomicBool::new(true)), Arc::new(Notify::new()));
        let proxy = Self { address, up: Arc::clone(&up), cut: Arc::clone(&cut) };
        tokio::spawn(async move {
            loop {
                let (mut from, _) = listener.accept().await.unwrap();
                let (target, up, cut) = (target.clone(), Arc::clone(&up), Arc::clone(&cut));
                tokio::spawn(async move {
                    let cut = cut.notified();
                    if !up.load(Ordering::SeqCst) {
                        return;
                    }
                    let mut to = TcpStream::connect(target).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut from, &mut to) => {}
                        () = cut => {}
                    }
                });
            }
        });
        proxy
    }

    fn down(&self) {
        self.up.store(false, Ordering::SeqCst);
        self.cut.notify_waiters();
    }

    fn up(&self) {
        self.up.store(true, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_was_gone_is_used_again_and_has_everything() {
    let Some(bed) = Bed::postgres("a_database_that_was_gone_is_used_again_and_has_everything").await else { return };
    let mut url: Url = bed.url.parse().unwrap();
    let target = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
    let proxy = Proxy::to(target).await;
    url.set_ip_host(proxy.address.ip()).unwrap();
    url.set_port(Some(proxy.address.port())).unwrap();
    let store = Store::open(url.as_str(), Arc::clone(&bed.clock) as SharedClock).await.unwrap();
    let before = insert(&store, &queued("before")).await;
    let done = succeeded(&store, &[artifact(1, 0)]).await;

    proxy.down();
    let kinds = [
        store.job_get(before.id).await.map(drop).unwrap_err().kind(),
        store.job_insert(&queued("meanwhile")).await.map(drop).unwrap_err().kind(),
        store.ping().await.unwrap_err().kind(),
    ];
    assert_eq!(kinds, [StoreErrorKind::Transient; 3], "worth another try");

    proxy.up();
    // Connections of before are found dead, one by one; none of that is told to callers for longer than they have.
    let mut tries = 0;
    while let Err(error) = store.ping().await {
        tries += 1;
        assert_eq!(error.kind(), StoreErrorKind::Transient);
        assert!(tries < 20, "it does not come back: {error}");
    }
    assert_eq!(store.job_get(before.id).await.unwrap(), Some(before));
    assert_eq!(store.artifacts_of(done).await.unwrap().len(), 1);
    insert(&store, &queued("after")).await;
    store.close().await.unwrap();
    bed.end().await;
}
