//! Every recorded kind of `POST /prompt` answer, on both versions.

use serde_json::Value;

use crate::harness::{json_fixture, recorded, start};

/// Removes what differs by nature: ids, numbers, server paths.
fn comparable(text: &str) -> Value {
    let mut value: Value = serde_json::from_str(&text.replace(": NaN", ": \"NaN\"")).unwrap_or_else(|_| text.into());
    strip(&mut value);
    value
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for name in ["traceback", "prompt_id", "number"] {
                map.remove(name);
            }
            map.values_mut().for_each(strip);
        }
        Value::Array(list) => list.iter_mut().for_each(strip),
        _ => {}
    }
}

async fn compare(version: &str) {
    let cases = json_fixture(&format!("v{version}/post_prompt.json"));
    let mut wrong = Vec::new();
    for (name, case) in cases.as_object().unwrap() {
        let (_sim, client) = start(recorded(version)).await;
        let request =
            client.http.post(format!("{}/prompt", client.base)).body(case["body"].as_str().unwrap().to_owned());
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let got = comparable(&answer.text().await.unwrap());
        let want = comparable(case["answer"].as_str().unwrap());
        if u64::from(status) != case["status"] || got != want {
            wrong.push(format!("{name}\n  want {} {want}\n  got  {status} {got}", case["status"]));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.as_object().unwrap().len(), wrong.join("\n"));
}

#[tokio::test]
async fn answers_equal_the_recordings_of_0_33_0() {
    compare("0.33.0").await;
}

#[tokio::test]
async fn answers_equal_the_recordings_of_0_3_64() {
    compare("0.3.64").await;
}
