//! Secrets at rest.

use hub_core::{
    ids::LlmServerId,
    server::{LlmDialect, LlmServer, NewServer, SecretSource, ServerAuth},
};
use hub_store::{SecretKeys, StoreErrorKind, Swapped};

use crate::bed::{Bed, on_both};

on_both!(
    secrets_are_encrypted_in_their_rows_and_read_as_they_were,
    rows_of_before_are_encrypted_and_a_new_key_takes_the_place_of_the_old,
);

const SECRET: &str = "hunter2-of-the-server";

fn keys(text: &str) -> SecretKeys {
    SecretKeys::parse(text).unwrap()
}

fn with_secret() -> NewServer {
    let mut server = NewServer::named("gpu", "http://gpu:8188".parse().unwrap());
    server.auth = ServerAuth::Bearer { token: SecretSource::from(SECRET.to_owned()) };
    server
}

fn llm() -> LlmServer {
    LlmServer {
        id: LlmServerId::new(),
        name: "llm".to_owned(),
        base_url: "http://llm:11434".parse().unwrap(),
        dialect: LlmDialect::Ollama,
        api_key: Some(SecretSource::from(SECRET.to_owned())),
        gpu: None,
        enabled: true,
    }
}

/// What the rows hold: a store without keys reads what is not encrypted.
async fn is_plain(bed: &Bed) -> (bool, bool) {
    let raw = bed.open_again().await;
    let plain = (raw.server_list().await.is_ok(), raw.llm_server_list().await.is_ok_and(|all| all == [llm_of(&all)]));
    raw.close().await.unwrap();
    plain
}

fn llm_of(all: &[LlmServer]) -> LlmServer {
    LlmServer { api_key: llm().api_key, ..all[0].clone() }
}

async fn secrets_are_encrypted_in_their_rows_and_read_as_they_were(bed: &Bed) {
    let key = SecretKeys::generate().unwrap();
    let store = bed.open_again().await.with_secret_keys(keys(&key));
    let server = store.server_insert(&with_secret()).await.unwrap();
    let llm = llm();
    store.llm_server_insert(&llm).await.unwrap();
    assert_eq!(is_plain(bed).await, (false, false));
    assert_eq!(store.server_get(server.id).await.unwrap().as_ref(), Some(&server));
    assert_eq!(store.llm_server_list().await.unwrap(), [llm]);
    let after = hub_core::server::Server { weight: 2.0, ..server.clone() };
    assert_eq!(store.server_swap(&server, &after).await.unwrap(), Swapped::Done);
    assert_eq!(is_plain(bed).await, (false, false));
    // Another key does not open them, and says what is missing.
    let other = bed.open_again().await.with_secret_keys(keys(&SecretKeys::generate().unwrap()));
    let error = other.server_list().await.expect_err("another key");
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    let said = error.to_string();
    assert!(said.contains("GENIMAGE_SECRET_KEY") && !said.contains(SECRET), "{said}");
    other.close().await.unwrap();
    store.close().await.unwrap();
}

async fn rows_of_before_are_encrypted_and_a_new_key_takes_the_place_of_the_old(bed: &Bed) {
    let server = bed.store.server_insert(&with_secret()).await.unwrap();
    let open = NewServer::named("open", "http://open:8188".parse().unwrap());
    bed.store.server_insert(&open).await.unwrap();
    bed.store.llm_server_insert(&llm()).await.unwrap();
    assert_eq!(is_plain(bed).await, (true, true));
    assert_eq!(bed.store.secrets_reseal().await.unwrap(), 0, "without a key");

    let (old, new) = (SecretKeys::generate().unwrap(), SecretKeys::generate().unwrap());
    for (text, changed) in [(old.clone(), 2), (old.clone(), 0), (format!("{new}\n{old}"), 2), (new.clone(), 0)] {
        let store = bed.open_again().await.with_secret_keys(keys(&text));
        assert_eq!(store.secrets_reseal().await.unwrap(), changed);
        assert_eq!(store.server_get(server.id).await.unwrap().as_ref(), Some(&server));
        store.close().await.unwrap();
    }
    assert_eq!(is_plain(bed).await, (false, false));
    let stale = bed.open_again().await.with_secret_keys(keys(&old));
    assert!(stale.secrets_reseal().await.is_err());
    stale.close().await.unwrap();
}
