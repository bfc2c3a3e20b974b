//! Deleting pictures, retention, files, configuration as a file, and keys that are changed.

use axum::{
    body::Body,
    http::{StatusCode, header},
};
use serde_json::{Value, json};

use crate::hub::{Answer, Hub, hidden, request};

/// Makes a picture; answers its job and its id.
async fn picture(hub: &Hub, prompt: &str) -> (String, String) {
    let sent =
        hub.json("POST", "/api/v1/jobs", &json!({"tool": "generate_image", "arguments": {"prompt": prompt}})).await;
    let job = sent.json()["id"].as_str().expect("an id").to_owned();
    let ended = hub.ended(&job).await;
    assert_eq!(ended["state"], "succeeded", "{ended}");
    (job, ended["images"][0]["id"].as_str().expect("a picture").to_owned())
}

#[tokio::test]
async fn ticked_pictures_are_asked_for_and_deleted_and_favourites_only_when_meant() {
    let hub = Hub::with_server(5).await;
    let (job, one) = picture(&hub, "one").await;
    let (_, two) = picture(&hub, "two").await;
    let kept = hub.form("/gallery/favourites", &format!("image={two}&favourite=on&back=/gallery")).await;
    assert!(kept.header("location").starts_with("/gallery?done=favoured&undo="), "{}", kept.header("location"));
    let none = hub.form("/gallery/delete", "back=/gallery").await;
    assert_eq!(none.header("location"), "/gallery?done=none-chosen");

    let both = format!("image={one}&image={two}&back=%2Fgallery%3Fq%3Da");
    let asked = hub.form("/gallery/delete", &both).await;
    let page = asked.text();
    assert_eq!(asked.status, StatusCode::OK);
    assert!(page.contains("Delete 2 pictures?") && page.contains("Also the 1 favourite among them"), "{page}");
    assert!(page.contains("href=\"/gallery?q=a\""), "{page}");
    assert_eq!(hub.get(&format!("/api/v1/images/{one}")).await.status, StatusCode::OK, "nothing is gone yet");

    let done = hub.form("/gallery/delete", &format!("{both}&sure=on")).await;
    assert_eq!(done.header("location"), "/gallery?q=a&done=pictures-deleted-some");
    assert_eq!(hub.get(&format!("/api/v1/images/{one}")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(hub.get(&format!("/outputs/{one}.png")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(hub.get(&format!("/thumbs/{one}")).await.status, StatusCode::NOT_FOUND);
    let gallery = hub.page("/gallery?done=pictures-deleted-some").await.text();
    assert!(!gallery.contains(&one) && gallery.contains(&two) && gallery.contains("except favourites"), "{gallery}");
    let twice = hub.form("/gallery/delete", &format!("image={one}&sure=on&back=/gallery")).await;
    assert_eq!(twice.header("location"), "/gallery?done=pictures-stay", "a second time does nothing");

    let page = hub.page(&format!("/jobs/{job}")).await.text();
    assert!(page.contains("ended without a picture") && page.contains("Recipe"), "{page}");
    let back = hub.form("/gallery/delete", &format!("image={two}&favourites=on&sure=on&back=%2Fjobs%2F{job}")).await;
    assert_eq!(back.header("location"), format!("/jobs/{job}?done=pictures-deleted"));
    assert!(hub.page("/gallery").await.text().contains("No picture yet"));
}

#[tokio::test]
async fn the_api_deletes_a_picture_and_spares_a_favourite() {
    let hub = Hub::with_server(5).await;
    let (job, id) = picture(&hub, "one").await;
    hub.form("/gallery/favourites", &format!("image={id}&favourite=on")).await;
    let path = format!("/api/v1/images/{id}");
    let refused = hub.delete(&path).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text());
    assert!(refused.text().contains("?favourite=true"), "{}", refused.text());
    assert_eq!(hub.delete(&format!("{path}?favourite=perhaps")).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(hub.delete(&format!("{path}?favourite=true")).await.status, StatusCode::NO_CONTENT);
    assert_eq!(hub.delete(&path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(hub.get(&format!("/api/v1/jobs/{job}")).await.json()["images"], json!([]));
    let listed = hub.get("/api/v1/jobs?has_images=true").await.json();
    assert_eq!(listed["jobs"].as_array().map(Vec::len), Some(0), "{listed}");
}

#[tokio::test]
async fn retention_is_shown_before_it_is_saved_and_takes_the_oldest() {
    let hub = Hub::with_server(5).await;
    for prompt in ["one", "two", "three"] {
        picture(&hub, prompt).await;
    }
    let page = hub.page("/maintenance").await.text();
    let version = hidden(&page, "version");
    assert!(page.contains("3 <span class=\"muted small\">") && page.contains("orphans"), "{page}");
    let form = |days: &str, pictures: &str| {
        format!("version={version}&retention.days={days}&retention.pictures={pictures}&retention.gb=")
    };
    let shown = hub.form("/maintenance/preview", &form("", "1")).await;
    assert!(shown.text().contains("2 jobs with 2 files"), "{}", shown.text());
    assert!(shown.text().contains("value=\"1\""), "what was typed stays");
    assert!(hub.form("/maintenance/preview", &form("", "")).await.text().contains("everything is kept"));
    for (days, said) in [("many", "`many` is no whole number"), ("99999999", "from 0 to 36500")] {
        let refused = hub.form("/maintenance/retention", &form(days, "1")).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        let text = refused.text();
        assert!(text.contains("id=\"retention.days-fault\"") && text.contains(said) && text.contains(days), "{text}");
    }
    let saved = hub.form("/maintenance/retention", &form("", "1")).await;
    assert_eq!(saved.header("location"), "/maintenance?done=retention-saved", "{}", saved.text());
    let late = hub.form("/maintenance/retention", &form("", "2")).await;
    assert_eq!(late.status, StatusCode::PRECONDITION_FAILED, "the second of two admins is told");
    assert!(late.text().contains("Somebody changed this") && late.text().contains("value=\"2\""), "{}", late.text());

    let run = hub.form("/maintenance/tasks/retention", "").await;
    assert_eq!(run.header("location"), "/maintenance?done=task-done#tasks");
    assert!(hub.page("/maintenance").await.text().contains("2 put right"));
    assert_eq!(hub.get("/api/v1/jobs").await.json()["jobs"].as_array().map(Vec::len), Some(1));
    assert_eq!(hub.form("/maintenance/tasks/none", "").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let checked = hub.form("/maintenance/check", "").await;
    assert!(checked.text().contains("Every file has a record") && checked.text().contains("Every record has its file"));
}

/// Sends a form with a file, as a browser does.
async fn upload(hub: &Hub, fields: &[(&str, &str)], file: Option<&str>) -> Answer {
    let field = |(name, value): &(&str, &str)| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let chosen = |text: &str| {
        format!(
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"c.json\"\r\n\
             Content-Type: application/json\r\n\r\n{text}\r\n"
        )
    };
    let parts = fields.iter().map(field).chain(file.map(chosen)).chain(["--b--\r\n".to_owned()]);
    let body = parts.collect::<Vec<_>>().concat();
    let sent = request("POST", "/configuration/import")
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=b")
        .header(header::ACCEPT, "text/html")
        .body(Body::from(body));
    hub.send(sent.expect("a request")).await
}

#[tokio::test]
async fn a_configuration_goes_out_and_comes_in_after_a_look() {
    let hub = Hub::with_server(5).await;
    let out = hub.form("/configuration/export", "workflows=on").await;
    assert!(out.header("content-disposition").contains("genimage-config.json"), "{}", out.text());
    assert!(out.json()["workflows"].is_array());
    let short = hub.form("/configuration/export", "export_passphrase=abc").await;
    assert!(
        short.status.is_client_error() && short.text().contains("id=\"export_passphrase-fault\""),
        "{}",
        short.text()
    );
    assert!(!short.text().contains("abc"), "a passphrase is not shown again");

    let mut document = hub.form("/configuration/export", "").await.json();
    assert!(document.get("workflows").is_none_or(Value::is_null));
    document["styles"][0]["category"] = json!("<b>other");
    document["servers"] = json!([]);
    let text = document.to_string();
    let merged = upload(&hub, &[("mode", "merge")], Some(&text)).await.text();
    assert!(merged.contains("This would merge: 1 change<") && merged.contains("&lt;b&gt;other"), "{merged}");
    let replaced = upload(&hub, &[("mode", "replace")], Some(&text)).await.text();
    assert!(replaced.contains("This would replace: 2 changes") && replaced.contains("removed"), "{replaced}");
    assert_eq!(hub.engine.servers().len(), 1, "nothing is written yet");

    let seen = hidden(&merged, "seen");
    let other = upload(&hub, &[("mode", "replace"), ("document", &text), ("seen", &seen)], None).await;
    assert!(
        other.text().contains("Somebody changed the configuration"),
        "what is done is what was shown: {}",
        other.text()
    );
    assert_eq!(hub.engine.servers().len(), 1);
    let done = upload(&hub, &[("mode", "merge"), ("document", &text), ("seen", &seen)], None).await;
    assert_eq!(done.header("location"), "/configuration?done=config-imported", "{}", done.text());
    assert_eq!(hub.engine.catalogue().styles[0].category, "<b>other");
    hub.press_another().await;
    let again = upload(&hub, &[("mode", "merge"), ("document", &text), ("seen", &seen)], None).await;
    assert!(again.text().contains("Nothing would change"), "sent twice, it is done once: {}", again.text());

    for (fields, file, said) in [
        (vec![], None, "Choose a file"),
        (vec![("text", "{\"a\":")], None, "id=\"text-fault\""),
        (vec![("text", "{}")], Some("[]"), "id=\"file-fault\""),
    ] {
        let refused = upload(&hub, &fields, file).await;
        assert!(refused.status.is_client_error() && refused.text().contains(said), "{}", refused.text());
    }
}

#[tokio::test]
async fn a_key_is_changed_by_its_form_and_the_second_admin_is_told() {
    let hub = Hub::with_server(5).await;
    let made = hub.json("POST", "/api/v1/keys", &json!({"name": "agent", "images_per_day": 5})).await;
    let id = made.json()["id"].as_str().expect("an id").to_owned();
    assert!(hub.page("/access").await.text().contains(&format!("href=\"/access/keys/{id}\"")));
    let path = format!("/access/keys/{id}");
    let page = hub.page(&path).await.text();
    assert!(page.contains("value=\"5\"") && page.contains("id=\"scope-generate\""), "{page}");
    let version = hidden(&page, "version");
    let form = |images: &str| {
        format!("version={version}&scopes=generate&images_per_day={images}&weight=2&render_types=sd15&expires_on=")
    };
    let refused = hub.form(&path, &form("0")).await;
    assert!(refused.status.is_client_error() && refused.text().contains("images_per_day-fault"), "{}", refused.text());
    let saved = hub.form(&path, &form("9")).await;
    assert_eq!(saved.header("location"), "/access?done=key-saved", "{}", saved.text());
    let key = hub.get(&format!("/api/v1/keys/{id}")).await.json();
    assert_eq!(
        (&key["images_per_day"], &key["weight"], &key["scopes"]),
        (&json!(9), &json!(2.0), &json!(["generate"]))
    );
    let late = hub.form(&path, &form("7")).await;
    assert_eq!(late.status, StatusCode::PRECONDITION_FAILED);
    assert!(late.text().contains("Somebody changed this") && late.text().contains("value=\"7\""), "{}", late.text());
    hub.form(&format!("{path}/revoke"), "").await;
    assert!(hub.page(&path).await.text().contains("It is revoked"));
    assert_eq!(hub.page("/access/keys/x").await.status, StatusCode::NOT_FOUND);
}
