//! Settings by key, held against those that are stored.

use std::collections::{BTreeMap, BTreeSet};

use hub_core::error::UserError;
use serde_json::{Value, json};

use super::{Planner, below};
use crate::{
    ImportAction, ImportMode,
    configuration::document::SettingsEntry,
    refusal::storage,
    settings::{self, STORED},
};

impl Planner<'_> {
    /// A value that the file does not tell comes from the sealed ones, else it stays as it is, else it is empty.
    pub(super) async fn values(&mut self, entry: &SettingsEntry) -> Result<(), UserError> {
        let Some(told) = &entry.values else { return Ok(()) };
        let stored: Option<BTreeMap<String, Value>> = self.store.setting_get(STORED).await.map_err(storage)?;
        let before = stored.clone().unwrap_or_default();
        let mut after = if self.mode == ImportMode::Replace { BTreeMap::new() } else { before.clone() };
        for (key, value) in told {
            let sealed = || self.secrets.settings.get(key).map(|text| json!(text));
            let value = match value {
                Value::Null if settings::is_secret(key) => {
                    sealed().or_else(|| before.get(key).cloned()).unwrap_or_else(|| {
                        let note = format!("The setting `{key}` has no value yet: the file holds none. Set it.");
                        self.plan.notes.push(note);
                        json!("")
                    })
                }
                told => told.clone(),
            };
            settings::check(key, &value).map_err(|error| below("settings.values", error))?;
            after.insert(key.clone(), value);
        }
        let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for key in keys {
            let action = match (before.get(key), after.get(key)) {
                (one, other) if one == other => {
                    self.plan.unchanged += u32::from(told.contains_key(key));
                    continue;
                }
                (None, _) => ImportAction::Added,
                (_, None) => ImportAction::Removed,
                _ => ImportAction::Changed,
            };
            self.tell("settings", action, key, Vec::new());
        }
        if before != after {
            self.set(STORED, stored.map(|values| json!(values)), (!after.is_empty()).then(|| json!(after)));
        }
        Ok(())
    }
}
