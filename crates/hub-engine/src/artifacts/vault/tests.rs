use hub_core::clock::SystemClock;
use object_store::memory::InMemory;

use super::*;
use crate::samples::recipe;

/// A PNG of 3 × 2 pixels with a text chunk, as ComfyUI writes it.
fn png_with_text() -> Bytes {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 3, 2);
    encoder.set_color(png::ColorType::Rgb);
    encoder.add_text_chunk("prompt".to_owned(), "{}".to_owned()).expect("a valid chunk");
    let mut writer = encoder.write_header().expect("a header");
    writer.write_image_data(&[9; 18]).expect("pixels");
    writer.finish().expect("an end");
    Bytes::from(bytes)
}

#[tokio::test]
async fn an_output_is_stored_untouched_with_its_recipe_and_a_repeated_write_is_harmless() {
    let store = Store::open("sqlite::memory:", Arc::new(SystemClock)).await.expect("a store");
    let vault = Vault::new(Arc::new(InMemory::new()), store);
    let (recipe, job, bytes) = (recipe(), JobId::new(), png_with_text());
    let meta = OutputMeta { job, node: Some("7"), position: 2, seed: Some(7), recipe: &recipe };
    let (first, _held) = vault.store_output(bytes.clone(), meta).await.expect("stored");
    let (again, _held) = vault.store_output(bytes.clone(), meta).await.expect("stored again");
    assert_eq!(first.sha256, again.sha256);
    assert_eq!((first.mime.as_str(), first.width_px, first.height_px), ("image/png", 3, 2));
    assert_eq!((first.position, first.node.as_deref(), first.seed), (2, Some("7"), Some(7)));
    assert_eq!(vault.get(&object_key(&first.sha256, "png")).await.expect("there"), bytes);
    let note = vault.get(&sidecar_key(&first.sha256, job)).await.expect("there");
    let note: serde_json::Value = serde_json::from_slice(&note).expect("JSON");
    assert_eq!(serde_json::from_value::<Recipe>(note["recipe"].clone()).expect("a recipe"), recipe);
}

#[tokio::test]
async fn bytes_that_another_is_about_to_name_or_has_named_stay_when_their_last_row_goes() {
    let store = Store::open("sqlite::memory:", Arc::new(SystemClock)).await.expect("a store");
    let vault = Vault::new(Arc::new(InMemory::new()), store.clone());
    let recipe = recipe();
    let meta = OutputMeta { job: JobId::new(), node: None, position: 0, seed: None, recipe: &recipe };
    let deleted = vault.store_input(png_with_text()).await.expect("an input");
    let key = deleted.object_key();
    // As it is stored: without its text.
    let bytes = vault.get(&key).await.expect("there");
    // The row of the equal result is not written yet.
    let (new, unnamed) = vault.store_output(bytes.clone(), meta).await.expect("stored");
    assert_eq!(object_key(&new.sha256, &new.extension), key);
    store.artifacts_delete(&[deleted.id], false).await.expect("deleted");
    vault.discard(&deleted).await.expect("done");
    assert_eq!(vault.get(&key).await.expect("there"), bytes);
    // Named by now, when the file of the row that went is discarded late.
    let named = store.artifact_insert_input(&new).await.expect("named");
    drop(unnamed);
    vault.discard(&deleted).await.expect("done");
    assert_eq!(vault.get(&key).await.expect("there"), bytes);
    store.artifacts_delete(&[named.id], false).await.expect("deleted");
    vault.discard(&named).await.expect("done");
    assert!(vault.get(&key).await.is_err(), "nothing names it any more");
}

#[tokio::test]
async fn a_mask_that_the_hub_draws_never_stands_among_pictures_to_work_on() {
    let store = Store::open("sqlite::memory:", Arc::new(SystemClock)).await.expect("a store");
    let vault = Vault::new(Arc::new(InMemory::new()), store.clone());
    let size = ImageSize { width_px: 16, height_px: 8 };
    let white = PixelBox { left_px: 0, top_px: 0, width_px: 8, height_px: 8 };
    let drawn = vault.store_box_mask(size, white).await.expect("stored");
    assert_eq!(store.inputs_newest(ArtifactRole::Input, 9).await.expect("read"), []);
    assert_eq!(store.inputs_newest(ArtifactRole::Mask, 9).await.expect("read"), [drawn]);
}

#[tokio::test]
async fn hashes_are_the_same_on_and_off_the_async_threads() {
    let large = Bytes::from(vec![1; HASH_INLINE_MAX_BYTES + 1]);
    assert_eq!(sha256_hex(large.clone()).await.expect("hashed"), hex(&large));
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(sha256_hex(Bytes::new()).await.expect("hashed"), empty);
}
