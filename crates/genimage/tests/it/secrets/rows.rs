//! Routes with the ids of what is there in place of their parameters.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::hub::Edge;

/// Rows of one noun that are looked at; of what a hub has from the start, a few are like the others.
const EACH_MAX: usize = 6;

pub(super) struct Rows {
    /// Ids by the part of a path before them.
    ids: BTreeMap<&'static str, Vec<String>>,
    /// A job with a picture, and another.
    jobs: [String; 2],
}

impl Rows {
    /// Of everything the hub holds. There must be something of each noun, and the first job must have a picture.
    pub(super) async fn of(hub: &Edge, jobs: [String; 2]) -> Self {
        let mut rows = BTreeMap::new();
        for noun in ["jobs", "servers", "llm-servers", "workflows", "render-types", "styles", "keys"] {
            let list = hub.get(&format!("/api/v1/{noun}")).await;
            let all = list.as_object().and_then(|fields| fields.values().find_map(Value::as_array));
            let all = all.unwrap_or_else(|| panic!("no list: {list}"));
            // The newest of those that come by name are not the first.
            let ids = all.iter().rev().take(EACH_MAX).map(|row| row["id"].as_str().unwrap().to_owned());
            let ids: Vec<String> = ids.collect();
            assert!(!ids.is_empty(), "there are no {noun}");
            rows.insert(noun, ids);
        }
        let made = hub.get(&format!("/api/v1/jobs/{}", jobs[0])).await;
        let (_, file) = made["images"][0]["url"].as_str().unwrap().rsplit_once('/').unwrap();
        let image = file.split('.').next().unwrap();
        rows.insert("outputs", vec![file.to_owned()]);
        rows.insert("thumbs", vec![image.to_owned()]);
        rows.insert("images", vec![image.to_owned()]);
        for (noun, fixed) in [
            ("versions", &["1"][..]),
            ("llm-roles", &["enhance", "describe", "prompt_generator"]),
            ("roles", &["describe"]),
            ("playground", &["generate_image"]),
            ("tasks", &["orphans"]),
            ("instructions", &["enhance"]),
            ("assets", &["css/base.css"]),
        ] {
            rows.insert(noun, fixed.iter().map(|&value| value.to_owned()).collect());
        }
        Self { ids: rows, jobs }
    }

    /// The paths that a route stands for: one for each row.
    pub(super) fn filled(&self, route: &str) -> Vec<String> {
        let (mut paths, mut before) = (vec![String::new()], "");
        for part in route.split('/').skip(1) {
            let values = if part.starts_with('{') {
                self.ids.get(before).unwrap_or_else(|| panic!("{route}: no rows of {before} are planted")).clone()
            } else {
                vec![part.to_owned()]
            };
            paths = paths.iter().flat_map(|path| values.iter().map(move |value| format!("{path}/{value}"))).collect();
            before = part;
        }
        let [job, other] = &self.jobs;
        // Some name their jobs in the query.
        let query = match route {
            "/start/live" => format!("?job={job}"),
            "/compare" => format!("?job={job}&job={other}"),
            "/workflows/{id}/test-run/live" => format!("?run={job}"),
            _ => return paths,
        };
        paths.into_iter().map(|path| path + query.as_str()).collect()
    }
}
