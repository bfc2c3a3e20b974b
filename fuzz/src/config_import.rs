//! A configuration file: the hub's own, or one of the older system.

use std::sync::{Arc, LazyLock};

use hub_core::clock::SystemClock;
use hub_engine::{ExportOptions, ImportMode, ImportOptions, configuration};
use hub_store::Store;
use tokio::runtime::Runtime;

use crate::choice;

struct Hub {
    runtime: Runtime,
    store: Store,
    /// Its configuration, which no trial may change.
    before: String,
}

static HUB: LazyLock<Hub> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    let (store, before) = runtime.block_on(async {
        let store = Store::open("sqlite::memory:", Arc::new(SystemClock)).await.expect("a database in memory opens");
        let known = include_bytes!("../corpus/config_import/ours.json");
        configuration::import(&store, &known[1..], &ImportOptions::default())
            .await
            .expect("the first seed is imported");
        let before = exported(&store).await;
        (store, before)
    });
    Hub { runtime, store, before }
});

/// A preview answers with what would differ or with an argument that is wrong, and changes nothing. What it would do, it
/// says: the import itself is only refused when its preview is.
///
/// The first byte chooses between merging (even) and replacing (odd).
///
/// # Panics
/// When a promise is broken.
pub fn config_import(data: &[u8]) {
    let (chosen, bytes) = choice(data);
    let mode = if chosen % 2 == 0 { ImportMode::Merge } else { ImportMode::Replace };
    let options = ImportOptions { mode, dry_run: true, passphrase: None };
    let hub = &*HUB;
    hub.runtime.block_on(async {
        match configuration::import(&hub.store, bytes, &options).await {
            Ok(report) => assert!(report.dry_run),
            Err(refused) => {
                assert!(refused.code.is_callers(), "a file is at fault, not the hub: {}", refused.explain());
                // Really asked to, it refuses as well.
                let for_real = ImportOptions { dry_run: false, ..options };
                let again = configuration::import(&hub.store, bytes, &for_real).await.expect_err("refused twice");
                assert_eq!(again.code, refused.code);
            }
        }
        assert_eq!(exported(&hub.store).await, hub.before, "nothing was changed");
    });
}

async fn exported(store: &Store) -> String {
    configuration::export(store, ExportOptions::default()).await.expect("a configuration can be written")
}
