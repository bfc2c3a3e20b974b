//! Pictures side by side.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::hub::Hub;

async fn made(hub: &Hub, body: &Value) -> String {
    let sent = hub.json("POST", "/api/v1/jobs", body).await;
    assert_eq!(sent.status, StatusCode::ACCEPTED, "{}", sent.text());
    let id = sent.json()["id"].as_str().expect("an id").to_owned();
    assert_eq!(hub.ended(&id).await["state"], "succeeded");
    id
}

#[tokio::test]
async fn a_variation_is_compared_with_its_original_by_what_differs() {
    let hub = Hub::with_server(10).await;
    let first = json!({"tool": "generate_image", "arguments": {"prompt": "a hen", "seed": 1}});
    let first = made(&hub, &first).await;
    let second = json!({"tool": "generate_image", "arguments": {"from_job": first, "seed": 2}});
    let second = made(&hub, &second).await;
    let page = hub.page(&format!("/jobs/{second}")).await.text();
    assert!(page.contains("Compare with its original"), "{page}");
    let compared = hub.page(&format!("/compare?job={first}&job={second}")).await;
    assert_eq!(compared.status, StatusCode::OK);
    let text = compared.text();
    assert!(text.matches("/outputs/img_").count() >= 4, "{text}");
    let (differs, alike) = text.split_once("the same in all").expect("both");
    let differs = differs.split("What differs").nth(1).expect("the table");
    assert!(differs.contains(">Seed<") && !differs.contains(">Prompt<"), "{differs}");
    assert!(alike.contains(">Prompt<") && alike.contains("a hen"), "{alike}");

    // Without a parent it is the one made before.
    let third = json!({"tool": "generate_image", "arguments": {"prompt": "a cock", "seed": 1}});
    let third = made(&hub, &third).await;
    let page = hub.page(&format!("/jobs/{third}")).await.text();
    assert!(page.contains(&format!("/compare?job={second}&amp;job={third}")), "{page}");
}

#[tokio::test]
async fn a_variation_whose_original_is_deleted_has_its_page_all_the_same() {
    let hub = Hub::with_server(10).await;
    let first = json!({"tool": "generate_image", "arguments": {"prompt": "a hen", "seed": 1}});
    let first = made(&hub, &first).await;
    let second = json!({"tool": "generate_image", "arguments": {"from_job": first, "seed": 2}});
    let second = made(&hub, &second).await;
    let original = hub.engine.view(first.parse().expect("a job id")).await.expect("there");
    hub.engine.store().jobs_delete(&[original.job.id]).await.expect("deleted");
    // What ended a moment ago is told from memory until something is done to its pictures.
    hub.engine.artifacts_favour(&[original.artifacts[0].id], false).await.expect("forgotten");
    assert_eq!(hub.page(&format!("/jobs/{first}")).await.status, StatusCode::NOT_FOUND);
    let page = hub.page(&format!("/jobs/{second}")).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text());
    assert!(!page.text().contains("Compare with its original"), "{}", page.text());
}

#[tokio::test]
async fn what_is_ticked_in_gallery_and_list_is_compared_two_to_four_at_once() {
    let hub = Hub::with_server(10).await;
    let body = json!({"tool": "generate_image", "arguments": {"prompt": "hens", "seed": 1, "n": 2}});
    let job = made(&hub, &body).await;
    let other = made(&hub, &json!({"tool": "generate_image", "arguments": {"prompt": "x", "seed": 9}})).await;
    let images = hub.get(&format!("/api/v1/jobs/{job}")).await.json()["images"].clone();
    let [one, two] = [0_usize, 1].map(|at| images[at]["id"].as_str().expect("an id").to_owned());
    assert!(hub.page("/gallery").await.text().contains("formaction=\"/compare\""));
    let sent = hub.form("/compare", &format!("back=/gallery&image={one}&image={two}&image={one}")).await;
    assert_eq!(sent.header("location"), format!("/compare?image={one}&image={two}"));
    let text = hub.page(sent.header("location")).await.text();
    assert!(text.contains(&one) && text.contains(&two) && text.contains("data-overlay"), "{text}");

    let list = hub.page("/jobs").await.text();
    assert!(list.contains("Compare ticked") && list.contains(&format!("id=\"pick-{job}\"")), "{list}");
    let sent = hub.form("/compare", &format!("job={job}&job={other}")).await;
    assert_eq!(sent.header("location"), format!("/compare?job={job}&job={other}"));

    let few = hub.form("/compare", &format!("job={job}")).await;
    assert_eq!(few.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(few.text().contains("2 to 4 pictures or jobs"), "{}", few.text());
    assert_eq!(hub.page("/compare?job=job_1&job=job_2").await.status, StatusCode::NOT_FOUND);
}
