use hub_core::clock::SystemClock;
use serde_json::json;

use super::*;

async fn store() -> Store {
    Store::open("sqlite::memory:", Arc::new(SystemClock)).await.expect("a database in memory")
}

async fn settings(store: &Store, sources: &[(&str, SettingSource)]) -> Settings {
    let given = GivenSettings {
        sources: sources.iter().map(|(key, source)| ((*key).to_owned(), source.clone())).collect(),
        fixed: vec![FixedSetting {
            key: "server.listen".to_owned(),
            value: json!("127.0.0.1:8001"),
            explanation: "Address to listen on.".to_owned(),
        }],
    };
    Settings::load(EngineConfig::default(), given, store).await.expect("loaded")
}

async fn change(settings: &Settings, store: &Store, changes: Value, replace: bool) -> Result<(), UserError> {
    let Value::Object(changes) = changes else { panic!("an object") };
    settings.change(store, &changes, replace, |_| Ok(())).await.map(drop)
}

async fn view(settings: &Settings, key: &str) -> SettingView {
    settings.list().await.into_iter().find(|view| view.key == key).expect("listed")
}

#[test]
fn every_default_is_valid_and_is_read_as_it_was_written() {
    for spec in SPECS {
        let mut config = EngineConfig::default();
        let default = (spec.read)(&config);
        spec.check(&default).unwrap_or_else(|error| panic!("{}: {error}", spec.key));
        let other = match spec.takes {
            Takes::Number(Bounds { least, most }) => {
                assert!(spec.check(&json!(most + 1)).is_err() && spec.check(&json!(-1)).is_err(), "{}", spec.key);
                assert!(spec.check(&json!("1")).is_err() && spec.check(&json!(1.5)).is_err(), "{}", spec.key);
                if default == json!(least) { json!(most) } else { json!(least) }
            }
            Takes::Switch => json!(default != json!(true)),
            Takes::Address => json!("http://alerts.test/hook"),
        };
        spec.check(&other).unwrap_or_else(|error| panic!("{}: {error}", spec.key));
        (spec.write)(&mut config, &other);
        assert_eq!((spec.read)(&config), other, "{}", spec.key);
        (spec.write)(&mut config, &default);
        assert_eq!(config, EngineConfig::default(), "{} writes nothing else", spec.key);
    }
    let long = format!("http://x/{}", "y".repeat(2048));
    for wrong in ["ftp://x", "x", "http://", &long] {
        assert!(check("alerts.webhook_url", &json!(wrong)).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn a_change_is_in_force_at_once_and_outlives_the_hub() {
    let store = store().await;
    let running = settings(&store, &[("retention.days", SettingSource::File)]).await;
    let mut followed = running.follow();
    change(&running, &store, json!({"queue.max": 5, "mcp.wait_s": 10, "retention.days": 30}), false)
        .await
        .expect("valid");
    assert_eq!((running.now().queue_max, running.now().retention_days), (5, Some(30)));
    let wait = view(&running, "mcp.wait_s").await;
    assert_eq!((wait.value, wait.source), (json!(10), SettingSource::Stored));
    assert!(followed.has_changed().expect("the settings are there"));
    assert_eq!(followed.borrow_and_update().answers.wait_s, 10);
    change(&running, &store, json!({"mcp.wait_s": 10}), false).await.expect("valid");
    assert!(!followed.has_changed().expect("the settings are there"), "nothing is other than before");

    let next = settings(&store, &[("retention.days", SettingSource::File)]).await;
    assert_eq!((next.now().queue_max, next.now().answers.wait_s), (5, 10));
    change(&next, &store, json!({"retention.days": null}), false).await.expect("valid");
    assert_eq!(view(&next, "retention.days").await.source, SettingSource::File);
    change(&next, &store, json!({"queue.attempts_max": 9}), true).await.expect("valid");
    assert_eq!(next.now().queue_max, EngineConfig::default().queue_max, "what a replacement leaves out is taken back");
    assert_eq!(next.now().attempts_max, 9);
}

#[tokio::test]
async fn the_environment_goes_before_what_is_stored() {
    let store = store().await;
    let before = settings(&store, &[]).await;
    change(&before, &store, json!({"queue.max": 5, "queue.attempts_max": 7}), false).await.expect("valid");
    let pinned = settings(&store, &[("queue.max", SettingSource::Environment)]).await;
    assert_eq!((pinned.now().queue_max, pinned.now().attempts_max), (EngineConfig::default().queue_max, 7));
    let queue = view(&pinned, "queue.max").await;
    assert_eq!((queue.source, queue.editable), (SettingSource::Environment, false));
    let refused = change(&pinned, &store, json!({"queue.max": 6}), false).await.expect_err("pinned");
    assert_eq!((refused.code, refused.argument.as_deref()), (ErrorCode::Conflict, Some("queue.max")));
}

#[tokio::test]
async fn what_cannot_be_is_refused_as_a_whole() {
    let store = store().await;
    let settings = settings(&store, &[]).await;
    for (changes, argument) in [
        (json!({"queue.max": 5, "queue.attempts_max": 0}), "queue.attempts_max"),
        (json!({"queue.max": 5, "queue.mxa": 1}), "queue.mxa"),
        (json!({"queue.max": 5, "server.listen": "0.0.0.0:1"}), "server.listen"),
        (json!({"queue.max": 5, "servers.live_previews": 1}), "servers.live_previews"),
    ] {
        let error = change(&settings, &store, changes, false).await.expect_err("refused");
        assert_eq!(error.argument.as_deref(), Some(argument), "{error}");
    }
    assert_eq!(*settings.now(), EngineConfig::default());
    let stored: Option<Value> = store.setting_get(STORED).await.expect("read");
    assert_eq!(stored, None);
    // What an older hub stored and this one cannot take is left out, not fatal.
    store.setting_set(STORED, &json!({"queue.max": 0, "gone": 1, "queue.attempts_max": 4})).await.expect("written");
    let after = Settings::load(EngineConfig::default(), GivenSettings::default(), &store).await.expect("loaded");
    assert_eq!((after.now().queue_max, after.now().attempts_max), (EngineConfig::default().queue_max, 4));
}
