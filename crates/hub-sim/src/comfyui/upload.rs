//! `/upload/image` and `/upload/mask`.

use std::collections::HashMap;
use std::io::Cursor;
use std::sync::Arc;

use axum::extract::{Multipart, State};
use axum::response::Response;
use bytes::Bytes;
use image::{ImageFormat, RgbaImage};
use serde_json::{Value, json};

use super::files::{Folder, Refusal};
use super::server::{crash, empty, json_answer, too_large};
use super::state::Sim;

/// The parts of an upload.
struct Form {
    fields: HashMap<String, String>,
    file: Option<(String, Bytes)>,
}

/// `POST /upload/image`.
pub(super) async fn image(
    State(sim): State<Arc<Sim>>,
    form: Result<Multipart, axum::extract::multipart::MultipartRejection>,
) -> Response {
    match read(&sim, form).await {
        Ok(form) => store(&sim, &form, |_, bytes| Some(bytes)),
        Err(answer) => *answer,
    }
}

/// `POST /upload/mask`: the alpha of the upload onto the original.
pub(super) async fn mask(
    State(sim): State<Arc<Sim>>,
    form: Result<Multipart, axum::extract::multipart::MultipartRejection>,
) -> Response {
    let form = match read(&sim, form).await {
        Ok(form) => form,
        Err(answer) => return *answer,
    };
    let reference = form.fields.get("original_ref").and_then(|r| serde_json::from_str::<Value>(r).ok());
    let Some(reference) = reference.filter(|r| r["filename"].is_string()) else { return crash() };
    let text = |name: &str| reference[name].as_str().unwrap_or("").to_owned();
    let folder = Folder::read(reference["type"].as_str().unwrap_or("output")).unwrap_or(Folder::Output);
    let original = sim.files().get(folder, &text("subfolder"), &text("filename"));
    store(&sim, &form, |_, bytes| masked(&original?.bytes, &bytes))
}

fn store(sim: &Sim, form: &Form, change: impl FnOnce(&str, Bytes) -> Option<Bytes>) -> Response {
    let Some((name, bytes)) = &form.file else { return empty(400) };
    let field = |name: &str| form.fields.get(name).map_or("", String::as_str);
    let kind = form.fields.get("type").map_or("input", String::as_str);
    let Some(folder) = Folder::read(kind) else { return crash() };
    let overwrite = matches!(field("overwrite"), "true" | "1");
    let subfolder = field("subfolder");
    // An absent original answers 200 although nothing is written, as the real server does.
    let Some(bytes) = change(name, bytes.clone()) else {
        return json_answer(200, &json!({"name": name, "subfolder": subfolder, "type": kind}));
    };
    match sim.files().upload(folder, subfolder, name, bytes, overwrite) {
        Ok(name) => json_answer(200, &json!({"name": name, "subfolder": subfolder, "type": kind})),
        Err(Refusal::BadRequest) => empty(400),
        Err(Refusal::Crash) => crash(),
    }
}

async fn read(
    sim: &Sim,
    form: Result<Multipart, axum::extract::multipart::MultipartRejection>,
) -> Result<Form, Box<Response>> {
    let mut parts = form.map_err(|_| Box::new(empty(400)))?;
    let mut form = Form { fields: HashMap::new(), file: None };
    let limit = sim.config.max_upload_bytes;
    let refuse = |error: axum::extract::multipart::MultipartError| {
        let status = error.status();
        Box::new(if status.as_u16() == 413 { too_large(limit) } else { empty(400) })
    };
    while let Some(part) = parts.next_field().await.map_err(refuse)? {
        let name = part.name().unwrap_or("").to_owned();
        if name == "image" {
            let Some(file) = part.file_name().map(str::to_owned) else { return Err(Box::new(crash())) };
            form.file = Some((file, part.bytes().await.map_err(refuse)?));
        } else {
            form.fields.insert(name, part.text().await.map_err(refuse)?);
        }
    }
    Ok(form)
}

fn masked(original: &[u8], mask: &[u8]) -> Option<Bytes> {
    let mut picture: RgbaImage = image::load_from_memory(original).ok()?.to_rgba8();
    let mask = image::load_from_memory(mask).ok()?.to_rgba8();
    let (width, height) = picture.dimensions();
    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        let (from_x, from_y) = (x * mask.width() / width, y * mask.height() / height);
        pixel[3] = mask.get_pixel(from_x, from_y)[3];
    }
    let mut out = Cursor::new(Vec::new());
    picture.write_to(&mut out, ImageFormat::Png).ok()?;
    Some(Bytes::from(out.into_inner()))
}
