//! The page of statistics.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::hub::Hub;

/// The cells of a row, without what is drawn in them.
fn cells(row: &str) -> Vec<String> {
    let cells = row.split("<td>").skip(1).filter_map(|cell| cell.split("</td>").next());
    cells.filter_map(|cell| cell.trim_end_matches("</span>").rsplit('>').next()).map(str::to_owned).collect()
}

/// What the API tells of a group or a day, as the page has it: half, 95 %, GPU time and model loads.
fn took(told: &Value) -> [String; 4] {
    // Of less than a minute, to a tenth of a second.
    let run = |name: &str| {
        let ms = told["run"][name].as_u64().expect("it ran");
        assert!(ms >= 200, "{told}");
        format!("{}.{} s", ms / 1_000, ms % 1_000 / 100)
    };
    let gpu = told["gpu_seconds"].to_string();
    let (seconds, rest) = gpu.split_once('.').expect("a fraction");
    assert!(told["gpu_seconds"].as_f64().is_some_and(|seconds| seconds >= 0.2), "{told}");
    assert_eq!((&told["jobs"]["success_rate"], &told["model_loads"]), (&json!(1.0), &json!(1)), "{told}");
    [run("p50_ms"), run("p95_ms"), format!("{seconds}.{} s", &rest[..1]), told["model_loads"].to_string()]
}

/// The day of the only job, and that nothing is told of all others.
fn busy_day(told: &Value) -> &Value {
    let days = told["days"].as_array().expect("days");
    let (busy, idle): (Vec<_>, Vec<_>) = days.iter().partition(|day| day["jobs"]["succeeded"] == 1);
    assert_eq!((busy.len(), idle.len()), (1, 6), "{told}");
    assert!(idle.iter().all(|day| day["run"].is_null() && day["jobs"]["success_rate"].is_null()), "{told}");
    busy[0]
}

#[tokio::test]
async fn a_job_shows_in_every_chart_and_table_of_each_span() {
    let hub = Hub::with_server(300).await;
    let empty = hub.page("/statistics").await.text();
    assert!(empty.contains("No job came in during these days") && !empty.contains("<rect"), "{empty}");
    let body = json!({"tool": "generate_image", "arguments": {"prompt": "a fox", "styles": ["anime"]}});
    let accepted = hub.json("POST", "/api/v1/jobs", &body).await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED, "{}", accepted.text());
    hub.ended(accepted.json()["id"].as_str().expect("an id")).await;
    let told = hub.json("GET", "/api/v1/statistics?days=7", &json!(null)).await.json();
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
        for (title, groups, row) in [
            ("Servers", "servers", "sim"),
            ("Render types", "render_types", "sd15"),
            ("Styles", "styles", "anime"),
            ("Callers", "callers", "local"),
        ] {
            let table = page.split(&format!("<h2>{title}</h2>")).nth(1).expect(title);
            let first = table.split("<tbody>").nth(1).and_then(|rows| rows.split("</tr>").next()).expect(title);
            assert!(first.contains(&format!("<bdi>{row}</bdi>")), "{title}: {first}");
            let [p50, p95, gpu, loads] = took(&told[groups][row]);
            assert_eq!(cells(first), ["1", "100.0 %", "0", &*p50, &*p95, &*gpu, &*loads], "{title}");
        }
        let table = page.split("<summary>The days as a table</summary>").nth(1).expect("the days");
        let rows = table.split("</table>").next().expect("its end").split("<tr>").map(cells);
        let (busy, idle): (Vec<_>, Vec<_>) =
            rows.filter(|row| !row.is_empty()).partition(|row| row.first().is_some_and(|jobs| jobs == "1"));
        let [p50, p95, gpu, loads] = took(busy_day(&told));
        assert_eq!(busy, [["1", "1", "0", "0", "0", "100.0 %", &*p50, &*p95, "1", &*gpu, &*loads]]);
        assert_eq!(idle, vec![["0", "0", "0", "0", "0", "–", "–", "–", "0", "0.0 s", "0"]; days - 1]);
        assert_eq!(page.matches("<g><title>").count(), days * 4, "a bar per day and chart");
    }
    assert_eq!(
        (told["jobs"]["succeeded"].as_u64(), told["days"].as_array().map(Vec::len)),
        (Some(1), Some(7)),
        "{told}"
    );
    for wrong in ["0", "367", "x"] {
        let refused = hub.json("GET", &format!("/api/v1/statistics?days={wrong}"), &json!(null)).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}: {}", refused.text());
    }
    let wrong = hub.page("/statistics?days=8").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let wrong = wrong.text();
    assert!(wrong.contains("Valid: <bdi>1</bdi>, <bdi>7</bdi>, <bdi>30</bdi>, <bdi>90</bdi>."), "{wrong}");
}
