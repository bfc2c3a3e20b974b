//! Acts of the log in words: each is kept as method and path.

use super::subject::bare;
use crate::{language::Said, said};

/// Words by the acts that they stand for; `{}` is any part of a path. Paths of the API stand without `/api/v1`.
const WORDS: &[(&[&str], Said)] = &[
    (&["POST /servers", "POST /start/servers"], said!("Server added")),
    (&["POST /servers/{}/settings", "PUT /servers/{}", "PATCH /servers/{}"], said!("Server changed")),
    (&["POST /servers/{}/delete", "DELETE /servers/{}"], said!("Server removed")),
    (&["POST /servers/{}/drain", "POST /servers/{}/enabled"], said!("Server switched")),
    (&["POST /servers/{}/refresh"], said!("Nodes and models of a server read again")),
    (&["POST /servers/{}/workflows", "PUT /servers/{}/workflows/{}"], said!("What a server can run said by hand")),
    (&["POST /servers/test", "POST /servers/test-all", "POST /servers/{}/test"], said!("Servers tested")),
    (&["POST /llm-servers", "POST /llm-servers/new", "POST /start/llm"], said!("LLM server added")),
    (&["POST /llm-servers/{}", "PUT /llm-servers/{}", "PATCH /llm-servers/{}"], said!("LLM server changed")),
    (&["POST /llm-servers/{}/delete", "DELETE /llm-servers/{}"], said!("LLM server removed")),
    (&["POST /llm-servers/{}/test"], said!("LLM server tested")),
    (&["POST /llm-servers/roles/{}", "PUT /llm-roles/{}", "DELETE /llm-roles/{}"], said!("LLM role changed")),
    (&["POST /workflows"], said!("Workflow imported")),
    (&["POST /workflows/{}/slots"], said!("Slots of a workflow changed")),
    (
        &["POST /workflows/{}/restore", "POST /workflows/{}/versions/{}/restore"],
        said!("Version of a workflow restored"),
    ),
    (&["POST /workflows/{}/recheck", "POST /workflows/{}/check"], said!("Workflow checked")),
    (&["POST /workflows/{}/test-run"], said!("Workflow tried")),
    (&["POST /workflows/{}/delete", "DELETE /workflows/{}"], said!("Workflow deleted")),
    (&["POST /render-types", "POST /render-types/new", "POST /start/types"], said!("Render type added")),
    (&["POST /render-types/{}", "PUT /render-types/{}", "PATCH /render-types/{}"], said!("Render type changed")),
    (&["POST /render-types/{}/flags"], said!("Render type switched")),
    (&["POST /render-types/{}/picture", "POST /render-types/{}/preview"], said!("Picture of a render type asked for")),
    (&["POST /render-types/{}/delete", "DELETE /render-types/{}"], said!("Render type deleted")),
    (&["POST /render-types/import"], said!("Render types imported")),
    (&["POST /styles", "POST /styles/new"], said!("Style added")),
    (&["POST /styles/{}", "PUT /styles/{}", "PATCH /styles/{}"], said!("Style changed")),
    (&["POST /styles/{}/flags"], said!("Style switched")),
    (&["POST /styles/{}/picture", "POST /styles/{}/preview"], said!("Picture of a style asked for")),
    (&["POST /styles/{}/delete", "DELETE /styles/{}"], said!("Style deleted")),
    (&["POST /styles/import"], said!("Styles imported")),
    (&["POST /styles/pictures", "POST /style-previews"], said!("Pictures of styles asked for")),
    (&["POST /styles/scene", "PUT /preview-scene"], said!("Scene of the pictures changed")),
    (&["POST /settings", "PUT /settings", "PATCH /settings"], said!("Settings changed")),
    (
        &[
            "POST /settings/instructions/{}",
            "PATCH /describe-templates",
            "DELETE /describe-templates",
            "PATCH /prompt-generator",
            "DELETE /prompt-generator",
        ],
        said!("LLM instructions changed"),
    ),
    (&["PUT /caller-weights"], said!("Weights of callers changed")),
    (&["POST /maintenance/retention"], said!("Retention changed")),
    (&["POST /maintenance/tasks/{}"], said!("Background task run")),
    (&["POST /configuration/export"], said!("Configuration exported")),
    (&["POST /configuration/import", "POST /config/import"], said!("Configuration imported")),
    (&["GET /backup"], said!("Backup made")),
    (&["POST /jobs/cancel"], said!("Jobs cancelled")),
    (&["POST /gallery/delete"], said!("Pictures deleted")),
    (&["POST /undo"], said!("Change taken back")),
    (&["POST /access/keys", "POST /keys"], said!("Key made")),
    (&["POST /access/keys/{}", "PATCH /keys/{}"], said!("Key changed")),
    (&["POST /access/keys/{}/revoke", "DELETE /keys/{}"], said!("Key revoked")),
    (&["POST /access/password"], said!("Password changed")),
    (&["log in"], said!("Logged in")),
    (&["log in with a wrong password"], said!("Login refused: wrong password")),
    (&["log out"], said!("Logged out")),
    (&["make the first account"], said!("First account made")),
    (&["set up with a wrong token"], said!("First account refused: wrong token")),
];

