//! The page of statistics.

use axum::http::StatusCode;
use serde_json::json;

use crate::hub::Hub;

#[tokio::test]
async fn a_job_shows_in_every_chart_and_table_of_each_span() {
    let hub = Hub::with_server(10).await;
    let empty = hub.page("/statistics").await.text();
    assert!(empty.contains("No job came in during these days") && !empty.contains("<rect"), "{empty}");
    let body = json!({"tool": "generate_image", "arguments": {"prompt": "a fox", "styles": ["anime"]}});
    let accepted = hub.json("POST", "/api/v1/jobs", &body).await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED, "{}", accepted.text());
    hub.ended(accepted.json()["id"].as_str().expect("an id")).await;
    for days in [1, 7, 30, 90] {
        let page = hub.page(&format!("/statistics?days={days}")).await.text();
        let chosen = format!("href=\"/statistics?days={days}\" aria-current=\"page\"");
        assert!(page.contains(&chosen), "{page}");
        // The job may have come in yesterday by now.
        if days == 1 {
            continue;
        }
        for shown in ["Succeeded 1</title>", "Pictures 1</title>", "<desc id=\"jobs-desc\">1 in all; most, 1, on "] {
            assert!(page.contains(shown), "{shown}: {page}");
        }
        for (title, row) in [("Servers", "sim"), ("Render types", "sd15"), ("Styles", "anime"), ("Callers", "local")] {
            let table = page.split(&format!("<h2>{title}</h2>")).nth(1).expect(title);
            let first = table.split("<tbody>").nth(1).and_then(|rows| rows.split("</tr>").next()).expect(title);
            assert!(first.contains(&format!("<bdi>{row}</bdi>")) && first.contains("100.0 %"), "{title}: {first}");
        }
        assert_eq!(page.matches("<g><title>").count(), days * 4, "a bar per day and chart");
    }
    let told = hub.json("GET", "/api/v1/statistics?days=7", &json!(null)).await.json();
    assert_eq!(
        (told["jobs"]["succeeded"].as_u64(), told["days"].as_array().map(Vec::len)),
        (Some(1), Some(7)),
        "{told}"
    );
    assert_eq!(told["render_types"]["sd15"]["model_loads"], 1, "the server was cold: {told}");
    assert_eq!(told["servers"]["sim"]["jobs"]["success_rate"], 1.0, "{told}");
    for wrong in ["0", "367", "x"] {
        let refused = hub.json("GET", &format!("/api/v1/statistics?days={wrong}"), &json!(null)).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}: {}", refused.text());
    }
    let wrong = hub.page("/statistics?days=8").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text().contains("Valid: 1, 7, 30, 90."), "{}", wrong.text());
}
