//! Several pictures as one file.

use std::io::{Cursor, Read as _};

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::hub::{Answer, Hub};

/// Name and content of each file in an archive.
fn files(answer: &Answer) -> Vec<(String, Vec<u8>)> {
    let mut archive = zip::ZipArchive::new(Cursor::new(answer.body.to_vec())).expect("it is an archive");
    let read = (0..archive.len()).map(|at| {
        let mut file = archive.by_index(at).expect("there");
        let mut content = Vec::new();
        file.read_to_end(&mut content).expect("whole");
        (file.name().expect("UTF-8").into_owned(), content)
    });
    read.collect()
}

/// A job of two pictures: its id and theirs.
async fn hens(hub: &Hub) -> (String, Vec<String>) {
    let body = json!({"tool": "generate_image", "arguments": {"prompt": "hens", "seed": 1, "n": 2}});
    let job = hub.json("POST", "/api/v1/jobs", &body).await.json()["id"].as_str().expect("an id").to_owned();
    let record = hub.ended(&job).await;
    let ids = record["images"].as_array().expect("pictures").iter();
    (job, ids.map(|image| image["id"].as_str().expect("an id").to_owned()).collect())
}

#[tokio::test]
async fn ticked_pictures_come_as_one_file_named_by_job_and_place() {
    let hub = Hub::with_server(10).await;
    let (job, ids) = hens(&hub).await;
    assert!(hub.page("/gallery").await.text().contains("formaction=\"/gallery/zip\""));
    let form = format!("back=/gallery&image={}&image={}&image={}", ids[0], ids[1], ids[0]);
    let sent = hub.form("/gallery/zip", &form).await;
    assert_eq!((sent.status, sent.header("content-type")), (StatusCode::OK, "application/zip"));
    assert!(sent.header("content-disposition").starts_with("attachment; filename=\"pictures-"));
    let files = files(&sent);
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, [format!("{job}-1.png"), format!("{job}-2.png")]);
    let original = hub.get(&format!("/outputs/{}.png", ids[0])).await;
    assert_eq!(files[0].1, original.body.to_vec(), "with all that is in its metadata");
    let none = hub.form("/gallery/zip", "back=/gallery").await;
    assert_eq!(none.header("location"), "/gallery?done=none-chosen");
}

#[tokio::test]
async fn the_api_sends_archives_within_limits_and_only_of_what_is_there() {
    let hub = Hub::with_server(10).await;
    let (_, ids) = hens(&hub).await;
    let ask = async |images: Value| hub.json("POST", "/api/v1/images/zip", &json!({"images": images})).await;
    let sent = ask(json!(ids)).await;
    assert_eq!(sent.status, StatusCode::OK, "{}", sent.text());
    assert_eq!(files(&sent).len(), 2);
    let many: Vec<&String> = ids.iter().cycle().take(501).collect();
    for (images, told) in
        [(json!([]), "0 pictures"), (json!(many), "501 pictures were named; an archive holds 1 to 500")]
    {
        let refused = ask(images).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(refused.text().contains(told), "{}", refused.text());
    }
    assert_eq!(ask(json!(["img_1"])).await.status, StatusCode::NOT_FOUND);
    hub.delete(&format!("/api/v1/images/{}", ids[1])).await;
    assert_eq!(ask(json!(ids)).await.status, StatusCode::NOT_FOUND, "one of them is gone");
}