/// An act in words; `None` for one that is told as it is.
pub(crate) fn words(act: &str) -> Option<Said> {
    let known = WORDS.iter().flat_map(|(acts, said)| acts.iter().map(move |known| (*known, *said)));
    // `/styles/new` is no style.
    let found = known.filter(|(known, _)| fits(known, act)).min_by_key(|(known, _)| known.matches("{}").count());
    found.map(|(_, said)| said)
}

fn fits(known: &str, act: &str) -> bool {
    let (Some((method, path)), Some((its_method, its_path))) = (known.split_once(" /"), act.split_once(' ')) else {
        return known == act;
    };
    let (parts, its_parts) = (path.split('/'), bare(its_path).trim_start_matches('/').split('/'));
    method == its_method
        && parts.clone().count() == its_parts.clone().count()
        && parts.zip(its_parts).all(|(part, its)| part == "{}" || part == its)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use axum::http::Method;

    use super::*;
    use crate::{audit::is_of_note, router::route_paths};

    /// `/styles/{}` of `/styles/{id}`.
    fn template(path: &str) -> String {
        path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part }).collect::<Vec<_>>().join("/")
    }

    #[test]
    fn an_act_is_told_in_words_whatever_it_was_done_by() {
        let said = |act: &str| words(act).map(String::from).unwrap_or_default();
        assert_eq!(said("POST /styles/new"), "Style added");
        assert_eq!(said("POST /styles/import"), "Styles imported");
        assert_eq!(said("POST /styles/sty_1"), "Style changed");
        assert_eq!(said("PATCH /api/v1/styles/film%20noir"), "Style changed");
        assert_eq!(said("DELETE /api/v1/servers/gpu"), "Server removed");
        assert_eq!(said("PUT /api/v1/servers/gpu/workflows/txt2img"), "What a server can run said by hand");
        assert_eq!(said("POST /api/v1/styles/anime/preview"), said("POST /styles/sty_1/picture"));
        assert_eq!(said("log in"), "Logged in");
        assert_eq!((said("POST /nowhere"), said("stand on one's head")), (String::new(), String::new()));
    }

    #[test]
    fn every_change_by_the_api_has_words() {
        for (path, item) in crate::api::document().paths.paths {
            let sent = template(&path).replace("{}", "x");
            let acts = [
                (Method::PUT, item.put.is_some()),
                (Method::POST, item.post.is_some()),
                (Method::PATCH, item.patch.is_some()),
                (Method::DELETE, item.delete.is_some()),
            ];
            for (method, _) in acts.into_iter().filter(|(method, there)| *there && is_of_note(method, &sent)) {
                assert!(words(&format!("{method} {sent}")).is_some(), "{method} {path}");
            }
        }
    }

    #[test]
    fn words_stand_for_routes_that_there_are() {
        let routes: BTreeSet<String> = route_paths().iter().map(|path| template(bare(path))).collect();
        for act in WORDS.iter().flat_map(|(acts, _)| *acts) {
            if let Some((_, path)) = act.split_once(" /") {
                assert!(routes.contains(&format!("/{path}")), "{act}");
            }
        }
    }
}
